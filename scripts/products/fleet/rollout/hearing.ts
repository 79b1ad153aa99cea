/**
 * Decides which boxes of a rollout were heard after they began, which are silent, and what follows.
 *
 * A box is silent if it is not connected and was not heard for the plan's `silentHours`. Silence counts in a download,
 * a switch, a probation, and after the confirmation.
 */
import { compare, DOUBT, type Watched } from './silence.ts';
import { stalledAt } from './stall.ts';
import {
  BEGAN_STATES,
  type BoxState,
  OPEN,
  type Rollout,
  type RolloutBox,
  STATE_OF,
  type Waits,
} from './states.ts';
import { someOf } from './table.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/**
 * Maximum silence before the rollout for a box to count as alive, ms. A box that was dead for longer says nothing about
 * boxes that fall silent during it.
 */
const ALIVE_MS = 24 * HOUR_MS;

/** Descriptions of boxes that are not confirmed at the end. */
const UNCONFIRMED_LABELS: Record<BoxState, string> = {
  planned: 'never sent for',
  ordered: 'ordered and not begun',
  begun: 'begun',
  switched: 'switched',
  parked: 'parked until their analysis resumes',
  confirmed: 'confirmed',
  'rolled-back': 'rolled back',
  failed: 'failed',
  expired: 'expired: not done when its time was over',
  withdrawn: 'withdrawn',
  skipped: 'skipped',
};

export class Hearing {
  readonly #boxes: readonly RolloutBox[];
  readonly #states: readonly BoxState[];
  readonly #nowMs: number;
  readonly #rolloutNow: () => Rollout;

  /** Reads `states` and `rolloutNow` again in each method. */
  constructor(
    boxes: readonly RolloutBox[],
    states: readonly BoxState[],
    nowMs: number,
    rolloutNow: () => Rollout,
  ) {
    this.#boxes = boxes;
    this.#states = states;
    this.#nowMs = nowMs;
    this.#rolloutNow = rolloutNow;
  }

  /** Returns the reason for a halt if tried boxes are silent more often than chance explains (silence.ts). */
  excess(): string | undefined {
    const { wave, soakMs, madeMs, thresholds } = this.#rolloutNow();
    const [triedBoxes, untried]: [Watched[], Watched[]] = [[], []];
    // The last wave leaves no untried boxes, so those of earlier waves show what is usual at this hour.
    const isLast = wave === soakMs.length - 1;
    for (const [i, box] of this.#boxes.entries()) {
      if (this.isAccepted(box)) continue;
      const watched = { id: box.id, isSilent: this.isSilent(box) };
      const isBefore = isLast && box.wave < wave;
      const isLater = box.wave > wave && this.#states[i] === 'planned' && box.heardMs >= madeMs - ALIVE_MS;
      if (this.began(i)) (isBefore ? untried : triedBoxes).push(watched);
      else if (isLater) untried.push(watched);
    }
    const canaries = this.#boxes.filter((box) => box.wave === 0).length;
    const least = wave === 0 ? Math.min(thresholds.canaryFailures, canaries) : thresholds.failuresMin;
    if (triedBoxes.filter(({ isSilent }) => isSilent).length < least) return undefined;
    const comparison = compare(triedBoxes, untried);
    if (comparison.probability > DOUBT) return undefined;
    const otherText = isLast ? 'of the waves before' : 'that have not tried it';
    return (
      `${comparison.silent} of ${comparison.triedCount} boxes that tried it are silent for more than ${thresholds.silentHours} h, ` +
      `and ${comparison.untriedSilent} of ${comparison.untriedCount} ${otherText}: more than chance explains (p < ${DOUBT})`
    );
  }

  /** Returns what the wave waits for; null if it waits only for time to pass, or if nothing runs. */
  waits(): Waits | null {
    const { state, wave, reachedMs, soakMs, madeMs, sinceMs, accepted, window, thresholds } =
      this.#rolloutNow();
    const soakedMs = reachedMs === null ? 0 : reachedMs + (soakMs[wave] ?? 0);
    if (state !== 'running' || soakedMs > this.#nowMs) return null;
    const [connected, unheard]: [string[], string[]] = [[], []];
    let lastMs = Math.max(madeMs, sinceMs, accepted.atMs, soakedMs);
    for (const [i, box] of this.#boxes.entries()) {
      const boxState = this.#states[i] ?? 'planned';
      if (box.wave !== wave || boxState === 'planned' || boxState === 'skipped') continue;
      lastMs = Math.max(lastMs, this.stateSinceMs(i));
      if (this.began(i) && (this.isOpen(i) || this.isSilent(box)) && !box.online) unheard.push(box.id);
      else if (box.online && this.isOpen(i)) connected.push(box.id);
    }
    const stuckMs = thresholds.stuckHours * HOUR_MS;
    // Days without a window are looked up only if they matter.
    const isLate = this.#nowMs > lastMs + stuckMs;
    const haltsMs = isLate ? stalledAt(window, lastMs, stuckMs) : lastMs + stuckMs;
    return { sinceMs: lastMs, haltsMs, connected, unheard };
  }

  stallText({ connected, unheard }: Waits): string {
    const { wave, thresholds } = this.#rolloutNow();
    const parts = [
      ...(connected.length > 0
        ? [`${connected.length} connected and not confirmed (${someOf(connected, 3)})`]
        : []),
      ...(unheard.length > 0 ? [`${unheard.length} began and are not heard (${someOf(unheard, 3)})`] : []),
    ];
    const reason = parts.length > 0 ? parts.join(', ') : 'no box of it is connected';
    return `${wave === 0 ? 'canaries' : `wave ${wave}`}: no progress for ${thresholds.stuckHours} h: ${reason}`;
  }

  /** Returns the counted rest at the end; undefined if every box is skipped, or confirmed and heard. */
  remainder(): string | undefined {
    const counts = new Map<string, number>();
    for (const [i, state] of this.#states.entries()) {
      const isUnheard = state === 'confirmed' && !this.isProven(i);
      if (state === 'skipped' || (state === 'confirmed' && !isUnheard)) continue;
      const label = isUnheard ? 'not heard since they confirmed' : UNCONFIRMED_LABELS[state];
      counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    if (counts.size === 0) return undefined;
    const count = [...counts.values()].reduce((sum, n) => sum + n, 0);
    const whats = [...counts].map(([label, n]) => `${n} ${label}`).join(', ');
    return `${count} of ${this.#boxes.length} boxes are not confirmed: ${whats}`;
  }

  stateSinceMs(i: number): number {
    const box = this.#boxes[i];
    return box === undefined || box.state !== this.#states[i] ? this.#nowMs : box.sinceMs;
  }

  /** Reports whether a box has begun by its own order. Boxes that a person has accepted do not count. */
  began(i: number): boolean {
    const box = this.#boxes[i];
    return (
      box !== undefined &&
      box.action !== null &&
      BEGAN_STATES.includes(this.#states[i] ?? 'planned') &&
      !this.isAccepted(box)
    );
  }

  /** Reports whether a box says that it began, and is silent, also if it was withdrawn or accepted since. */
  hasVanished(i: number): boolean {
    const box = this.#boxes[i];
    if (box === undefined || box.action === null || this.#states[i] === 'skipped') return false;
    return BEGAN_STATES.includes(STATE_OF[box.progress]) && this.isSilent(box);
  }

  isSilent({ online, heardMs }: RolloutBox): boolean {
    return !online && this.#nowMs - heardMs > this.#rolloutNow().thresholds.silentHours * HOUR_MS;
  }

  isAccepted({ online, heardMs }: RolloutBox): boolean {
    return !online && heardMs <= this.#rolloutNow().accepted.atMs;
  }

  /**
   * Reports whether a box is confirmed and was heard long enough afterwards. A box that had the target before the
   * rollout needs no proof.
   */
  isProven(i: number): boolean {
    const box = this.#boxes[i];
    const state = this.#states[i];
    if (box === undefined || (state !== 'confirmed' && state !== 'parked')) return false;
    if (state === 'parked' || box.action === null) return true;
    return box.heardMs >= this.stateSinceMs(i) + this.#rolloutNow().thresholds.heardMinutes * MINUTE_MS;
  }

  /** Reports whether a box may still change on its own, or has not been heard since it confirmed. */
  isOpen(i: number): boolean {
    const state = this.#states[i] ?? 'planned';
    return OPEN.includes(state) || (state === 'confirmed' && !this.isProven(i));
  }
}
