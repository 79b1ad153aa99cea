/**
 * Tests the journal on real disks: every edit, cut, reordering, fork and rollback is detected, and entries go when their
 * time is over while the proof stays valid.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { exportJournal } from '../../agent/restraint/journal/export.ts';
import { readSteadily } from '../../agent/restraint/journal/files.ts';
import type { Journal } from '../../agent/restraint/journal/journal.ts';
import { JOURNAL_KEY_FILE } from '../../agent/restraint/journal/key.ts';
import { unpackEntries } from '../../agent/restraint/journal/layout.ts';
import { parseVerifierKey } from '../../agent/restraint/journal/note.ts';
import { JournalRetention } from '../../agent/restraint/journal/retention.ts';
import { verifyJournal } from '../../scripts/lib/journal/verification.ts';
import { AT, filesBelow, fill, keyOf, noteIn, ORIGIN, openJournal, wrongIn } from '../lib/journal.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { oversight, start } from '../lib/program.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { waitUntil } from '../lib/room.ts';
import { ALL, FULL, unlessFull } from '../lib/run.ts';

const WRITER = fileURLToPath(new URL('../lib/journal-writer.js', import.meta.url));
const TAMPERINGS = FULL ? 1000 : ALL ? 80 : 40;
const KILLS = FULL ? 20 : ALL ? 5 : 1;
/** Number of readings of a journal during continuous writing. */
const BESIDE_A_WRITER = FULL ? 80 : ALL ? 32 : 8;
t.comment(`VIGIE_TEST_SEED=${SEED}`);

/** 600 entries, three of them erased, opened again; every file in the folder counts. */
const intactDir = scratch(t);
{
  const journal = openJournal(intactDir);
  // One by one over the end of a file, then many at once.
  for (let size = 1; size <= 270; size += 1) fill(journal, size);
  fill(journal, 600);
  journal.erase([3, 255, 256], 'retention', AT);
  openJournal(intactDir);
}

void t.test('an intact journal is valid, and an erased content is not a fault', async (t) => {
  const dir = join(intactDir, 'journal');
  const result = verifyJournal(dir, parseVerifierKey(keyOf(intactDir)));
  t.strictSame(result.wrong, []);
  t.equal(result.checkpoint?.size, 601);
  t.equal(result.erased, 3);
  t.equal(result.trailingLines, 0);
  t.notMatch(readFileSync(join(dir, 'contents/000.jsonl'), 'utf8'), /"stepMs":(3|255)[,}]/);
  t.equal(statSync(join(intactDir, JOURNAL_KEY_FILE)).mode & 0o777, 0o600);
  t.strictSame(
    filesBelow(dir).sort(),
    [
      'checkpoint',
      ...['000', '001', '002'].map((n) => `contents/${n}.jsonl`),
      ...['0/000', '0/001', '0/002.p/89', '1/000.p/2'].map((path) => `tile/${path}`),
      ...['000', '001', '002.p/89'].map((path) => `tile/entries/${path}`),
    ].sort(),
  );
});

void t.test(`all of ${TAMPERINGS} tamperings with its files are detected, of every kind`, async (t) => {
  const dir = join(intactDir, 'journal');
  const random = randomOf(SEED);
  const randomBelow = (n: number): number => Math.floor(random() * n);
  const files = filesBelow(dir);
  const triedWays = new Map<string, number>();
  for (let i = 0; i < TAMPERINGS || triedWays.size < Object.keys(TAMPER).length; i += 1) {
    const path = files[randomBelow(files.length)] as string;
    const before = readFileSync(join(dir, path));
    const ways = Object.keys(TAMPER) as (keyof typeof TAMPER)[];
    const way = ways[randomBelow(ways.length)] as keyof typeof TAMPER;
    const after = TAMPER[way](before, path, randomBelow);
    if (after === undefined || after.equals(before)) {
      i -= 1;
      continue;
    }
    writeFileSync(join(dir, path), after);
    triedWays.set(way, (triedWays.get(way) ?? 0) + 1);
    const wrong = wrongIn(intactDir);
    if (wrong.length === 0) t.fail(`not found: ${way} in ${path}, try ${i}`);
    writeFileSync(join(dir, path), before);
  }
  for (const path of files) {
    const before = readFileSync(join(dir, path));
    rmSync(join(dir, path));
    if (wrongIn(intactDir).length === 0) t.fail(`not found: ${path} is gone`);
    writeFileSync(join(dir, path), before);
  }
  t.comment(JSON.stringify(Object.fromEntries(triedWays)));
  t.equal(triedWays.size, Object.keys(TAMPER).length, 'every way was tried');
  t.strictSame(wrongIn(intactDir), [], 'put back, it is valid again');
});

/** Ways to tamper with one file; undefined where a way does not fit it. */
const TAMPER = {
  bit(before: Buffer, _path: string, randomBelow: (n: number) => number): Buffer {
    const after = Buffer.from(before);
    const at = randomBelow(after.length);
    after[at] = (after[at] as number) ^ (1 << randomBelow(8));
    return after;
  },
  cut: (before: Buffer, _path: string, randomBelow: (n: number) => number): Buffer =>
    before.subarray(0, randomBelow(before.length)),
  swap(before: Buffer, path: string, randomBelow: (n: number) => number): Buffer | undefined {
    const pieces = piecesOf(before, path);
    if (pieces === undefined) return undefined;
    const [a, b] = [randomBelow(pieces.length), randomBelow(pieces.length)];
    const [one, other] = [pieces[a] as Buffer, pieces[b] as Buffer];
    pieces[a] = other;
    pieces[b] = one;
    return Buffer.concat(pieces);
  },
  drop(before: Buffer, path: string, randomBelow: (n: number) => number): Buffer | undefined {
    const pieces = piecesOf(before, path);
    pieces?.splice(randomBelow(pieces.length), 1);
    return pieces && Buffer.concat(pieces);
  },
  erase(before: Buffer, path: string, randomBelow: (n: number) => number): Buffer | undefined {
    if (!path.startsWith('contents/')) return undefined;
    const lines = before.toString().split('\n');
    const at = randomBelow(lines.length - 1);
    const { index } = JSON.parse(lines[at] as string) as { index: number };
    lines[at] = JSON.stringify({ index, erased: true });
    return Buffer.from(lines.join('\n'));
  },
  edit(before: Buffer, path: string, randomBelow: (n: number) => number): Buffer | undefined {
    if (!path.startsWith('contents/')) return undefined;
    const lines = before.toString().split('\n');
    const at = randomBelow(lines.length - 1);
    lines[at] = (lines[at] as string).replace(/"stepMs":\d+/, `"stepMs":${randomBelow(1000)}`);
    return Buffer.from(lines.join('\n'));
  },
};

function piecesOf(bytes: Buffer, path: string): Buffer[] | undefined {
  if (path === 'checkpoint') return undefined;
  if (path.startsWith('contents/')) {
    return bytes
      .toString()
      .split('\n')
      .slice(0, -1)
      .map((line) => Buffer.from(`${line}\n`));
  }
  if (!path.startsWith('tile/entries/')) {
    return Array.from({ length: bytes.length / 32 }, (_, i) => bytes.subarray(i * 32, i * 32 + 32));
  }
  return unpackEntries(bytes).map((entry) => Buffer.concat([Buffer.of(0, entry.length), entry]));
}

void t.test('a journal that was tampered with does not continue', async (t) => {
  const dir = scratch(t);
  const journal = openJournal(dir);
  fill(journal, 5);
  const file = join(dir, 'journal/tile/entries/000.p/5');
  const bytes = readFileSync(file);
  bytes[40] = (bytes[40] as number) ^ 1;
  writeFileSync(file, bytes);
  t.throws(() => openJournal(dir), /does not fit its tiles/);
  t.match(wrongIn(dir)[0], /contents\/000\.jsonl:1: the content of entry 0 does not fit its hash/);

  const head = noteIn(dir);
  rmSync(join(dir, 'journal'), { recursive: true });
  fill(openJournal(dir), 5, 1);
  writeFileSync(join(dir, 'journal/checkpoint'), head);
  t.match(
    wrongIn(dir),
    [/^checkpoint: the 5 entries do not give the root that it signs$/],
    'another history',
  );
});

void t.test(`a journal is valid and complete after ${KILLS} kills during writing`, async (t) => {
  const dir = scratch(t);
  openJournal(dir);
  const random = randomOf(SEED);
  let last = -1;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const writer = start(t, process.execPath, [WRITER, dir, ORIGIN]);
    const linesWanted = 1 + Math.floor(random() * 30);
    await waitUntil(t, 'it writes', () => writer.out.split('\n').length > linesWanted, 60_000);
    writer.child.kill('SIGKILL');
    await writer.exit;
    last = Math.max(last, ...writer.out.split('\n').slice(0, -1).map(Number));
    const { wrong, checkpoint, trailingLines } = verifyJournal(
      join(dir, 'journal'),
      parseVerifierKey(keyOf(dir)),
    );
    t.strictSame(wrong, [], `after kill ${kill}`);
    t.ok((checkpoint?.size ?? 0) > last, `all ${last + 1} that were reported are in`);
    t.ok(trailingLines <= 1, 'one line at most is beyond the signed end');
  }
  appendFileSync(
    join(dir, `journal/contents/${String(Math.floor((last + 1) / 256)).padStart(3, '0')}.jsonl`),
    '{"in',
  );
  const journal = openJournal(dir);
  journal.append({ at: AT, type: 'clock-step', stepMs: 1 });
  t.strictSame(wrongIn(dir), [], 'and the journal continues after a torn line');
});

const sizeIn = (dir: string): number => Number(noteIn(dir).split('\n')[1]);

void t.test(`a journal is valid in each of ${BESIDE_A_WRITER} readings during writing`, async (t) => {
  // In memory where possible: the faster the writer, the more often a file disappears during a reading.
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vigie-test-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const writer = start(t, process.execPath, [WRITER, dir, ORIGIN]);
  // Enough entries that some have been erased.
  await waitUntil(t, 'it writes', () => Number(writer.out.trim().split('\n').at(-2) ?? 0) > 120, 60_000);
  const place = join(dir, 'journal');
  const key = keyOf(dir);
  const [problems, sizes]: [string[], Set<number>] = [[], new Set()];
  for (let i = 0; i < BESIDE_A_WRITER; i += 1) {
    const { wrong, checkpoint, trailingLines } = verifyJournal(place, parseVerifierKey(key));
    problems.push(...wrong, ...(trailingLines > 1 ? [`${trailingLines} beyond`] : []));
    sizes.add(checkpoint?.size ?? 0);
    const file = join(dir, `export-${i}`);
    if (i % 8 === 0) problems.push(...exportAndCheck(place, file, key));
    const last = sizeIn(dir);
    await waitUntil(t, 'it is written meanwhile', () => sizeIn(dir) > last, 60_000);
  }
  t.strictSame(problems, []);
  t.equal(sizes.size, BESIDE_A_WRITER, 'of another size each time');
  const run = oversight(t, 'verify', place, '--key', key);
  t.equal(await run.exit, 0, run.out.slice(0, 2000));
  writer.child.kill('SIGKILL');
  await writer.exit;
});

function exportAndCheck(place: string, file: string, key: string): string[] {
  exportJournal(place, file);
  const { wrong } = verifyJournal(file, parseVerifierKey(key));
  rmSync(file);
  return wrong.map((line) => `export: ${line}`);
}

void t.test('a journal that never holds still is refused after a bounded number of readings', async (t) => {
  const dir = join(scratch(t), 'journal');
  mkdirSync(dir);
  let readings = 0;
  const moving = (problemKey: (reading: number) => string) => () => {
    readings += 1;
    writeFileSync(join(dir, 'checkpoint'), `${ORIGIN}\n0\n${readings}\n`);
    return { problems: [{ key: problemKey(readings), line: `line ${readings}` }] };
  };
  t.throws(
    () =>
      readSteadily(
        dir,
        moving((reading) => `another ${reading}`),
      ),
    { kind: 'unavailable', message: /journal: the journal is being written too fast to be read; try again/ },
  );
  t.ok(readings > 1 && readings <= 10, `${readings} readings`);
  const { problems } = readSteadily(
    dir,
    moving(() => 'the same'),
  );
  t.match(problems, [{ line: /^line / }], 'a repeated fault is reported');
});

void t.test('an erasure that was cut off is finished at the next start', async (t) => {
  const dir = scratch(t);
  const journal = openJournal(dir);
  fill(journal, 4);
  journal.append({ at: AT, type: 'erase', entries: [1], why: 'retention' });
  openJournal(dir);
  t.match(readFileSync(join(dir, 'journal/contents/000.jsonl'), 'utf8'), /\{"index":1,"erased":true\}\n/);
  t.strictSame(wrongIn(dir), []);
});

const DAY_MS = 86_400_000;
const BEGIN_MS = Date.parse('2026-01-01T00:00:00Z');
const alertOf = (day: number): JournalContent => ({
  at: new Date(BEGIN_MS + day * DAY_MS).toISOString(),
  type: 'alert',
  id: `alert-of-day-${day}`,
  sequence: 'x',
  sha256: 'y'.repeat(64),
});

/** Writes an alert and a clock step for each day. */
function write(journal: Journal, days: number): void {
  const stepOf = (day: number): JournalContent => ({ at: alertOf(day).at, type: 'clock-step', stepMs: 1000 });
  journal.appendAll(Array.from({ length: days }, (_, day) => [alertOf(day), stepOf(day)]).flat());
}

function contentsOf(stateDir: string): string {
  const dir = join(stateDir, 'journal');
  return filesBelow(dir)
    .filter((path) => path.startsWith('contents/'))
    .sort()
    .map((path) => readFileSync(join(dir, path), 'utf8'))
    .join('');
}

const resultOf = (stateDir: string) =>
  verifyJournal(join(stateDir, 'journal'), parseVerifierKey(keyOf(stateDir)));

void t.test('only alerts are erased with the retention of events, and earlier heads still fit', async (t) => {
  const dir = scratch(t);
  const journal = openJournal(dir);
  write(journal, 300);
  const keptHead = { file: 'head.txt', note: noteIn(dir) };
  const retention = new JournalRetention(journal, { alertsDays: () => 30 });
  const now = BEGIN_MS + 200 * DAY_MS;
  t.notOk(retention.step(now, false), 'a clock that cannot be trusted erases nothing');
  t.equal(retention.erased.retention, 0);
  while (retention.step(now, true));
  t.equal(retention.erased.retention, 170);
  const text = contentsOf(dir);
  t.notMatch(text, /"alert-of-day-(0|1|50|169)"/);
  t.match(text, /"alert-of-day-170"/);
  t.equal(text.match(/"clock-step"/g)?.length, 300);
  t.match(text, /"type":"erase","entries":\[0,2,.*"why":"retention","what":"alert"/);
  t.strictSame(wrongIn(dir, keptHead), []);
  t.equal(resultOf(dir).erased, 170);

  // A later start continues from the state of the first one.
  const second = new JournalRetention(openJournal(dir), { alertsDays: () => 30 });
  while (second.step(now + DAY_MS, true));
  t.equal(second.erased.retention, 1);
  t.equal(resultOf(dir).erased, 171);
});

void t.test('the oldest contents are erased beyond the limit, while tree and erasures stay', async (t) => {
  const dir = scratch(t);
  const journal = openJournal(dir);
  write(journal, 1500);
  const retention = new JournalRetention(journal, { alertsDays: () => 36_500, bytesMax: 300_000 });
  const before = journal.contentBytes;
  t.ok(before > 400_000, `${before} bytes of contents`);
  while (retention.step(BEGIN_MS, true));
  t.ok(journal.contentBytes <= 300_000, `${journal.contentBytes} are left`);
  t.equal(journal.contentBytes, Buffer.byteLength(contentsOf(dir)), 'the count equals the bytes on the disk');
  t.match(contentsOf(dir), /"why":"limit","what":"clock-step"/);
  t.equal(resultOf(dir).erased, retention.erased.limit);
  t.strictSame(resultOf(dir).wrong, []);
  t.equal(openJournal(dir).contentBytes, journal.contentBytes, 'a restart counts the same');

  // The newest 4 files remain after everything erasable is gone.
  const tight = new JournalRetention(journal, { alertsDays: () => 36_500, bytesMax: 1 });
  while (tight.step(BEGIN_MS, true));
  t.strictSame(resultOf(dir).wrong, []);
  t.match(contentsOf(dir), /"alert-of-day-1499"/);
  t.match(contentsOf(dir), /"why":"limit","what":"alert"/, 'the erasures themselves are never erased');
});

/** Folder in which Debian installs the packages of golang-…-dev. */
const GOPATH = '/usr/share/gocode';
const GO_SOURCE = join(ROOT, 'test/fixtures/journal/verify.go');

function goMissing(): string | false {
  if (spawnSync('go', ['version']).status !== 0) return 'no go: the package golang-go is not installed';
  return existsSync(join(GOPATH, 'src/golang.org/x/mod/sumdb/tlog'))
    ? false
    : 'no sumdb/tlog: the package golang-golang-x-mod-dev is not installed';
}

/** Decodes its signatures, because Go accepts base64 with unused last bits set and this project does not. */
const decodedNote = (note: Buffer): string =>
  note
    .toString('latin1')
    .replace(/[A-Za-z0-9+/]+={1,2}$/gm, (text) => Buffer.from(text, 'base64').toString('hex'));

void t.test(
  'an independent verifier agrees: Debian’s golang.org/x/mod',
  { skip: goMissing() || unlessFull },
  async (t) => {
    const program = join(scratch(t), 'verify');
    const env = { ...process.env, GOPATH, GO111MODULE: 'off', GOCACHE: join(ROOT, '.cache/go') };
    execFileSync('go', ['build', '-o', program, GO_SOURCE], { env, stdio: 'pipe' });
    const verified = (stateDir: string, key = keyOf(stateDir)): string =>
      spawnSync(program, [join(stateDir, 'journal'), key], { encoding: 'utf8' }).stdout.trim();
    t.equal(verified(intactDir), 'VERIFIED 601');
    const small = scratch(t);
    fill(openJournal(small), 1);
    t.equal(verified(small), 'VERIFIED 1');
    t.match(verified(intactDir, keyOf(small)), /^REJECTED/, 'another key');

    // Heads with their proofs, as a witness receives them.
    const grown = scratch(t);
    const journal = openJournal(grown);
    const [head, provenHead] = [join(grown, 'old'), join(grown, 'provenHead')];
    for (const [from, to] of [
      [1, 2],
      [3, 7],
      [8, 200],
      [200, 256],
      [256, 257],
      [257, 700],
    ] as const) {
      fill(journal, from);
      writeFileSync(head, noteIn(grown));
      fill(journal, to);
      writeFileSync(provenHead, journal.provenHead(from));
      const goVerdict = (): string =>
        spawnSync(program, [provenHead, keyOf(grown), head], { encoding: 'utf8' }).stdout.trim();
      t.equal(goVerdict(), `VERIFIED ${to}`, `from ${from} to ${to}`);
      writeFileSync(
        provenHead,
        journal.provenHead(from).replace(/\n(.)/, (_, first) => (first === 'A' ? '\nB' : '\nA')),
      );
      t.match(goVerdict(), /^REJECTED/);
    }

    // The files that both verifiers read; the contents are read by this project's only.
    const files = filesBelow(join(intactDir, 'journal')).filter((path) => !path.startsWith('contents/'));
    const random = randomOf(SEED);
    const randomBelow = (n: number): number => Math.floor(random() * n);
    for (const path of files.flatMap((file) => Array.from({ length: 12 }, () => file))) {
      const file = join(intactDir, 'journal', path);
      const before = readFileSync(file);
      const after = TAMPER.bit(before, path, randomBelow);
      writeFileSync(file, after);
      const goResult = verified(intactDir);
      if (!goResult.startsWith('REJECTED') && decodedNote(after) !== decodedNote(before))
        t.fail(`not found by Go in ${path}: ${goResult}`);
      if (wrongIn(intactDir).length === 0) t.fail(`not found by us in ${path}`);
      writeFileSync(file, before);
    }
    t.equal(verified(intactDir), 'VERIFIED 601', 'put back, it is verified again');
  },
);
