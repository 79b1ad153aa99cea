/** Mixes of faults that a rollout must survive, run in sequence. */
import type { SimulateOptions } from './simulate.ts';

const NONE = {
  rollBack: 0,
  offline: 0,
  mute: 0,
  vanish: 0,
  dark: 0,
  spareCanaries: false,
  kind: 'release',
} as const;
/** Ordinary faults, below the limits of the thresholds. */
const USUAL = { ...NONE, rollBack: 0.01, offline: 0.05, mute: 0.01 } as const;
const VANISH = { ...USUAL, vanish: 0.9 } as const;

export const MIXES: readonly (readonly [string, Partial<SimulateOptions>])[] = [
  ['none', NONE],
  ['1 % roll back, 5 % offline, 1 % mute', USUAL],
  ['a board rolls back', { ...USUAL, broken: 'rk3588' }],
  ['8 % mute', { ...NONE, mute: 0.08 }],
  ['90 % vanish in the download', { ...VANISH, vanishAt: 'downloading' }],
  ['90 % vanish in the switch', { ...VANISH, vanishAt: 'switching' }],
  ['90 % vanish in the switch of root’s program', { ...VANISH, kind: 'root', vanishAt: 'switching' }],
  ['90 % vanish in probation', { ...VANISH, vanishAt: 'probation' }],
  ['90 % vanish 5 min after they confirmed', { ...VANISH, vanishAt: 'confirmed', vanishAfterMinutes: 5 }],
  ['90 % vanish 3 h after they confirmed', { ...VANISH, vanishAt: 'confirmed', vanishAfterMinutes: 180 }],
  ['90 % vanish, the canaries do not', { ...VANISH, vanishAt: 'any', spareCanaries: true }],
  ['10 % vanish, the canaries do not', { ...USUAL, vanish: 0.1, vanishAt: 'any', spareCanaries: true }],
  ['10 % vanish, in any phase', { ...USUAL, vanish: 0.1, vanishAt: 'any' }],
  ['40 % without power by day', { ...NONE, rollBack: 0.01, dark: 0.4 }],
  ['40 % without power by day, 90 % vanish', { ...VANISH, dark: 0.4, vanishAt: 'any' }],
  ['broker emptied in wave 1', { ...USUAL, emptyInWave: 1 }],
  ['database of before wave 1 put back in wave 2', { ...USUAL, restoreInWave: 2 }],
];
