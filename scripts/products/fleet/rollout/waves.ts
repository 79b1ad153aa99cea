/**
 * Computes the steps of a rollout: a state machine without a clock, a broker or a store. Idempotent: a call with its
 * own result repeats that result, so a crash between two calls loses nothing.
 *
 * INVARIANTS:
 * - An order to install goes only to boxes of waves up to the present one, and none while the rollout is paused, halted
 *   or over.
 * - A box that is offline and has not begun delays no wave. One that has begun counts until it is heard again, or a
 *   person leaves it out.
 * - While too many boxes that began are silent (hearing.ts), no box is ordered, and the rollout is not done.
 * - Every ordered box ends as confirmed, rolled back, failed, parked, withdrawn, expired or skipped. A later message of
 *   a withdrawn or expired box overrides that.
 * - `done`: every box has confirmed and was heard after that, or a person has left it out.
 */
import { counted } from '../../../lib/counted.ts';
import { Hearing, missingMax } from './hearing.ts';
import {
  type Action,
  type BoxState,
  ENDED_STATES,
  FAILURES,
  NOT_SWITCHED,
  OPEN,
  OVER,
  type Rollout,
  type RolloutBox,
  type RolloutState,
  type Step,
  stateOf,
  TRIED_STATES,
  type TrialCounts,
  type Waits,
} from './states.ts';

const MINUTE_MS = 60_000;
/** Number of asked boxes from which one may be missing in a wave. */
const ONE_MISSING_OF = 10;

/** Returns the next step at this time. */
export function step(rollout: Rollout, boxes: readonly RolloutBox[], nowMs: number): Step {
  const machine = new Machine(rollout, boxes, nowMs);
  machine.run();
  return machine.result();
}

class Machine {
  #rollout: Rollout;
  readonly #boxes: readonly RolloutBox[];
  readonly #nowMs: number;
  readonly #states: BoxState[];
  readonly #orders = new Map<string, Action>();
  readonly #hearing: Hearing;
  #waits: Waits | null = null;

  constructor(rollout: Rollout, boxes: readonly RolloutBox[], nowMs: number) {
    this.#rollout = rollout;
    this.#boxes = boxes;
    this.#nowMs = nowMs;
    this.#states = boxes.map(stateFromReport);
    this.#hearing = new Hearing(boxes, this.#states, nowMs, () => this.#rollout);
  }

  run(): void {
    this.#obey();
    if (this.#nowMs > this.#rollout.notAfterMs) this.#expire();
    if (['running', 'finishing', 'paused'].includes(this.#rollout.state)) {
      this.#halt();
      const silenceText = this.#hearing.silenceText();
      if (silenceText !== undefined) this.#to('halted', silenceText);
    }
    // A wave without boxes, or without connected ones, is reached at once.
    do {
      while (this.#rollout.state === 'running' && this.#advance());
      this.#giveOrders();
    } while (this.#rollout.state === 'running' && this.#rollout.reachedMs === null && this.#isReached());
    this.#waits = this.#hearing.waits();
    if (this.#waits !== null && this.#nowMs > this.#waits.haltsMs) {
      const { wave, thresholds } = this.#rollout;
      const text = `no progress for ${thresholds.stuckHours} h: ${this.#hearing.waitsText(this.#waits)}`;
      this.#to('halted', `${wave === 0 ? 'canaries' : `wave ${wave}`}: ${text}`);
      this.#giveOrders();
    }
    if (this.#rollout.state === 'finishing' && !this.#boxes.some((_, i) => this.#hearing.isOpen(i)))
      this.#end('');
  }

  result(): Step {
    const { state, reachedMs, soakMs, wave, notAfterMs, thresholds, reason } = this.#rollout;
    const soaked = state === 'running' && reachedMs !== null ? reachedMs + (soakMs[wave] ?? 0) : undefined;
    const waits = this.#waits;
    const due = [soaked, waits === null ? undefined : waits.haltsMs + 1, notAfterMs + 1];
    const silent: string[] = [];
    for (const [i, box] of this.#boxes.entries()) {
      if (!this.#hearing.began(i)) continue;
      if (this.#hearing.isSilent(box)) silent.push(box.id);
      else if (!box.online) due.push(this.#hearing.silentFromMs(box) + 1);
      else if (!this.#hearing.isProven(i))
        due.push(this.#hearing.stateSinceMs(i) + thresholds.heardMinutes * MINUTE_MS);
    }
    const next = OVER.includes(state)
      ? Number.POSITIVE_INFINITY
      : due.reduce<number>(
          (least, ms) => (ms !== undefined && ms > this.#nowMs ? Math.min(least, ms) : least),
          Number.POSITIVE_INFINITY,
        );
    return {
      rollout: this.#rollout,
      states: this.#states,
      orders: [...this.#orders].map(([id, action]) => ({ id, action })),
      nextMs: Number.isFinite(next) ? next : undefined,
      waits,
      explanation: waits === null ? reason : this.#hearing.waitsText(waits),
      silent,
    };
  }

  #to(state: RolloutState, reason: string | null): void {
    const sinceMs = state === this.#rollout.state ? this.#rollout.sinceMs : this.#nowMs;
    this.#rollout = { ...this.#rollout, state, sinceMs, reason };
  }

  /** Handles a person's request once; ignores one that does not fit. */
  #obey(): void {
    const { request, state } = this.#rollout;
    this.#rollout = { ...this.#rollout, request: null };
    if (request === 'abort' && !OVER.includes(state)) this.#to('aborted', 'aborted by a person');
    if (request === 'pause' && (state === 'running' || state === 'finishing'))
      this.#to('paused', 'paused by a person');
    if (request === 'resume' && (state === 'paused' || state === 'halted')) {
      // Accepts failures that were seen; later ones halt the rollout again. Silent boxes are never accepted.
      this.#rollout = { ...this.#rollout, accepted: this.#trialCounts(() => true), reachedMs: null };
      this.#to('running', null);
    }
  }

  #expire(): void {
    for (const [i, state] of this.#states.entries()) if (OPEN.includes(state)) this.#states[i] = 'expired';
    const { state } = this.#rollout;
    if (!OVER.includes(state)) this.#end(state === 'halted' ? 'it had halted; ' : '');
  }

  /** Ends the rollout: `done` only if no box is left. */
  #end(before: string): void {
    const remainder = this.#hearing.remainder();
    if (remainder === undefined) this.#to('done', null);
    else this.#to('incomplete', `${before}${remainder}`);
  }

  #halt(): void {
    const { thresholds, accepted } = this.#rollout;
    const { canaryFailures, failures: failureRatio, failuresMin } = thresholds;
    const canaries = this.#trialCounts((box) => box.wave === 0).failures;
    const { failures, triedCount } = this.#trialCounts(() => true);
    const [newFailures, newTried] = [failures - accepted.failures, triedCount - accepted.triedCount];
    if (newFailures <= 0) return;
    const broken = this.#count((state) => state === 'failed');
    const failureText = broken === 0 ? 'rolled back' : `rolled back or failed (${broken} failed)`;
    // All canaries have failed, though fewer than the limit: none is left to be healthy.
    const limit = Math.min(canaryFailures, this.#boxes.filter((box) => box.wave === 0).length);
    if (canaries >= limit && this.#rollout.wave === 0)
      this.#to('halted', `${counted(canaries, 'canary', 'canaries')} ${failureText}`);
    else if (newFailures >= failuresMin && newFailures > failureRatio * newTried)
      this.#to(
        'halted',
        `${newFailures} of ${counted(newTried, 'box that was', 'boxes that were')} tried ${failureText}`,
      );
  }

  /** Returns true if the next wave has begun. */
  #advance(): boolean {
    const { wave, soakMs, reachedMs } = this.#rollout;
    const last = wave === soakMs.length - 1;
    if (!this.#isReached()) return false;
    const reached = reachedMs ?? this.#nowMs;
    this.#rollout = { ...this.#rollout, reachedMs: reached };
    const members = this.#boxes.some((box) => box.wave === wave);
    if (members && this.#nowMs < reached + (soakMs[wave] ?? 0)) return false;
    // Every canary that began must be connected before more boxes are ordered.
    if (
      wave === 0 &&
      this.#boxes.some((box, i) => box.wave === 0 && this.#hearing.began(i) && this.#hearing.isSilent(box))
    )
      return false;
    if (last) {
      this.#to('finishing', null);
      return false;
    }
    this.#rollout = { ...this.#rollout, wave: wave + 1, reachedMs: null };
    return true;
  }

  /**
   * Reports whether enough boxes were heard after their confirmation, of those that can answer and those that began, and
   * few of the latter are not connected. Failures below their own limit do not count here. Of the canaries at least one
   * must have confirmed, since a parked one has tried nothing, and each that began must be healthy.
   */
  #isReached(): boolean {
    const { wave, thresholds } = this.#rollout;
    let [well, confirmed, askedCount, beganCount, unheard, disconnected] = [0, 0, 0, 0, 0, 0];
    for (const [i, box] of this.#boxes.entries()) {
      const state = this.#states[i] ?? 'planned';
      if (box.wave !== wave || state === 'skipped' || FAILURES.includes(state)) continue;
      // A box of the wave without an order gets it now.
      if (state === 'planned') return false;
      const isWell = this.#hearing.isProven(i);
      const began = this.#hearing.began(i);
      if (began) beganCount += 1;
      if (isWell && state === 'confirmed') confirmed += 1;
      if (isWell) well += 1;
      else if (began) unheard += 1;
      if (began && !isWell && !box.online) disconnected += 1;
      if (isWell || box.online || began) askedCount += 1;
    }
    // Of ten boxes one may be mute, or a small wave would wait for a person.
    const missing = askedCount >= ONE_MISSING_OF ? 1 : 0;
    const least = Math.min(thresholds.confirmed * askedCount, askedCount - missing);
    if (well < least || disconnected > missingMax(beganCount)) return false;
    return wave > 0 || (confirmed > 0 && unheard === 0);
  }

  /** Sets the orders of boxes that should have another one. */
  #giveOrders(): void {
    for (const [i, box] of this.#boxes.entries()) {
      const state = this.#states[i] ?? 'planned';
      const action = this.#action(box, state);
      if (action === undefined || action === (this.#orders.get(box.id) ?? box.action)) continue;
      if (action === 'install') this.#states[i] = 'ordered';
      if (action === 'withdraw' && NOT_SWITCHED.includes(state)) this.#states[i] = 'withdrawn';
      this.#orders.set(box.id, action);
    }
  }

  #action(box: RolloutBox, state: BoxState): Action | undefined {
    const { state: rollout, wave } = this.#rollout;
    if (state === 'skipped')
      return box.action === null || TRIED_STATES.includes(stateOf(box.progress)) ? undefined : 'withdraw';
    if (rollout === 'halted' || rollout === 'aborted')
      return NOT_SWITCHED.includes(state) ? 'withdraw' : undefined;
    if (rollout === 'paused') return NOT_SWITCHED.includes(state) ? 'pause' : undefined;
    if (rollout !== 'running' && rollout !== 'finishing') return undefined;
    if (box.wave > wave) return undefined;
    return state === 'planned' || state === 'withdrawn' || NOT_SWITCHED.includes(state)
      ? 'install'
      : undefined;
  }

  #trialCounts(of: (box: RolloutBox) => boolean): TrialCounts {
    let [failures, triedCount] = [0, 0];
    for (const [i, box] of this.#boxes.entries()) {
      const state = this.#states[i] ?? 'planned';
      if (!of(box)) continue;
      if (FAILURES.includes(state)) failures += 1;
      if (TRIED_STATES.includes(state)) triedCount += 1;
    }
    return { failures, triedCount };
  }

  #count(of: (state: BoxState) => boolean): number {
    return this.#states.filter(of).length;
  }
}

/** Returns the state of a box from its present report. */
function stateFromReport({ state, action, progress, isSkipped }: RolloutBox): BoxState {
  if (isSkipped) return 'skipped';
  // The target is installed already: nothing was sent, and nothing will be.
  if (action === null) return state === 'planned' && progress === 'confirmed' ? 'confirmed' : state;
  const reportedState = stateOf(progress);
  if (state === 'confirmed' || FAILURES.includes(state)) return state;
  if (ENDED_STATES.includes(reportedState)) return reportedState;
  if (state === 'parked') return state;
  // Too late for a withdrawal or a wait: it has switched regardless.
  if (reportedState === 'switched') return reportedState;
  if (state === 'expired') return state;
  return action === 'withdraw' ? 'withdrawn' : reportedState;
}
