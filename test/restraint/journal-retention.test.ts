/** Tests erasure from the journal: entries go when their time is over, and the proof stays valid. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { JournalContent } from '../../agent/contract/journal.ts';
import type { Journal } from '../../agent/restraint/journal/journal.ts';
import { parseVerifierKey } from '../../agent/restraint/journal/note.ts';
import { JournalRetention } from '../../agent/restraint/journal/retention.ts';
import { verifyJournal } from '../../scripts/lib/journal/verification.ts';
import { filesBelow, keyOf, noteIn, openJournal, wrongIn } from '../lib/journal.ts';
import { scratch } from '../lib/paths.ts';

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
