/**
 * Tests the bridges with a real Mosquitto. Disabled they publish nothing; enabled they publish exactly what other
 * systems expect.
 */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { BridgesConfig } from '../../agent/contract/config.ts';
import type { Agent } from '../../agent/main.ts';
import { makeAgent, noStreet, streetConfig } from '../lib/agent.ts';
import { type Heard, hear } from '../lib/hear.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';
import { rectangle } from '../lib/street.ts';

const skip = noStreet;
const ROOT_TOPIC = `vigie/${SITE}/${BOX}`;

async function start(t: Test, room: Room, bridges: Partial<BridgesConfig>): Promise<Agent> {
  const config = streetConfig(room, {
    zones: [
      {
        id: 'lawn',
        polygon: rectangle(0, 0, 1, 1),
      },
    ],
    rules: [
      { id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' },
      { id: 'staying', kind: 'loitering', zone: 'lawn', purpose: 'counting', afterS: 2 },
    ],
    bridges,
  });
  const agent = makeAgent(t, config, join(scratch(t), 'state'));
  await agent.start();
  return agent;
}

const MAIN = new RegExp(
  `^${ROOT_TOPIC}/(status|health|mode|update/reported|journal/(head|consistency)|evt/.+|snap/.+)$`,
);
const bothKinds = (heard: Heard): boolean =>
  ['line-crossing', 'loitering'].every((kind) => heard.events(kind).length > 0);

/** Checks that just before an event of Home Assistant comes the picture that the alert has on the main topic. */
function checkPictures(t: Test, { packets }: Heard): void {
  const stills = new Set(
    packets.filter(({ topic }) => topic.includes('/snap/')).map(({ payload }) => String(payload)),
  );
  const images = packets.filter(({ topic }) => topic === `${ROOT_TOPIC}/home-assistant/box/image`);
  t.ok(images.length > 0, `${images.length} pictures`);
  for (const { payload, properties } of images) {
    t.ok(stills.has(String(payload)), 'the very still that the main topics carry');
    t.equal(properties?.messageExpiryInterval, 7 * 86_400, 'no longer than the retention of stills');
  }
  const next = packets
    .slice(packets.indexOf(images[0] as (typeof packets)[0]) + 1)
    .find(({ topic }) => topic.startsWith(`${ROOT_TOPIC}/home-assistant/`));
  t.match(next?.topic, /\/event$/, 'the picture comes before its event');
}

t.test('bridges are off by default, and only the main topics are published', { skip }, async (t) => {
  const room = await makeRoom(t);
  const heard = await hear(t, room, '#');
  const agent = await start(t, room, {});
  await waitUntil(t, 'events of both rules', () => bothKinds(heard), 60_000);
  await agent.stop();
  const others = heard.packets.map(({ topic }) => topic).filter((topic) => !MAIN.test(topic));
  t.strictSame(others, []);
});

t.test('both bridges publish beside the main topics, and are counted', { skip }, async (t) => {
  const room = await makeRoom(t);
  const heard = await hear(t, room, '#');
  const agent = await start(t, room, { onvif: true, homeAssistant: true });
  const hasEnded = (): boolean => heard.events('loitering').some(({ data }) => data.phase === 'end');
  await waitUntil(t, 'a loitering that has ended', () => bothKinds(heard) && hasEnded(), 90_000);
  const counted = (): number =>
    Math.max(0, ...heard.health.map(({ counters }) => Number(counters['bridge_published'] ?? 0)));
  await waitUntil(t, 'counted in a health report', () => counted() > 0, 60_000);
  await agent.stop();

  const crossed = heard.json<object>(/onvif-ej\/RuleEngine\/LineDetector\/Crossed\/&1\/1\/passing$/);
  t.match(crossed[0], { Source: { Rule: 'passing' }, Data: { ObjectId: /^\d+$/ } });
  const counts = heard.json<{ Data: { Count: number } }>(/CountAggregation\/Counter/);
  t.strictSame(
    counts.map(({ Data }) => Data.Count),
    counts.map((_, index) => index + 1),
    'the counter counts',
  );
  const states = heard.packets.filter(({ topic }) => topic.endsWith('/home-assistant/staying'));
  t.strictSame(
    states.slice(0, 2).map(({ payload }) => String(payload)),
    ['OFF', 'ON'],
    'first off, then on',
  );
  const phases = heard.json<{ event_type: string }>(/\/home-assistant\/staying\/event$/);
  t.same([...new Set(phases.map(({ event_type }) => event_type))].sort(), ['end', 'start']);
  checkPictures(t, heard);
});
