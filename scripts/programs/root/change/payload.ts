/** What the change machine needs of a kind of change: how it is fetched, staged, switched to and left again. */
import type { Verdict } from './probation.ts';
import type { Change, Kind, State, Target, Trial } from './record.ts';
import type { Installed, Relation } from './step.ts';
import type { Shared } from './store.ts';

/** Bytes of a download, for who watches it; null: it is over. */
export type Progress = (bytes: { readonly done: number; readonly total: number } | null) => void;

export type FinalVerdict = Exclude<Verdict, { readonly state: 'wait' }>;

export interface JudgeTimes {
  readonly healthyS: number;
  readonly withinS: number;
}

export interface Payload {
  readonly kind: Kind;
  /** Whether `parked` is possible: a change that can be judged only while the box looks. */
  readonly needsActive: boolean;
  relation(target: Target): Relation;
  /** What is installed, against the trial of this change. */
  installed(change: Change): Installed;
  /**
   * Brings the target to this disk; goes on where it was interrupted.
   *
   * @throws AgentError corrupt: what was served is not what was signed; denied: never; other kinds: not now
   */
  fetch(target: Target, signal: AbortSignal, progress: Progress): Promise<void>;
  /** What the last fetch has learnt, for the record. */
  learnt(): Shared;
  /** Makes it ready beside what runs. Throws AgentError. */
  stage(change: Change): Promise<void>;
  /** Verifies what was staged, right before the switch. Throws AgentError. */
  verifyStaged(change: Change): Promise<void>;
  /** What runs now, before it is left. */
  trial(change: Change): Promise<Trial>;
  /** Switches; can be done again. Returns the units to start. Throws AgentError. */
  enter(change: Change, trial: Trial): Promise<readonly string[]>;
  /**
   * Rolls back; can be done again. `booting`: nothing runs yet, and what is enabled starts afterwards. Never throws for what
   * it can do without. Throws AgentError where the former state cannot be installed.
   */
  leave(change: Change, trial: Trial, booting: boolean): Promise<Left>;
  /** Restarts of the agent that systemd has counted so far. */
  restarts(): Promise<number>;
  /** Whether what was switched to starts at all, where no agent ran before. */
  startsAtAll(): Promise<FinalVerdict>;
  /** What it must show beside an agent that is as well as before. */
  proves(change: Change): Promise<FinalVerdict>;
  /** What its confirmation means for the record. */
  confirmed(change: Change, state: State): Shared;
  /** `withinS` counts from the switch. */
  times(): JudgeTimes;
  /** Of `state` only what runs, what is kept and what is under way stays on the disk. */
  tidy(state: State): void;
}

export interface Left {
  readonly found: 'from' | 'other' | 'nothing';
  readonly reason: string;
  /** Units to start. */
  readonly starts: readonly string[];
}
