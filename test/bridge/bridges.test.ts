/**
 * Tests the bridges with a real Mosquitto. Disabled they publish nothing; enabled they publish exactly what other
 * systems expect.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { IPublishPacket } from 'mqtt';
import t, { type Test } from 'tap';
import type { BridgesConfig } from '../../agent/contract/config.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { Agent } from '../../agent/main.ts';
import { Contract } from '../../scripts/lib/contract.ts';
import { configOf, makeAgent } from '../lib/agent.ts';
import { unlessFull } from '../lib/run.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { BOX, clientOf, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';

const skip = !existsSync(STREET_CLIP) && 'no street clip: run scripts/setup';
const ROOT_TOPIC = `vigie/${SITE}/${BOX}`;
const contract = new Contract();

interface ReceivedMessages {
  readonly all: IPublishPacket[];
  /** Parsed payloads of the topics that match the pattern. */
  json<T>(topic: RegExp): T[];
}

/** Collects everything that the broker lets the room read, and checks it against the published contract. */
async function listen(t: Test, room: Room): Promise<ReceivedMessages> {
  const client = await clientOf(t, room, 'room');
  const all: IPublishPacket[] = [];
  client.on('message', (_topic, _payload, packet) => {
    for (const problem of contract.problems(packet)) t.fail(problem);
    all.push(packet);
  });
  await client.subscribeAsync('#', { qos: 1, rap: true });
  return {
    all,
    json: <T>(topic: RegExp) =>
      all.filter((packet) => topic.test(packet.topic)).map(({ payload }) => JSON.parse(String(payload)) as T),
  };
}

interface StartOptions {
  readonly stateDir?: string;
  /** Ids of the rules below to configure. */
  readonly rules?: readonly string[];
}

async function start(
  t: Test,
  room: Room,
  bridges: Partial<BridgesConfig>,
  { stateDir = join(scratch(t), 'state'), rules = ['passing', 'staying'] }: StartOptions = {},
): Promise<Agent> {
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
    ].filter(({ id }) => rules.includes(id)),
    mqtt: { ...room.config, ack: 'broker' },
    bridges,
  });
  const agent = makeAgent(t, config, stateDir);
  await agent.start();
  return agent;
}

const MAIN = new RegExp(
  `^${ROOT_TOPIC}/(status|health|mode|update/reported|journal/(head|consistency)|evt/.+|snap/.+)$`,
);
const alerts = (received: ReceivedMessages): VigieEvent[] => received.json<VigieEvent>(/\/evt\/alert\//);
const bothKinds = (received: ReceivedMessages): boolean =>
  ['line-crossing', 'loitering'].every((kind) =>
    alerts(received).some(({ data }) => data.rule.kind === kind),
  );

/**
 * Checks that a crossing is one event, and that just before it comes the picture that the alert has on the main topic.
 */
function homeAssistantTold(t: Test, { all, json }: ReceivedMessages): void {
  const root = `${ROOT_TOPIC}/home-assistant`;
  const crossings = json<{ event_type: string }>(/\/home-assistant\/passing\/event$/);
  t.ok(crossings.length > 0, `${crossings.length} crossings`);
  t.ok(
    crossings.every(({ event_type }) => event_type === 'start'),
    'each is one event',
  );
  t.strictSame(
    all.filter(({ topic, payload }) => topic === `${root}/passing` && payload.length > 0),
    [],
    'and no ON and OFF at once',
  );
  const ofStay = json<object>(/\/home-assistant\/staying\/event$/);
  t.match(ofStay[0], {
    event_type: 'start',
    rule: 'staying',
    kind: 'loitering',
    severity: 'alert',
    zone: 'lawn',
    objects: [{ label: 'person' }],
    cause: { dwellS: Number },
  });
  t.ok(
    json<{ event_type: string }>(/\/home-assistant\/staying\/event$/).some(
      ({ event_type }) => event_type === 'end',
    ),
    'and its end',
  );
  const stills = new Set(
    all.filter(({ topic }) => topic.includes('/snap/')).map(({ payload }) => String(payload)),
  );
  const images = all.filter(({ topic }) => topic === `${root}/box/image`);
  t.ok(images.length > 0, `${images.length} pictures`);
  for (const { payload, properties } of images) {
    t.ok(stills.has(String(payload)), 'the very still that the main topics carry');
    t.equal(properties?.messageExpiryInterval, 7 * 86_400, 'no longer than the retention of stills');
  }
  const next = all
    .slice(all.indexOf(images[0] as IPublishPacket) + 1)
    .find(({ topic }) => topic.startsWith(`${root}/`));
  t.match(next?.topic, /\/event$/, 'the picture comes before its event');
}

/** Topics below `pattern` with a retained message, as a later subscriber receives them. */
async function retainedTopicsOf(t: Test, room: Room, ...patterns: string[]): Promise<string[]> {
  const client = await clientOf(t, room, 'room');
  const topics: string[] = [];
  client.on('message', (topic, _payload, { retain }) => {
    if (retain) topics.push(topic);
  });
  await client.subscribeAsync([...patterns, `${ROOT_TOPIC}/status`], { qos: 1 });
  await waitUntil(t, 'the status, which comes last', () => topics.includes(`${ROOT_TOPIC}/status`));
  await client.endAsync(true);
  return topics.filter((topic) => !topic.endsWith('/status')).sort();
}

t.test('bridges are off by default, and only the main topics are published', { skip }, async (t) => {
  const room = await makeRoom(t);
  const received = await listen(t, room);
  const agent = await start(t, room, {});
  await waitUntil(t, 'events of both rules', () => bothKinds(received), 60_000);
  await agent.stop();
  t.strictSame(
    received.all.map(({ topic }) => topic).filter((topic) => !MAIN.test(topic)),
    [],
  );
});

t.test('both bridges publish their own form', { skip }, async (t) => {
  const room = await makeRoom(t);
  const received = await listen(t, room);
  const agent = await start(t, room, { onvif: true, homeAssistant: true });
  const endOfLoitering = (): VigieEvent | undefined =>
    alerts(received).find(({ data }) => data.rule.kind === 'loitering' && data.phase === 'end');
  await waitUntil(
    t,
    'a loitering that has ended',
    () => bothKinds(received) && endOfLoitering() !== undefined,
    90_000,
  );
  await waitUntil(t, 'bridged', () => received.json(/onvif-ej\/RuleEngine/).length > 0);
  type Counted = { counters: Record<string, number> };
  const counted = (): number =>
    Math.max(
      0,
      ...received.json<Counted>(/\/health$/).map(({ counters }) => counters['bridge_published'] ?? 0),
    );
  await waitUntil(t, 'counted in a health report', () => counted() > 0, 60_000);
  await agent.stop();

  const onvif = received.all.filter(({ topic }) => topic.includes('/onvif-ej/'));
  const crossed = onvif.find(({ topic }) => topic.includes('LineDetector/Crossed'));
  t.equal(crossed?.topic, `${ROOT_TOPIC}/onvif-ej/RuleEngine/LineDetector/Crossed/&1/1/passing`);
  t.match(JSON.parse(String(crossed?.payload)), {
    UtcTime: /Z$/,
    Source: { VideoSource: '1', AnalyticsConfiguration: '1', Rule: 'passing' },
    Data: { ObjectId: /^\d+$/ },
  });
  const counts = received.json<{ Data: { Count: number } }>(/CountAggregation\/Counter/);
  t.strictSame(
    counts.map(({ Data }) => Data.Count),
    counts.map((_, index) => index + 1),
    'the counter counts',
  );
  t.match(received.json(/LoiteringDetector\/ObjectIsLoitering\/&1\/1\/staying$/)[0], {
    PropertyOperation: 'Initialized',
    Data: { ObjectId: /^\d+$/, Since: /Z$/ },
  });

  const configs = received.all.filter(
    ({ topic, payload }) => topic.startsWith('homeassistant/') && payload.length > 0,
  );
  t.strictSame(
    configs.map(({ topic }) => topic).sort(),
    [
      `homeassistant/binary_sensor/${BOX}/rule-staying/config`,
      `homeassistant/event/${BOX}/rule-passing/config`,
      `homeassistant/event/${BOX}/rule-staying/config`,
      `homeassistant/image/${BOX}/snapshot/config`,
      `homeassistant/sensor/${BOX}/health-backlog/config`,
      `homeassistant/sensor/${BOX}/health-camera/config`,
      `homeassistant/sensor/${BOX}/health-temperature/config`,
    ],
    'an event a rule, a state where incidents last, the newest still, three of the health report',
  );
  t.match(received.json(/binary_sensor\/.+\/rule-staying\/config$/)[0], {
    unique_id: `vigie_${SITE}_${BOX}_rule-staying`,
    state_topic: `${ROOT_TOPIC}/home-assistant/staying`,
    payload_on: 'ON',
    availability: [{ topic: `${ROOT_TOPIC}/status`, payload_available: 'online' }],
    device: { identifiers: [`vigie_${SITE}_${BOX}`], name: BOX },
  });
  const states = received.all.filter(({ topic }) => topic.endsWith('/home-assistant/staying'));
  t.strictSame(
    states.slice(0, 2).map(({ payload }) => String(payload)),
    ['OFF', 'ON'],
    'first off, then on',
  );
  homeAssistantTold(t, received);
});

t.test(
  'a removed rule disappears from Home Assistant, and the broker keeps no picture',
  { skip },
  async (t) => {
    const room = await makeRoom(t);
    const stateDir = join(scratch(t), 'state');
    const received = await listen(t, room);
    const retainedTopics = (): Promise<string[]> =>
      retainedTopicsOf(t, room, 'homeassistant/#', `${ROOT_TOPIC}/home-assistant/#`);
    const on = { homeAssistant: true };
    const hasPicture = (): boolean =>
      received.all.some(({ topic }) => topic.endsWith('/home-assistant/box/image'));
    const agent = await start(t, room, on, { stateDir });
    await waitUntil(t, 'a picture', hasPicture, 90_000);
    await agent.stop();
    const ofBox = [
      `homeassistant/image/${BOX}/snapshot/config`,
      ...['backlog', 'camera', 'temperature'].map(
        (sensor) => `homeassistant/sensor/${BOX}/health-${sensor}/config`,
      ),
    ];
    const ofPassing = [`homeassistant/event/${BOX}/rule-passing/config`];
    const ofStaying = [
      `homeassistant/binary_sensor/${BOX}/rule-staying/config`,
      `homeassistant/event/${BOX}/rule-staying/config`,
      `${ROOT_TOPIC}/home-assistant/staying`,
    ];
    t.strictSame(
      await retainedTopics(),
      [...ofBox, ...ofPassing, ...ofStaying].sort(),
      'no picture, and no event',
    );

    const connected = (from: number): boolean =>
      received.all
        .slice(from)
        .some(({ topic, payload }) => topic.endsWith('/rule-staying/config') && payload.length === 0);
    let from = received.all.length;
    const smallerAgent = await start(t, room, on, { stateDir, rules: ['passing'] });
    await waitUntil(t, 'its entities are removed', () => connected(from), 60_000);
    await smallerAgent.stop();
    t.strictSame(await retainedTopics(), [...ofBox, ...ofPassing].sort(), 'the rule is gone, the rest stays');

    from = received.all.length;
    const off = await start(t, room, {}, { stateDir, rules: ['passing'] });
    const emptied = (): boolean => received.all.slice(from).some(({ topic }) => topic === ofPassing[0]);
    await waitUntil(t, 'everything is removed', emptied, 60_000);
    await off.stop();
    t.strictSame(await retainedTopics(), [], 'a bridge that is switched off leaves nothing');
  },
);

t.test(
  'a broker that is offline costs the bridges their notices, which are counted',
  { skip: skip || unlessFull },
  async (t) => {
    const room = await makeRoom(t, { persistent: true });
    const received = await listen(t, room);
    await start(t, room, { onvif: true });
    await waitUntil(t, 'an event', () => alerts(received).length > 0, 60_000);
    room.broker.kill();
    await room.broker.stop();
    const before = alerts(received).length;
    // Long enough for the street to continue; the assertions do not depend on the time.
    await new Promise((resolve) => setTimeout(resolve, 8000));
    await room.broker.start();
    type Counted = { counters: Record<string, number>; time: string };
    const droppedCount = (): number =>
      Math.max(
        0,
        ...received.json<Counted>(/\/health$/).map(({ counters }) => counters['bridge_dropped'] ?? 0),
      );
    await waitUntil(t, 'the dropped are counted', () => droppedCount() > 0, 90_000);
    await waitUntil(t, 'events that waited', () => alerts(received).length > before, 60_000);
    t.ok(droppedCount() > 0, `${droppedCount()} notices lost and counted`);
  },
);
