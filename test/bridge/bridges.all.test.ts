/**
 * Tests the bridges with a real Mosquitto. Disabled they publish nothing; enabled they publish exactly what other
 * systems expect.
 */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { BridgesConfig } from '../../agent/contract/config.ts';
import type { Agent } from '../../agent/main.ts';
import { makeAgent, noStreet, streetConfig } from '../lib/agent.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';
import { openInbox, type RoomInbox } from '../lib/room-inbox.ts';
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
const bothKinds = (inbox: RoomInbox): boolean =>
  ['line-crossing', 'loitering'].every((kind) => inbox.events(kind).length > 0);

/** Checks that just before an event of Home Assistant comes the picture that the alert has on the main topic. */
function checkPictures(t: Test, { packets }: RoomInbox): void {
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
  const inbox = await openInbox(t, room, '#');
  const agent = await start(t, room, {});
  await waitUntil(t, 'events of both rules', () => bothKinds(inbox), 60_000);
  await agent.stop();
  const otherTopics = inbox.packets.map(({ topic }) => topic).filter((topic) => !MAIN.test(topic));
  t.strictSame(otherTopics, []);
});

t.test('both bridges publish beside the main topics, and are counted', { skip }, async (t) => {
  const room = await makeRoom(t);
  const inbox = await openInbox(t, room, '#');
  const agent = await start(t, room, { onvif: true, homeAssistant: true });
  const hasEnded = (): boolean => inbox.events('loitering').some(({ data }) => data.phase === 'end');
  await waitUntil(t, 'a loitering that has ended', () => bothKinds(inbox) && hasEnded(), 90_000);
  const counted = (): number =>
    Math.max(0, ...inbox.health.map(({ counters }) => Number(counters['bridge_published'] ?? 0)));
  await waitUntil(t, 'counted in a health report', () => counted() > 0, 60_000);
  await agent.stop();

  const crossed = inbox.json<object>(/onvif-ej\/RuleEngine\/LineDetector\/Crossed\/&1\/1\/passing$/);
  t.match(crossed[0], { Source: { Rule: 'passing' }, Data: { ObjectId: /^\d+$/ } });
  const counts = inbox.json<{ Data: { Count: number } }>(/CountAggregation\/Counter/);
  t.strictSame(
    counts.map(({ Data }) => Data.Count),
    counts.map((_, index) => index + 1),
    'the counter counts',
  );
  const states = inbox.packets.filter(({ topic }) => topic.endsWith('/home-assistant/staying'));
  t.strictSame(
    states.slice(0, 2).map(({ payload }) => String(payload)),
    ['OFF', 'ON'],
    'first off, then on',
  );
  const phases = inbox.json<{ event_type: string }>(/\/home-assistant\/staying\/event$/);
  t.same([...new Set(phases.map(({ event_type }) => event_type))].sort(), ['end', 'start']);
  checkPictures(t, inbox);
});
