/** Journals that tests write by hand, on real disks. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { Journal } from '../../agent/restraint/journal/journal.ts';
import { JOURNAL_KEY_FILE, readJournalKey } from '../../agent/restraint/journal/key.ts';
import { parseVerifierKey, verifierKey } from '../../agent/restraint/journal/note.ts';
import { type Against, type KnownCheckpoint, verifyJournal } from '../../scripts/lib/journal/verification.ts';

export const ORIGIN = 'vigie/marseille-1/canebiere-017';
export const AT = '2026-11-24T14:00:00.000Z';

export function openJournal(stateDir: string): Journal {
  const journal = new Journal({ stateDir, origin: ORIGIN });
  journal.start();
  return journal;
}

export function fill(journal: Journal, size: number, salt = 0): void {
  const stepOf = (index: number): JournalContent => ({ at: AT, type: 'clock-step', stepMs: index + salt });
  const missing = Array.from({ length: size - journal.size }, (_, i) => stepOf(journal.size + i));
  journal.appendAll(missing);
}

export function keyOf(stateDir: string): string {
  return verifierKey(ORIGIN, readJournalKey(join(stateDir, JOURNAL_KEY_FILE)));
}

/** Faults of a journal, compared with these heads from elsewhere. */
export function wrongIn(stateDir: string, ...heads: KnownCheckpoint[]): readonly string[] {
  return wrongAt(join(stateDir, 'journal'), keyOf(stateDir), { heads });
}

/** Faults of a folder or an export. */
export function wrongAt(place: string, key: string, against: Against = {}): readonly string[] {
  return verifyJournal(place, parseVerifierKey(key), against).wrong;
}

export const noteIn = (stateDir: string): string =>
  readFileSync(join(stateDir, 'journal/checkpoint'), 'utf8');

export function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((path) =>
    statSync(join(dir, path)).isFile(),
  );
}
