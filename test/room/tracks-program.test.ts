/**
 * Tests `scripts/room tracks` over a real broker with a stand-in for a box: pages, refusals, gaps, files and hostile
 * answers.
 */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { TRACK_APPROVAL_TYPE, TrackApproval } from '../../agent/contract/track-approval.ts';
import { TRACK_APPROVAL_BYTES_MAX } from '../../agent/contract/track-log.ts';
import { envelopeOpener, keyIdOf, publicKeyOf } from '../../agent/orders/dsse.ts';
import { makeSigner } from '../lib/commands.ts';
import { forbiddenIn, HOSTILE } from '../lib/hostile.ts';
import { scratch } from '../lib/paths.ts';
import { roomProgram, start } from '../lib/program.ts';
import { makeRoom, SITE } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';
import { deskOf, writeKey } from '../lib/signer-desk.ts';
import { STILL, track, trackBox, VIEW } from '../lib/track-box.ts';
import { WarmProgram } from '../lib/warm-program.ts';

const program = new WarmProgram('scripts/products/room/tracks');
const BOX = 'alpha';
const NIGHT = ['--from', '2026-11-24T02:00', '--to', '2026-11-24T05:00'];

/** A room with a stand-in for a box, for all tests of this file in their order. */
async function makeSetup(t: Test) {
  const room = await makeRoom(t);
  const [signer, second] = [makeSigner('judge-desk', ['tracks']), makeSigner('prosecutor', ['tracks'])];
  const { dir, args } = await deskOf(t, room, signer, { timeZone: 'Europe/Paris' });
  writeKey(join(dir, 'second.pem'), second);
  const basic = [
    ...[...args, '--box', BOX],
    ...['--case', '2026/1234', '--reason', 'theft', '--timeout', '20'],
  ];
  const run = (...args: string[]) => program.run(args);
  const box = await trackBox(t, room, BOX, publicKeyOf(signer.config.publicKey));
  const file = (name: string): string => join(dir, name);
  return { box, second, file, basic, run, ask: (...more: string[]) => run(...basic, ...more) };
}

const { box, second, file, basic, run, ask } = await makeSetup(t);

void t.test('tracks are printed page by page, with gaps at their place in time', async (t) => {
  box.tracks = [
    track(1, '2026-11-24T01:14:07.000Z', { stoppedS: 62, durationS: 95 }),
    track(2, '2026-11-24T01:20:00.000Z', { colours: ['blue'], seen: false }),
    track(3, '2026-11-24T03:59:59.000Z', { class: 'truck', colours: [], cut: true }),
  ];
  const place = ['--view', VIEW, '--area', '.1,.5 .4,.5 .4,.9', '--does', 'stops', '--at-least', '30'];
  const filterArgs = ['--class', 'car', 'truck', '--colour', 'white', '--daily', '02:00-05:00', ...place];
  const all = await ask(...NIGHT, ...filterArgs);
  t.equal(all.code, 0, all.err);
  const [one, two, three, ...rest] = all.out.split('\n').map((line) => line.split(/ {2,}/).join(' | '));
  t.match(one, /^2026-11-24T02:14:07\+01:00 \| car \| white\* grey \| for 1 min 35 s, stopped 1 min 2 s \| /);
  t.match(one, / to .* \| track 1 \| score 0\.83$/);
  t.match(
    two,
    /^2026-11-24T02:20:00\+01:00 \| car \| blue \| out of sight at that moment \| .* to .* track 2/,
  );
  t.match(
    three,
    /^2026-11-24T04:59:59\+01:00 \| truck \| - \| cut \| .* to .* \| track 3/,
    'in the site’s time',
  );
  t.same(rest, ['']);
  t.match(
    all.err,
    /^case 2026\/1234: 3 of 3 matches given, 2026-11-24T02:00:00\+01:00 to .*; 95\.0 % of the time seen, 5\.0 % only watched, 0\.0 % a gap$/m,
  );
  t.match(all.err, /^left of the budgets: 98 tracks in this case, 1,900 for this key/m);
  t.match(all.err, /colour that was asked for: 1 of 3/);
  const polygon = [
    [0.1, 0.5],
    [0.4, 0.5],
    [0.4, 0.9],
  ];
  const span = { from: '2026-11-24T01:00:00.000Z', to: '2026-11-24T04:00:00.000Z' };
  const filters = { daily: { from: '02:00', to: '05:00' }, classes: ['car', 'truck'], colours: ['white'] };
  const region = { polygon, does: 'stops', atLeastS: 30 };
  t.strictSame(box.requests[0], {
    case: '2026/1234',
    reason: 'theft',
    question: { ...span, ...filters, view: VIEW, where: region, answer: 'tracks' },
  });
  t.strictSame(
    box.requests.map(({ cursor }) => cursor),
    [undefined, '0.2.0'],
    'each page by the cursor of the one before',
  );

  const gaps = [
    { from: '2026-11-24T01:15:00.000Z', to: '2026-11-24T01:19:10.000Z', why: 'not-running' as const },
    { from: '2026-11-24T03:59:59.000Z', to: '2026-11-24T04:00:00.000Z', why: 'blind' as const },
  ];
  box.result = { coverage: { seen: 0.5, watched: 0.2, gaps, more: 3 } };
  const gappy = await ask(...NIGHT);
  t.equal(gappy.code, 1, 'not all of the time was looked at');
  const stopped = '4 min 10 s, to 2026-11-24T02:19:10+01:00: the agent or vision did not run';
  t.match(
    gappy.out.split('\n').map((line) => line.split(/ {2,}/).slice(0, 3)),
    [
      ['2026-11-24T02:14:07+01:00', 'car'],
      ['2026-11-24T02:15:00+01:00', 'GAP', stopped],
      ['2026-11-24T02:20:00+01:00', 'car'],
      ['2026-11-24T04:59:59+01:00', 'GAP', /covered, moved, dark or frozen/],
      ['2026-11-24T04:59:59+01:00', 'truck'],
      [''],
    ],
  );
  t.match(gappy.err, /30\.0 % a gap[\s\S]*3 more gaps are not listed/);
  const csv = await ask(...NIGHT, '--out', file('hits.csv'), '--format', 'csv');
  t.equal(csv.code, 1);
  t.equal(statSync(file('hits.csv')).mode & 0o777, 0o600);
  t.match(
    readFileSync(file('hits.csv'), 'utf8')
      .split('\r\n')
      .map((line) => line.split(',')[0]),
    [...['\ufeffrow', 'track', 'gap', 'track', 'gap', 'track', '']],
  );
  t.match(await ask(...NIGHT, '--out', file('hits.csv')), {
    code: 2,
    err: /--out: .*hits\.csv is there already/,
  });
  const mf = await ask(...NIGHT, '--format', 'mf-json');
  t.match(JSON.parse(mf.out), { type: 'FeatureCollection', features: [{}, {}, {}], gaps });

  const json = await ask(...NIGHT, '--max', '1', '--json');
  t.equal(json.code, 1);
  t.match(JSON.parse(json.out), {
    box: BOX,
    case: '2026/1234',
    matches: 3,
    more: 1,
    tracks: [{ track: 1 }, { track: 2 }],
    stopped: null,
  });
  box.result = {};
  t.match(await ask(...NIGHT, '--max', '1'), { code: 1, err: /1 matches were not fetched \(--max\)/ });
  t.match(await ask(...NIGHT, '--count'), { code: 0, out: '3 tracks\n' });
  t.match(await ask(...NIGHT, '--coverage'), {
    code: 0,
    out: new RegExp(`^view ${VIEW} {2}2026-11-20T10:12:44\\+01:00 to now\n$`),
  });
});

void t.test('a still and a second person’s approval are written to files', async (t) => {
  box.tracks = [];
  const still = await ask('--still', file('now.jpg'));
  t.match(still, {
    code: 0,
    out: new RegExp(`redacted still of 2026-11-24T11:00:00\\+01:00, 10 bytes.*\nview ${VIEW}\n`),
  });
  t.same(readFileSync(file('now.jpg')), STILL);
  t.equal(statSync(file('now.jpg')).mode & 0o777, 0o600);
  box.replacements.push({
    answer: { result: { view: null, at: VIEW, sha256: '0'.repeat(64), jpeg: STILL.toString('base64') } },
  });
  t.match(await ask('--still', file('other.jpg')), { code: 2, err: /not the JPEG that the reply names/ });
  t.notOk(existsSync(file('other.jpg')));

  const question = [...NIGHT, '--class', 'person'];
  const before = box.requests.length;
  const bySecond = basic.map((arg) => (arg === file('desk.pem') ? file('second.pem') : arg));
  // A typed number is written in the normal form, so the approval is of the same text.
  const typed = bySecond.map((arg) => (arg === '2026/1234' ? ' 2026／1234' : arg));
  const approved = await run(...typed, ...question, '--approve', file('ok.json'));
  t.match(approved, {
    code: 0,
    out: /ok\.json: approves this question in case 2026\/1234 at alpha, until .*; nothing was sent/,
  });
  t.equal(box.requests.length, before, 'nothing was sent');
  const open = envelopeOpener({
    payloadType: TRACK_APPROVAL_TYPE,
    bytesMax: TRACK_APPROVAL_BYTES_MAX,
    signatures: 1,
    keysIn: 'x',
  });
  const key = publicKeyOf(second.config.publicKey);
  const { payload } = open(
    Buffer.from(readFileSync(file('ok.json'), 'utf8').trim()),
    new Map([[keyIdOf(key), key]]),
  );
  const approval: unknown = JSON.parse(payload.toString());
  if (!Value.Check(TrackApproval, approval)) throw new Error('not an approval');
  t.match(approval, {
    site: SITE,
    box: BOX,
    case: '2026/1234',
    reason: 'theft',
    question: { classes: ['person'] },
  });
  t.equal(Date.parse(approval.notAfter) - Date.parse(approval.notBefore), 86_400_000);

  t.match(await ask(...question, '--approval', file('ok.json')), { code: 0 });
  t.match(box.requests.at(-1), { approval: { signatures: [{ keyid: keyIdOf(key) }] } });
  const wrong: [string[], RegExp][] = [
    [
      [...NIGHT, '--class', 'car', '--approval', file('ok.json')],
      /--approval: is for another question: classes is not the same/,
    ],
    [[...question, '--approval', file('none.json')], /--approval: .*none\.json cannot be read/],
    [[...question, '--approval', file('now.jpg')], /--approval: .*now\.jpg is not an approval/],
    [[...question, '--approve', file('ok.json')], /--approve: .*ok\.json cannot be written/],
  ];
  for (const [args, err] of wrong) t.match(await ask(...args), { code: 2, out: '', err });

  // In the form that the console saves.
  const { box: name, case: number, reason } = { ...approval };
  const [from, to] = [approval.question, approval.question].map((asked, i) =>
    'from' in asked ? [asked.from, asked.to][i] : '',
  );
  const saved = {
    box: name,
    case: number,
    reason,
    question: { from, to, answer: 'tracks', classes: ['person'] },
  };
  writeFileSync(file('question.json'), JSON.stringify(saved));
  const bySaved = [...bySecond.slice(0, 4), '--question', file('question.json')];
  t.match(await run(...bySaved, '--approve', file('saved.json')), { code: 0 });
  t.match(await ask(...question, '--approval', file('saved.json')), { code: 0 }, 'approves the typed one');
  t.match(
    await run(...basic.slice(0, 4), '--question', file('question.json'), '--approval', file('saved.json')),
    {
      code: 0,
    },
  );
  writeFileSync(
    file('question.json'),
    JSON.stringify({ ...saved, question: { ...saved.question, to: 'now' } }),
  );
  t.match(await run(...bySaved), { code: 2, err: /^room: --question: .*: "now" is not a time\n$/ });
  t.match(await run(...bySecond.slice(0, 4), '--question', file('ok.json')), {
    code: 2,
    err: /^room: --question: .*ok\.json: .*it must be a question that the console has saved\n$/,
  });

  await ask(...question, '--approve', file('own.json'));
  t.match(await ask(...question, '--approval', file('own.json')), {
    code: 2,
    err: /signed by the key that asks; another person/,
  });
});

void t.test('a refusal, another box’s answer and a malformed answer are one line each', async (t) => {
  box.tracks = [1, 2, 3].map((number) => track(number, `2026-11-24T01:0${number}:00.000Z`));
  const refusalOf = (code: string, message: string, more = {}) => ({
    answer: { refused: { code, message, ...more } },
  });
  box.replacements.push(refusalOf('not-permitted', 'the order has no log of tracks'));
  t.match(await ask(...NIGHT), {
    code: 1,
    out: '',
    err: /^room: refused by alpha: not-permitted: the order has no log of tracks\n$/,
  });
  box.replacements.push(
    refusalOf('rate-limited', 'soon', { retryAfterS: 0.1 }),
    refusalOf('replayed', 'later'),
  );
  t.match(await ask(...NIGHT), { code: 0 }, 'the requested pause is observed');
  box.replacements.push(
    refusalOf('rate-limited', 'the budget of the day is used up', { retryAfterS: 40_000 }),
  );
  t.match(await ask(...NIGHT), { code: 1, err: /^room: refused by alpha: rate-limited: the budget/ });

  const page = {
    order: 'o',
    grade: 'persons',
    approvers: ['judge'],
    timeZone: 'UTC',
    kept: { days: 1, oldest: null },
    views: [],
    coverage: { seen: 1, watched: 0, gaps: [], more: 0 },
    matches: 3,
    tracks: [track(7, '2026-11-24T01:00:00.000Z')],
    next: '0.1.0',
    left: { case: 1, keyDay: 1, day: 1 },
  };
  box.replacements.push({ answer: { result: page } }, refusalOf('not-permitted', `used up${HOSTILE}`));
  const half = await ask(...NIGHT);
  t.match(
    half,
    { code: 1, out: /track 7/, err: /the rest was not given: refused by alpha: not-permitted: used up/ },
    'received pages are kept',
  );
  t.match(half.err, /a question about persons needs the approval of one of: judge\n/);
  t.strictSame(forbiddenIn(half.out + half.err), []);
  box.replacements.push({ answer: { result: page } }, { answer: { result: page } });
  t.match(await ask(...NIGHT), { code: 1, err: /the pages of alpha have no end/ });

  box.replacements.push({
    answer: { result: { ...page, order: HOSTILE.slice(0, 100), next: null, matches: 1 } },
  });
  const hostile = await ask(...NIGHT);
  t.equal(hostile.code, 0, hostile.err);
  t.strictSame(forbiddenIn(hostile.out + hostile.err), []);
  t.match(hostile.err, /authorisation \\x1b\[2J/);
  for (const answer of [
    { result: { ...page, tracks: [{ ...page.tracks[0], class: HOSTILE }] } },
    { result: { ...page, secret: 1 } },
    { result: 'all is well' },
  ]) {
    box.replacements.push({ answer });
    const strange = await ask(...NIGHT);
    t.match(strange, {
      code: 2,
      out: '',
      err: /^room: the answer of alpha has another form, [^\n]*another version\?\n$/,
    });
    t.strictSame(forbiddenIn(strange.err), []);
  }
  box.replacements.push({
    raw: true,
    answer: { site: SITE, box: 'mallory', time: new Date().toISOString(), result: { ...page, next: null } },
  });
  t.match(await ask(...NIGHT), { code: 2, err: /^room: alpha: unexpected reply/ }, 'in the name of another');

  await box.client.unsubscribeAsync(`vigie/${SITE}/${BOX}/cmd`);
  t.match(await ask(...NIGHT, '--timeout', '1'), {
    code: 1,
    err: /^room: no answer from alpha within 1 s\n$/,
  });
  const status = JSON.stringify({ state: 'stopped', boot: 'b', time: '2026-11-24T08:00:00.000Z' });
  await box.client.publishAsync(`vigie/${SITE}/${BOX}/status`, status, { qos: 1, retain: true });
  t.match(await ask(...NIGHT), {
    code: 1,
    err: /^room: alpha is not connected \(stopped since 2026-11-24T08:00:00.000Z\)/,
  });
});

void t.test('a usage error is one line and exit code 2', { skip: unlessAll }, async (t) => {
  const dir = scratch(t);
  writeKey(join(dir, 'desk.pem'), makeSigner());
  const basic = [
    ...['--room', 'mqtts://localhost:1', '--site', SITE, '--sign', join(dir, 'desk.pem')],
    ...['--box', BOX, '--case', '1', '--reason', 'r', '--time-zone', 'Europe/Paris'],
  ];
  const area = ['--view', VIEW, '--area', '.1,.1 .2,.1 .2,.2'];
  const cases: [string[], RegExp][] = [
    [[], /--from: required/],
    [['--from', 'yesterday', '--to', '2026-11-23'], /--from: invalid time "yesterday"/],
    [[...NIGHT, '--daily', '2-5'], /--daily: "2-5" is not HH:MM-HH:MM/],
    [[...NIGHT, '--class', 'cars'], /--class: "cars" is not known; did you mean "car"/],
    [[...NIGHT, '--line', '.1,.2,.3,.4'], /--view: is needed with --line and --area/],
    [[...NIGHT, '--view', VIEW, '--line', '.1,.2,.3,1.4'], /--line: .* is not x1,y1,x2,y2/],
    [
      [...NIGHT, '--view', VIEW, '--line', '.1,.2,.3,.4', '--direction', 'up'],
      /--direction: "up" must be one of left, right, both/,
    ],
    [[...NIGHT, '--line', '.1,.2,.3,.4', ...area], /--area: a question has a line or an area/],
    [[...NIGHT, ...area], /--does: is needed with --area; it must be one of enters, leaves, stays, stops/],
    [[...NIGHT, ...area, '--does', 'stays'], /--at-least: is needed with --does stays/],
    [[...NIGHT, '--count', '--coverage'], /--coverage: one question has one answer/],
    [
      ['--from', '2026-11-24T02:05', '--to', '2026-11-24T05:00', '--count'],
      /--from: counts begin and end at whole 10 minutes/,
    ],
    [['--question', join(dir, 'desk.pem')], /--case: is in the file of --question already; leave it out/],
    [['--still'], /--still: is to name the file/],
    [['--still', 'x.jpg', ...NIGHT], /--from: is not for --still/],
    [[...NIGHT, '--format', 'csv', '--json'], /--json: --format csv is another format/],
    [[...NIGHT, '--case', '2026/1\n'], /--case: holds a character that cannot be seen/],
    [[...NIGHT, '--reason', '…'], /--reason: must hold at least one letter or digit/],
    [[...NIGHT, '--box', 'The Box'], /--box/],
  ];
  const started = start(t, process.execPath, [roomProgram('tracks'), ...basic, ...(cases[0]?.[0] ?? [])]);
  t.equal(await started.exit, 2, 'as a process');
  t.match({ out: started.out, err: started.err }, { out: '', err: cases[0]?.[1] });
  for (const [args, reason] of cases) {
    const { code, out, err } = await program.run([...basic, ...args]);
    t.equal(code, 2, args.join(' '));
    t.equal(out, '');
    t.match(err, reason);
    t.match(err, /^room: [^\n]+\n$/, 'one line');
  }
});
