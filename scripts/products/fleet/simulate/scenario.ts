/** Defines the simulated fleet, its faults, and the release that it gets. */
import { TargetFile, Targets } from '@tufjs/models';
import {
  type Board,
  deltaTarget,
  fullTarget,
  manifestTarget,
  RELEASE_KINDS,
  type ReleaseKind,
  type ReleaseTarget,
} from '../../../../agent/contract/release.ts';
import { randomOf } from '../../../lib/random.ts';
import type { Release } from '../../root/releases.ts';
import { type Plan, planOf } from '../rollout/plan.ts';
import { type Fate, type SimBoxOptions, VANISHING } from './box.ts';

export interface ScenarioOptions {
  /** Program whose release is rolled out. */
  readonly kind: ReleaseKind;
  readonly boxes: number;
  readonly seed: number;
  /** Ratios of all boxes. */
  readonly rollBack: number;
  readonly offline: number;
  readonly mute: number;
  /** Ratio of the boxes, canaries included, that the release takes off the network for good. */
  readonly vanish: number;
  /** True if no canary vanishes. */
  readonly spareCanaries?: boolean | undefined;
  /** Phase in which boxes vanish, or any of them. */
  readonly vanishAt: (typeof VANISHING)[number] | 'any';
  /** Minutes after the confirmation; only for `confirmed`. */
  readonly vanishAfterMinutes: number;
  /** Ratio of the boxes, canaries included, whose site has no power by day. */
  readonly dark: number;
  /** Board of which every box rolls back. */
  readonly broken?: Board | undefined;
}

/** Releases to roll out, of one commit: two numbers, one version. */
export const TARGETS = {
  release: { seq: 43, version: '1.5.0' },
  root: { seq: 44, version: '1.5.0' },
} as const satisfies Record<ReleaseKind, Release>;
export const RUNS = {
  release: { seq: 42, version: '1.4.2' },
  root: { seq: 41, version: '1.4.2' },
} as const satisfies Record<ReleaseKind, Release>;
/** One box in ten runs an older release, and downloads the full archive. */
const OLDER_RELEASES = {
  release: { seq: 39, version: '1.4.0' },
  root: { seq: 38, version: '1.4.0' },
} as const satisfies Record<ReleaseKind, Release>;
/** Sizes of a small release of this program. */
const DELTA_BYTES = 17_000;
const FULL_BYTES = 28_600_000;
const SITES = 12;
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** Hours without power, UTC: when the street lights are off on a winter's day. */
const DARK = { fromHour: 7, toHour: 16.5 };
/** Boards and their ratios, as bought by a city. */
const BOARDS: readonly (readonly [Board, number])[] = [
  ['rpi5', 0.5],
  ['rpi4', 0.25],
  ['jetson', 0.15],
  ['rk3588', 0.1],
];
const CANARIES_A_BOARD = 2;
/** Long enough for a wave of any size. */
const WINDOW = { days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], from: '01:00', to: '05:00' };

export interface Scenario {
  readonly boxes: readonly SimBoxOptions[];
  readonly plan: Plan;
  readonly targets: Targets;
}

export function scenarioOf(options: ScenarioOptions): Scenario {
  const { boxes: count, seed, rollBack, offline, mute, broken } = options;
  const random = randomOf(seed);
  const names = Array.from({ length: count }, (_, i) => i);
  const canaries = new Set<number>();
  const boards = names.map((i) => boardOf((i + 0.5) / count));
  for (const [board] of BOARDS)
    for (const i of names.filter((n) => boards[n] === board).slice(0, CANARIES_A_BOARD)) canaries.add(i);
  const fates = new Map<number, Fate>();
  // Canaries are healthy boxes. Faults are assigned to the others in exact numbers.
  const otherBoxes = shuffled(
    names.filter((i) => !canaries.has(i)),
    random,
  );
  const deal = (ratio: number, fate: (n: number) => Fate): void => {
    for (let n = 0; n < Math.round(ratio * count); n += 1) {
      const i = otherBoxes.pop();
      if (i !== undefined) fates.set(i, fate(n));
    }
  };
  const onlineFate = { startsOffline: false, backAfterMs: null } as const;
  deal(rollBack, () => ({ ...onlineFate, ends: 'rolled-back' }));
  deal(mute, () => ({ ...onlineFate, ends: 'mute' }));
  // Two of three return after one to five days.
  deal(offline, (n) => ({
    ends: 'confirmed',
    startsOffline: true,
    backAfterMs: n % 3 === 2 ? null : (1 + 4 * random()) * DAY_MS,
  }));
  const bane = baneOf(options, canaries);
  const boxes = names.map((i): SimBoxOptions => {
    const board = boards[i] ?? 'rpi5';
    const old = i % 10 === 9 ? OLDER_RELEASES : RUNS;
    const fate = fates.get(i) ?? { ...onlineFate, ends: 'confirmed' };
    const isBroken = board === broken && fate.ends === 'confirmed';
    return {
      site: `site-${(i % SITES) + 1}`,
      box: nameOf(i),
      board,
      runs: old,
      mode: i % 25 === 24 ? 'suspended' : 'active',
      fate: { ...fate, ...(isBroken && { ends: 'rolled-back' as const }), ...bane(i) },
      bytes: old === OLDER_RELEASES ? FULL_BYTES : DELTA_BYTES,
      jitterMs: Math.floor(random() * 60_000),
    };
  });
  const plan = planOf(
    {
      // Only one canary has the board that breaks: that is not enough to halt, so the first wave must.
      canary: {
        boxes: [...canaries]
          .filter((i, at) => boards[i] !== broken || at % CANARIES_A_BOARD === 0)
          .map(nameOf),
        hours: 24,
      },
      window: WINDOW,
    },
    'Europe/Paris',
  );
  return { boxes, plan, targets: targetsOf() };
}

/** Returns the faults that every box gets by chance, in addition to its others. */
function baneOf(
  options: ScenarioOptions,
  canaries: ReadonlySet<number>,
): (i: number) => Pick<Fate, 'vanishes' | 'dark'> {
  const { seed, vanish, vanishAt, vanishAfterMinutes, dark, spareCanaries } = options;
  const random = randomOf(seed + 1);
  return (i) => {
    const [vanishes, phase, isDark] = [random() < vanish, random(), random() < dark];
    const at = vanishAt === 'any' ? VANISHING[Math.floor(phase * VANISHING.length)] : vanishAt;
    // The lamps of a site switch together.
    const site = (i % SITES) / SITES / 2;
    return {
      ...(vanishes &&
        !(spareCanaries && canaries.has(i)) &&
        at !== undefined && {
          vanishes: { at, afterMs: at === 'confirmed' ? vanishAfterMinutes * MINUTE_MS : 0 },
        }),
      ...(isDark && { dark: { fromHour: DARK.fromHour + site, toHour: DARK.toHour + site } }),
    };
  };
}

const nameOf = (i: number): string => `box-${String(i).padStart(4, '0')}`;

function boardOf(at: number): Board {
  let reached = 0;
  for (const [board, ratio] of BOARDS) {
    reached += ratio;
    if (at < reached) return board;
  }
  return 'rpi5';
}

/** Returns targets such as a repository offers; no file is downloaded. */
export function targetsOf(): Targets {
  return new Targets({
    version: 1,
    specVersion: '1.0.31',
    expires: '2100-01-01T00:00:00Z',
    targets: Object.fromEntries(RELEASE_KINDS.flatMap(filesOf)),
  });
}

function filesOf(kind: ReleaseKind): [string, TargetFile][] {
  const id = { what: kind, ...TARGETS[kind], arch: 'arm64' } as const;
  const { seq } = RUNS[kind];
  const paths = { manifest: manifestTarget(id), full: fullTarget(id), delta: deltaTarget(seq, id) };
  const custom: ReleaseTarget = {
    ...id,
    boards: BOARDS.map(([board]) => board),
    node: ['20.17.0', '21.0.0'],
    seqMin: 1,
    stateWrites: 1,
    stateReads: [1, 1],
    full: paths.full,
    deltas: { [seq]: paths.delta },
    installedBytes: 3 * FULL_BYTES,
  };
  const file = (path: string, length: number, unrecognizedFields = {}): [string, TargetFile] => [
    path,
    new TargetFile({ path, length, hashes: { sha256: '00'.repeat(32) }, unrecognizedFields }),
  ];
  return [
    file(paths.manifest, 20_000, { custom }),
    file(paths.full, FULL_BYTES),
    file(paths.delta, DELTA_BYTES),
  ];
}

function shuffled(list: readonly number[], random: () => number): number[] {
  const all = [...list];
  for (let i = all.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j] ?? 0, all[i] ?? 0];
  }
  return all;
}
