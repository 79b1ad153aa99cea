/** Tests a journal exported to one file: it is verified like the folder, and every tampering is detected. */
import { cpSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { exportJournal } from '../../agent/restraint/journal/export.ts';
import { COSIGNATURE, parseVerifierKey } from '../../agent/restraint/journal/note.ts';
import type { Against } from '../../scripts/lib/journal/verification.ts';
import { Witness } from '../../scripts/products/oversight/witness/witness.ts';
import { AT, fill, keyOf, noteIn, ORIGIN, openJournal, wrongAt } from '../lib/journal.ts';
import { scratch } from '../lib/paths.ts';
import { oversight, vigie } from '../lib/program.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { FULL, unlessAll } from '../lib/run.ts';

const TAMPERINGS = FULL ? 1000 : 60;
t.comment(`VIGIE_TEST_SEED=${SEED}`);

const sourceDir = scratch(t);
const file = join(sourceDir, 'export.jsonl');
{
  const journal = openJournal(sourceDir);
  fill(journal, 600);
  journal.erase([3, 255, 256], 'retention', AT);
  exportJournal(join(sourceDir, 'journal'), file);
}
const key = keyOf(sourceDir);

/** Faults of the export; a file that is not an export is a fault too. */
function foundIn(text: Buffer | string, against: Against = {}): readonly string[] {
  const tampered = join(sourceDir, 'tampered.jsonl');
  writeFileSync(tampered, text);
  try {
    return wrongAt(tampered, key, against);
  } catch (error) {
    if (!(error instanceof AgentError) || error.kind !== 'config') throw error;
    return [error.message];
  }
}

type RandomBelow = (n: number) => number;

/** Changes to lines without their ends; the first line is the head. */
const TAMPER: Readonly<Record<string, (lines: string[], randomBelow: RandomBelow) => void>> = {
  'a bit': (lines, randomBelow) => {
    const at = randomBelow(lines.length);
    const bytes = Buffer.from(lines[at] as string);
    const place = randomBelow(bytes.length);
    bytes[place] = (bytes[place] as number) ^ (1 << randomBelow(7));
    lines[at] = bytes.toString('latin1');
  },
  truncated: (lines, randomBelow) => void lines.splice(1 + randomBelow(lines.length - 1)),
  'reordered and renumbered': (lines, randomBelow) => {
    const a = 1 + randomBelow(lines.length - 2);
    const [one, other] = [lines[a] as string, lines[a + 1] as string];
    lines[a] = other.replace(/"index":\d+/, `"index":${a - 1}`);
    lines[a + 1] = one.replace(/"index":\d+/, `"index":${a}`);
  },
  edited: (lines, randomBelow) => {
    const at = 1 + randomBelow(lines.length - 1);
    lines[at] = (lines[at] as string).replace(/"stepMs":\d+/, `"stepMs":${randomBelow(10_000)}`);
  },
  'erased in secret': (lines, randomBelow) => {
    const index = randomBelow(lines.length - 1);
    const sha256 = 'ab'.repeat(32);
    lines[index + 1] = JSON.stringify({ index, erased: true, sha256 });
  },
  'with another size': (lines, randomBelow) => {
    lines[0] = (lines[0] as string).replace(/\\n\d+\\n/, `\\n${randomBelow(600)}\\n`);
  },
};

void t.test(`all of ${TAMPERINGS} tamperings with an export are detected`, async (t) => {
  t.strictSame(wrongAt(file, key), []);
  const text = readFileSync(file, 'utf8');
  const random = randomOf(SEED);
  const randomBelow = (n: number): number => Math.floor(random() * n);
  const ways = Object.keys(TAMPER);
  const triedWays = new Map<string, number>();
  for (let i = 0; i < TAMPERINGS; i += 1) {
    const way = ways[i % ways.length] as string;
    const lines = text.split('\n').slice(0, -1);
    TAMPER[way]?.(lines, randomBelow);
    const after = lines.map((line) => `${line}\n`).join('');
    if (after === text) {
      i -= 1;
      continue;
    }
    triedWays.set(way, (triedWays.get(way) ?? 0) + 1);
    if (foundIn(after).length === 0) t.fail(`not found: ${way}, try ${i}`);
  }
  t.comment(JSON.stringify(Object.fromEntries(triedWays)));
  t.equal(triedWays.size, ways.length, 'every way was tried');
  t.match(foundIn(text.slice(0, -1)), [/./], 'the last byte is missed too');
  t.strictSame(foundIn(text), [], 'put back, it is valid again');
});

void t.test(
  'an older image and a fork are valid alone, and detected by a kept head or a witness',
  async (t) => {
    const witness = new Witness({
      dir: scratch(t),
      name: 'court.example',
      keys: key,
      wallMs: () => Date.parse(AT),
    });
    const { assessment } = witness.journal(file);
    t.equal(assessment.is, 'cosigned');
    const cosigned = { file: 'witnessed.txt', note: assessment.is === 'cosigned' ? assessment.note : '' };
    const keptHead = { file: 'head.txt', note: noteIn(sourceDir) };
    const witnesses = [parseVerifierKey(witness.vkey, COSIGNATURE)];

    const [older, forked] = [scratch(t), scratch(t)];
    // The box's key signs both, as it can on a stolen card.
    for (const dir of [older, forked]) cpSync(join(sourceDir, 'journal.key'), join(dir, 'journal.key'));
    fill(openJournal(older), 400);
    fill(openJournal(forked), 700, 1);
    for (const [dir, message] of [
      [older, /^rolled back or cut short: (head|witnessed)\.txt signs 601 entries, here are 400$/],
      [forked, /^forked: the first 601 entries are not those that (head|witnessed)\.txt signs$/],
    ] as const) {
      const other = join(dir, 'export.jsonl');
      exportJournal(join(dir, 'journal'), other);
      t.strictSame(wrongAt(other, key), [], 'alone, it is valid');
      t.match(wrongAt(other, key, { heads: [keptHead] }), [message]);
      t.match(wrongAt(other, key, { heads: [cosigned], witnesses }), [message]);
      t.match(wrongAt(other, key, { witnesses }), [/the witness court\.example has cosigned none/]);
      t.match(witness.journal(other).assessment, { is: 'alarm' });
    }
    t.strictSame(wrongAt(file, key, { heads: [keptHead, cosigned], witnesses }), []);
  },
);

void t.test(
  'the commands export a journal and verify FILE with a plain sentence and its exit code',
  { skip: unlessAll },
  async (t) => {
    const out = join(scratch(t), 'canebiere-017.jsonl');
    const exportRun = vigie(t, 'journal', 'export', join(sourceDir, 'journal'), '--out', out);
    t.equal(await exportRun.exit, 0, exportRun.err);
    t.equal(exportRun.out, `${out}: 601 entries\n`);
    t.equal(statSync(out).mode & 0o777, 0o600);
    t.notMatch(readFileSync(out, 'utf8'), /PRIVATE KEY/);
    const vkey = join(scratch(t), 'box.vkey');
    writeFileSync(vkey, `${key}\n`);
    const good = oversight(t, 'verify', out, '--key', vkey);
    t.equal(await good.exit, 0, good.err);
    t.match(good.out, /\nIntact: the journal of box canebiere-017 at marseille-1 has 601 entries, .*\.\n$/);
    writeFileSync(out, readFileSync(out, 'utf8').replace('"stepMs":77}', '"stepMs":78}'));
    const bad = oversight(t, 'verify', out, '--key', vkey, '--json');
    t.equal(await bad.exit, 1, bad.err);
    t.match(JSON.parse(bad.out), {
      inOrder: false,
      sentence: /^NOT intact: /,
      origin: ORIGIN,
      wrong: [/root/],
    });
    const keyRun = vigie(t, 'journal', 'key', '--state', sourceDir);
    t.equal(await keyRun.exit, 0, keyRun.err);
    t.equal(keyRun.out.trim(), key);
    for (const [args, message] of [
      [['verify', out, '--key', 'nonsense'], /not an ed25519 verifier key/],
      [['verify', vkey, '--key', vkey], /is not an export of vigie journal export/],
      [['export', join(sourceDir, 'nowhere'), '--out', `${out}.2`], /does not contain a journal/],
      [['export', join(sourceDir, 'journal'), '--out', out], /name a new file with --out/],
    ] as const) {
      const refusal = args[0] === 'export' ? vigie(t, 'journal', ...args) : oversight(t, ...args);
      t.equal(await refusal.exit, 2);
      t.match(refusal.err, message);
    }
  },
);
