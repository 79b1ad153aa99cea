/**
 * Erases contents of the journal. Alerts expire with the retention of events; beyond CONTENTS_MAX the oldest contents
 * of any kind are erased. Hashes stay, so that the proof remains valid. Each erasure is an entry that states what was
 * erased and why.
 *
 * LIMITS:
 * - One file of 256 entries a step, so that frames never wait long.
 * - The erasures' own entries stay: without them missing content would be a fault.
 * - The newest KEPT_FILES files stay, whatever their size.
 */
import type { JournalContent } from '../../contract/journal.ts';
import type { Journal } from './journal.ts';
import { TILE_WIDTH } from './tree.ts';

/** About ten years of heartbeats. */
const CONTENTS_MAX = 512 * 1_048_576;
const KEPT_FILES = 4;
const DAY_MS = 86_400_000;

export class JournalRetention {
  readonly #journal: Journal;
  readonly #alertsDays: () => number;
  readonly #bytesMax: number;
  /** Oldest files that may still hold contents to erase: of alerts, and of any kind. */
  #alertsFrom = 0;
  #anyFrom = 0;
  /** Number of entries erased since the start of the process. */
  readonly erased = { retention: 0, limit: 0 };

  constructor(journal: Journal, options: { alertsDays(): number; readonly bytesMax?: number }) {
    this.#journal = journal;
    this.#alertsDays = () => options.alertsDays();
    this.#bytesMax = options.bytesMax ?? CONTENTS_MAX;
  }

  /**
   * Processes one file; true while there is more to do. `trusted`: whether the wall clock may decide. Throws AgentError
   * as `append`.
   */
  step(wallMs: number, trusted: boolean): boolean {
    const at = new Date(wallMs).toISOString();
    if (this.#journal.contentBytes > this.#bytesMax && this.#evict(at)) return true;
    return trusted && this.#expire(new Date(wallMs - this.#alertsDays() * DAY_MS).toISOString(), at);
  }

  #expire(before: string, at: string): boolean {
    const file = this.#alertsFrom;
    const contents = this.#journal.contentsOf(file);
    const alerts = contents.filter(({ content }) => content?.type === 'alert');
    const due = alerts.filter(({ content }) => (content as JournalContent).at < before);
    if (due.length > 0) this.#erase(due, 'retention', at);
    // A full file without a younger alert is finished permanently.
    if (contents.length < TILE_WIDTH || due.length < alerts.length) return false;
    this.#alertsFrom = file + 1;
    return true;
  }

  /** False when nothing more may be erased. */
  #evict(at: string): boolean {
    const file = this.#anyFrom;
    if ((file + KEPT_FILES) * TILE_WIDTH > this.#journal.size) return false;
    const kinds = new Map<string, Entry[]>();
    for (const entry of this.#journal.contentsOf(file)) {
      const type = entry.content?.type;
      if (type === undefined || type === 'erase') continue;
      kinds.set(type, [...(kinds.get(type) ?? []), entry]);
    }
    for (const entries of kinds.values()) this.#erase(entries, 'limit', at);
    this.#anyFrom = file + 1;
    return true;
  }

  /** Erases entries of one kind, so that their number can still be stated. */
  #erase(entries: readonly Entry[], reason: 'retention' | 'limit', at: string): void {
    const [first] = entries;
    const indices = entries.map(({ index }) => index);
    this.#journal.erase(indices, reason, at, first?.content?.type);
    this.erased[reason] += indices.length;
  }
}

type Entry = ReturnType<Journal['contentsOf']>[number];
