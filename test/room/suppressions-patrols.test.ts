/**
 * Tests of suppressions, which keep new incidents out of the queue for an hour, and of patrols, their answers and arrival.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { claim, dispatch, release } from '../../scripts/products/room/console/acts.ts';
import { statisticsOf } from '../../scripts/products/room/console/figures.ts';
import { handOverOf } from '../../scripts/products/room/console/hand-over.ts';
import { pageOf } from '../../scripts/products/room/console/incidents.ts';
import type { Patrol } from '../../scripts/products/room/console/patrol-settings.ts';
import { patrolsOf, reportPatrol } from '../../scripts/products/room/console/patrols.ts';
import { changesSince, queueOf } from '../../scripts/products/room/console/queue.ts';
import { readSettings } from '../../scripts/products/room/console/settings.ts';
import {
  endExpired,
  runningOf,
  suppress,
  unsuppress,
} from '../../scripts/products/room/console/suppressions.ts';
import { undo } from '../../scripts/products/room/console/undo.ts';
import { ActedSuppression } from '../../scripts/products/room/contract/suppression-routes.ts';
import { type PatrolAnswer, SUPPRESSIONS_MAX } from '../../scripts/products/room/contract/terms.ts';
import { ActedIncident } from '../../scripts/products/room/contract/undo.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { TIME_ZONE } from '../lib/console.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import { addIncident } from '../lib/console-rows.ts';
import { onEachDatabase } from '../lib/databases.ts';
import { scratch } from '../lib/paths.ts';
import { alertOf } from '../lib/room-alerts.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const HOUR_MS = 3_600_000;

interface Subject {
  readonly box: string;
  readonly rule?: string;
  readonly reason?: string;
}

const suppressed = (db: Sql, user: string, { reason = 'Low sun', ...subject }: Subject, atMs = NOW) =>
  suppress(db, callOf<'suppress'>(user, atMs, { body: { site: 'lyon', reason, ...subject } }));
const endedBy = (db: Sql, user: string, no: number, atMs = NOW) =>
  unsuppress(db, callOf<'unsuppress'>(user, atMs, { params: { no } }));

const undone = (db: Sql, user: string, acts: readonly number[], atMs: number) =>
  undo(db, callOf<'undo'>(user, atMs, { body: { acts: [...acts] } }), TIME_ZONE);

const auditLines = async (db: Sql, box: string): Promise<string[]> => {
  const rows = await db.all<{ account: string; role: string; act: string }>(
    'SELECT account, role, act FROM audit WHERE box = $1 ORDER BY no',
    [box],
  );
  return rows.map(({ account, role, act }) => `${account} (${role}) ${act}`);
};

onEachDatabase('suppressions are stored', async (t, database) => {
  let nowMs = NOW;
  const archive = await database.open(() => nowMs);
  const db = await database.prepared(NOW);
  const store = async (box: string, kind: string, rule: string): Promise<number> => {
    await archive.store([alertOf({ box, kind, rule }, nowMs)]);
    const [row] = await db.all<{ no: number }>('SELECT max(no) AS no FROM incident');
    return row?.no ?? 0;
  };
  const queued = async (box: string): Promise<number[]> =>
    (await queueOf(db)).incidents.filter((incident) => incident.box === box).map(({ no }) => no);

  await t.test('new incidents of a suppressed rule stay out of the queue for an hour', async (t) => {
    const shownNo = await store('b-1', 'illegal-parking', 'bay');
    const before = (await changesSince(db, 0, nowMs)).rev;
    const answer = await suppressed(db, 'ada', { box: 'b-1', rule: 'bay', reason: '  Low sun ' });
    t.ok(Value.Check(ActedSuppression, answer), 'as the contract says');
    const { undo: _undo, ...suppression } = answer;
    t.match(suppression, {
      account: 'ada',
      reason: 'Low sun',
      until: iso(NOW + HOUR_MS),
      endedAt: null,
      incidents: 0,
    });
    t.same((await changesSince(db, before, nowMs)).suppressions, [suppression], 'every screen hears of it');
    nowMs = NOW + 60_000;
    const hidden = await store('b-1', 'illegal-parking', 'bay');
    const closed = await store('b-1', 'illegal-parking', 'bay');
    const other = await store('b-1', 'loitering', 'square');
    t.same(await queued('b-1'), [other, shownNo], 'one that was there, and another rule');
    const [running] = await runningOf(db);
    t.equal(running?.incidents, 2, 'they are counted');
    const list = await pageOf(db, { suppression: suppression.no });
    t.same(
      list.incidents.map(({ no, isSuppressed }) => [no, isSuppressed]),
      [
        [closed, true],
        [hidden, true],
      ],
      'and listed',
    );
    await db.run("UPDATE incident SET state = 'closed', closed_at = $2 WHERE no = $1", [closed, iso(nowMs)]);
    await endExpired(db, NOW + HOUR_MS - 1);
    t.same(await queued('b-1'), [other, shownNo]);
    const { rev } = await changesSince(db, 0, nowMs);
    await endExpired(db, NOW + HOUR_MS);
    await endExpired(db, NOW + HOUR_MS);
    t.same(await queued('b-1'), [other, hidden, shownNo], 'the open one enters the queue');
    const changes = await changesSince(db, rev, NOW + HOUR_MS);
    t.same(changes.suppressions, [], 'none runs any more');
    t.same(
      changes.incidents.map(({ no, isSuppressed, suppression: of }) => [no, isSuppressed, of]),
      [[hidden, false, suppression.no]],
    );
    t.same(await auditLines(db, 'b-1'), ['ada (operator) suppress', 'room (room) suppression-ended']);
    const { rows } = await statisticsOf(
      db,
      { from: iso(NOW), to: iso(NOW + HOUR_MS), by: 'rule' },
      TIME_ZONE,
    );
    t.match(
      rows.find(({ key }) => key === 'lyon/b-1/bay'),
      { alerts: 3, suppressed: 2 },
      'all count in the statistics',
    );
    const report = await handOverOf(db, { from: iso(NOW), to: iso(NOW + HOUR_MS) }, nowMs);
    t.match(report.suppressions, [{ no: suppression.no, endedBy: null, incidents: 2 }]);
    nowMs = NOW + HOUR_MS;
    const later = await store('b-1', 'illegal-parking', 'bay');
    t.ok((await queued('b-1')).includes(later), 'as before');
  });

  await t.test('an incident of priority 1 always enters the queue', async (t) => {
    nowMs = NOW;
    await store('b-2', 'loitering', 'track');
    await suppressed(db, 'ada', { box: 'b-2', rule: 'track' });
    const urgent = await store('b-2', 'wrong-way', 'track');
    t.ok((await queued('b-2')).includes(urgent), 'although the rule had another priority before');
    const camera = await suppressed(db, 'ada', { box: 'b-2' });
    t.equal(camera.rule, null);
    const hidden = await store('b-2', 'loitering', 'other');
    const crowd = await store('b-2', 'crowd-gathering', 'crowd');
    t.notOk((await queued('b-2')).includes(hidden));
    t.ok((await queued('b-2')).includes(crowd), 'the camera is suppressed except for priority 1');
    await db.run('UPDATE incident SET priority = 1 WHERE no = $1', [hidden]);
    t.ok((await queued('b-2')).includes(hidden), 'a later program may rank its kind higher');
    await store('b-2', 'wrong-way', 'lane');
    const refusal = await refusalOf(suppressed(db, 'ben', { box: 'b-3', rule: 'lane' }));
    t.equal(refusal.status, 404);
    await endedBy(db, 'ada', camera.no);
    const urgentRule = await refusalOf(suppressed(db, 'ben', { box: 'b-2', rule: 'lane' }));
    t.equal(urgentRule.status, 400);
    t.equal(urgentRule.message, 'lyon/b-2 lane: its alerts have priority 1, which is never suppressed');
  });

  await t.test('a suppressed incident that someone claims is in the queue', async (t) => {
    nowMs = NOW;
    await store('b-4', 'loitering', 'square');
    const { no: suppression } = await suppressed(db, 'ada', { box: 'b-4', rule: 'square' });
    const no = await store('b-4', 'loitering', 'square');
    const { rev } = await changesSince(db, 0, nowMs);
    await claim(db, callOf<'claim'>('ben', NOW, { params: { no } }), TIME_ZONE);
    t.ok((await queued('b-4')).includes(no));
    t.match((await changesSince(db, rev, nowMs)).incidents, [{ no, isSuppressed: false }]);
    await release(db, callOf<'release'>('ben', NOW, { params: { no } }));
    t.notOk((await queued('b-4')).includes(no), 'released, it is suppressed again');
    const endAnswer = await endedBy(db, 'ben', suppression, NOW + 1000);
    t.match(endAnswer, { endedAt: iso(NOW + 1000), endedBy: 'ben', incidents: 1 });
    t.ok((await queued('b-4')).includes(no));
    const secondEnd = await endedBy(db, 'ada', suppression, NOW + 2000);
    t.match([secondEnd.endedBy, secondEnd.undo.acts], ['ben', []], 'ending it again has no effect');
    t.equal((await refusalOf(endedBy(db, 'ada', 999_999))).status, 404);
    const [, , , last] = await auditLines(db, 'b-4');
    t.equal(last, 'ben (operator) unsuppress');
  });

  await t.test('a suppression and its end can be undone for ten seconds', async (t) => {
    nowMs = NOW;
    await store('b-6', 'loitering', 'square');
    const subject = { box: 'b-6', rule: 'square' };
    const { undo: ofStart } = await suppressed(db, 'ada', subject);
    const first = await store('b-6', 'loitering', 'square');
    t.equal((await refusalOf(undone(db, 'ben', ofStart.acts, NOW + 1000))).status, 409, 'not his');
    await undone(db, 'ada', ofStart.acts, NOW + 2000);
    t.ok((await queued('b-6')).includes(first), 'what arrived meanwhile is in the queue');
    t.notOk((await runningOf(db)).some(({ box }) => box === 'b-6'));
    const { no } = await suppressed(db, 'ada', subject);
    const second = await store('b-6', 'loitering', 'square');
    const claimedNo = await store('b-6', 'loitering', 'square');
    const end = await endedBy(db, 'ada', no);
    await claim(db, callOf<'claim'>('ben', NOW, { params: { no: claimedNo } }), TIME_ZONE);
    const { rev } = await changesSince(db, 0, nowMs);
    await undone(db, 'ada', end.undo.acts, NOW + 5000);
    t.notOk((await queued('b-6')).includes(second), 'it runs again');
    t.ok((await queued('b-6')).includes(claimedNo), 'what someone has claimed stays');
    const { incidents, suppressions } = await changesSince(db, rev, nowMs);
    t.match(incidents, [{ no: second, isSuppressed: true, revision: 1 }], 'screens hear that it leaves');
    t.ok(suppressions?.some((running) => running.no === no && running.until === iso(NOW + HOUR_MS)));
    const last = await endedBy(db, 'ada', no, NOW + 6000);
    await suppressed(db, 'ben', subject, NOW + 7000);
    const refusal = await refusalOf(undone(db, 'ada', last.undo.acts, NOW + 8000));
    t.equal(refusal.message, 'lyon/b-6 square: ben has suppressed it again since');
  });

  await t.test(
    'a second suppression of the same subject and the one beyond the limit are refused',
    async (t) => {
      for (const { no } of await runningOf(db)) await endedBy(db, 'ada', no);
      await addIncident(db, NOW, { box: 'b-5', rule: 'r-5' });
      await suppressed(db, 'ada', { box: 'b-5', rule: 'r-5' });
      const refusal = await refusalOf(suppressed(db, 'ben', { box: 'b-5', rule: 'r-5' }));
      t.equal(refusal.status, 409);
      t.equal(refusal.message, 'lyon/b-5 r-5: ada has suppressed it until 13:00:00 UTC');
      t.equal((await refusalOf(suppressed(db, 'ben', { box: 'b-5', reason: '  a ' }))).status, 400);
      const tries = await Promise.allSettled(
        Array.from({ length: SUPPRESSIONS_MAX + 1 }, async (_, index) => {
          await addIncident(db, NOW, { box: `c-${index}` });
          return suppressed(db, `user-${Math.floor(index / 5)}`, { box: `c-${index}` });
        }),
      );
      const refusals = tries.filter(({ status }) => status === 'rejected');
      t.equal(refusals.length, 2);
      const [first] = refusals as PromiseRejectedResult[];
      t.match(String(first?.reason), /suppressions: 20 run, which is the most; end one first/);
      t.equal((await runningOf(db)).length, SUPPRESSIONS_MAX);
    },
  );
});

const NORTH = 'Patrol north';
const SOUTH = 'Patrol south';
const PATROLS: readonly Patrol[] = [
  { name: NORTH, sites: ['lyon'], webhook: undefined },
  { name: SOUTH, sites: [], webhook: undefined },
];

const roomOf = (db: Sql, patrols = PATROLS) => ({
  claimed: async (no: number, atS = 0) =>
    (await claim(db, callOf<'claim'>('ada', NOW + atS * 1000, { params: { no } }), TIME_ZONE)).revision,
  dispatched: (no: number, revision: number, patrol: string | undefined, atS = 0) =>
    dispatch(
      db,
      callOf<'dispatch'>('ada', NOW + atS * 1000, {
        params: { no },
        key: `${no}-${revision}`,
        body: { revision, ...(patrol !== undefined && { patrol }) },
      }),
      patrols,
    ),
  reported: (no: number, patrol: string, answer: PatrolAnswer, atS: number) =>
    reportPatrol(
      db,
      callOf<'patrol'>('ben', NOW + atS * 1000, { params: { no }, body: { patrol, answer } }),
      TIME_ZONE,
    ),
});

onEachDatabase('dispatched patrols are stored', async (t, database) => {
  const db = await database.prepared(NOW);
  const { claimed, dispatched, reported } = roomOf(db);

  await t.test(
    'a patrol is dispatched, answers and arrives, and the time to arrival is stored',
    async (t) => {
      const no = await addIncident(db, NOW - 5000, { rule: 'r-arrival' });
      const dispatchAnswer = await dispatched(no, await claimed(no), NORTH);
      t.ok(Value.Check(ActedIncident, dispatchAnswer), 'as the contract says');
      t.match(dispatchAnswer, { state: 'dispatched', patrol: NORTH, patrolAnswer: null, arrivedAt: null });
      t.same(
        (await patrolsOf(db, PATROLS)).map(({ name: patrol, open }) => [patrol, open]),
        [
          [NORTH, 1],
          [SOUTH, 0],
        ],
      );
      const accepted = await reported(no, NORTH, 'accepted', 20);
      t.match(accepted, { patrolAnswer: 'accepted', patrolAnswerAt: iso(NOW + 20_000), arrivedAt: null });
      t.match(
        await reported(no, NORTH, 'accepted', 25),
        { rev: accepted.rev, undo: { acts: [] } },
        'the same report again has no effect',
      );
      const arrived = await reported(no, NORTH, 'arrived', 300);
      t.match(arrived, { patrolAnswer: 'arrived', arrivedAt: iso(NOW + 300_000), state: 'dispatched' });
      const late = await refusalOf(reported(no, NORTH, 'declined', 310));
      t.equal(late.status, 409);
      t.match(late.message, /Patrol north has arrived; declined does not follow that/);
      const { rows } = await statisticsOf(
        db,
        { from: iso(NOW - 60_000), to: iso(NOW + 60_000), by: 'rule' },
        TIME_ZONE,
      );
      t.match(
        rows.find(({ key }) => key === 'lyon/b-1/r-arrival'),
        { meanArrivalS: 300 },
      );
      const audit = await db.all<{ account: string; act: string; details: string }>(
        "SELECT account, act, more AS details FROM audit WHERE incident = $1 AND act <> 'claim' ORDER BY no",
        [no],
      );
      t.same(
        audit.map(({ account, act, details }) => [account, act, JSON.parse(details)]),
        [
          ['ada', 'dispatch', { patrol: NORTH }],
          ['ben', 'patrol-answer', { patrol: NORTH, answer: 'accepted' }],
          ['ben', 'patrol-answer', { patrol: NORTH, answer: 'arrived' }],
        ],
      );
    },
  );

  await t.test('another patrol can be dispatched after one has declined', async (t) => {
    const no = await addIncident(db, NOW);
    const dispatchAnswer = await dispatched(no, await claimed(no), NORTH);
    t.equal(
      (await refusalOf(dispatched(no, dispatchAnswer.revision, SOUTH, 5))).status,
      409,
      'no answer yet',
    );
    const declined = await reported(no, NORTH, 'declined', 10);
    t.equal(declined.state, 'dispatched');
    t.equal((await patrolsOf(db, PATROLS))[0]?.open, 1, 'it is free of this one');
    const second = await dispatched(no, declined.revision, SOUTH, 30);
    t.match(second, { patrol: SOUTH, patrolAnswer: null, dispatchedAt: iso(NOW + 30_000) });
    const wrong = await refusalOf(reported(no, NORTH, 'arrived', 40));
    t.match([wrong.status, wrong.message], [409, /Patrol south is dispatched, not another patrol/]);
  });

  await t.test('a dispatch and a wrong answer can be undone for ten seconds', async (t) => {
    const no = await addIncident(db, NOW, { rule: 'r-undo' });
    const dispatchAnswer = await dispatched(no, await claimed(no), NORTH);
    const wrong = await reported(no, NORTH, 'arrived', 60);
    const answer = await undo(
      db,
      callOf<'undo'>('ben', NOW + 65_000, { body: { acts: wrong.undo.acts } }),
      TIME_ZONE,
    );
    t.match(answer.results, [{ incident: { patrol: NORTH, patrolAnswer: null, arrivedAt: null } }]);
    const { rows } = await statisticsOf(db, { from: iso(NOW), to: iso(NOW + 60_000), by: 'rule' }, TIME_ZONE);
    t.match(
      rows.find(({ key }) => key === 'lyon/b-1/r-undo'),
      { meanArrivalS: null },
      'the arrival does not count',
    );
    const late = undo(
      db,
      callOf<'undo'>('ada', NOW + 65_000, { body: { acts: dispatchAnswer.undo.acts } }),
      TIME_ZONE,
    );
    t.equal((await refusalOf(late)).status, 409, 'the time of the dispatch is over');
    const otherNo = await addIncident(db, NOW);
    const undoable = await dispatched(otherNo, await claimed(otherNo), SOUTH);
    const undoAnswer = await undo(
      db,
      callOf<'undo'>('ada', NOW + 5000, { body: { acts: undoable.undo.acts } }),
      TIME_ZONE,
    );
    t.match(undoAnswer.results, [{ incident: { state: 'claimed', patrol: null, dispatchedAt: null } }]);
  });

  await t.test('a patrol outside the list is refused, and a dispatch needs no name', async (t) => {
    const no = await addIncident(db, NOW);
    const revision = await claimed(no);
    const unknown = await refusalOf(dispatched(no, revision, 'Officer Martin'));
    t.match([unknown.status, unknown.message], [400, /patrol: is not in the list of this room/]);
    const dispatchAnswer = await roomOf(db, []).dispatched(no, revision, undefined);
    t.match(dispatchAnswer, { state: 'dispatched', patrol: null });
    t.equal((await refusalOf(reported(no, NORTH, 'accepted', 10))).status, 409, 'no named patrol answers');
    t.same(await patrolsOf(db, []), []);
  });
});

const settingsWith = (t: Test, lines: string): ReturnType<typeof readSettings> => {
  const file = join(scratch(t), 'console.yaml');
  writeFileSync(join(scratch(t), 'secret'), '');
  writeFileSync(file, `database: room.db\ndemo: { accounts: [{ name: Ada, role: operator }] }\n${lines}`);
  return readSettings(file);
};

void t.test('the list of patrols in the settings is validated', async (t) => {
  t.same(settingsWith(t, '').patrols, [], 'a room needs no list');
  t.same(settingsWith(t, 'patrols: [{ name: North, sites: [lyon] }]\n').patrols, [
    { name: 'North', sites: ['lyon'], webhook: undefined },
  ]);
  const refusals: Readonly<Record<string, RegExp>> = {
    'patrols: [{ name: North }, { name: north }]': /patrols\.1\.name: two patrols are called north$/,
    'patrols: [{ name: North, webhook: none }]': /patrols\.0\.webhook: no webhook is called none/,
    'patrols: [{ name: "" }]': /patrols\.0\.name must be a function as “Patrol north”, 1 to 40 letters/,
  };
  for (const [lines, message] of Object.entries(refusals))
    t.throws(() => settingsWith(t, `${lines}\n`), { message });
});
