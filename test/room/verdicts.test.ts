/** Tests that operators' verdicts reach the box exactly once, by a real broker and from both databases. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { VerdictDelivery } from '../../scripts/programs/room/archive/verdicts.ts';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { WatchedLease } from '../../scripts/programs/room/database/watched-lease.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';
import { BOX, clientOf, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';
import { addIncident, addVerdict, countOf, recordsOf, setCamera } from '../lib/room-rows.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const PLACE = { site: SITE, box: BOX };
const TOPIC = `vigie/${SITE}/${BOX}/verdict`;

/** A stand-in for a box that records the verdicts it receives. */
async function boxOf(
  t: Test,
  room: Room,
): Promise<{ client: MqttClient; verdicts: Record<string, string>[] }> {
  const client = await clientOf(t, room, BOX);
  const verdicts: Record<string, string>[] = [];
  client.on('message', (_, payload) =>
    verdicts.push(JSON.parse(payload.toString()) as Record<string, string>),
  );
  await client.subscribeAsync(TOPIC, { qos: 1 });
  return { client, verdicts };
}

const leaseOf = (db: Sql, instanceId: string): WatchedLease =>
  new WatchedLease(db, 'lease-archive', instanceId);

function delivery(
  t: Test,
  db: Sql,
  client: MqttClient,
  lease: WatchedLease,
): { verdicts: VerdictDelivery; lines: string[] } {
  const lines: string[] = [];
  const verdicts = new VerdictDelivery({ db, client, lease, log: (line) => lines.push(line) });
  t.teardown(() => verdicts.stop());
  verdicts.start();
  return { verdicts, lines };
}

onEachDatabase('verdicts reach the box once', async (t, database) => {
  const db = await database.prepared(NOW);
  const room = await makeRoom(t);
  const archive = await clientOf(t, room, 'room');
  const incident = await addIncident(db, PLACE, 'ep-1', NOW);
  await addVerdict(db, PLACE, 'ep-1', 'confirmed', NOW);
  await addVerdict(db, PLACE, 'ep-2', 'unclear', NOW + 1);
  await addVerdict(db, PLACE, 'ep-1', 'false-alarm', NOW + 2);
  await addVerdict(db, { site: SITE, box: 'unknown' }, 'ep-9', 'confirmed', NOW);
  await setCamera(db, PLACE, 'offline', 1, NOW);

  const lease = leaseOf(db, 'one');
  await lease.take(undefined);
  const { verdicts, lines } = delivery(t, db, archive, lease);
  let due = 0;
  const pollTimer = setInterval(() => void countOf(db, 'verdict_due').then((count) => (due = count)), 20);
  t.teardown(() => clearInterval(pollTimer));
  await waitUntil(t, 'looked at', () => due === 4);
  t.equal(verdicts.counters.unheard, 0, 'an offline box is not called');

  await setCamera(db, PLACE, 'online', 2, NOW);
  await waitUntil(t, 'the broker reports no subscriber', () => verdicts.counters.unheard > 0);
  t.equal(await countOf(db, 'verdict_due'), 4, 'it stays due');
  t.same(await recordsOf(db, 'verdict-delivered'), [], 'and is not audited as sent');

  const { verdicts: receivedVerdicts } = await boxOf(t, room);
  await setCamera(db, PLACE, 'online', 3, NOW);
  await waitUntil(t, 'told', () => due === 1);
  // The broker has acknowledged to the archive; it delivers to the box in its own time.
  await waitUntil(t, 'heard', () => receivedVerdicts.length >= 3);
  t.same(
    receivedVerdicts,
    [
      { episode: 'ep-1', verdict: 'confirmed', time: iso(NOW) },
      { episode: 'ep-2', verdict: 'unclear', time: iso(NOW + 1) },
      { episode: 'ep-1', verdict: 'false-alarm', time: iso(NOW + 2) },
    ],
    'each once, in order, without further fields',
  );
  t.match(await recordsOf(db, 'verdict-delivered'), [
    { ...PLACE, incident, more: { episode: 'ep-1', verdict: 'confirmed' } },
    { ...PLACE, incident: null, more: { episode: 'ep-2' } },
    { ...PLACE, incident, more: { verdict: 'false-alarm' } },
  ]);

  await addVerdict(db, PLACE, 'no such <name>', 'confirmed', NOW);
  for (let index = 0; index < 250; index += 1)
    await addVerdict(db, PLACE, `many-${index}`, 'confirmed', NOW + index);
  await waitUntil(t, 'many are sent', () => due === 1 && receivedVerdicts.length >= 253, 30_000);
  t.same(
    receivedVerdicts.slice(3).map(({ episode }) => episode),
    Array.from({ length: 250 }, (_, index) => `many-${index}`),
  );
  t.equal(verdicts.counters.unfit, 1);
  const unfit = (await recordsOf(db, 'verdict-delivered')).filter(
    ({ more }) => more['isDelivered'] === false,
  );
  t.equal(unfit.length, 1, 'an invalid verdict is audited as not sent');
  await verdicts.stop();
  t.match(lines.at(-1), /^verdicts: 253 told, \d+ unheard, 1 unfit$/);
});

onEachDatabase('two archives send each verdict once, despite a broker outage', async (t, database) => {
  const db = await database.prepared(NOW);
  const room = await makeRoom(t);
  const { verdicts: receivedVerdicts } = await boxOf(t, room);
  await setCamera(db, PLACE, 'online', 1, NOW);
  const other = await database.prepared(NOW);
  await leaseOf(db, 'killed').take(undefined);
  const leases = { one: leaseOf(db, 'one'), two: leaseOf(other, 'two') };
  const both = [
    delivery(t, db, await clientOf(t, room, 'room'), leases.one),
    delivery(t, other, await clientOf(t, room, 'room'), leases.two),
  ];
  for (let index = 0; index < 40; index += 1) await addVerdict(db, PLACE, `e-${index}`, 'confirmed', NOW);
  await sleep(500);
  t.equal(receivedVerdicts.length, 0, 'no verdict is sent while another has the lease');
  t.ok(await leases.two.take(await leases.two.read()));
  // A verdict leaves the table after the box has it.
  while ((await countOf(db, 'verdict_due')) > 0) await sleep(20);
  await waitUntil(t, 'told', () => receivedVerdicts.length >= 40, 20_000);
  t.same(
    receivedVerdicts.map(({ episode }) => episode),
    Array.from({ length: 40 }, (_, index) => `e-${index}`),
    'once each',
  );

  await room.broker.stop();
  await addVerdict(db, PLACE, 'meanwhile', 'confirmed', NOW);
  await sleep(500);
  t.equal(await countOf(db, 'verdict_due'), 1, 'without a broker it stays due');
  await room.broker.start();
  await waitUntil(
    t,
    'sent after the broker is back',
    () => receivedVerdicts.some(({ episode }) => episode === 'meanwhile'),
    20_000,
  );
  t.equal(receivedVerdicts.length, 41);
  for (const { verdicts } of both) await verdicts.stop();
});

void t.test('a verdict that the broker refuses stays due', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared(NOW);
  const room = await makeRoom(t);
  await setCamera(db, PLACE, 'online', 1, NOW);
  await addVerdict(db, PLACE, 'ep-1', 'confirmed', NOW);
  const client = await mqtt.connectAsync(room.broker.url, {
    protocolVersion: 5,
    ...(await room.authority
      .client('witness')
      .then(({ cert, key }) => ({ cert: readFileSync(cert), key: readFileSync(key) }))),
    ca: readFileSync(room.authority.ca),
  });
  t.teardown(() => client.endAsync(true));
  const lease = leaseOf(db, 'one');
  await lease.take(undefined);
  const { verdicts, lines } = delivery(t, db, client, lease);
  await waitUntil(t, 'the broker refuses it', () => verdicts.counters.failed > 0);
  t.match(lines, [new RegExp(`^verdicts: ${TOPIC} cannot be published: .*[Nn]ot authorized`)]);
  t.equal(await countOf(db, 'verdict_due'), 1, 'it stays due');
});
