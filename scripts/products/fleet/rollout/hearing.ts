/**
 * Decides which boxes of a rollout were heard after they began, which are silent, and what follows.
 *
 * A box is silent if it has not been connected for `silentHours` longer than ever in the two weeks before its order.
 * Silence counts in a download, a switch, a probation, and after the confirmation.
 */
import { counted } from '../../../lib/counted.ts';
import { stalledAt } from './stall.ts';
import {
  BEGAN_STATES,
  type BoxState,
  FAILURES,
  OPEN,
  type Rollout,
  type RolloutBox,
  stateOf,
  type Waits,
} from './states.ts';
import { boxCount, someOf } from './table.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** Ratio of boxes that may be silent or unheard; one box always may. */
const MISSING_RATIO = 0.01;
/** Number of silent boxes that show a fault of their site: a single one may have its own. */
const WITNESSES_MIN = 2;

/** Descriptions of boxes that are not confirmed at the end. */
const UNCONFIRMED_LABELS: Record<BoxState, string> = {
  planned: 'never sent for',
  ordered: 'ordered and not begun',
  begun: 'begun',
  switched: 'switched',
  parked: 'parked until the analysis resumes',
  confirmed: 'confirmed',
  'rolled-back': 'rolled back',
  failed: 'failed',
  expired: 'expired: not done when its time was over',
  withdrawn: 'withdrawn',
  skipped: 'skipped',
};

interface Group {
  readonly ids: readonly string[];
  readonly silentIds: readonly string[];
}

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

  /** Returns the reason for a halt if too many boxes that began are silent, and their sites do not excuse them. */
  silenceText(): string | undefined {
    const sites = new Map<string, { began: RolloutBox[]; untried: RolloutBox[] }>();
    let beganCount = 0;
    for (const [i, box] of this.#boxes.entries()) {
      const site = box.id.slice(0, Math.max(0, box.id.lastIndexOf('/')));
      const groups = sites.get(site) ?? { began: [], untried: [] };
      sites.set(site, groups);
      if (this.began(i)) {
        groups.began.push(box);
        beganCount += 1;
      } else if (this.#isUntried(i)) groups.untried.push(box);
    }
    const parts: { silentIds: readonly string[]; text: string }[] = [];
    for (const [site, { began, untried }] of sites) {
      if (!began.some((box) => this.isSilent(box))) continue;
      for (const [ownBoxes, otherBoxes] of comparisons(began, untried)) {
        const [group, reference] = [this.#groupOf(ownBoxes), this.#groupOf(otherBoxes)];
        if (group.silentIds.length === 0 || excuses(reference, group)) continue;
        const text = `${site === '' ? 'no site' : site}: ${ratioText(group)} (${someOf(group.silentIds, 3)}), of others there ${ratioText(reference)}`;
        parts.push({ silentIds: group.silentIds, text });
      }
    }
    const count = parts.reduce((sum, { silentIds }) => sum + silentIds.length, 0);
    const limit = missingMax(beganCount);
    if (count <= limit) return undefined;
    parts.sort((a, b) => b.silentIds.length - a.silentIds.length);
    return (
      `${count} of ${beganCount} boxes that began are silent, and at most ${Math.floor(limit)} may be: ` +
      `${someOf(
        parts.map(({ text }) => text),
        3,
      )}; go to one of them`
    );
  }

  /** Returns what the wave waits for; null if it waits only for time to pass, or if nothing runs. */
  waits(): Waits | null {
    const { state, wave, reachedMs, soakMs, madeMs, sinceMs, window, thresholds } = this.#rolloutNow();
    const soakedMs = reachedMs === null ? 0 : reachedMs + (soakMs[wave] ?? 0);
    if (state !== 'running' || soakedMs > this.#nowMs) return null;
    const [connected, unheard]: [string[], string[]] = [[], []];
    let lastMs = Math.max(madeMs, sinceMs, soakedMs);
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

  /** Returns a text about the boxes for which the present wave waits. */
  waitsText({ connected, unheard }: Waits): string {
    const parts = [
      ...(connected.length > 0
        ? [`${connected.length} connected and not confirmed (${someOf(connected, 3)})`]
        : []),
      ...(unheard.length > 0
        ? [`${counted(unheard.length, 'began and is', 'began and are')} not heard (${someOf(unheard, 3)})`]
        : []),
    ];
    if (parts.length > 0) return parts.join(', ');
    const isOut = (box: RolloutBox, i: number): boolean =>
      box.wave > 0 || ['skipped', 'parked', ...FAILURES].includes(this.#states[i] ?? 'planned');
    return this.#rolloutNow().wave === 0 && this.#boxes.every(isOut)
      ? `no canary is left that could confirm; \`fleet rollout abort\`, and start another one with other canaries${this.#states.includes('parked') ? ', or resume a suspended one' : ''}`
      : 'no box of it is connected';
  }

  /** Returns the counted rest at the end; undefined if every box is skipped, or confirmed and heard. */
  remainder(): string | undefined {
    const counts = new Map<string, number>();
    for (const [i, state] of this.#states.entries()) {
      const isUnheard = state === 'confirmed' && !this.isProven(i);
      if (state === 'skipped' || (state === 'confirmed' && !isUnheard)) continue;
      const label = isUnheard ? 'not heard since the confirmation' : UNCONFIRMED_LABELS[state];
      counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    if (counts.size === 0) return undefined;
    const count = [...counts.values()].reduce((sum, n) => sum + n, 0);
    const whats = [...counts].map(([label, n]) => `${n} ${label}`).join(', ');
    return `${count} of ${boxCount(this.#boxes.length)} ${count === 1 ? 'is' : 'are'} not confirmed: ${whats}`;
  }

  stateSinceMs(i: number): number {
    const box = this.#boxes[i];
    return box === undefined || box.state !== this.#states[i] ? this.#nowMs : box.sinceMs;
  }

  /** Reports whether a box has begun by its own order, as far as it has reported. Skipped boxes do not count. */
  began(i: number): boolean {
    const box = this.#boxes[i];
    if (box === undefined || box.action === null || this.#states[i] === 'skipped') return false;
    return (
      BEGAN_STATES.includes(this.#states[i] ?? 'planned') || BEGAN_STATES.includes(stateOf(box.progress))
    );
  }

  isSilent(box: RolloutBox): boolean {
    return !box.online && this.#nowMs > this.silentFromMs(box);
  }

  /** Returns when a box that is not connected becomes silent. */
  silentFromMs({ goneMs, silenceMs }: RolloutBox): number {
    return goneMs + silenceMs + this.#rolloutNow().thresholds.silentHours * HOUR_MS;
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

  /**
   * Reports whether a box was never ordered, and was connected during the rollout. An ordered one may have begun without
   * a word, and one that was silent before says nothing about the others.
   */
  #isUntried(i: number): boolean {
    const box = this.#boxes[i];
    return (
      box !== undefined &&
      box.action === null &&
      this.#states[i] === 'planned' &&
      box.heardMs >= this.#rolloutNow().madeMs
    );
  }

  #groupOf(boxes: readonly RolloutBox[]): Group {
    const idsOf = (list: readonly RolloutBox[]): string[] => list.map(({ id }) => id);
    return { ids: idsOf(boxes), silentIds: idsOf(boxes.filter((box) => this.isSilent(box))) };
  }
}

/** Returns how many of a number of boxes may be missing. */
export function missingMax(count: number): number {
  return Math.max(1, MISSING_RATIO * count);
}

/**
 * Returns the boxes of a site that began, each group with those that it is compared with: the untried ones. A site that
 * has fewer than two of them is near its end, and each wave is compared with the earlier ones.
 */
function comparisons(
  began: readonly RolloutBox[],
  untried: readonly RolloutBox[],
): (readonly [readonly RolloutBox[], readonly RolloutBox[]])[] {
  if (untried.length >= WITNESSES_MIN) return [[began, untried]];
  return [...new Set(began.map(({ wave }) => wave))].map(
    (n) =>
      [
        began.filter(({ wave }) => wave === n),
        [...untried, ...began.filter(({ wave }) => wave < n)],
      ] as const,
  );
}

/** Reports whether at least as large a part of the others is silent. */
function excuses({ ids, silentIds }: Group, group: Group): boolean {
  return (
    silentIds.length >= WITNESSES_MIN &&
    silentIds.length * group.ids.length >= group.silentIds.length * ids.length
  );
}

function ratioText({ ids, silentIds }: Group): string {
  return `${silentIds.length} of ${ids.length}`;
}
