/** Journals on real disks: written by hand, or by the agent's recorder. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { TrustedClock } from '../../agent/base/trusted-clock.ts';
import type { Config } from '../../agent/contract/config.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { ownFolder } from '../../agent/orders/restraint-folder.ts';
import { Journal } from '../../agent/restraint/journal/journal.ts';
import { JOURNAL_KEY_FILE, readJournalKey } from '../../agent/restraint/journal/key.ts';
import { parseVerifierKey, verifierKey } from '../../agent/restraint/journal/note.ts';
import { JournalRecorder } from '../../agent/restraint/journal/recorder.ts';
import { VisionStatus } from '../../agent/supervisor/status.ts';
import { TrackLogStatus } from '../../agent/tracks/status.ts';
import { type Against, type KnownCheckpoint, verifyJournal } from '../../scripts/lib/journal/verification.ts';
import { contentOf } from '../../scripts/products/oversight/timeline/content.ts';
import { HandClock, SILENT } from './outbox.ts';

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

type RecorderOptions = ConstructorParameters<typeof JournalRecorder>[0];

/** The agent's recorder of a box without archive, broker and vision, unless `options` has them. */
export function makeRecorder(
  stateDir: string,
  config: Config,
  options: Partial<RecorderOptions> = {},
): JournalRecorder {
  const { clock = new HandClock() } = options;
  return new JournalRecorder({
    boot: 'b',
    clock,
    log: SILENT,
    config,
    stateDir,
    changeOrigin: () => 'box',
    alertsDays: () => 30,
    publisher: undefined,
    steady: new TrustedClock(clock, () => true),
    archive: { records: () => [], record: () => undefined },
    status: new VisionStatus(config),
    folder: ownFolder(stateDir),
    trackStatus: new TrackLogStatus(),
    ...options,
  });
}

/** Entries of a short journal as the report reads them, so that an entry of another form shows as another type. */
export function contentsIn(stateDir: string): JournalContent[] {
  return readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { content?: JournalContent }).content)
    .map((content) => (content === undefined ? content : contentOf(content)) as JournalContent);
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
