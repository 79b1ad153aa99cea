/** Tests of undo: each action is taken back exactly within ten seconds, and none leaves the room before. */

import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import type { Test } from 'tap';
import { verifyChain } from '../../scripts/products/room/console/audit.ts';
import { undo } from '../../scripts/products/room/console/undo.ts';
import { ActedIncident, UndoAnswer } from '../../scripts/products/room/contract/undo.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { closeWindows } from '../../scripts/products/room/database/undo-window.ts';
import { TIME_ZONE } from '../lib/console.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import { addIncident, changeIncident, countOf, putCamera } from '../lib/console-rows.ts';
import { onEachDatabase, type TestDatabase } from '../lib/databases.ts';
import { waitUntil } from '../lib/room.ts';
import { handlersOf, incidentIn, type Person, personIn, stateOf } from '../lib/room-acts.ts';
import { MortalDatabase, settled, startOutlets } from '../lib/room-outlets.ts';
import { hook, type Receiver, receiverFor } from '../lib/webhook-receiver.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');

/** Each kind of action, on an incident that `prepare` leaves ready for it. Returns the action. */
const KINDS: Readonly<
  Record<
    string,
    (no: number, people: Record<'anna' | 'supervisor', Person>) => Promise<() => Promise<ActedIncident>>
  >
> = {
  claim:
    async (no, { anna }) =>
    () =>
      anna.claim(no),
  release: async (no, { anna }) => {
    await anna.claim(no);
    return () => anna.release(no);
  },
  dispatch: async (no, { anna }) => {
    await anna.claim(no);
    return () => anna.dispatch(no, { revision: 1, key: `d-${no}` });
  },
  judge: async (no, { anna }) => {
    await anna.claim(no);
    return () => anna.review(no, 'false-alarm', { revision: 1 });
  },
  note:
    async (no, { anna }) =>
    () =>
      anna.note(no, 'the patrol is there', { key: `n-${no}` }),
  reassign: async (no, { anna, supervisor }) => {
    await anna.claim(no);
    return () => supervisor.reassign(no, 'ben', { revision: 1 });
  },
  reopen: async (no, { anna, supervisor }) => {
    await anna.review(no, 'confirmed');
    return () => supervisor.reopen(no, { revision: 1, key: `r-${no}` });
  },
};

const lastEntry = async (db: Sql): Promise<Record<string, unknown>> =>
  (await db.all<Record<string, unknown>>('SELECT * FROM audit ORDER BY no DESC LIMIT 1'))[0] ?? {};

onEachDatabase('people undo their actions', async (t, database) => {
  const db = await database.prepared(NOW);
  const [anna, ben, supervisor] = ['anna', 'ben', 'supervisor'].map((user) => personIn(db, user, NOW)) as [
    Person,
    Person,
    Person,
  ];

  for (const [kind, prepare] of Object.entries(KINDS)) {
    await t.test(`the undo of a ${kind} restores the exact state before it`, async (t) => {
      const no = await addIncident(db, NOW - 12_345, { rule: `r-${kind}` });
      const act = await prepare(no, { anna, supervisor });
      const before = await stateOf(db);
      const result = await act();
      t.ok(Value.Check(ActedIncident, result), 'the answer fits its schema');
      t.equal(result.undo.until, iso(NOW + 10_000));
      t.notSame(await stateOf(db), before, 'the action applies at once');
      const owner = kind === 'reassign' || kind === 'reopen' ? supervisor : anna;
      const answer = await owner.undo(result.undo.acts, { atS: 9.999 });
      t.ok(Value.Check(UndoAnswer, answer), 'the answer fits its schema');
      t.match(answer, {
        results: [{ act: result.undo.acts[0], problem: null, incident: { no: result.no } }],
      });
      t.same(await stateOf(db), before, 'all as before');
      const { incident: restoredIncident } = answer.results[0] ?? {};
      t.ok((restoredIncident?.rev ?? 0) > result.rev, 'screens hear of it');
      t.equal(
        (restoredIncident?.revision ?? 0) > result.revision,
        kind !== 'note',
        'no one acts on the state that was taken back',
      );
      const { act: recorded, incident, more } = await lastEntry(db);
      t.same(
        [recorded, incident, JSON.parse(String(more))],
        [...['undo', result.no], { undoes: result.undo.acts[0], action: kind }],
      );
      const refusal = await refusalOf(owner.undo(result.undo.acts));
      t.same([refusal.status, refusal.reason], [409, 'undo-over'], 'once');
    });
  }

  await t.test('an undo is refused after its time, and to any other account', async (t) => {
    const no = await addIncident(db, NOW);
    const { undo: own } = await anna.claim(no);
    const line = `action ${own.acts[0]}: can no longer be undone; an account can undo its own actions for 10 s`;
    for (const [person, atS] of [
      [ben, 1],
      [supervisor, 1],
      [anna, 10],
      [anna, -600],
    ] as const) {
      const { status, reason, message } = await refusalOf(person.undo(own.acts, { atS }));
      t.same([status, reason, message], [409, 'undo-over', line], `after ${atS} s`);
    }
    const program = callOf<'undo'>('anna', NOW, { body: { acts: own.acts } });
    const asProgram = { ...program, account: { ...program.account, isProgram: true } };
    t.equal((await refusalOf(undo(db, asProgram, TIME_ZONE))).status, 409, 'a program of the same name');
    t.match(
      await anna.undo(own.acts, { atS: -30 }),
      { results: [{ problem: null }] },
      'a clock set back a little',
    );
    t.equal((await refusalOf(anna.undo([999_999, 1e300]))).status, 409, 'numbers that no action has');
  });

  await t.test('an undo is refused once another person has acted on the incident', async (t) => {
    const no = await addIncident(db, NOW);
    const claimed = await anna.claim(no);
    const reassigned = await supervisor.reassign(no, 'ben', { revision: claimed.revision });
    const before = await stateOf(db);
    const refusal = await refusalOf(anna.undo(claimed.undo.acts));
    t.equal(
      refusal.message,
      `incident ${no}: someone has acted on it since, so action ${claimed.undo.acts[0]} stays`,
    );
    t.match(refusal.incident, { no, state: 'claimed', revision: reassigned.revision });
    t.same(await stateOf(db), before, 'no row is changed');
    await supervisor.undo(reassigned.undo.acts);
    t.match(
      await anna.undo(claimed.undo.acts),
      { results: [{ incident: { state: 'new' } }] },
      'unless it was undone',
    );
  });

  await t.test('a note stops no undo, and no action stops the undo of a note', async (t) => {
    const no = await addIncident(db, NOW);
    const claimed = await anna.claim(no);
    const noted = await ben.note(no, 'seen from here', { key: `first-${no}` });
    const last = await ben.note(no, 'it is over', { key: `last-${no}` });
    t.equal(last.revision, claimed.revision);
    const undone = await anna.undo(claimed.undo.acts);
    t.match(undone, { results: [{ incident: { state: 'new', lastNote: last.lastNote } }] });
    const { revision } = await anna.claim(no);
    await ben.undo(last.undo.acts);
    t.match(await incidentIn(db, no), { state: 'claimed', lastNote: noted.lastNote, revision });
    await ben.undo(noted.undo.acts);
    t.match(await incidentIn(db, no), { lastNote: null, revision });
    t.match(await anna.review(no, 'unclear', { revision }), { state: 'closed' });
  });

  await t.test('actions in a row are undone one by one, or in one call', async (t) => {
    const no = await addIncident(db, NOW);
    const start = await stateOf(db);
    const acts = async (revision: number): Promise<number[]> => {
      const first = await anna.claim(no);
      t.equal(first.revision, revision);
      const dispatch = await anna.dispatch(no, { revision, key: `row-${revision}` });
      const verdict = await anna.review(no, 'unclear', { revision: revision + 1 });
      return [first, dispatch, verdict].flatMap((one) => one.undo.acts);
    };
    const [claimAct = 0, dispatchAct = 0, verdictAct = 0] = await acts(1);
    t.equal((await refusalOf(anna.undo([claimAct]))).status, 409, 'not the first alone');
    for (const act of [verdictAct, dispatchAct, claimAct]) await anna.undo([act]);
    t.same(await stateOf(db), start);
    const { revision } = await incidentIn(db, no);
    const all = await acts(revision + 1);
    const { results } = await anna.undo([...all, 424_242]);
    t.same(
      results.map(({ act, problem, reason }) => [act, problem === null, reason]),
      [...all.map((act) => [act, true, null]), [424_242, false, 'undo-over']],
      'in the order of the request',
    );
    t.same(await stateOf(db), start);
  });

  await t.test('a retry after an undo does not repeat the action', async (t) => {
    const no = await addIncident(db, NOW);
    const noted = await anna.note(no, 'once', { key: 'retry' });
    t.same((await anna.note(no, 'once', { key: 'retry' })).undo, noted.undo, 'a retry can be undone too');
    await anna.undo(noted.undo.acts);
    const late = await anna.note(no, 'once', { key: 'retry' });
    t.same([late.undo.acts, await db.all('SELECT * FROM note WHERE incident = $1', [no])], [[], []]);
  });

  await t.test(
    'an undone reopening leaves its entry in no list, and its events with the earlier one',
    async (t) => {
      const no = await addIncident(db, NOW, { rule: 'r-again' });
      const { revision } = await anna.review(no, 'confirmed');
      const entry = await supervisor.reopen(no, { revision, key: 'again' });
      await changeIncident(db, entry.no, { ended_at: iso(NOW + 5000) });
      await supervisor.undo(entry.undo.acts);
      t.match(await incidentIn(db, no), {
        state: 'closed',
        events: 2,
        endedAt: iso(NOW + 5000),
        verdict: 'confirmed',
      });
      t.match(await incidentIn(db, entry.no), { state: 'closed', closedReason: 'reopening-undone' });
      const { incidents } = await handlersOf(db).incidents(
        callOf<'incidents'>('anna', NOW, { query: { rule: 'r-again' } }),
      );
      t.same(
        incidents.map((one) => one.no),
        [no],
      );
      const refusal = await refusalOf(supervisor.reopen(entry.no, { revision: 1, key: 'undone' }));
      t.match(refusal.message, `its reopening was undone; reopen incident ${no}`);
      t.match(await supervisor.reopen(no, { revision, key: 'once more' }), { reopens: no, state: 'new' });
      const refusedUndo = await refusalOf(anna.undo((await closingActs(db, no)) ?? []));
      t.match(refusedUndo.message, /it was reopened since, as incident \d+/);
    },
  );

  await t.test('a verdict stays if the box was revoked since', async (t) => {
    const no = await addIncident(db, NOW, { box: 'b-gone' });
    const { undo: own } = await anna.review(no, 'false-alarm');
    await putCamera(db, 'b-gone', NOW, { is_removed: true });
    t.match((await refusalOf(anna.undo(own.acts))).message, /its box was revoked since/);
    await db.run("DELETE FROM camera WHERE box = 'b-gone'");
  });

  await t.test('the later of an undo and another person’s action sees the earlier', async (t) => {
    for (let round = 0; round < 10; round += 1) {
      const no = await addIncident(db, NOW);
      const { undo: own, revision } = await anna.claim(no);
      const [undoing, review] = await Promise.allSettled([
        anna.undo(own.acts),
        supervisor.review(no, 'unclear', { revision }),
      ]);
      t.equal([undoing, review].filter(({ status }) => status === 'fulfilled').length, 1, 'one of them');
      const { state } = await incidentIn(db, no);
      t.equal(state, undoing.status === 'fulfilled' ? 'new' : 'closed');
    }
  });

  await t.test('windows close by any clock, and each incident gets a new number', async (t) => {
    await closeWindows(db, NOW + 3_600_000);
    t.equal(await countOf(db, 'undo_window'), 0);
    t.equal(await closeWindows(db, NOW), undefined, 'none is open');
    const no = await addIncident(db, NOW);
    const { rev } = await anna.claim(no);
    t.equal(await closeWindows(db, NOW + 9999), 1, 'the ms that are left');
    t.equal(await closeWindows(db, NOW - 59_000), 69_000, 'a clock set back by less than the margin');
    t.equal(await countOf(db, 'undo_window'), 1);
    t.equal(await closeWindows(db, NOW - 61_000), undefined, 'by more: it counts as over');
    t.equal(await countOf(db, 'undo_window'), 0);
    t.ok((await incidentIn(db, no)).rev > rev, 'readers of changes meet it again');
    await anna.release(no);
    t.equal(await closeWindows(db, NOW + 86_400_000), undefined, 'a clock set forward');
  });

  t.match(await verifyChain(db), { problem: null }, 'the audit log is intact');
});

/** Audit numbers of the verdict on an incident. */
async function closingActs(db: Sql, no: number): Promise<number[]> {
  const rows = await db.all<{ no: number }>("SELECT no FROM audit WHERE incident = $1 AND act = 'judge'", [
    no,
  ]);
  return rows.map((row) => row.no);
}

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
