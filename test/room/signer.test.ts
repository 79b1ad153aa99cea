/**
 * Tests the signer program with a real broker and real archives of boxes, through the console's end of its socket, on
 * both databases.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import t, { type Test } from 'tap';
import { sha256Of } from '../../agent/base/sha256.ts';
import type { CommandKey } from '../../agent/contract/config.ts';
import type { Account } from '../../scripts/products/room/console/handler.ts';
import { signerHandlers } from '../../scripts/products/room/console/searches.ts';
import { SignerClient } from '../../scripts/products/room/console/signer-client.ts';
import type { SearchState } from '../../scripts/products/room/contract/api.ts';
import type { Role } from '../../scripts/products/room/contract/roles.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { makeSigner, type Signer } from '../lib/commands.ts';
import { addEvent, addIncident as addRow } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { entry, eventAt } from '../lib/history.ts';
import { makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';
import { ALL, unlessAll } from '../lib/run.ts';
import { sealed, stillOf } from '../lib/sealing.ts';
import { SearchableBox } from '../lib/searchable-box.ts';
import { DeskSigner, deskOf } from '../lib/signer-desk.ts';

const HOUR_MS = 3_600_000;
const REASON = { case: '2026/1234', reason: 'theft of a bicycle' };
const iso = (ms: number): string => new Date(ms).toISOString();

async function startBox(t: Test, room: Room, box: string, keys: CommandKey[]): Promise<SearchableBox> {
  const searchable = await SearchableBox.in(t, room, box, keys);
  searchable.start();
  await waitUntil(t, `${box} connects`, () => searchable.delivery.state.phase === 'online', 30_000);
  return searchable;
}

async function makeSetup(t: Test, room: Room, signer: Signer) {
  const desk = await deskOf(t, room, signer);
  return { dir: desk.dir, signer: new DeskSigner(t, desk, 8) };
}

const account = (name: string, role: Role = 'operator', isProgram = false): Account => ({
  name,
  role,
  isProgram,
});

/** The console's calls on one database. */
function consoleOf(t: Test, { socket }: DeskSigner, db: Sql) {
  const handlers = signerHandlers(new SignerClient(socket), db, Date.now);
  const call = { query: undefined, key: '' };
  const search = async (user: Account, overrides: object = {}): Promise<SearchState> => {
    const body = { ...REASON, from: iso(Date.now() - 24 * HOUR_MS), to: iso(Date.now()), ...overrides };
    return handlers.search({ ...call, account: user, params: undefined, body, nowMs: Date.now() });
  };
  const state = async (user: Account, id: string, nowMs = Date.now()): Promise<SearchState> =>
    handlers.searchState({ ...call, account: user, params: { id }, body: undefined, nowMs });
  const unseal = async (user: Account, no: number) =>
    handlers.sealed({ ...call, account: user, params: { no }, body: REASON, nowMs: Date.now() });
  const untilDone = async (user: Account, { id }: SearchState): Promise<SearchState> => {
    for (let i = 0; i < 300; i += 1) {
      const now = await state(user, id);
      if (now.isDone) return now;
      await sleep(100);
    }
    t.fail('the search does not end');
    throw new Error('the search does not end');
  };
  return { search, state, unseal, untilDone };
}

/** The databases of this run; the calls are the same on both. */
async function databases(t: Test): Promise<Sql[]> {
  const makers = ALL ? [DATABASES.sqlite, DATABASES.postgres] : [DATABASES.sqlite];
  return Promise.all(makers.map(async (make) => (await make(t)).prepared()));
}

const addIncident = (db: Sql, box: string, episode: string, detail: object, entryNo = 1): Promise<number> =>
  addRow(db, Date.now(), { site: SITE, box, episode, entry: entryNo, detail: JSON.stringify(detail) });

const auditOf = (db: Sql) =>
  db.all<{ account: string; role: string; act: string; incident: number | null; more: string }>(
    'SELECT account, role, act, incident, more FROM audit ORDER BY no',
  );

void t.test('a search is audited first, and reports progress, missing boxes and incidents', async (t) => {
  const room = await makeRoom(t);
  const signer = makeSigner();
  const setup = await makeSetup(t, room, signer);
  const alpha = await startBox(t, room, 'alpha', [signer.config]);
  await startBox(t, room, 'gamma', [makeSigner('other').config]);
  const offlineBox = await startBox(t, room, 'delta', [signer.config]);
  await offlineBox.stop();
  const nowMs = Date.now();
  const events = [3, 2, 1].map((hours) =>
    eventAt(nowMs - hours * HOUR_MS, { id: `a-${hours}`, box: 'alpha' }),
  );
  alpha.archive.add([
    ...events.map((event, i) => entry(i + 1, event)),
    entry(4, eventAt(nowMs - 1000, { id: 'b-1' })),
  ]);
  await setup.signer.ready();
  t.equal(statSync(setup.signer.socket).mode & 0o777, 0o660, 'for its user and group');
  const alice = account('alice');
  for (const db of await databases(t)) {
    const room = consoleOf(t, setup.signer, db);
    await addIncident(db, 'alpha', 'a-2-e', {});
    const newest = await addIncident(db, 'alpha', 'a-2-e', {}, 2);
    await addIncident(db, 'beta', 'a-1-e', {});
    const started = await room.search(alice);
    t.match(started, { isDone: false, ...REASON, matches: [] });
    t.match(
      await auditOf(db),
      [{ account: 'alice', role: 'operator', act: 'search', more: started.id }],
      'on record',
    );
    const finished = await room.untilDone(alice, started);
    t.match(finished, { askedCount: 3, answeredCount: 1, more: 0, fault: null }, db.dialect.name);
    t.match(finished.missing, [/^delta: stopped, /, /^gamma: unknown-key: /], 'and why');
    t.strictSame(
      finished.matches.map(({ event, box, incident, sealed }) => [event, box, incident, sealed]),
      [
        ['a-3', 'alpha', null, false],
        ['a-2', 'alpha', newest, false],
        ['a-1', 'alpha', null, false],
      ],
      'in the order of time, each with its incident, and nothing in the name of another box',
    );
    await t.rejects(room.state(account('bob'), started.id), {
      status: 403,
      message: /belongs to another person/,
    });
    t.match(await room.state(account('sue', 'supervisor'), started.id), { isDone: true });
    await t.rejects(
      room.state(alice, started.id, Date.now() + HOUR_MS + 1000),
      { status: 404, message: /stored for an hour/ },
      'an hour',
    );
    const narrow = await room.search(account('stats', 'operator', true), {
      boxes: ['alpha'],
      kinds: ['wrong-way'],
      from: '2026-03-01T01:30:00+01:00',
    });
    t.match(await room.untilDone(account('stats'), narrow), {
      askedCount: 1,
      answeredCount: 1,
      matches: [],
      missing: [],
    });
    t.match((await auditOf(db)).at(-1), {
      account: 'stats',
      role: 'program',
      more: /"from":"2026-03-01T00:30:00.000Z".*"boxes":\["alpha"\]/,
    });
    await t.rejects(room.search(alice, { kinds: ['loitring'] }), {
      status: 400,
      message: /did you mean "loitering"/,
    });
    await t.rejects(room.search(alice, { from: iso(Date.now() + HOUR_MS) }), {
      status: 400,
      message: /not after from/,
    });
    for (const blank of [' ', '\u200b', '\u2060 –', '...']) {
      await t.rejects(room.search(alice, { case: blank }), {
        status: 400,
        message: /^body: case (must hold at least one letter or digit|holds a character that cannot be seen)/,
      });
      await t.rejects(room.search(alice, { reason: blank }), { status: 400, message: /^body: reason must/ });
    }
    await t.rejects(room.search(alice, { from: '2026-02-30T00:00:00Z' }), {
      status: 400,
      message: /^from: 2026-02-30 does not exist/,
    });
  }
  const secret = signer.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64').slice(-43, -3);
  t.notMatch(setup.signer.output, secret, 'the key is in no line');
  t.match(
    setup.signer.output,
    /search for alice, case 2026\/1234: all boxes\n.*: 3 events, 1 messages ignored that were not replies/s,
  );
});

void t.test(
  'a user has one search, and all users four; an ended signer ends them',
  { skip: unlessAll },
  async (t) => {
    const room = await makeRoom(t);
    const signer = makeSigner();
    const setup = await makeSetup(t, room, signer);
    const db = await (await DATABASES.sqlite(t)).prepared();
    const calls = consoleOf(t, setup.signer, db);
    const unavailable = {
      status: 503,
      message: /signer does not answer on .*signer\.sock \(ENOENT\); start vigie-room-signer/,
    };
    await t.rejects(calls.search(account('alice')), unavailable, 'not there yet');
    const program = await setup.signer.ready();
    // No box answers, so each search lasts as long as the signer waits for boxes.
    const running: SearchState[] = [];
    for (const name of ['alice', 'bob', 'carol', 'dave']) running.push(await calls.search(account(name)));
    await t.rejects(calls.search(account('alice')), { status: 429, message: /search of alice is running/ });
    await t.rejects(calls.search(account('erin')), {
      status: 429,
      message: /4 others have a search running/,
    });
    t.equal((await auditOf(db)).length, 7, 'a refused user is audited too');
    program.child.kill('SIGTERM');
    t.equal(await program.exit, 0);
    for (const [i, name] of ['alice', 'bob'].entries()) {
      const state = await calls.untilDone(account(name), running[i] as SearchState);
      t.match(state, { isDone: true, fault: /signer does not answer .*start vigie-room-signer/ });
    }
    t.notOk(existsSync(setup.signer.socket), 'the socket is gone');
    writeFileSync(join(setup.dir, 'desk.pem'), 'nothing', { mode: 0o600 });
    const broken = setup.signer.run();
    t.equal(await broken.exit, 2);
    t.match(broken.err, /^room: --sign: .*desk\.pem does not contain a private key .*\n$/);
  },
);

void t.test('an invalid request is refused in one line', { skip: unlessAll }, async (t) => {
  const room = await makeRoom(t);
  const setup = await makeSetup(t, room, makeSigner());
  const program = await setup.signer.ready();
  const valid = { account: 'alice', request: { ...REASON, from: iso(0), to: iso(1) } };
  const reasonless = { ...valid, request: { ...valid.request, reason: '' } };
  const unseen = { ...valid, request: { ...valid.request, case: '\u200b' } };
  const impossible = { ...valid, request: { ...valid.request, to: '2026-02-30T00:00:00.000Z' } };
  const still = { account: 'alice', site: SITE, box: 'alpha', event: '../../etc', request: REASON };
  const cases: [path: string, body: object | string, answer: RegExp][] = [
    ['/sign', '{}', /^404 /],
    ['/search', 'no json', /^400 \{"line":"\/: /],
    ['/search', unseen, /^400 \{"line":"case: holds a character that cannot be seen/],
    [
      '/search',
      { ...valid, request: { ...valid.request, case: '-' } },
      /^400 \{"line":"case: must hold at least one/,
    ],
    ['/search', reasonless, /^400 \{"line":"\/request\/reason: /],
    ['/search', impossible, /^400 \{"line":"\/request\/to: must be a moment that exists, as 2026/],
    ['/search', { ...valid, key: 'mine' }, /^400 \{"line":"\/key: /],
    ['/sealed', still, /^400 \{"line":"\/event: /],
    ['/sealed', { ...still, event: 'e-1', site: 'lyon' }, /^409 .*not for lyon/],
    ['/search', ' '.repeat(300_000), /^413 /],
  ];
  t.match(await setup.signer.ask('/search', '', 'GET'), /^404 \{"line":"only POST/);
  for (const [path, body, answer] of cases)
    t.match(await setup.signer.ask(path, typeof body === 'string' ? body : JSON.stringify(body)), answer);
  const second = setup.signer.run();
  t.equal(await second.exit, 2);
  t.match(second.err, /^room: --socket .*: another signer answers there; end it first\n$/);
  program.child.kill('SIGKILL');
  await program.exit;
  await setup.signer.ready();
  const nowhere = setup.signer.run('--sealed', join(setup.dir, 'nowhere'));
  t.equal(await nowhere.exit, 2);
  t.match(nowhere.err, /^room: --sealed .*nowhere: ENOENT.*name a folder to write into\n$/);
});

void t.test('a sealed still is requested, audited and stored for its recipient alone', async (t) => {
  const room = await makeRoom(t);
  const [judge, other] = [
    makeSigner('judge-desk', ['search', 'unseal']),
    makeSigner('judge-desk', ['search']),
  ];
  const setup = await makeSetup(t, room, judge);
  const alpha = await startBox(t, room, 'alpha', [judge.config]);
  await startBox(t, room, 'gamma', [{ ...judge.config, may: other.config.may }]);
  const recipient = await identityToRecipient(await generateX25519Identity());
  const evidence = await sealed(await stillOf({ widthPx: 320, heightPx: 240 }), [recipient]);
  t.equal(alpha.sealed.keep('e-1', evidence), undefined);
  alpha.sealed.keep('e-2', evidence);
  await setup.signer.ready();
  const sue = account('sue', 'supervisor');
  for (const db of await databases(t)) {
    const calls = consoleOf(t, setup.signer, db);
    const detail = (event: string) => ({ sealed: true, event });
    const no = await addIncident(db, 'alpha', 'one', detail('e-1'));
    for (const [id, sha256] of [
      ['e-1', evidence.sha256],
      ['e-2', sha256Of('other')],
    ] as const) {
      await addEvent(db, { site: SITE, box: 'alpha' }, id, Date.now());
      const body = JSON.stringify({ data: { evidence: { sealed: { sha256, recipients: [recipient] } } } });
      await db.run('UPDATE event SET body = $2 WHERE id = $1', [id, body]);
    }
    const before = readdirSync(setup.dir).length;
    const answer = await calls.unseal(sue, no);
    t.match(answer, { sha256: evidence.sha256, recipients: [recipient] }, db.dialect.name);
    t.equal(statSync(answer.file).mode & 0o777, 0o600);
    t.equal(sha256Of(readFileSync(answer.file)), evidence.sha256);
    t.match(answer.file, /alpha_e-1_\d{8}T\d{9}Z\.age$/);
    const last = (await auditOf(db)).at(-1);
    t.match(last, {
      account: 'sue',
      role: 'supervisor',
      act: 'request-sealed',
      incident: no,
      more: /"event":"e-1"/,
    });
    t.match(last?.more, /2026\/1234.*theft|theft.*2026\/1234/);
    const wrong = await addIncident(db, 'alpha', 'two', detail('e-2'));
    await t.rejects(calls.unseal(sue, wrong), {
      status: 503,
      message: /not the sealed still that event e-2 names/,
    });
    const none = await addIncident(db, 'alpha', 'three', detail('e-3'));
    await t.rejects(calls.unseal(sue, none), {
      status: 409,
      message: /no sealed still of event e-3 is held/,
    });
    const may = await addIncident(db, 'gamma', 'four', detail('e-4'));
    await t.rejects(calls.unseal(sue, may), { status: 409, message: /refused by gamma: not-permitted/ });
    const unsealedNo = await addIncident(db, 'alpha', 'five', { sealed: false, event: 'e-5' });
    await t.rejects(calls.unseal(sue, unsealedNo), { status: 409, message: /sealed still does not exist/ });
    await t.rejects(calls.unseal(sue, 4711), { status: 404, message: /incident 4711 does not exist/ });
    t.equal(readdirSync(setup.dir).length, before + 1, 'one file for the still that was handed out');
    t.equal((await auditOf(db)).length, 4, 'each that went out');
  }
  t.notMatch(setup.signer.output, /PRIVATE KEY|AGE-SECRET/);
});
