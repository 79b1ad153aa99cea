/** Tests that an action leaves the room once its undo window is over, and never if it was undone. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { addIncident, changeIncident, putCamera } from '../lib/console-rows.ts';
import { onEachDatabase, type TestDatabase } from '../lib/databases.ts';
import { waitUntil } from '../lib/room.ts';
import { personIn } from '../lib/room-acts.ts';
import { MortalDatabase, settled, startOutlets } from '../lib/room-outlets.ts';
import { countOf } from '../lib/room-rows.ts';
import { hook, type Receiver, receiverFor } from '../lib/webhook-receiver.ts';

/** More statements than a delivery has. */
const NEVER = 1e9;

/** Ends all windows, as ten seconds would. */
const pass = (db: Sql): Promise<number> => db.run('UPDATE undo_window SET until = $1', [iso(Date.now() - 1)]);

/** Messages about an incident: their types without `incident.`, and states. */
const heardOf = ({ all }: Receiver, no: number): string[] =>
  all.flatMap(({ message: { type, data } }) =>
    'no' in data && data.no === no ? [`${type.slice('incident.'.length)} ${data.state}`] : [],
  );

async function makeOutside(t: Test, { prepared }: TestDatabase) {
  const db = await prepared();
  await putCamera(db, 'b-1', Date.now());
  const receiver = await receiverFor(t);
  return { db, receiver, sent: [] as string[] };
}

onEachDatabase('actions leave the room after their window', async (t, database) => {
  const { db, receiver, sent } = await makeOutside(t, database);
  const startMs = Date.now();
  const [anna, supervisor] = [personIn(db, 'anna', startMs), personIn(db, 'supervisor', startMs)];
  const mortal = new MortalDatabase(db, NEVER);
  const outlets = await startOutlets(db, mortal, [hook(receiver)], sent);
  t.teardown(() => outlets.stop());

  const old = await addIncident(db, startMs, { episode: 'old', state: 'closed', closed_at: iso(startMs) });
  const keptNo = await addIncident(db, startMs, { episode: 'kept' });
  const undoneNo = await addIncident(db, startMs, { episode: 'undone' });
  await waitUntil(t, 'they are received', () => receiver.all.length >= 4);
  await anna.claim(keptNo);
  await anna.review(keptNo, 'confirmed', { revision: 1 });
  const { undo } = await anna.review(undoneNo, 'false-alarm');
  const entry = await supervisor.reopen(old, { revision: 0, key: 'r-1' });
  await changeIncident(db, keptNo, { ended_at: iso(startMs) });
  await waitUntil(t, 'the box’s event is sent at once', () => heardOf(receiver, keptNo).length >= 2);
  await sleep(500);
  const before = new Set(heardOf(receiver, keptNo));
  t.same(before, new Set(['received new', 'changed new']), 'in the state before the open actions');
  t.same([heardOf(receiver, entry.no), sent], [[], []], 'no action leaves');

  const claimedNo = await addIncident(db, startMs, { episode: 'revoked' });
  await anna.claim(claimedNo);
  await changeIncident(db, claimedNo, {
    state: 'closed',
    closed_reason: 'box-revoked',
    closed_at: iso(startMs),
  });
  await waitUntil(t, 'what the room closes itself is sent at once', () =>
    heardOf(receiver, claimedNo).includes('closed closed'),
  );

  await anna.undo(undo.acts);
  await supervisor.undo(entry.undo.acts);
  const second = await supervisor.reopen(old, { revision: 0, key: 'r-2' });
  await pass(db);
  await settled(db, mortal);
  t.match(
    sent.map((text) => JSON.parse(text)),
    [{ episode: 'kept', verdict: 'confirmed' }],
    'one verdict',
  );
  t.same(heardOf(receiver, keptNo).at(-1), 'closed closed');
  t.same(new Set(heardOf(receiver, undoneNo).slice(1)), new Set(['changed new']), 'never closed');
  t.same(heardOf(receiver, entry.no), [], 'an undone reopening is never sent');
  t.same(heardOf(receiver, second.no)[0], 'received new', 'and the next one as new');
});

onEachDatabase('a program that dies at any statement loses and leaks nothing', async (t, database) => {
  const { db, receiver, sent } = await makeOutside(t, database);
  // A webhook gets the changes since its first start.
  await (await startOutlets(db, new MortalDatabase(db, NEVER), [hook(receiver)], sent)).stop();
  let deaths = 0;
  for (let diesAt = 1; ; diesAt += 1) {
    const [keptNo, undoneNo] = [
      await addIncident(db, Date.now(), { episode: `kept-${diesAt}` }),
      await addIncident(db, Date.now(), { episode: `undone-${diesAt}` }),
    ];
    await personIn(db, 'anna', Date.now()).review(keptNo, 'confirmed');
    const { undo } = await personIn(db, 'anna', Date.now()).review(undoneNo, 'false-alarm');
    await personIn(db, 'anna', Date.now()).undo(undo.acts);
    await pass(db);
    const mortal = new MortalDatabase(db, diesAt);
    const first = await startOutlets(db, mortal, [hook(receiver)], sent);
    await settled(db, mortal);
    await first.stop();
    const survivor = new MortalDatabase(db, NEVER);
    const next = await startOutlets(db, survivor, [hook(receiver)], sent);
    await settled(db, survivor);
    await next.stop();
    const verdicts = sent.map((text) => JSON.parse(text) as { episode: string });
    const count = (episode: string): number => verdicts.filter((one) => one.episode === episode).length;
    const isRight =
      count(`kept-${diesAt}`) >= 1 &&
      count(`kept-${diesAt}`) <= 2 &&
      count(`undone-${diesAt}`) === 0 &&
      heardOf(receiver, keptNo).at(-1) === 'closed closed' &&
      heardOf(receiver, undoneNo).every((text) => text.endsWith(' new'));
    t.ok(isRight, `dead at statement ${diesAt}`);
    if (!mortal.isDead) break;
    deaths += 1;
  }
  t.comment(`${deaths} deaths`);
  t.ok(deaths >= 20, 'each statement of a delivery');
  t.same([await countOf(db, 'undo_window'), await countOf(db, 'verdict_due')], [0, 0]);
});
