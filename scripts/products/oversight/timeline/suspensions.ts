/** Checks that every recorded suspension was ended by a resume that names it. */
import type { JournalContent } from '../../../../agent/contract/journal.ts';

/** A case in which analysis resumed and no entry shows that the keys had ended the suspension. */
export interface MissingResume {
  readonly suspension: string;
  /** Time at which the suspension was first recorded. */
  readonly sinceMs: number;
  /** Time at which analysis resumed. */
  readonly atMs: number;
}

export class Suspensions {
  readonly missing: MissingResume[] = [];
  readonly #open = new Map<string, number>();
  /**
   * Suspensions that ended before they were recorded: a resume may overtake a suspension that is still being carried
   * out.
   */
  readonly #endedEarly = new Set<string>();
  readonly #seenIds = new Set<string>();

  #atMs = 0;

  /** Adds an entry, in order. */
  add(content: JournalContent): void {
    const ms = Date.parse(content.at);
    // An entry without a time is at least as late as the one before it.
    if (!Number.isNaN(ms)) this.#atMs = ms;
    const atMs = this.#atMs;
    if (content.type === 'suspend') this.#begin(content.id, atMs);
    if (content.type === 'mode' && content.suspension !== null) this.#begin(content.suspension, atMs);
    if (content.type === 'resume' && !this.#open.delete(content.id) && !this.#seenIds.has(content.id))
      this.#endedEarly.add(content.id);
    if (content.type !== 'mode' || content.mode !== 'active') return;
    for (const [suspension, sinceMs] of this.#open) this.missing.push({ suspension, sinceMs, atMs });
    this.#open.clear();
    this.#endedEarly.clear();
  }

  #begin(id: string, atMs: number): void {
    if (this.#endedEarly.has(id)) return;
    this.#seenIds.add(id);
    if (!this.#open.has(id)) this.#open.set(id, atMs);
  }
}
