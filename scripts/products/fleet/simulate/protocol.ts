/** Messages between the simulation and the processes of its boxes. */
import type { Mode } from '../../../../agent/contract/mode.ts';
import type { ChangePhase } from '../../../../agent/contract/update.ts';
import type { SimulationOptions, SimulationState } from './world.ts';

export type Ask =
  | { readonly n: number; readonly op: 'start'; readonly simulation: SimulationOptions }
  | { readonly n: number; readonly op: 'advance'; readonly toMs: number }
  /** Pairs of box and hash of the last message sent to it since the last request. */
  | { readonly n: number; readonly op: 'settle'; readonly orders: readonly (readonly [string, string])[] }
  | { readonly n: number; readonly op: 'reconnect' }
  | { readonly n: number; readonly op: 'truth' };

export interface Truth {
  readonly id: string;
  readonly phase: ChangePhase;
  readonly seq: number;
  readonly mode: Mode;
  readonly online: boolean;
  /** True if it was taken off the network for good. */
  readonly hasVanished: boolean;
}

export interface Answer extends SimulationState {
  readonly n: number;
  readonly truth?: readonly Truth[];
}
