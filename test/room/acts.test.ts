/**
 * Tests of operators' actions on incidents, with two consoles on each database, and of verdicts on pictures and in bulk.
 */

import { Value } from '@sinclair/typebox/value';
import t from 'tap';
import { sha256Of } from '../../agent/base/sha256.ts';
import { verifyChain } from '../../scripts/products/room/console/audit.ts';
import { changesSince } from '../../scripts/products/room/console/queue.ts';
import type { Incident } from '../../scripts/products/room/contract/incident.ts';
import { BULK_MAX } from '../../scripts/products/room/contract/terms.ts';
import { ActedIncident, BulkAnswer } from '../../scripts/products/room/contract/undo.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { ask, enter, from, fullConsole, roomDatabase } from '../lib/console.ts';
import { refusalOf } from '../lib/console-room.ts';
import { addIncident, addStill, changeIncident } from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';
import { auditLines, type Person, personIn, stateOf } from '../lib/room-acts.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const PEOPLE = ['anna', 'ben', 'cleo', 'dora', 'emil'];
/** An incident without the undo of the action that changed it. */
const bare = ({ undo: _undo, ...incident }: ActedIncident): Incident => incident;
const ok = <T>(value: T | PromiseSettledResult<T>): value is PromiseFulfilledResult<T> & T =>
  (value as PromiseSettledResult<T>).status === 'fulfilled';

/** A person, whose clock starts at `NOW`. */
const as = (db: Sql, name: string): Person => personIn(db, name, NOW, PEOPLE);

const statisticsOf = async (db: Sql, rule: string): Promise<(number | undefined)[]> => {
  const [row] = await db.all<Record<string, number>>(
    'SELECT confirmed, false_alarms, unclear, claims, claim_s FROM day_figure WHERE rule = $1',
    [rule],
  );
  return ['confirmed', 'false_alarms', 'unclear', 'claims', 'claim_s'].map((name) => row?.[name]);
};
onEachDatabase('operators’ actions are stored', async (t, database) => {
  const [db, other] = [await database.prepared(NOW), await database.prepared(NOW)];
  const consoles = [db, other];

  await t.test('one of five concurrent claims wins, and the others get its owner', async (t) => {
    for (let round = 0; round < 5; round += 1) {
      const no = await addIncident(db, NOW - 60_000, { rule: 'r-claim' });
      const tries = await Promise.allSettled(
        PEOPLE.map((user, index) => as(consoles[index % 2] ?? db, user).claim(no)),
      );
      const [won, ...otherWins] = tries.filter(ok);
      t.same(otherWins, [], 'exactly one wins');
      const winner = won?.value.claimedBy;
      t.equal(won?.value.state, 'claimed');
      t.equal(won?.value.claimedUntil, iso(NOW + 120_000));
      t.ok(Value.Check(ActedIncident, won?.value), 'as the contract says');
      for (const rejected of tries.filter((one) => one.status === 'rejected')) {
        const { status, incident, message } = await refusalOf(Promise.reject(rejected.reason));
        t.equal(status, 409);
        t.same(incident, won && bare(won.value), 'the losers get the current state');
        t.equal(message, `incident ${no}: ${winner} has it until 12:02:00 UTC`);
      }
      t.same(await auditLines(db, no), [`${winner} claim`]);
    }
    t.same(await statisticsOf(db, 'r-claim'), [0, 0, 0, 5, 300], 'first claims and how long they took');
  });

  await t.test('a claim holds for two minutes, and its renewal is silent', async (t) => {
    const no = await addIncident(db, NOW);
    const { rev, revision } = await as(db, 'anna').claim(no);
    const soon = await as(other, 'anna').claim(no, { atS: 30 });
    t.same([soon.rev, soon.revision, soon.claimedUntil], [rev, revision, iso(NOW + 120_000)], 'nothing new');
    const later = await as(other, 'anna').claim(no, { atS: 31 });
    t.equal(later.revision, revision, 'a verdict that is being given is not disturbed');
    t.ok(later.rev > rev, 'screens hear of it');
    t.equal(later.claimedUntil, iso(NOW + 151_000));
    t.same(await auditLines(db, no), ['anna claim'], 'an automatic renewal is not audited');
    t.equal((await refusalOf(as(db, 'ben').claim(no, { atS: 150 }))).status, 409);
    const takeover = await as(db, 'ben').claim(no, { atS: 152 });
    t.same(
      [takeover.claimedBy, takeover.revision],
      ['ben', revision + 1],
      'an expired claim can be taken over before the room ends it',
    );
    t.equal((await refusalOf(as(db, 'anna').release(no, { atS: 153 }))).status, 409, 'no longer hers');
    const released = await as(db, 'ben').release(no, { atS: 154 });
    t.same([released.state, released.claimedBy, released.claimedUntil], ['new', null, null], 'free for all');
    t.same(await auditLines(db, no), ['anna claim', 'ben claim', 'ben release']);
    t.equal((await statisticsOf(db, 'r-1'))[3], 1, 'the first claim counts, and no other');
  });

  await t.test('a dispatch needs one’s own claim and the current revision, and happens once', async (t) => {
    const no = await addIncident(db, NOW);
    const request = { revision: 1, key: 'k-1' };
    t.match(
      (await refusalOf(as(db, 'anna').dispatch(no, request))).message,
      /anna does not have it: claim it first/,
    );
    await as(db, 'anna').claim(no);
    t.equal((await refusalOf(as(db, 'ben').dispatch(no, request))).status, 409, 'another’s claim');
    const stale = await refusalOf(as(db, 'anna').dispatch(no, { ...request, revision: 0 }));
    t.match(stale.message, /has changed since it was displayed \(revision 1, displayed 0\)/);
    t.equal(
      (await refusalOf(as(db, 'anna').dispatch(no, { ...request, atS: 120 }))).status,
      409,
      'it has run out',
    );
    t.match(
      (await refusalOf(as(db, 'anna').dispatch(no, { revision: 1 }))).message,
      /^Idempotency-Key: missing/,
    );
    const tries = await Promise.all(consoles.map((one) => as(one, 'anna').dispatch(no, request)));
    t.same(tries[0], tries[1], 'the same key at once, on two consoles: one act, one answer');
    t.same([tries[0]?.state, tries[0]?.dispatchedBy, tries[0]?.revision], ['dispatched', 'anna', 2]);
    t.same(await as(db, 'anna').dispatch(no, { ...request, atS: 3000 }), tries[0], 'and an hour later');
    const secondTry = await refusalOf(as(db, 'anna').dispatch(no, { revision: 2, key: 'k-2' }));
    t.match(secondTry.message, /anna has dispatched a patrol at 12:00:00 UTC/);
    const otherIncident = await addIncident(db, NOW);
    t.match(
      (await refusalOf(as(db, 'anna').dispatch(otherIncident, request))).message,
      new RegExp(`was used for incident ${no}`),
    );
    t.same(await auditLines(db, no), ['anna claim', 'anna dispatch']);
    const released = await as(db, 'anna').release(no);
    t.equal(released.state, 'dispatched', 'a patrol stays dispatched for any owner');
  });

  await t.test('one of two concurrent verdicts counts, and the box gets no user name', async (t) => {
    const no = await addIncident(db, NOW, { rule: 'r-judge', episode: 'judged' });
    const tries = await Promise.allSettled(
      consoles.map((one, index) =>
        as(one, PEOPLE[index] ?? '').review(no, index === 0 ? 'confirmed' : 'false-alarm'),
      ),
    );
    const [won, ...otherWins] = tries.filter(ok);
    t.same(otherWins, []);
    const verdict = won?.value.verdict ?? 'unclear';
    t.same([won?.value.state, won?.value.closedAt, won?.value.claimedBy], ['closed', iso(NOW), null]);
    for (const rejected of tries.filter((one) => one.status === 'rejected')) {
      const { status, incident } = await refusalOf(Promise.reject(rejected.reason));
      t.same([status, incident], [409, won && bare(won.value)]);
    }
    const due = await db.all("SELECT * FROM verdict_due WHERE episode = 'judged'");
    t.same(due, [{ ...due[0], site: 'lyon', box: 'b-1', episode: 'judged', verdict, time: iso(NOW) }]);
    t.same(Object.keys(due[0] ?? {}).sort(), ['box', 'episode', 'no', 'site', 'time', 'verdict']);
    const first = verdict === 'confirmed' ? [1, 0] : [0, 1];
    t.same((await statisticsOf(db, 'r-judge')).slice(0, 3), [...first, 0]);

    const closed = await refusalOf(as(db, 'anna').claim(no));
    t.match([closed.status, closed.message], [409, /it is closed; a supervisor can reopen it/]);
    const tidy = await as(db, 'supervisor').reopen(no, { revision: 1, key: 'r' });
    t.same(await as(other, 'supervisor').reopen(no, { revision: 1, key: 'r' }), tidy, 'once');
    t.match(tidy, { state: 'new', reopens: no, episode: 'judged', verdict: null, received: iso(NOW) });
    t.match(
      (await refusalOf(as(db, 'supervisor').reopen(no, { revision: 1, key: 's' }))).message,
      /as incident/,
    );
    t.match((await refusalOf(as(db, 'supervisor').reopen(tidy.no, { key: 't' }))).message, /still open/);
    const late = await as(db, 'ben').review(tidy.no, 'unclear', { atS: -3600 });
    t.equal(late.verdictAt, iso(NOW + 1), 'the room’s clock was put back: the box still takes the later one');
    t.same((await statisticsOf(db, 'r-judge')).slice(0, 3), [0, 0, 1], 'it replaces the previous one');
    t.same(await auditLines(db, tidy.no), ['supervisor reopen', 'ben judge']);
  });

  await t.test('an operator closes own or unclaimed incidents; a supervisor any that was seen', async (t) => {
    const no = await addIncident(db, NOW);
    await as(db, 'anna').claim(no);
    const refusal = await refusalOf(as(db, 'ben').review(no, 'false-alarm', { revision: 1 }));
    t.match([refusal.status, refusal.message], [409, /anna has it/]);
    t.equal((await refusalOf(as(db, 'supervisor').review(no, 'false-alarm', { revision: 0 }))).status, 409);
    t.equal(
      (await as(db, 'ben').review(no, 'false-alarm', { revision: 1, atS: 121 })).verdict,
      'false-alarm',
      'it ran out',
    );
    const next = await addIncident(db, NOW);
    await as(db, 'anna').claim(next);
    t.equal((await as(db, 'supervisor').review(next, 'confirmed', { revision: 1 })).state, 'closed');
    const system = await addIncident(db, NOW, { severity: 'system', kind: 'covered', rule: 'built-in' });
    await as(db, 'anna').review(system, 'confirmed', {});
    t.same(
      await statisticsOf(db, 'built-in'),
      Array(5).fill(undefined),
      'not an alert: no statistics, and no message to the box',
    );
  });

  await t.test('notes are stored once, and a supervisor reassigns an incident', async (t) => {
    const no = await addIncident(db, NOW);
    const text = '  <img src=x onerror=alert(1)> \u001b[2J \u202e ';
    await Promise.all(consoles.map((one) => as(one, 'anna').note(no, text, { key: 'n' })));
    t.same(
      await db.all('SELECT account, text FROM note WHERE incident = $1', [no]),
      [{ account: 'anna', text: text.trim() }],
      'once, unchanged',
    );
    for (const bad of [' \n ', 'a\0b']) {
      t.equal((await refusalOf(as(db, 'anna').note(no, bad, { key: 'm' }))).status, 400);
    }
    const early = await refusalOf(as(db, 'supervisor').reassign(no, 'ben', { revision: 1 }));
    t.match(early.message, /it is unclaimed/);
    await as(db, 'anna').claim(no);
    t.equal((await refusalOf(as(db, 'supervisor').reassign(no, 'zoe', { revision: 1 }))).status, 400);
    t.equal((await refusalOf(as(db, 'supervisor').reassign(no, 'ben', { revision: 0 }))).status, 409);
    const reassigned = await as(db, 'supervisor').reassign(no, 'ben', { revision: 1, atS: 9 });
    t.same(
      [reassigned.claimedBy, reassigned.claimedUntil, reassigned.state],
      ['ben', iso(NOW + 129_000), 'claimed'],
    );
    for (const unknownNo of [987_654, 2 ** 60, 1e300]) {
      t.equal((await refusalOf(as(db, 'anna').claim(unknownNo))).status, 404, `no incident ${unknownNo}`);
    }
  });

  await t.test('a reader that goes on from a revision misses no concurrent change', async (t) => {
    const nos: number[] = [];
    for (let index = 0; index < 12; index += 1) nos.push(await addIncident(db, NOW));
    let rev =
      (await db.all<{ value: number }>("SELECT value FROM counter WHERE name = 'rev'"))[0]?.value ?? 0;
    const incidentsByNo = new Map<number, Incident>();
    let acting = true;
    const reading = (async () => {
      for (let last = false; ; last = !acting) {
        const changes = await changesSince(other, rev, NOW);
        const revs = changes.incidents.map((one) => one.rev);
        t.same(
          revs,
          [...revs].sort((a, b) => a - b),
          'in the order of their numbers',
        );
        rev = changes.rev;
        for (const incident of changes.incidents) incidentsByNo.set(incident.no, incident);
        if (last) return;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    await Promise.all(nos.map((no, index) => as(consoles[index % 2] ?? db, 'cleo').claim(no)));
    acting = false;
    await reading;
    t.same(
      [...incidentsByNo.keys()].sort((a, b) => a - b),
      nos,
    );
    t.ok([...incidentsByNo.values()].every(({ claimedBy }) => claimedBy === 'cleo'));
  });

  await t.test('the audit log verifies, and a changed or missing entry is named', async (t) => {
    const verification = await verifyChain(db);
    t.equal(verification.problem, null);
    t.ok(verification.no > 30, `${verification.no} entries of all that was done here`);
    const [entry] = await db.all<{ account: string }>('SELECT account FROM audit WHERE no = 7');
    await db.run("UPDATE audit SET account = 'eve' WHERE no = 7");
    t.equal((await verifyChain(other)).problem, 'entry 7 was changed after it was written');
    await db.run('UPDATE audit SET account = $1 WHERE no = 7', [entry?.account ?? '']);
    t.equal((await verifyChain(other)).problem, null);
    await db.run("UPDATE counter SET value = value + 1 WHERE name = 'audit'");
    t.match(
      (await verifyChain(db)).problem,
      new RegExp(`missing after ${verification.no}: ${verification.no + 1} have been`),
    );
    await db.run("UPDATE counter SET value = value - 1 WHERE name = 'audit'");
    await db.run('DELETE FROM audit WHERE no = 9');
    t.equal((await verifyChain(db)).problem, 'entry 9 is missing');
    t.equal((await verifyChain(db, verification)).problem, null, 'a walk goes on where one ended');
  });
});

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
    await ben.claim(changedNo);
    await ben.release(changedNo);
    const closedNo = await addIncident(db, NOW, { rule: 'r-bulk' });
    await ben.review(closedNo, 'confirmed');
    const request = [seenNo, unseenNo, noticeNo, takenNo, changedNo, closedNo, 987_654].map((no) => ({
      no,
      revision: no === takenNo || no === closedNo ? 1 : 0,
    }));
    const before = await stateOf(db);
    const answer = await anna.reviewAll(request, 'false-alarm');
    t.ok(Value.Check(BulkAnswer, answer), 'the answer fits its schema');
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
