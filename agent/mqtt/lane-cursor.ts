/**
 * Which row of a lane is sent next: live ones at once, the backlog in order behind them.
 *
 * A session begins with everything that is in the lane as backlog; what is accepted from then on is live.
 * The archive puts a lane in order by its numbers, so that a live row may overtake.
 *
 * INVARIANT: within a session each row is sent once, until `rewind` makes all that was not released
 * backlog again.
 */
import type { OutboxRow, SeqRange } from '../contract/outbox.ts';

export class LaneCursor {
  /** Next number of the backlog, and its last one. */
  #back = 1;
  #backEnd = 0;
  /** Next live number. */
  #live = 1;

  /** A new session: nothing of what is in the lane counts as sent. */
  begin({ first, last }: SeqRange): void {
    this.#back = first;
    this.#backEnd = last;
    this.#live = last + 1;
  }

  /** Everything not yet released is backlog again. */
  rewind(first: number): void {
    this.#back = first;
    this.#backEnd = this.#live - 1;
  }

  /**
   * The next row, or undefined when there is none to send now. `ahead` = how many numbers of the backlog
   * may be under way beyond the first unreleased one.
   */
  next(first: number, ahead: number, peek: (after: number) => OutboxRow | undefined): OutboxRow | undefined {
    const live = peek(this.#live - 1);
    if (live !== undefined) {
      this.#live = live.seq + 1;
      return live;
    }
    this.#back = Math.max(this.#back, first);
    if (this.#back > this.#backEnd || this.#back - first >= ahead) return undefined;
    const row = peek(this.#back - 1);
    if (row === undefined || row.seq > this.#backEnd) {
      this.#back = this.#backEnd + 1;
      return undefined;
    }
    this.#back = row.seq + 1;
    return row;
  }
}
