/** Interface of a kind of change: how the change machine fetches, stages, enters and leaves it. */
import type { Verdict } from './probation.ts';
import type { Change, Kind, State, Target, Trial } from './record.ts';
import type { Installed, Relation } from './step.ts';
import type { Shared } from './store.ts';

/** Reports the bytes of a download; null means that it is over. */
export type Progress = (bytes: { readonly done: number; readonly total: number } | null) => void;

export type FinalVerdict = Exclude<Verdict, { readonly state: 'wait' }>;

export interface ProbationTimes {
  readonly healthyS: number;
  readonly withinS: number;
}

export interface Payload {
  readonly kind: Kind;
  /** True if the change can be tested only while analysis is active; then `parked` is possible. */
  readonly needsActive: boolean;
  relation(target: Target): Relation;
  /** Compares what is installed with the trial of this change. */
  installed(change: Change): Installed;
  /**
   * Downloads the target; resumes an interrupted download.
   *
   * @throws AgentError corrupt if the served bytes are not the signed ones, denied if it must not be tried again, else
   * another kind
   */
  fetch(target: Target, signal: AbortSignal, progress: Progress): Promise<void>;
  /** Returns what the last fetch has found out, for the record. */
  learnt(): Shared;
  /** Prepares the change beside what runs. Throws AgentError. */
  stage(change: Change): Promise<void>;
  /** Verifies what was staged, right before the switch. Throws AgentError. */
  verifyStaged(change: Change): Promise<void>;
  /** Records what runs now, before the switch. */
  trial(change: Change): Promise<Trial>;
  /** Switches, and returns the units to start. Idempotent. Throws AgentError. */
  enter(change: Change, trial: Trial): Promise<readonly string[]>;
  /**
   * Rolls back. Idempotent. `booting`: nothing runs yet, and the enabled units start afterwards. Optional steps never
   * throw.
   *
   * @throws AgentError the previous state cannot be installed
   */
  leave(change: Change, trial: Trial, booting: boolean): Promise<LeaveResult>;
  /** Returns the restarts of the agent that systemd has counted. */
  restarts(): Promise<number>;
  /** Tests whether the new state starts at all, for a box where no agent ran before. */
  startsAtAll(): Promise<FinalVerdict>;
  /** Runs further tests once the agent is as healthy as before. */
  proves(change: Change): Promise<FinalVerdict>;
  /** Returns what a confirmation changes in the record. */
  confirmed(change: Change, state: State): Shared;
  /** Returns the times of a probation; `withinS` counts from the switch. */
  times(): ProbationTimes;
  /** Removes from disk everything that `state` does not name as running, stored or under way. */
  tidy(state: State): void;
}

export interface LeaveResult {
  readonly outcome: 'from' | 'other' | 'nothing';
  readonly reason: string;
  readonly starts: readonly string[];
}
