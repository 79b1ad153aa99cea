/**
 * Selects the next row of a lane to send: live rows immediately, the backlog in order behind them.
 * At the start of a session all rows in the lane are backlog; later ones are live. A live row may overtake, because the
 * archive sorts a lane by its numbers.
 *
 * INVARIANT: within a session each row is sent once, until `rewind` makes all unreleased rows backlog again.
 */
import type { OutboxRow, SeqRange } from '../contract/outbox.ts';

export class LaneCursor {
  /** Next number of the backlog, and its last one. */
  #backlog = 1;
  #backlogEnd = 0;
  /** Next live number. */
  #live = 1;

  /** Starts a session, in which no row counts as sent. */
  begin({ first, last }: SeqRange): void {
    this.#backlog = first;
    this.#backlogEnd = last;
    this.#live = last + 1;
  }

  /** Makes everything not yet released backlog again. */
  rewind(first: number): void {
    this.#backlog = first;
    this.#backlogEnd = this.#live - 1;
  }

  /**
   * Returns the next row, or undefined if there is none to send now. The limit `backlogMax` is the number of backlog
   * rows that may be in flight beyond the first unreleased one.
   */
  next(
    first: number,
    backlogMax: number,
    peek: (after: number) => OutboxRow | undefined,
  ): OutboxRow | undefined {
    const live = peek(this.#live - 1);
    if (live !== undefined) {
      this.#live = live.seq + 1;
      return live;
    }
    this.#backlog = Math.max(this.#backlog, first);
    if (this.#backlog > this.#backlogEnd || this.#backlog - first >= backlogMax) return undefined;
    const row = peek(this.#backlog - 1);
    if (row === undefined || row.seq > this.#backlogEnd) {
      this.#backlog = this.#backlogEnd + 1;
      return undefined;
    }
    this.#backlog = row.seq + 1;
    return row;
  }
}
