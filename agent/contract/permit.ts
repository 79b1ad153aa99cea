/**
 * Capability that permits camera access. Vision starts only with one, and only agent/restraint/permit.ts creates them
 * (a test bans the cast everywhere else).
 */
import type { Mode } from './mode.ts';

declare const permitted: unique symbol;

/** Terms under which one rule of the configuration runs. */
export interface RuleGrant {
  /** Absent in replay, which needs no authorisation. */
  readonly legalBasis?: string;
  readonly validUntil?: string;
  /** The rule counts the alerts that it would have raised, and publishes nothing. */
  readonly shadow: boolean;
}

export interface CapturePermit {
  readonly [permitted]: true;
  /** Rules that may run, by id. All others do not run. */
  readonly rules: ReadonlyMap<string, RuleGrant>;
  /**
   * The underlying signed authorisation, for vision to verify independently; null for recorded clips and test pictures.
   */
  readonly order: string | null;
}

/** Decision on the current mode. */
export interface Ruling {
  readonly mode: Mode;
  /** Reason why no analysis runs; null while it runs. */
  readonly reason: string | null;
  /** Undefined if no vision process may run. */
  readonly permit: CapturePermit | undefined;
  /** Reasons why rules do not run although analysis does, by id. */
  readonly refusals: ReadonlyMap<string, string>;
}
