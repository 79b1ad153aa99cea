/**
 * The right to look. Vision is started with one and not without; only agent/restraint/permit.ts makes them (a test
 * bans the cast everywhere else).
 */
import type { Mode } from './mode.ts';

declare const permitted: unique symbol;

/** Under what one rule of the configuration runs. */
export interface RuleGrant {
  /** Absent in replay, which needs no authorisation. */
  readonly legalBasis?: string;
  readonly validUntil?: string;
  /** It counts what it would have raised, and publishes nothing. */
  readonly shadow: boolean;
}

export interface CapturePermit {
  readonly [permitted]: true;
  /** Rules that may run, by id; the others do not. */
  readonly rules: ReadonlyMap<string, RuleGrant>;
  /** The signed order that it rests on, for vision to see for itself; null for recorded clips and test pictures. */
  readonly order: string | null;
}

/** What is to happen now. */
export interface Ruling {
  readonly mode: Mode;
  /** Why the box does not look; null while it does. */
  readonly reason: string | null;
  /** Undefined: there is no vision process. */
  readonly permit: CapturePermit | undefined;
  /** Why rules do not run although the box looks, by id. */
  readonly refused: ReadonlyMap<string, string>;
}
