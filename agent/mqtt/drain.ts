/**
 * Publishes the rows of the outbox in a window and releases them when they are acknowledged.
 *
 * INVARIANTS:
 * - A row leaves the outbox only after its acknowledgement, or becomes a gap that states its reason. With
 *   `ack: archive`, the acknowledgement is the room's cumulative one, with `ack: broker` it is PUBACK.
 * - Neither lane waits for the other, whatever the window.
 * - Only this module repeats messages.
 *
 * LIMITS:
 * - WINDOW messages unacknowledged by the broker (fewer if it says so), of which a quarter is reserved for the other
 *   lane, and LANE_BYTES per lane.
 * - AHEAD_MAX numbers of backlog beyond the archive's acknowledgement. Further rows stay in the outbox.
 * - Pictures larger than the broker accepts become gaps. Events do so too, if it accepts EVENT_BYTES.
 */
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { RepeatedLine } from '../base/repeated-line.ts';
import type { Ack } from '../contract/ack.ts';
import type { MqttConfig } from '../contract/config.ts';
import { UNACKNOWLEDGED_S_MAX } from '../contract/health.ts';
import { LANES, type Lane, type Outbox, type OutboxRow } from '../contract/outbox.ts';
import { ArchiveSilence } from './archive-silence.ts';
import { type DeliveryError, tooLargeError } from './connection-errors.ts';
import { LaneCursor } from './lane-cursor.ts';
import { PACKET_TOO_LARGE } from './learnt-limits.ts';
import { type Message, packetBytes } from './publish-packet.ts';
import type { Refusals } from './refusals.ts';
import type { Session } from './session.ts';

/** Mosquitto's default receive maximum (max_inflight_messages 20); a larger window did not drain faster. */
const WINDOW = 20;

/**
 * Maximum size in flight of a lane, in bytes. At 1 Mbit/s the data of both lanes takes 2 s, which is the longest wait
 * of a live alert.
 */
const LANE_BYTES = 131_072;

/**
 * Backlog sent beyond the archive's acknowledgement. The archive acknowledges every 100 ms, so 1,000 allow 10,000 rows
 * a second. Mosquitto queues 1,000 messages per subscriber by default.
 */
const AHEAD_MAX = 1000;
/** Limit until the archive acknowledges in this session, so that a reconnection repeats little. */
const AHEAD_UNPROVEN = 20;
/** Limit after a stall: one row tests whether the archive is back. */
const AHEAD_PROBE = 1;

const REFUSED_MAX = 1000;

/**
 * An event with 64 objects has about 9 kB. A broker that accepts less is not suitable for events. They then wait until
 * it is fixed, and are not dropped one by one.
 */
const EVENT_BYTES = 16_384;
const TOO_LARGE_EVERY_MS = 3_600_000;

const BAD_ACK_EVERY_MS = 60_000;

/** Broker acknowledgements are removed from the outbox together: one commit for many rows. */
const RELEASE_BATCH = 100;
const RELEASE_PENDING_MAX = 1000;

export interface DrainOptions {
  readonly outbox: Outbox;
  readonly ack: MqttConfig['ack'];
  readonly stallMs: number;
  /**
   * A refusal needs a person. The row is sent again at this interval, in ms, also across connections. Some brokers end
   * the connection with each refusal and would otherwise let nothing else through.
   */
  readonly refusedRetryMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Records which rows are refused, by `<lane>/<number>`. */
  readonly refusals: Refusals;
  messageOf(lane: Lane, row: OutboxRow, first: number): Message;
  /** Called when the broker has the message with this number. */
  onPuback(lane: Lane, seq: number): void;
}

export interface DrainCounters {
  published: number;
  acknowledged: number;
  resends: number;
  refusals: number;
  badAcks: number;
}

interface LaneState {
  readonly cursor: LaneCursor;
  inFlight: number;
  inFlightBytes: number;
  backlogMax: number;
  /** Acknowledged by the broker, not yet released. */
  acked: number[];
  /** Monotonic time since which nothing has moved. */
  waitingSinceMs: number;
  /** Refused rows that are not sent again yet, with the monotonic time of the refusal. */
  readonly suppressed: Map<number, number>;
  /** Rows that were refused and not accepted since. */
  readonly refusedSeqs: Set<number>;
  readonly silence: ArchiveSilence;
}

export class Drain {
  readonly counters: DrainCounters = { published: 0, acknowledged: 0, resends: 0, refusals: 0, badAcks: 0 };
  readonly #options: DrainOptions;
  readonly #lanes: Record<Lane, LaneState>;
  #session: Session | undefined;
  #pumping = false;
  /** Lane whose turn it is, across calls: a window of one alternates between the lanes. */
  #turn = 0;
  readonly #tooLargeLine: RepeatedLine;
  readonly #badAckLine: RepeatedLine;
  #hasToldSilence = false;

  constructor(options: DrainOptions) {
    this.#options = options;
    this.#tooLargeLine = new RepeatedLine(TOO_LARGE_EVERY_MS, options.clock);
    this.#badAckLine = new RepeatedLine(BAD_ACK_EVERY_MS, options.clock);
    this.#lanes = { alert: emptyLane(options.clock), bulk: emptyLane(options.clock) };
  }

  /** Seconds for which the archive has not acknowledged a lane that waits for it: the maximum over the lanes. */
  get unacknowledgedS(): number {
    return Math.floor(Math.max(...LANES.map((lane) => this.#lanes[lane].silence.ms)) / 1000);
  }

  /** Sends rows through this session from now on. Rows in flight in an earlier session are sent again. */
  attach(session: Session): void {
    this.detach();
    const nowMs = this.#options.clock.nowMs();
    for (const lane of LANES) {
      const state = this.#lanes[lane];
      state.cursor.begin(this.#options.outbox.range(lane));
      state.backlogMax = AHEAD_UNPROVEN;
      state.inFlight = 0;
      state.inFlightBytes = 0;
      state.waitingSinceMs = nowMs;
    }
    this.#session = session;
    this.pump();
  }

  detach(): void {
    this.#session = undefined;
    for (const lane of LANES) {
      this.#releaseAcked(lane);
      this.#lanes[lane].silence.pause();
    }
  }

  /** Sends rows as far as the window permits, alternating between the lanes. */
  pump(): void {
    const session = this.#session;
    if (session === undefined || this.#pumping) return;
    this.#pumping = true;
    try {
      for (let idle = 0; idle < LANES.length; this.#turn += 1) {
        const lane = LANES[this.#turn % LANES.length] ?? 'alert';
        idle = this.#sendNext(lane, session) ? 0 : idle + 1;
      }
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      // The next tick retries, whether or not the outbox is readable by then.
      this.#options.log.warn({ reason: error.message }, 'the outbox could not be read; it is tried again');
    } finally {
      this.#pumping = false;
    }
  }

  /** Releases everything through these numbers, which the room has stored. */
  acknowledged(ack: Ack): void {
    const { epoch } = this.#options.outbox;
    if (ack.epoch !== undefined && ack.epoch !== epoch) {
      const fields = { epoch: ack.epoch, ours: epoch };
      this.badAck(fields, 'the room acknowledges numbers of an earlier counting; ignored');
      return;
    }
    for (const lane of LANES) {
      const ackedSeq = ack[lane];
      if (ackedSeq === undefined) continue;
      const { outbox } = this.#options;
      const { first, last } = outbox.range(lane);
      if (ackedSeq > last) {
        this.badAck(
          { lane, through: ackedSeq, last },
          'the room acknowledges numbers never given out; ignored',
        );
      } else if (ackedSeq >= first) {
        this.#tryRelease(lane, () => outbox.releaseThrough(lane, ackedSeq));
      }
    }
    this.pump();
  }

  /** Counts an unusable acknowledgement, and logs it with a rate limit. */
  badAck(fields: object, message: string): void {
    this.counters.badAcks += 1;
    this.#badAckLine.due((leftOut) => this.#options.log.warn({ ...fields, leftOut }, message));
  }

  /** Processes batches and stalls; must be called a few times a second. */
  tick(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const lane of LANES) {
      this.#releaseAcked(lane);
      this.#checkForStall(lane, nowMs);
    }
    this.#tellSilence();
    this.pump();
  }

  /** Logs once that no archive acknowledges, until one does. */
  #tellSilence(): void {
    const { unacknowledgedS } = this;
    const isSilent = unacknowledgedS >= UNACKNOWLEDGED_S_MAX;
    if (isSilent && !this.#hasToldSilence) {
      this.#options.log.error(
        { unacknowledgedS },
        'the broker takes the messages and no archive acknowledges them: nothing leaves the outbox; run an archive in the room (docs/guide/room.md), or set mqtt.ack: broker where none is to run',
      );
    }
    this.#hasToldSilence = isSilent;
  }

  #checkForStall(lane: Lane, nowMs: number): void {
    const state = this.#lanes[lane];
    const { outbox, ack, stallMs, refusedRetryMs } = this.#options;
    const { first, last } = outbox.range(lane);
    if (first > last) {
      state.waitingSinceMs = nowMs;
      state.silence.end();
    }
    for (const seq of state.refusedSeqs) if (seq < first) this.#settle(lane, seq);
    const [refusedAtMs] = state.suppressed.values();
    const dueMs = refusedAtMs === undefined ? state.waitingSinceMs + stallMs : refusedAtMs + refusedRetryMs;
    if (this.#session === undefined || state.inFlight > 0 || nowMs < dueMs) return;
    this.counters.resends += 1;
    state.waitingSinceMs = nowMs;
    // Behind a refused row the archive cannot acknowledge, so its silence means nothing.
    if (ack === 'archive' && state.suppressed.size === 0) state.backlogMax = AHEAD_PROBE;
    // A row that has become part of a gap is no longer stuck.
    for (const seq of state.refusedSeqs)
      if (outbox.peek(lane, seq - 1, 1)[0]?.seq !== seq) this.#settle(lane, seq);
    state.suppressed.clear();
    state.cursor.rewind(first);
  }

  /** Sends the next row; returns false if there is none to send now, or no space. */
  #sendNext(lane: Lane, session: Session): boolean {
    const state = this.#lanes[lane];
    if (!this.#mayMore(lane, session)) return false;
    const { outbox, ack } = this.#options;
    const backlogMax = ack === 'archive' ? state.backlogMax : Number.MAX_SAFE_INTEGER;
    const peek = (after: number): OutboxRow | undefined => outbox.peek(lane, after, 1)[0];
    const row = state.cursor.next(outbox.range(lane).first, backlogMax, peek);
    if (row === undefined) return false;
    if (!state.suppressed.has(row.seq)) this.#send(lane, row, session);
    return true;
  }

  #send(lane: Lane, row: OutboxRow, session: Session): void {
    const state = this.#lanes[lane];
    const message = this.#options.messageOf(lane, row, this.#options.outbox.range(lane).first);
    const bytes = packetBytes(message);
    if (bytes > session.packetBytesMax) {
      const context = `publishing to ${message.topic}`;
      this.#tooLarge(lane, row, session, tooLargeError(context, bytes, session.packetBytesMax));
      return;
    }
    state.inFlight += 1;
    state.inFlightBytes += message.payload.length;
    this.counters.published += 1;
    session.publish(message, (refusal) => {
      if (this.#session !== session) return;
      state.inFlight -= 1;
      state.inFlightBytes -= message.payload.length;
      if (refusal === undefined) this.#accepted(lane, row.seq);
      else if (refusal.reasonCode === PACKET_TOO_LARGE) this.#tooLarge(lane, row, session, refusal);
      else this.#holdBack(lane, row.seq, refusal);
    });
  }

  /** Replaces the row by a gap, so that nothing waits behind a message that the broker will never accept. */
  #tooLarge(lane: Lane, row: OutboxRow, session: Session, refusal: DeliveryError): void {
    const { outbox, log } = this.#options;
    const { seq } = row;
    const bytesMax = session.packetBytesMax;
    const picture = row.kind === 'message' && row.contentType.startsWith('image/');
    try {
      const wasDropped = (picture || bytesMax >= EVENT_BYTES) && outbox.dropTooLarge(lane, seq);
      const gap = wasDropped ? outbox.peek(lane, seq - 1, 1)[0] : undefined;
      if (gap === undefined) {
        this.#holdBack(lane, seq, refusal);
        return;
      }
      const message = `the broker takes messages of at most ${bytesMax} bytes: larger ones, mostly pictures, are left out and reported to the room as a gap (too-large)`;
      this.#tooLargeLine.due((leftOut) => log.error({ lane, seq, leftOut }, `${message}; ${refusal.fix}`));
      this.#settle(lane, seq);
      this.#send(lane, gap, session);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      log.warn({ lane, seq, reason: error.message }, 'a row could not be left out; it is tried again');
      this.#holdBack(lane, seq, refusal);
    }
  }

  #holdBack(lane: Lane, seq: number, refusal: DeliveryError): void {
    const { suppressed, refusedSeqs } = this.#lanes[lane];
    this.counters.refusals += 1;
    if (refusedSeqs.size >= REFUSED_MAX) return;
    // Behind a refused row the archive cannot acknowledge; the refusal is reported on its own.
    this.#lanes[lane].silence.end();
    suppressed.set(seq, this.#options.clock.nowMs());
    refusedSeqs.add(seq);
    this.#options.refusals.add(`${lane}/${seq}`, refusal);
  }

  #settle(lane: Lane, seq: number): void {
    const { suppressed, refusedSeqs } = this.#lanes[lane];
    suppressed.delete(seq);
    if (refusedSeqs.delete(seq)) this.#options.refusals.settle(`${lane}/${seq}`);
  }

  #accepted(lane: Lane, seq: number): void {
    const state = this.#lanes[lane];
    this.#options.onPuback(lane, seq);
    this.#settle(lane, seq);
    if (this.#options.ack === 'archive') {
      if (state.refusedSeqs.size === 0) state.silence.begin();
      return;
    }
    state.acked.push(seq);
    state.waitingSinceMs = this.#options.clock.nowMs();
    if (state.acked.length >= RELEASE_BATCH) this.#releaseAcked(lane);
  }

  /** Reports whether the window has space for a row, besides the share that the other lane uses or may claim. */
  #mayMore(lane: Lane, session: Session): boolean {
    const own = this.#lanes[lane];
    const other = this.#lanes[lane === 'alert' ? 'bulk' : 'alert'];
    const window = Math.min(WINDOW, session.receiveMaximum);
    const otherInFlight = session.inFlight - own.inFlight - other.inFlight;
    const reservedCount = otherInFlight + Math.max(other.inFlight, Math.floor(window / 4));
    const bytesLeft = own.inFlight === 0 || own.inFlightBytes < LANE_BYTES;
    return session.room > 0 && own.inFlight + reservedCount < window && bytesLeft;
  }

  #releaseAcked(lane: Lane): void {
    const state = this.#lanes[lane];
    if (state.acked.length === 0) return;
    if (this.#tryRelease(lane, () => this.#options.outbox.release(lane, state.acked))) state.acked = [];
    // Rows dropped from this list are sent again: a duplicate, not a loss.
    state.acked.splice(0, Math.max(0, state.acked.length - RELEASE_PENDING_MAX));
  }

  #tryRelease(lane: Lane, release: () => number): boolean {
    const state = this.#lanes[lane];
    try {
      this.counters.acknowledged += release();
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      this.#options.log.warn({ lane, reason: error.message }, 'rows could not be released; they are kept');
      return false;
    }
    state.backlogMax = AHEAD_MAX;
    state.waitingSinceMs = this.#options.clock.nowMs();
    state.silence.end();
    return true;
  }
}

function emptyLane(clock: Clock): LaneState {
  return {
    cursor: new LaneCursor(),
    inFlight: 0,
    inFlightBytes: 0,
    backlogMax: AHEAD_UNPROVEN,
    acked: [],
    waitingSinceMs: 0,
    suppressed: new Map(),
    refusedSeqs: new Set(),
    silence: new ArchiveSilence(clock),
  };
}
