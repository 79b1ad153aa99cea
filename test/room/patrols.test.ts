/** Tests of patrols: dispatch by the city's list, their answers and the time to arrival, on both databases. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { claim, dispatch } from '../../scripts/programs/room/console/acts.ts';
import { statisticsOf } from '../../scripts/programs/room/console/figures.ts';
import type { Patrol } from '../../scripts/programs/room/console/patrol-settings.ts';
import { patrolsOf, reportPatrol } from '../../scripts/programs/room/console/patrols.ts';
import { readSettings } from '../../scripts/programs/room/console/settings.ts';
import { undo } from '../../scripts/programs/room/console/undo.ts';
import type { PatrolAnswer } from '../../scripts/programs/room/contract/terms.ts';
import { ActedIncident } from '../../scripts/programs/room/contract/undo.ts';
import { iso, type Sql } from '../../scripts/programs/room/database/sql.ts';
import { TIME_ZONE } from '../lib/console.ts';
import { callOf, refusalOf } from '../lib/console-room.ts';
import { addIncident } from '../lib/console-rows.ts';
import { onEachDatabase } from '../lib/databases.ts';
import { scratch } from '../lib/paths.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
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
