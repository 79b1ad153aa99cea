/** Tests of verdicts on pictures that were or were not opened, and of one verdict for many incidents. */
import { Value } from '@sinclair/typebox/value';
import t from 'tap';
import { sha256Of } from '../../agent/base/sha256.ts';
import { verifyChain } from '../../scripts/programs/room/console/audit.ts';
import { BULK_MAX } from '../../scripts/programs/room/contract/terms.ts';
import { VerdictsAnswer } from '../../scripts/programs/room/contract/undo.ts';
import type { Sql } from '../../scripts/programs/room/database/sql.ts';
import { ask, enter, from, fullConsole, roomDatabase } from '../lib/console.ts';
import { refusalOf } from '../lib/console-room.ts';
import { addIncident, addStill, changeIncident } from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';
import { type Person, personIn, stateOf } from '../lib/room-acts.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const JPEG = Buffer.from('a redacted picture');

const picture = (name: string, jpeg = JPEG) => ({
  moment: 'snapshot',
  name,
  time: '2026-11-27T11:59:58.000Z',
  sha256: sha256Of(jpeg),
});

/** Columns of an incident with a picture. */
const withPicture = (name: string) => ({ still: name, detail: JSON.stringify({ stills: [picture(name)] }) });

async function pictured(db: Sql, name: string, change = {}): Promise<number> {
  await addStill(db, { name }, JPEG, NOW);
  return addIncident(db, NOW, { ...withPicture(name), ...change });
}

const judgements = async (db: Sql, no: number): Promise<object[]> =>
  (
    await db.all<Record<'account' | 'more', string>>(
      "SELECT account, more FROM audit WHERE act = 'judge' AND incident = $1 ORDER BY no",
      [no],
    )
  ).map(({ account, more }) => ({ account, ...(JSON.parse(more) as object) }));

onEachDatabase('verdicts are given on pictures that were opened', async (t, database) => {
  const db = await database.prepared(NOW);
  const [anna, ben] = ['anna', 'ben'].map((user) => personIn(db, user, NOW)) as [Person, Person];

  await t.test('a verdict needs a view of the current picture by the same account', async (t) => {
    const no = await pictured(db, 'p-1');
    await ben.open(no);
    const { status, reason, message, incident } = await refusalOf(anna.review(no, 'confirmed'));
    t.same([status, reason, incident?.no], [409, 'unseen', no]);
    t.equal(message, `incident ${no}: anna has not opened its picture; open it, or send withoutLooking`);
    await anna.open(no);
    t.equal((await anna.review(no, 'confirmed', { withoutLooking: true })).state, 'closed');
    t.same(await judgements(db, no), [{ account: 'anna', verdict: 'confirmed' }], 'she had looked');
  });

  await t.test('a verdict without looking is marked in the audit log', async (t) => {
    const no = await pictured(db, 'p-2');
    await anna.review(no, 'false-alarm', { withoutLooking: true });
    t.same(await judgements(db, no), [{ account: 'anna', verdict: 'false-alarm', unseen: true }]);
  });

  await t.test('another picture than the opened one must be opened too', async (t) => {
    const no = await pictured(db, 'p-3');
    await anna.open(no);
    const newer = Buffer.from('a later picture');
    await addStill(db, { name: 'p-3b' }, newer, NOW);
    await changeIncident(db, no, {
      still: 'p-3b',
      detail: JSON.stringify({ stills: [picture('p-3b', newer)] }),
    });
    t.equal((await refusalOf(anna.review(no, 'confirmed'))).reason, 'unseen');
    await anna.open(no);
    t.equal((await anna.review(no, 'confirmed')).state, 'closed');
  });

  await t.test('an incident without a picture that can be opened needs no view', async (t) => {
    const missing = await addIncident(db, NOW, withPicture('p-missing'));
    const forged = await addIncident(db, NOW, withPicture('p-forged'));
    await addStill(db, { name: 'p-forged' }, Buffer.from('another picture'), NOW);
    for (const no of [missing, forged, await addIncident(db, NOW)]) {
      t.equal((await anna.review(no, 'unclear')).state, 'closed');
      t.same(await judgements(db, no), [{ account: 'anna', verdict: 'unclear' }]);
    }
  });

  await t.test('a bulk verdict does or refuses each incident separately', async (t) => {
    const seenNo = await pictured(db, 'b-1', { rule: 'r-bulk' });
    await anna.open(seenNo);
    const unseenNo = await pictured(db, 'b-2', { rule: 'r-bulk' });
    const noticeNo = await addIncident(db, NOW, { rule: 'r-bulk', severity: 'notice' });
    const takenNo = await addIncident(db, NOW, { rule: 'r-bulk' });
    await ben.claim(takenNo);
    const changedNo = await addIncident(db, NOW, { rule: 'r-bulk' });
    await ben.note(changedNo, 'wait', { key: 'wait' });
    const closedNo = await addIncident(db, NOW, { rule: 'r-bulk' });
    await ben.review(closedNo, 'confirmed');
    const request = [seenNo, unseenNo, noticeNo, takenNo, changedNo, closedNo, 987_654].map((no) => ({
      no,
      revision: no === takenNo || no === closedNo ? 1 : 0,
    }));
    const before = await stateOf(db);
    const answer = await anna.reviewAll(request, 'false-alarm');
    t.ok(Value.Check(VerdictsAnswer, answer), 'the answer fits its schema');
    t.same(
      answer.results.map(({ no, incident, reason }) => [no, incident?.state, reason]),
      [
        [seenNo, 'closed', null],
        [unseenNo, 'new', 'unseen'],
        [noticeNo, 'closed', null],
        [takenNo, 'claimed', null],
        [changedNo, 'new', null],
        [closedNo, 'closed', null],
        [987_654, undefined, null],
      ],
    );
    for (const [index, line] of [
      [1, /has not opened its picture/],
      [3, /ben has it/],
      [4, /has changed since it was displayed/],
      [5, /it is closed/],
      [6, /incident 987654 does not exist/],
    ] as const)
      t.match(answer.results[index]?.problem, line);
    t.same(await judgements(db, seenNo), [{ account: 'anna', verdict: 'false-alarm' }]);
    t.equal(answer.undo.acts.length, 2, 'one audit entry each');
    t.match(await anna.undo(answer.undo.acts, { atS: 9 }), {
      results: [{ problem: null }, { problem: null }],
    });
    t.same(await stateOf(db), before, 'one call undoes all of it');
    const { results } = await anna.reviewAll([{ no: unseenNo, revision: 0 }], 'confirmed', {
      withoutLooking: true,
    });
    t.match(results, [{ incident: { state: 'closed', verdict: 'confirmed' } }]);
    t.same(await judgements(db, unseenNo), [{ account: 'anna', verdict: 'confirmed', unseen: true }]);
    const repeatedNos = [noticeNo, noticeNo].map((no) => ({ no, revision: 2 }));
    t.match((await refusalOf(anna.reviewAll(repeatedNos, 'unclear'))).message, /named twice/);
  });

  t.match(await verifyChain(db), { problem: null }, 'the audit log is intact');
});

void t.test('the interface refuses more incidents than the limit, and names it', async (t) => {
  const { address } = await DATABASES.sqlite(t);
  const db = await roomDatabase(t, address);
  const { url } = await fullConsole(t, db);
  const headers = { ...from(url), cookie: await enter(url, 'operator') };
  const post = (path: string, body: object) => ask(`${url}${path}`, { method: 'POST', headers, body });
  const incidents = Array.from({ length: BULK_MAX + 1 }, (_, index) => ({ no: index + 1, revision: 0 }));
  const refusal = await post('/api/verdicts', { incidents, verdict: 'unclear' });
  t.same(
    [refusal.status, refusal.json.title],
    [400, `body: incidents: expected array length to be less or equal to ${BULK_MAX}`],
  );
  const no = await pictured(db, 'p-http');
  const unseen = await post(`/api/incidents/${no}/verdict`, { revision: 0, verdict: 'unclear' });
  t.match(unseen.json, { status: 409, reason: 'unseen', incident: { no } });
  t.equal((await ask(`${url}/api/incidents/${no}/stills/snapshot`, { headers })).status, 200);
  const { json: incident } = await post(`/api/incidents/${no}/verdict`, { revision: 0, verdict: 'unclear' });
  t.match(incident, { state: 'closed', undo: { acts: [Number] } });
  t.match((await post('/api/undo', { acts: incident.undo.acts })).json, {
    results: [{ act: incident.undo.acts[0], incident: { state: 'new' }, problem: null, reason: null }],
  });
  const over = await post('/api/undo', { acts: incident.undo.acts });
  t.match(over.json, { status: 409, reason: 'undo-over' });
  const auditor = { ...from(url), cookie: await enter(url, 'auditor') };
  for (const path of ['/api/undo', '/api/verdicts']) {
    t.equal((await ask(`${url}${path}`, { method: 'POST', headers: auditor, body: {} })).status, 403, path);
  }
});
