/**
 * Publishes the rows of the outbox in a window and lets them go when they are acknowledged.
 *
 * INVARIANTS: a row leaves the outbox only after its acknowledgement (`ack: archive`: the room's
 * cumulative one, `ack: broker`: PUBACK); neither lane waits for the other; only here is anything repeated.
 * LIMITS: WINDOW messages unacknowledged by the broker (less where the broker says so), of which a quarter
 * is kept free for the other lane, and LANE_BYTES a lane; AHEAD_MAX numbers of backlog beyond the archive's
 * acknowledgement. What does not fit stays in the outbox.
 */
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Ack } from '../contract/ack.ts';
import type { MqttConfig } from '../contract/config.ts';
import { LANES, type Lane, type Outbox, type OutboxRow } from '../contract/outbox.ts';
import type { DeliveryError } from './faults.ts';
import { LaneCursor } from './lane-cursor.ts';
import type { Message, Session } from './session.ts';

/** Mosquitto's default receive maximum (max_inflight_messages 20); more did not drain faster. */
const WINDOW = 20;

/** At 1 Mbit/s what both lanes have under way is through after 2 s: a live alert waits no longer. */
const LANE_BYTES = 131_072;

/**
 * Backlog sent beyond the archive's acknowledgement. It acknowledges every 200 ms, so that 1,000 allow
 * 5,000 rows a second; Mosquitto queues 1,000 messages for a subscriber by default.
 */
const AHEAD_MAX = 1000;
/** Until the archive has shown in this session that it acknowledges, so that a reconnection repeats little. */
const AHEAD_UNPROVEN = 20;
/** After a stall: one row asks whether the archive is back. */
const AHEAD_PROBE = 1;

/**
 * A refusal is a matter for a person; the row is offered again at this pace, across connections too, since
 * some brokers end the connection with each refusal and would let nothing else through.
 */
const REFUSED_RETRY_MS = 60_000;
const REFUSED_MAX = 1000;

/** Broker acknowledgements are taken out of the outbox together: one commit for many rows. */
const RELEASE_BATCH = 100;
const RELEASE_PENDING_MAX = 1000;

export interface DrainOptions {
  readonly outbox: Outbox;
  readonly ack: MqttConfig['ack'];
  readonly stallMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  messageOf(lane: Lane, row: OutboxRow, first: number): Message;
  /** The broker refused a message, or (undefined) accepts again. */
  onRefusal(refusal: DeliveryError | undefined): void;
  /** The broker has the message with this number. */
  onPuback(lane: Lane, seq: number): void;
}

export interface DrainCounters {
  published: number;
  acknowledged: number;
  resends: number;
  refused: number;
  badAcks: number;
}

interface LaneState {
  readonly cursor: LaneCursor;
  inFlight: number;
  inFlightBytes: number;
  ahead: number;
  /** Acknowledged by the broker, not yet released. */
  acked: number[];
  /** Since when nothing has moved, monotonic. */
  waitingSinceMs: number;
  /** Rows that the broker refused, with the monotonic time of it. */
  readonly refused: Map<number, number>;
}

export class Drain {
  readonly counters: DrainCounters = { published: 0, acknowledged: 0, resends: 0, refused: 0, badAcks: 0 };
  readonly #options: DrainOptions;
  readonly #lanes: Record<Lane, LaneState>;
  #session: Session | undefined;
  #pumping = false;
  #lastPubackMs = 0;

  constructor(options: DrainOptions) {
    this.#options = options;
    this.#lanes = { alert: emptyLane(), bulk: emptyLane() };
  }

  /** Rows go out through this session from now on; what was in flight in an earlier one is sent again. */
  attach(session: Session): void {
    this.detach();
    const nowMs = this.#options.clock.nowMs();
    this.#lastPubackMs = nowMs;
    for (const lane of LANES) {
      const state = this.#lanes[lane];
      state.cursor.begin(this.#options.outbox.range(lane));
      state.ahead = AHEAD_UNPROVEN;
      state.inFlight = 0;
      state.inFlightBytes = 0;
      state.waitingSinceMs = nowMs;
    }
    this.#session = session;
    this.pump();
  }

  detach(): void {
    this.#session = undefined;
    for (const lane of LANES) this.#releaseAcked(lane);
  }

  /** Monotonic ms since which the broker owes a PUBACK; undefined when it owes none. */
  get owedSinceMs(): number | undefined {
    return LANES.some((lane) => this.#lanes[lane].inFlight > 0) ? this.#lastPubackMs : undefined;
  }

  /** Sends what the window allows: one row of each lane in turn. */
  pump(): void {
    const session = this.#session;
    if (session === undefined || this.#pumping) return;
    this.#pumping = true;
    try {
      while (LANES.map((lane) => this.#sendOne(lane, session)).includes(true));
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      // The outbox answers again or it does not; the next tick tries.
      this.#options.log.warn({ reason: error.message }, 'the outbox could not be read; it is tried again');
    } finally {
      this.#pumping = false;
    }
  }

  /** The room has stored everything through these numbers. */
  acknowledged(ack: Ack): void {
    const { epoch } = this.#options.outbox;
    if (ack.epoch !== undefined && ack.epoch !== epoch) {
      this.counters.badAcks += 1;
      const fields = { epoch: ack.epoch, ours: epoch };
      this.#options.log.warn(fields, 'the room acknowledges numbers of an earlier counting; ignored');
      return;
    }
    for (const lane of LANES) {
      const through = ack[lane];
      if (through === undefined) continue;
      const { outbox, log } = this.#options;
      const { first, last } = outbox.range(lane);
      if (through > last) {
        this.counters.badAcks += 1;
        log.warn({ lane, through, last }, 'the room acknowledges numbers never given out; ignored');
      } else if (through >= first) {
        this.#let(lane, () => outbox.releaseThrough(lane, through));
      }
    }
    this.pump();
  }

  /** To be called a few times a second: batches, stalls. */
  tick(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const lane of LANES) {
      this.#releaseAcked(lane);
      this.#lookForStall(lane, nowMs);
    }
    this.pump();
  }

  #lookForStall(lane: Lane, nowMs: number): void {
    const state = this.#lanes[lane];
    const { outbox, stallMs } = this.#options;
    const { first, last } = outbox.range(lane);
    if (first > last) state.waitingSinceMs = nowMs;
    for (const seq of state.refused.keys()) if (seq < first) state.refused.delete(seq);
    const [refusedAtMs] = state.refused.values();
    const dueMs = refusedAtMs === undefined ? state.waitingSinceMs + stallMs : refusedAtMs + REFUSED_RETRY_MS;
    if (this.#session === undefined || state.inFlight > 0 || nowMs < dueMs) return;
    this.counters.resends += 1;
    state.waitingSinceMs = nowMs;
    // Behind a refused row the archive cannot acknowledge, and says nothing about itself.
    if (this.#options.ack === 'archive' && state.refused.size === 0) state.ahead = AHEAD_PROBE;
    state.refused.clear();
    state.cursor.rewind(first);
  }

  #sendOne(lane: Lane, session: Session): boolean {
    const state = this.#lanes[lane];
    if (!this.#mayMore(lane, session.receiveMaximum)) return false;
    const { outbox, ack } = this.#options;
    const ahead = ack === 'archive' ? state.ahead : Number.MAX_SAFE_INTEGER;
    const peek = (after: number): OutboxRow | undefined => outbox.peek(lane, after, 1)[0];
    const { first } = outbox.range(lane);
    const row = state.cursor.next(first, ahead, peek);
    if (row === undefined) return false;
    if (state.refused.has(row.seq)) return true;
    const message = this.#options.messageOf(lane, row, first);
    if (this.owedSinceMs === undefined) this.#lastPubackMs = this.#options.clock.nowMs();
    state.inFlight += 1;
    state.inFlightBytes += message.payload.length;
    this.counters.published += 1;
    session.publish(message, (refusal) => {
      if (this.#session !== session) return;
      state.inFlight -= 1;
      state.inFlightBytes -= message.payload.length;
      this.#lastPubackMs = this.#options.clock.nowMs();
      this.#answered(lane, row.seq, refusal);
      this.pump();
    });
    return true;
  }

  #answered(lane: Lane, seq: number, refusal: DeliveryError | undefined): void {
    const state = this.#lanes[lane];
    const { ack, onRefusal } = this.#options;
    if (refusal !== undefined) {
      this.counters.refused += 1;
      if (state.refused.size < REFUSED_MAX) state.refused.set(seq, this.#options.clock.nowMs());
      onRefusal(refusal);
      return;
    }
    this.#options.onPuback(lane, seq);
    if (LANES.every((name) => this.#lanes[name].refused.size === 0)) onRefusal(undefined);
    if (ack === 'archive') return;
    state.acked.push(seq);
    state.waitingSinceMs = this.#options.clock.nowMs();
    if (state.acked.length >= RELEASE_BATCH) this.#releaseAcked(lane);
  }

  /** A row may be sent when the window has room beside what the other lane uses or may claim. */
  #mayMore(lane: Lane, receiveMaximum: number): boolean {
    const own = this.#lanes[lane];
    const other = this.#lanes[lane === 'alert' ? 'bulk' : 'alert'];
    const window = Math.min(WINDOW, receiveMaximum);
    const taken = Math.max(other.inFlight, Math.floor(window / 4));
    const bytesLeft = own.inFlight === 0 || own.inFlightBytes < LANE_BYTES;
    return own.inFlight + taken < window && bytesLeft;
  }

  #releaseAcked(lane: Lane): void {
    const state = this.#lanes[lane];
    if (state.acked.length === 0) return;
    if (this.#let(lane, () => this.#options.outbox.release(lane, state.acked))) state.acked = [];
    // Forgotten ones are sent again: a duplicate, not a loss.
    state.acked.splice(0, Math.max(0, state.acked.length - RELEASE_PENDING_MAX));
  }

  #let(lane: Lane, release: () => number): boolean {
    const state = this.#lanes[lane];
    try {
      this.counters.acknowledged += release();
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      this.#options.log.warn({ lane, reason: error.message }, 'rows could not be released; they are kept');
      return false;
    }
    state.ahead = AHEAD_MAX;
    state.waitingSinceMs = this.#options.clock.nowMs();
    return true;
  }
}

function emptyLane(): LaneState {
  return {
    cursor: new LaneCursor(),
    inFlight: 0,
    inFlightBytes: 0,
    ahead: AHEAD_UNPROVEN,
    acked: [],
    waitingSinceMs: 0,
    refused: new Map(),
  };
}
