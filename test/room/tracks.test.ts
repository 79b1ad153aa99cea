/**
 * Tests track searches from the console: its own server, the signer program, a real broker and both databases.
 *
 * A stand-in for a box answers by the contract.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { sha256Of } from '../../agent/base/sha256.ts';
import type { TrackQuestion } from '../../agent/contract/track-log.ts';
import { keyIdOf, publicKeyOf } from '../../agent/orders/dsse.ts';
import { ROUTES } from '../../scripts/products/room/contract/api.ts';
import { TrackAnswer } from '../../scripts/products/room/contract/tracks.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { signedApproval } from '../../scripts/products/room/questions/tracks/approval.ts';
import { makeSigner } from '../lib/commands.ts';
import { ask, enter, from, fullConsole } from '../lib/console.ts';
import { addIncident, addStill, putCamera } from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase, type TestDatabase } from '../lib/databases.ts';
import { ROOT } from '../lib/paths.ts';
import { makeRoom, SITE, waitUntil } from '../lib/room.ts';
import { DeskSigner, deskOf } from '../lib/signer-desk.ts';
import { STILL, track, trackBox, VIEW } from '../lib/track-box.ts';

const BOX = 'alpha';
const QUESTION: TrackQuestion = {
  from: '2026-11-24T01:00:00.000Z',
  to: '2026-11-24T04:00:00.000Z',
  view: VIEW,
  answer: 'tracks',
  where: {
    line: [
      [0.2, 0.6],
      [0.8, 0.6],
    ],
    direction: 'right',
  },
};
const PAGE = {
  order: 'order-1',
  grade: 'vehicles',
  approvers: [],
  timeZone: 'UTC',
  kept: { days: 1, oldest: null },
  views: [],
  coverage: { seen: 1, watched: 0, gaps: [], more: 0 },
  left: { case: 1, keyDay: 1, day: 1 },
};
const REASON = { box: BOX, case: '2026/1234', reason: 'theft from a van' };

async function makeSetup(t: Test, database: TestDatabase, timeoutS = 20) {
  const room = await makeRoom(t);
  const roomSigner = makeSigner('room', ['tracks']);
  const desk = new DeskSigner(t, await deskOf(t, room, roomSigner), timeoutS);
  const signer = await desk.ready();
  const box = await trackBox(t, room, BOX, publicKeyOf(roomSigner.config.publicKey));
  const db = await database.prepared();
  await putCamera(db, BOX, Date.now(), { site: SITE });
  const video = {
    link: 'https://vms.example/play?camera={camera}&from={from}&to={to}',
    cameras: new Map([[BOX, 'Canebière 17/B']]),
  };
  const accounts = (['operator', 'operator', 'supervisor', 'auditor'] as const).map((role, n) => ({
    name: `${role}-${n}`,
    role,
  }));
  const { url, clock } = await fullConsole(t, db, { signer: desk.socket, video, accounts });
  const calls = async (name: string) => {
    const cookie = await enter(url, name);
    return {
      get: (path: string) => ask(`${url}${path}`, { headers: { cookie } }),
      post: (path: string, body: object) =>
        ask(`${url}${path}`, { method: 'POST', headers: { cookie, ...from(url) }, body }),
    };
  };
  const [anna, bert, sue, olga] = [
    await calls('operator-0'),
    await calls('operator-1'),
    await calls('supervisor-2'),
    await calls('auditor-3'),
  ];
  return { roomSigner, desk, box, db, clock, signer, calls, anna, bert, sue, olga };
}

const entriesOf = async (db: Sql, ...actions: string[]) => {
  const rows = await db.all<{ account: string; act: string; site: string; box: string; more: string }>(
    'SELECT account, act, site, box, more FROM audit ORDER BY no',
  );
  return rows
    .filter(({ act }) => actions.includes(act))
    .map((row) => ({ ...row, more: JSON.parse(row.more) as Record<string, unknown> }));
};

onEachDatabase(
  'a question is on record before it goes out, and its answer has links and stills',
  async (t, database) => {
    const { db, box, anna, bert, sue, olga, signer, clock, calls } = await makeSetup(t, database);
    box.tracks = [1, 2, 3, 4, 5].map((number) => track(number, `2026-11-24T01:15:0${number}.400Z`));
    const gap = { from: '2026-11-24T02:00:00.000Z', to: '2026-11-24T02:10:00.000Z', why: 'blind' as const };
    const older = { view: '2026-11-10T00:00:00.000Z', to: VIEW, widthToHeight: 1.5 };
    box.result = {
      views: [{ view: VIEW, to: null, widthToHeight: 1.7778 }, older],
      coverage: { seen: 0.9, watched: 0, gaps: [gap], more: 0 },
    };
    // The newest received still of this box within the view. The other two are older, of another box, or not
    // received.
    const still = (name: string, time: string) => ({
      moment: 'snapshot',
      name,
      time,
      sha256: sha256Of(Buffer.from(name)),
    });
    const put = async (name: string, time: string, change: object, hasCome = true): Promise<number> => {
      const detail = JSON.stringify({ stills: [still(name, time)] });
      const at = Date.parse(time);
      const no = await addIncident(db, at, { site: SITE, box: BOX, detail, ...change });
      if (hasCome) await addStill(db, { name }, Buffer.from(name), at, { site: SITE, box: BOX, ...change });
      return no;
    };
    await put('p-1', '2026-11-22T08:00:00.000Z', {});
    const newest = await put('p-2', '2026-11-23T08:00:00.000Z', {});
    await put('p-3', '2026-11-23T09:00:00.000Z', { box: 'beta' });
    await put('p-4', '2026-11-23T10:00:00.000Z', {}, false);

    const reply = await anna.post('/api/tracks', { ...REASON, question: QUESTION });
    t.equal(reply.status, 200, reply.text);
    const answer = reply.json as TrackAnswer;
    t.ok(Value.Check(TrackAnswer, answer), JSON.stringify(Value.Errors(TrackAnswer, answer).First()));
    t.strictSame(answer.request, { ...REASON, question: QUESTION });
    t.match(answer, {
      matches: 5,
      more: 0,
      grade: 'vehicles',
      left: { case: 96 },
      coverage: { gaps: [gap] },
    });
    t.strictSame(
      answer.tracks.map(({ track: number }) => number),
      [1, 2, 3, 4, 5],
      'all pages',
    );
    t.strictSame(answer.tracks[0]?.video, {
      url: 'https://vms.example/play?camera=Canebi%C3%A8re%2017%2FB&from=2026-11-24T01%3A14%3A51Z&to=2026-11-24T01%3A15%3A32Z',
      camera: 'Canebière 17/B',
      range: 'Range: clock=20261124T011451Z-20261124T011532Z',
    });
    t.strictSame(
      answer.views.map((view) => view.still),
      [{ incident: newest, moment: 'snapshot', at: '2026-11-23T08:00:00.000Z' }, null],
    );
    t.equal(
      (await anna.get(`/api/incidents/${newest}/stills/snapshot`)).status,
      200,
      'the link that loads it',
    );
    const [before, after, ...rest] = await entriesOf(db, 'ask-tracks');
    t.strictSame(rest, []);
    t.strictSame(before, {
      account: 'operator-0',
      act: 'ask-tracks',
      site: SITE,
      box: BOX,
      more: { tracks: answer.id, case: REASON.case, reason: REASON.reason, question: QUESTION },
    });
    t.strictSame(after?.more, {
      tracks: answer.id,
      case: REASON.case,
      matches: 5,
      trackCount: 5,
      analysedRatio: 0.9,
      order: 'order-1',
    });
    t.match(
      signer.out,
      /question to the tracks of alpha for operator-0, case 2026\/1234\n.*: 5 of 5 matches\n/,
    );

    for (const [path, type, content] of [
      [
        'tracks.csv',
        'text/csv; charset=utf-8',
        /^\ufeffrow,box,at,[\s\S]*\r\ntrack,alpha,2026-11-24T01:15:05.400Z,[\s\S]*\r\ngap,alpha,2026-11-24T02:00:00.000Z,[^\n]*,blind\r\n$/,
      ],
      ['tracks.mf.json', 'application/json', /"MovingPoint"/],
    ] as const) {
      const route = `/api/tracks/${answer.id}/${path}`;
      const got = await sue.get(route);
      t.match({ ...got, type: got.headers['content-type'] }, { status: 200, text: content, type });
      t.equal((await anna.get(route)).status, 403, 'an operator exports nothing');
      t.match(await olga.get(route), { status: 403, json: { title: /belongs to another person/ } });
    }
    t.match(await entriesOf(db, 'export'), [
      {
        account: 'supervisor-2',
        site: SITE,
        box: BOX,
        more: { table: 'tracks.csv', tracks: answer.id, case: REASON.case, count: 5 },
      },
      { more: { table: 'tracks.mf.json', count: 5 } },
    ]);
    t.match(await sue.get('/api/tracks/none/tracks.csv'), {
      status: 404,
      json: { title: /stored for an hour/ },
    });
    // The oldest is removed: twenty are kept.
    for (let n = 0; n < 20; n += 1)
      await bert.post('/api/tracks', { ...REASON, question: { ...QUESTION, answer: 'count' } });
    t.equal((await sue.get(`/api/tracks/${answer.id}/tracks.csv`)).status, 404);
    const last = (await sue.post('/api/tracks', { ...REASON, question: QUESTION })).json as TrackAnswer;
    t.equal((await sue.get(`/api/tracks/${last.id}/tracks.csv`)).status, 200);
    clock.aheadMs = 3_700_000;
    const later = await calls('supervisor-2');
    t.equal((await later.get(`/api/tracks/${last.id}/tracks.csv`)).status, 404, 'after an hour');
  },
);

void t.test(
  'a forbidden question is refused in one line, a box’s refusal is reported, and 2,000 tracks are the most',
  async (t) => {
    const { roomSigner, desk, db, box, signer, anna, sue, olga } = await makeSetup(
      t,
      await DATABASES.sqlite(t),
      2,
    );
    const post = (change: object, more: object = {}) =>
      anna.post('/api/tracks', { ...REASON, question: { ...QUESTION, ...change }, ...more });
    t.match(await olga.post('/api/tracks', { ...REASON, question: QUESTION }), { status: 403 });
    t.match(await olga.post('/api/tracks/still', REASON), { status: 403 });
    const refusedCases: [object, object, number, RegExp][] = [
      [{}, { reason: '…' }, 400, /reason must hold at least one letter or digit/],
      [{}, { box: 'all boxes' }, 400, /box/],
      [{}, { box: [BOX, 'beta'] }, 400, /box/],
      [{ to: QUESTION.from }, {}, 400, /to: .* is not after from/],
      [{ from: '2026-02-30T00:00:00Z' }, {}, 400, /2026-02-30 does not exist/],
      [{ view: undefined }, {}, 400, /question\.view is missing/],
      [{ face: 'x' }, {}, 400, /question\.face is not known here/],
    ];
    for (const [change, extraFields, status, title] of refusedCases)
      t.match(await post(change, extraFields), { status, json: { title } });
    t.strictSame(await entriesOf(db, 'ask-tracks'), [], 'none of it is a question that went out');

    box.replacements.push({
      answer: { refused: { code: 'not-permitted', message: 'the order has no log of tracks' } },
    });
    t.match(await post({}), {
      status: 409,
      json: { title: 'refused by alpha: not-permitted: the order has no log of tracks' },
    });
    t.equal((await entriesOf(db, 'ask-tracks')).length, 1, 'it went out');
    box.replacements.push({ answer: { result: { all: 'is well' } } });
    t.match(await post({}), { status: 503, json: { title: /^the answer of alpha has another form/ } });
    box.tracks = [1, 2, 3].map((number) => track(number, `2026-11-24T01:15:0${number}.400Z`));
    const first = { ...PAGE, tracks: box.tracks.slice(0, 2), matches: 3, next: '0.2.0' };
    box.replacements.push(
      { answer: { result: first } },
      { answer: { refused: { code: 'rate-limited', message: 'the budget is used up', retryAfterS: 9000 } } },
    );
    t.match(await post({}), {
      status: 200,
      json: {
        matches: 3,
        more: 1,
        tracks: [{ track: 1 }, { track: 2 }],
        stopped: 'refused by alpha: rate-limited: the budget is used up',
      },
    });
    t.match((await entriesOf(db, 'ask-tracks')).at(-1), {
      more: { trackCount: 2, stopped: 'refused by alpha: rate-limited: the budget is used up' },
    });
    const slow = post({}, { box: 'nobody' });
    await waitUntil(t, 'the signer asks', () => signer.out.includes('the tracks of nobody'));
    const second = await post({}, { box: 'nobody' });
    const both = [await slow, second].sort((a, b) => a.status - b.status);
    t.match(both, [{ status: 429 }, { status: 503 }], 'one at a time for each user');
    t.equal(both[0]?.headers['retry-after'], '5', 'and it says when to ask again');
    t.match([(await slow).text, second.text].join(), /no answer from nobody within 2 s/);

    const subject = {
      site: SITE,
      box: BOX,
      args: { case: REASON.case, reason: REASON.reason, question: QUESTION },
    };
    const other = makeSigner('prosecutor', ['tracks']);
    const approval = JSON.parse(signedApproval(subject, other.privateKey, Date.now()).text) as object;
    t.equal((await post({}, { approval })).status, 200);
    const keyid = keyIdOf(other.privateKey);
    t.match(box.requests.at(-1), { approval: { signatures: [{ keyid }] } });
    t.match((await entriesOf(db, 'ask-tracks')).at(-2), { more: { approvedBy: [keyid] } });
    t.match(await post({ classes: ['person'] }, { approval }), {
      status: 400,
      json: { title: /^approval: is for another question: classes/ },
    });
    const old = JSON.parse(signedApproval(subject, other.privateKey, Date.now() - 86_400_000).text) as object;
    t.match(await post({}, { approval: old }), { status: 400, json: { title: /^approval: .*and not now/ } });
    t.equal((await post({}, { approval, case: ` ${REASON.case.replace('/', '／')} ` })).status, 200);
    t.match(box.requests.at(-1), { case: REASON.case }, 'the number is sent in its normal form');
    const own = JSON.parse(signedApproval(subject, roomSigner.privateKey, Date.now()).text) as object;
    t.match(await post({}, { approval: own }), { status: 400, json: { title: /another person must sign/ } });

    const stillAnswer = await anna.post('/api/tracks/still', REASON);
    t.match(stillAnswer, { status: 200, json: { view: VIEW, jpeg: STILL.toString('base64') } });
    t.ok(Value.Check(ROUTES.trackStill.gives, stillAnswer.json));
    t.match((await entriesOf(db, 'ask-tracks')).slice(-2), [
      { account: 'operator-0', box: BOX, more: { still: true, case: REASON.case, reason: REASON.reason } },
      { more: { still: true, sha256: sha256Of(STILL) } },
    ]);

    const firstMs = Date.parse('2026-11-24T01:00:00.000Z');
    box.tracks = Array.from({ length: 2300 }, (_, n) => track(n, new Date(firstMs + n * 1000).toISOString()));
    box.pageTracks = 190;
    const pagesBefore = box.requests.length;
    const answer = (await sue.post('/api/tracks', { ...REASON, question: QUESTION })).json as TrackAnswer;
    t.match({ ...answer, tracks: answer.tracks.length }, { matches: 2300, tracks: 2000, more: 300 });
    t.equal(box.requests.length - pagesBefore, 11, 'no further page is asked for');
    t.match((await entriesOf(db, 'ask-tracks')).at(-1), { more: { matches: 2300, trackCount: 2000 } });
    t.equal((await sue.get(`/api/tracks/${answer.id}/tracks.csv`)).text.split('\r\n').length, 2002);

    const ofSigner = (path: string, body: object) => desk.ask(path, JSON.stringify(body));
    const valid = { account: 'anna', request: { ...REASON, question: QUESTION } };
    t.match(await ofSigner('/track', valid), /^404 .*only POST \/search, \/sealed, \/tracks, \/track-still/);
    t.match(
      await ofSigner('/tracks', { ...valid, request: { ...valid.request, box: '*' } }),
      /^400 \{"line":"\/request\/box: /,
    );
    signer.child.kill('SIGTERM');
    await signer.exit;
    const before = (await entriesOf(db, 'ask-tracks')).length;
    t.match(await post({}), {
      status: 503,
      json: { title: /signer does not answer .*start vigie-room-signer/ },
    });
    t.equal((await entriesOf(db, 'ask-tracks')).length, before + 1, 'on record before it would go out');
  },
);

void t.test('a question without a signer is refused', async (t) => {
  const db = await (await DATABASES.sqlite(t)).prepared();
  const { url } = await fullConsole(t, db);
  const headers = { cookie: await enter(url, 'operator'), ...from(url) };
  const answer = await ask(`${url}/api/tracks`, {
    method: 'POST',
    headers,
    body: { ...REASON, question: QUESTION },
  });
  t.match(answer, { status: 503, json: { title: /a signer is not configured in this room/ } });
  t.ok(readFileSync(join(ROOT, 'docs/ref/openapi.yaml'), 'utf8').includes('/api/tracks/{id}/tracks.mf.json'));
});
