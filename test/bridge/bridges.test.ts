/** Bridges against a real Mosquitto: off they say nothing; on, what other systems expect, and nothing more. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { IPublishPacket } from 'mqtt';
import t, { type Test } from 'tap';
import type { BridgesConfig } from '../../agent/contract/config.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { Agent } from '../../agent/main.ts';
import { Contract } from '../../scripts/lib/contract.ts';
import { configOf, makeAgent } from '../lib/agent.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { BOX, clientOf, makeRoom, type Room, SITE, until } from '../lib/room.ts';

const skip = !existsSync(STREET_CLIP) && 'no street clip: run scripts/setup';
const ROOT_TOPIC = `vigie/${SITE}/${BOX}`;
const contract = new Contract();

interface Heard {
  readonly all: IPublishPacket[];
  /** Parsed payloads of the topics that the pattern names. */
  json<T>(topic: RegExp): T[];
}

/** Everything that the broker lets the room read, held against the published contract. */
async function listen(t: Test, room: Room): Promise<Heard> {
  const client = await clientOf(t, room, 'room');
  const all: IPublishPacket[] = [];
  client.on('message', (_topic, _payload, packet) => {
    for (const fault of contract.faults(packet)) t.fail(fault);
    all.push(packet);
  });
  await client.subscribeAsync('#', { qos: 1, rap: true });
  return {
    all,
    json: <T>(topic: RegExp) =>
      all.filter((packet) => topic.test(packet.topic)).map(({ payload }) => JSON.parse(String(payload)) as T),
  };
}

async function start(t: Test, room: Room, bridges: Partial<BridgesConfig>): Promise<Agent> {
  const config = configOf({
    site: SITE,
    box: BOX,
    camera: { source: `file:${STREET_CLIP}`, fps: 5 },
    zones: [
      {
        id: 'lawn',
        polygon: [
          [0, 0],
          [1, 0],
          [1, 1],
          [0, 1],
        ],
      },
    ],
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    rules: [
      { id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' },
      { id: 'staying', kind: 'loitering', zone: 'lawn', purpose: 'counting', afterS: 2 },
    ],
    mqtt: { ...room.config, ack: 'broker' },
    bridges,
  });
  const agent = makeAgent(t, config, join(scratch(t), 'state'));
  await agent.start();
  return agent;
}

const MAIN = new RegExp(
  `^${ROOT_TOPIC}/(status|health|mode|update/reported|journal/(head|growth)|evt/.+|snap/.+)$`,
);
const alerts = (heard: Heard): VigieEvent[] => heard.json<VigieEvent>(/\/evt\/alert\//);
const bothKinds = (heard: Heard): boolean =>
  ['line-crossing', 'loitering'].every((kind) => alerts(heard).some(({ data }) => data.rule.kind === kind));

t.test('off by default: the main topics and nothing else', { skip }, async (t) => {
  const room = await makeRoom(t);
  const heard = await listen(t, room);
  const agent = await start(t, room, {});
  await until(t, 'events of both rules', () => bothKinds(heard), 60_000);
  await agent.stop();
  t.strictSame(
    heard.all.map(({ topic }) => topic).filter((topic) => !MAIN.test(topic)),
    [],
  );
});

t.test('all three on: each in its own form', { skip }, async (t) => {
  const room = await makeRoom(t);
  const heard = await listen(t, room);
  const agent = await start(t, room, { onvif: true, homeAssistant: true, frigate: true });
  const ended = (): VigieEvent | undefined =>
    alerts(heard).find(({ data }) => data.rule.kind === 'loitering' && data.phase === 'end');
  await until(t, 'a loitering that has ended', () => bothKinds(heard) && ended() !== undefined, 90_000);
  await until(t, 'bridged', () => heard.json(/frigate\/events$/).length > 0);
  type Counted = { counters: Record<string, number> };
  const counted = (): number =>
    Math.max(0, ...heard.json<Counted>(/\/health$/).map(({ counters }) => counters['bridge_published'] ?? 0));
  await until(t, 'counted in a health report', () => counted() > 0, 60_000);
  await agent.stop();

  const onvif = heard.all.filter(({ topic }) => topic.includes('/onvif-ej/'));
  const crossed = onvif.find(({ topic }) => topic.includes('LineDetector/Crossed'));
  t.equal(crossed?.topic, `${ROOT_TOPIC}/onvif-ej/RuleEngine/LineDetector/Crossed/&1/1/passing`);
  t.match(JSON.parse(String(crossed?.payload)), {
    UtcTime: /Z$/,
    Source: { VideoSource: '1', AnalyticsConfiguration: '1', Rule: 'passing' },
    Data: { ObjectId: /^\d+$/ },
  });
  const counts = heard.json<{ Data: { Count: number } }>(/CountAggregation\/Counter/);
  t.strictSame(
    counts.map(({ Data }) => Data.Count),
    counts.map((_, index) => index + 1),
    'the counter counts',
  );
  t.match(heard.json(/LoiteringDetector\/ObjectIsLoitering\/&1\/1\/staying$/)[0], {
    PropertyOperation: 'Initialized',
    Data: { ObjectId: /^\d+$/, Since: /Z$/ },
  });

  const configs = heard.all.filter(({ topic }) => topic.startsWith('homeassistant/'));
  t.strictSame(
    configs.map(({ topic }) => topic).sort(),
    [
      `homeassistant/binary_sensor/${BOX}/rule-passing/config`,
      `homeassistant/binary_sensor/${BOX}/rule-staying/config`,
      `homeassistant/sensor/${BOX}/health-backlog/config`,
      `homeassistant/sensor/${BOX}/health-camera/config`,
      `homeassistant/sensor/${BOX}/health-temperature/config`,
    ],
    'one entity a rule, three of the health report',
  );
  t.match(heard.json(/rule-staying\/config$/)[0], {
    unique_id: `vigie_${SITE}_${BOX}_rule-staying`,
    state_topic: `${ROOT_TOPIC}/home-assistant/staying`,
    payload_on: 'ON',
    availability: [{ topic: `${ROOT_TOPIC}/status`, payload_available: 'online' }],
    device: { identifiers: [`vigie_${SITE}_${BOX}`], name: BOX },
  });
  const states = heard.all.filter(({ topic }) => topic.endsWith('/home-assistant/staying'));
  t.strictSame(
    states.slice(0, 2).map(({ payload }) => String(payload)),
    ['OFF', 'ON'],
    'first off, then on',
  );

  const episode = ended()?.data.episode;
  interface Frigate {
    type: string;
    before: { start_time: number };
    after: {
      id: string;
      camera: string;
      start_time: number;
      end_time: number | null;
      current_zones: string[];
    };
  }
  const told = heard.json<Frigate>(/\/frigate\/events$/).filter(({ after }) => after.id === episode);
  t.strictSame([told[0]?.type, told.at(-1)?.type], ['new', 'end'], 'from new to end');
  t.match(told[0]?.after, { camera: BOX, label: 'person', end_time: null, current_zones: ['lawn'] });
  t.match(told.at(-1)?.after, { end_time: Number, current_zones: [], has_clip: false, sub_label: null });
  t.equal(told.at(-1)?.before.start_time, told[0]?.after.start_time, 'before is what was told last');
});

t.test('a broker that is away costs the bridges their notices, and they are counted', { skip }, async (t) => {
  const room = await makeRoom(t, { persistent: true });
  const heard = await listen(t, room);
  await start(t, room, { onvif: true });
  await until(t, 'an event', () => alerts(heard).length > 0, 60_000);
  room.broker.kill();
  await room.broker.stop();
  const before = alerts(heard).length;
  // Long enough for the street to go on; what is asserted does not hang on how long.
  await new Promise((resolve) => setTimeout(resolve, 8000));
  await room.broker.start();
  type Counted = { counters: Record<string, number>; time: string };
  const dropped = (): number =>
    Math.max(0, ...heard.json<Counted>(/\/health$/).map(({ counters }) => counters['bridge_dropped'] ?? 0));
  await until(t, 'the dropped are counted', () => dropped() > 0, 90_000);
  await until(t, 'events that waited', () => alerts(heard).length > before, 60_000);
  t.ok(dropped() > 0, `${dropped()} notices lost and counted`);
});
