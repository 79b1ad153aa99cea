/** A complete rollout to virtual boxes at sites, in virtual time, over the pure steps of the waves. */
import { randomOf } from '../../scripts/lib/random.ts';
import { planOf } from '../../scripts/products/fleet/rollout/plan.ts';
import type { RolloutBox } from '../../scripts/products/fleet/rollout/states.ts';
import { assignWaves, inParts } from '../../scripts/products/fleet/rollout/stratify.ts';
import { box, HOUR, Lifetime } from './rollout-life.ts';

export interface Street {
  readonly boxes: number;
  readonly seed: number;
  /** Ratio of boxes that the release takes off the network for good, and the hours after their confirmation. */
  readonly dies?: { readonly ratio: number; readonly afterHours: number; readonly sparesCanaries?: boolean };
  /** Ratio of boxes that are not connected when the rollout begins, and never are. */
  readonly offline?: number;
  /** Ratio of boxes that lose their network several times a week, for minutes to hours. */
  readonly flaky?: number;
  /** Ratio of sites that have power by night only. */
  readonly dark?: number;
  /** True if the boxes were heard for two weeks before. */
  readonly hasHistory?: boolean;
}

export interface StreetEnd {
  readonly state: string;
  readonly wave: number;
  readonly waves: number;
  readonly reason: string;
  /** Number of boxes that the release takes off the network, some of them after the end. */
  readonly lostCount: number;
  readonly hours: number;
}

const BOARDS = ['rpi5', 'rpi5', 'rpi4', 'jetson', 'rk3588'];
const STEP_HOURS = 0.25;
const LAST_HOUR = 24 * 20;
const MEAN_OUTAGE_HOURS = 1.5;
/** Outages of a flaky box: five a week. */
const OUTAGES_PER_HOUR = 5 / (7 * 24);

/** A pole's own hours without network or power. */
interface Pole {
  readonly isFlaky: boolean;
  /** Hours of the day without power; null if it always has some. */
  readonly dark: readonly [from: number, to: number] | null;
  outUntilHour: number;
}

export function runStreet(street: Street): StreetEnd {
  const { boxes: count, seed, dies, offline = 0, flaky = 0, dark = 0, hasHistory = true } = street;
  const random = randomOf(seed);
  const siteCount = Math.max(1, Math.min(12, Math.ceil(count / 12)));
  const darkSites = Math.ceil(dark * siteCount);
  const members = Array.from({ length: count }, (_, i) => ({
    site: `site-${i % siteCount}`,
    box: `b-${i}`,
    board: BOARDS[i % BOARDS.length] ?? '',
  }));
  const canaries = members
    .slice(0, Math.min(8, Math.max(1, Math.floor(count / 7))))
    .map(({ box: name }) => name);
  const plan = inParts(planOf({ canary: { boxes: canaries, hours: 24 } }, 'UTC'), count);
  const waves = assignWaves(`r-${seed}`, members, plan);
  const poles = members.map((_, i): Pole => {
    // The lamps of a site switch together, within a quarter of an hour, and a little later every day.
    const dawn = 7 + ((i % siteCount) / siteCount) * 0.5;
    return {
      isFlaky: random() < flaky,
      dark: i % siteCount < darkSites ? [dawn, dawn + 9] : null,
      outUntilHour: 0,
    };
  });
  const silencesMs = poles.map((pole) => (hasHistory ? longestSilenceHours(pole, random) * HOUR : 0));
  const isGone = members.map(() => random() < offline);
  const victims = members.map(
    (_, i) =>
      dies !== undefined && random() < dies.ratio && !(dies.sparesCanaries === true && waves[i] === 0),
  );
  const life = new Lifetime(
    members.map(({ site, box: name }, i): RolloutBox => {
      const online = isGone[i] !== true;
      return {
        ...box(i, waves[i] ?? 0),
        id: `${site}/${name}`,
        online,
        silenceMs: silencesMs[i] ?? 0,
        goneMs: online ? 0 : -HOUR * 400,
        heardMs: online ? 0 : -HOUR * 400,
      };
    }),
    {
      thresholds: plan.thresholds,
      soakMs: [plan.canary.hours, ...plan.waves.map(({ soakHours }) => soakHours)].map((h) => h * HOUR),
    },
  );
  const diesAtHour = new Map<number, number>();
  const deadBoxes = new Set<number>();
  let hours = 0;
  for (; hours < LAST_HOUR; hours += STEP_HOURS) {
    life.at(hours);
    if (life.rollout.state !== 'running' && life.rollout.state !== 'finishing') break;
    // Only boxes that never come back are missing: nothing more will happen.
    if (life.rollout.state === 'finishing' && hours > 24 * 10) break;
    for (const [i, one] of life.boxes.entries()) {
      const pole = poles[i];
      if (pole === undefined || isGone[i] === true || deadBoxes.has(i)) continue;
      if ((diesAtHour.get(i) ?? Number.POSITIVE_INFINITY) <= hours) {
        deadBoxes.add(i);
        life.boxes[i] = { ...one, online: false };
        continue;
      }
      const online = isUp(pole, hours, random);
      const progress =
        online && one.action === 'install' && one.progress === 'none'
          ? 'switched'
          : online && one.progress === 'switched'
            ? 'confirmed'
            : one.progress;
      if (progress === 'confirmed' && one.progress !== 'confirmed' && victims[i] === true)
        diesAtHour.set(i, hours + (dies?.afterHours ?? 0));
      if (one.online !== online || one.progress !== progress) life.boxes[i] = { ...one, online, progress };
    }
  }
  const { state, wave, reason } = life.rollout;
  return { state, wave, waves: plan.waves.length, reason: reason ?? '', lostCount: diesAtHour.size, hours };
}

/** Reports whether a pole is connected in the step that begins at this hour; the rollout begins at 9 in the evening. */
function isUp(pole: Pole, hours: number, random: () => number): boolean {
  if (pole.isFlaky && hours >= pole.outUntilHour && random() < OUTAGES_PER_HOUR * STEP_HOURS)
    pole.outUntilHour = hours - Math.log(1 - random()) * MEAN_OUTAGE_HOURS;
  if (hours < pole.outUntilHour) return false;
  if (pole.dark === null) return true;
  const ofDay = (hours + 21) % 24;
  const [from, to] = pole.dark;
  return ofDay < from || ofDay >= to;
}

function longestSilenceHours(pole: Pole, random: () => number): number {
  let [longest, sinceHour] = [0, Number.NEGATIVE_INFINITY];
  const past: Pole = { ...pole, outUntilHour: 0 };
  for (let hours = 0; hours < 14 * 24; hours += STEP_HOURS) {
    if (isUp(past, hours, random)) sinceHour = hours;
    else if (sinceHour >= 0) longest = Math.max(longest, hours - sinceHour);
  }
  return longest;
}
