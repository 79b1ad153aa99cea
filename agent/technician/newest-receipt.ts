/**
 * Holds the newest receipt of an installation, with its redacted still, for the technician's page.
 *
 * LIMITS: one receipt, in memory only, so a restart of the agent forgets it. The room and the outbox keep theirs.
 */
import type { Clock } from '../base/clock.ts';
import type { VigieEvent } from '../contract/event.ts';
import type { EventPicture } from '../contract/event-sink.ts';
import type { Outbox } from '../contract/outbox.ts';
import type { ReceiptView } from '../contract/page-link.ts';
import type { RedactedJpeg } from '../contract/redacted-jpeg.ts';

/** An event waits 3 s for its picture at most (incident/evidence-queue.ts), and for those before it. */
const WAIT_MS_MAX = 15_000;

export interface NewestReceiptOptions {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly outbox: Pick<Outbox, 'range'>;
}

export class NewestReceipt {
  readonly #options: NewestReceiptOptions;
  #newest: { readonly event: VigieEvent; readonly still: RedactedJpeg | undefined } | undefined;
  /** Monotonic time until which a requested receipt is awaited. */
  #waitsUntilMs = 0;
  #issued = 0;

  constructor(options: NewestReceiptOptions) {
    this.#options = options;
  }

  /** Receipts accepted by the outbox since the start. */
  get issued(): number {
    return this.#issued;
  }

  /** True from the request for a receipt until the outbox has accepted it, or WAIT_MS_MAX have passed. */
  get isWaiting(): boolean {
    return this.#options.clock.nowMs() < this.#waitsUntilMs;
  }

  /** Records that a receipt was requested and waits for its still. */
  awaits(): void {
    this.#waitsUntilMs = this.#options.clock.nowMs() + WAIT_MS_MAX;
  }

  /** Must be called for each accepted event. */
  accepted(event: VigieEvent, pictures: readonly EventPicture[]): void {
    const { rule, phase } = event.data;
    if (rule.kind !== 'installed' || phase !== 'start') return;
    this.#newest = { event, still: pictures[0]?.picture };
    this.#waitsUntilMs = 0;
    this.#issued += 1;
  }

  get still(): RedactedJpeg | undefined {
    return this.#newest?.still;
  }

  /** Null before the first one. */
  get view(): ReceiptView | null {
    if (this.#newest === undefined) return null;
    const { event, still } = this.#newest;
    const { id, time, sequence, data } = event;
    const { snapshot, absent } = data.evidence;
    // The still's number follows the event's.
    const lastSeq = Number(sequence) + (still === undefined ? 0 : 1);
    return {
      id,
      time,
      passed: data.cause['passed'] === true,
      still: snapshot?.sha256 ?? null,
      absent: absent ?? null,
      delivered: this.#options.outbox.range('bulk').first > lastSeq,
    };
  }
}
