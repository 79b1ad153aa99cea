/** The fleet that is simulated, what goes wrong in it, and the release that it gets. */
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
import type { Plan } from '../rollout/plan.ts';
import { planOf } from '../rollout/plan.ts';
import type { SimBoxOptions } from './box.ts';
import { type Fate, VANISHING } from './fate.ts';
import type { Release } from './reported.ts';

export interface ScenarioOptions {
  /** Of what the release is that is rolled out. */
  readonly what: ReleaseKind;
  readonly boxes: number;
  readonly seed: number;
  /** Shares of all boxes. */
  readonly rollBack: number;
  readonly offline: number;
  readonly mute: number;
  /** Share of the boxes, canaries too, that the release takes off the network for good. */
  readonly vanish: number;
  /** Of the canaries none vanishes. */
  readonly spareCanaries: boolean;
  /** When: in a phase, or in any of them. */
  readonly vanishAt: Vanishing | 'any';
  /** Minutes from the confirmation on; only for `confirmed`. */
  readonly vanishAfterMinutes: number;
  /** Share of the boxes, canaries too, whose pole has no power by day. */
  readonly dark: number;
  /** A board of which every box goes back. */
  readonly broken: Board | undefined;
  readonly deltaBytes: number;
  readonly fullBytes: number;
  /** Of what is tried, above which it halts. */
  readonly haltShare: number | undefined;
}

export type Vanishing = (typeof VANISHING)[number];

/** The releases of one commit that are rolled out: two numbers, one version. */
export const TARGETS = {
  release: { seq: 43, version: '1.5.0' },
  root: { seq: 44, version: '1.5.0' },
} as const satisfies Record<ReleaseKind, Release>;
export const RUNS = {
  release: { seq: 42, version: '1.4.2' },
  root: { seq: 41, version: '1.4.2' },
} as const satisfies Record<ReleaseKind, Release>;
/** A box in ten is behind, and takes the release whole. */
const BEHIND = {
  release: { seq: 39, version: '1.4.0' },
  root: { seq: 38, version: '1.4.0' },
} as const satisfies Record<ReleaseKind, Release>;
const SITES = 12;
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** Street light of a winter's day, UTC. */
const DARK = { fromHour: 7, toHour: 16.5 };
/** As a city buys them. */
const BOARDS: readonly (readonly [Board, number])[] = [
  ['rpi5', 0.5],
  ['rpi4', 0.25],
  ['jetson', 0.15],
  ['rk3588', 0.1],
];
const CANARIES_A_BOARD = 2;
/** From the switch of a window to its end there is time for a wave of any size. */
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
  // Canaries are chosen among boxes that are well; faults are dealt to the others, exactly so many.
  const others = shuffled(
    names.filter((i) => !canaries.has(i)),
    random,
  );
  const deal = (share: number, fate: (n: number) => Fate): void => {
    for (let n = 0; n < Math.round(share * count); n += 1) {
      const i = others.pop();
      if (i !== undefined) fates.set(i, fate(n));
    }
  };
  const there = { away: false, backAfterMs: null } as const;
  deal(rollBack, () => ({ ...there, ends: 'rolled-back' }));
  deal(mute, () => ({ ...there, ends: 'mute' }));
  // Two of three come back, after one to five days.
  deal(offline, (n) => ({
    ends: 'confirmed',
    away: true,
    backAfterMs: n % 3 === 2 ? null : (1 + 4 * random()) * DAY_MS,
  }));
  const bane = baneOf(options, canaries);
  const boxes = names.map((i): SimBoxOptions => {
    const board = boards[i] ?? 'rpi5';
    const old = i % 10 === 9 ? BEHIND : RUNS;
    const fate = fates.get(i) ?? { ...there, ends: 'confirmed' };
    const isBroken = board === broken && fate.ends === 'confirmed';
    return {
      site: `site-${(i % SITES) + 1}`,
      box: nameOf(i),
      board,
      runs: old,
      mode: i % 25 === 24 ? 'suspended' : 'active',
      fate: { ...fate, ...(isBroken && { ends: 'rolled-back' as const }), ...bane(i) },
      bytes: old === BEHIND ? options.fullBytes : options.deltaBytes,
      jitterMs: Math.floor(random() * 60_000),
    };
  });
  const plan = planOf(
    {
      // Of the board that breaks one canary only: one is not enough to halt, and the first wave must.
      canary: {
        boxes: [...canaries]
          .filter((i, at) => boards[i] !== broken || at % CANARIES_A_BOARD === 0)
          .map(nameOf),
        hours: 24,
      },
      window: WINDOW,
      ...(options.haltShare !== undefined && { thresholds: { failures: options.haltShare } }),
    },
    'Europe/Paris',
  );
  return { boxes, plan, targets: targetsOf(options) };
}

/** What is dealt to every box alike, by chance, whatever else is wrong with it. */
function baneOf(
  options: ScenarioOptions,
  canaries: ReadonlySet<number>,
): (i: number) => Pick<Fate, 'vanishes' | 'dark'> {
  const { seed, vanish, vanishAt, vanishAfterMinutes, dark, spareCanaries } = options;
  const random = randomOf(seed + 1);
  return (i) => {
    const [vanishes, phase, isDark] = [random() < vanish, random(), random() < dark];
    const at = vanishAt === 'any' ? VANISHING[Math.floor(phase * VANISHING.length)] : vanishAt;
    // The lamps of a site go on and off together.
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
  for (const [board, share] of BOARDS) {
    reached += share;
    if (at < reached) return board;
  }
  return 'rpi5';
}

/** As a repository offers it; nobody loads it here. */
export function targetsOf(sizes: Sizes): Targets {
  return new Targets({
    version: 1,
    specVersion: '1.0.31',
    expires: '2100-01-01T00:00:00Z',
    targets: Object.fromEntries(RELEASE_KINDS.flatMap((what) => filesOf(what, sizes))),
  });
}

type Sizes = Pick<ScenarioOptions, 'deltaBytes' | 'fullBytes'>;

function filesOf(what: ReleaseKind, { deltaBytes, fullBytes }: Sizes): [string, TargetFile][] {
  const id = { what, ...TARGETS[what], arch: 'arm64' } as const;
  const { seq } = RUNS[what];
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
    installedBytes: 3 * fullBytes,
  };
  const file = (path: string, length: number, unrecognizedFields = {}): [string, TargetFile] => [
    path,
    new TargetFile({ path, length, hashes: { sha256: '00'.repeat(32) }, unrecognizedFields }),
  ];
  return [
    file(paths.manifest, 20_000, { custom }),
    file(paths.full, fullBytes),
    file(paths.delta, deltaBytes),
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
