/** Whether every suspension on record was ended by a resume that names it. */
import type { JournalContent } from '../../../../agent/contract/journal.ts';

/** The box looked again, and no entry says that the keys had ended this suspension. */
export interface MissingResume {
  readonly suspension: string;
  /** When it is first on record. */
  readonly sinceMs: number;
  /** When the box looked again. */
  readonly atMs: number;
}

export class Suspensions {
  readonly missing: MissingResume[] = [];
  readonly #open = new Map<string, number>();
  /** Ended before they were on record: a resume may overtake the suspension that is still being carried out. */
  readonly #endedEarly = new Set<string>();
  readonly #seen = new Set<string>();

  #atMs = 0;

  /** To be called for each entry in order. */
  add(content: JournalContent): void {
    const ms = Date.parse(content.at);
    // One without a time is as old as the one before it at least.
    if (!Number.isNaN(ms)) this.#atMs = ms;
    const atMs = this.#atMs;
    if (content.type === 'suspend') this.#begin(content.id, atMs);
    if (content.type === 'mode' && content.suspension !== null) this.#begin(content.suspension, atMs);
    if (content.type === 'resume' && !this.#open.delete(content.id) && !this.#seen.has(content.id))
      this.#endedEarly.add(content.id);
    if (content.type !== 'mode' || content.mode !== 'active') return;
    for (const [suspension, sinceMs] of this.#open) this.missing.push({ suspension, sinceMs, atMs });
    this.#open.clear();
    this.#endedEarly.clear();
  }

  #begin(id: string, atMs: number): void {
    if (this.#endedEarly.has(id)) return;
    this.#seen.add(id);
    if (!this.#open.has(id)) this.#open.set(id, atMs);
  }
}
