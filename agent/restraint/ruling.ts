/** Rules on whether the box may analyse, and describes the ruling in statements, reports and entries. */
import type { Authorisation } from '../contract/authorisation.ts';
import type { FramesReport } from '../contract/health.ts';
import type { JournalEntry } from '../contract/journal.ts';
import type { ModeStatement, RestraintReport } from '../contract/mode.ts';
import type { Ruling } from '../contract/permit.ts';
import type { SuspensionState } from '../orders/suspension.ts';
import type { Coverage } from './authorisation.ts';
import type { AuthorisationRefusal, SignedAuthorisation } from './authorisations.ts';
import { permitUnder } from './permit.ts';

const TEXT_MAX = 500;

export interface Ruled extends Ruling {
  readonly startTime: string;
  readonly suspension: string | null;
  readonly by: string | null;
  readonly authorisation: Authorisation | undefined;
  readonly sha256: string | undefined;
  readonly coverage: readonly Coverage[];
}

export interface Grounds {
  readonly suspension: SuspensionState;
  /** Valid authorisation, or the reason why there is none. */
  readonly signedAuthorisation: SignedAuthorisation | AuthorisationRefusal;
  /** Required for a permit: without a working journal nothing can be proved. */
  readonly journalWritable: boolean;
  /** Reason why root's record cannot be kept; undefined if it can, or in a plain run. */
  readonly rootProblem: string | undefined;
}

/**
 * Rules by the suspension first, then the authorisation, then the proof. `since` is empty if the ruling began just now.
 */
export function rulingOf({ suspension, signedAuthorisation, journalWritable, rootProblem }: Grounds): Ruled {
  const { suspended, id, since, reason, by } = suspension;
  const [authorisation, sha256, coverage] =
    'reason' in signedAuthorisation
      ? [undefined, undefined, []]
      : [signedAuthorisation.content, signedAuthorisation.sha256, signedAuthorisation.coverage];
  const refusals = new Map(
    coverage.flatMap(({ rule, reason: ruleReason }): [string, string][] =>
      ruleReason === undefined ? [] : [[rule, ruleReason]],
    ),
  );
  const base = { authorisation, sha256, coverage, refusals, permit: undefined };
  if (suspended) return { ...base, suspension: id, by, startTime: since ?? '', mode: 'suspended', reason };
  const own = { ...base, suspension: null, by: null, startTime: '' };
  const unauthorised = (cause: string): Ruled => ({
    ...own,
    mode: 'unauthorised',
    reason: cause.slice(0, TEXT_MAX),
  });
  if ('reason' in signedAuthorisation) return unauthorised(signedAuthorisation.reason);
  if (!journalWritable) return unauthorised('journal-down: no analysis without a journal entry');
  if (rootProblem !== undefined) return unauthorised(rootProblem);
  return {
    ...own,
    mode: 'active',
    reason: null,
    permit: permitUnder(signedAuthorisation.envelope, coverage),
  };
}

/** True if two rulings are the same. Reasons about time contain the time, which is not a change. */
export function isSame(a: Ruled, b: Ruled): boolean {
  const mark = ({ mode, reason, suspension, sha256, coverage }: Ruled): string =>
    JSON.stringify([mode, reason?.replace(/; it is \S+ by/g, ''), suspension, sha256, coverage]);
  return mark(a) === mark(b);
}

export function statementOf(
  { mode, startTime, reason, authorisation, suspension }: Ruled,
  { site, box }: { readonly site: string; readonly box: string },
  boot: string,
  time: string,
  { read: framesRead, watched: packetsWatched }: FramesReport,
): ModeStatement {
  return {
    site,
    box,
    boot,
    time,
    mode,
    since: startTime,
    reason,
    framesRead,
    packetsWatched,
    suspension,
    ...authorisationFields(authorisation),
  };
}

/** Returns the report of a ruling. `shadowed`: incidents that a shadow rule has suppressed. */
export function reportOf(ruled: Ruled | undefined, shadowed: (rule: string) => number): RestraintReport {
  const {
    startTime = '1970-01-01T00:00:00.000Z',
    reason = 'starting',
    authorisation,
    coverage = [],
  } = ruled ?? {};
  return {
    since: startTime,
    reason,
    ...authorisationFields(authorisation),
    rules: coverage.map(({ rule, grant, reason: ruleReason }) => ({
      id: rule,
      state: grant === undefined ? 'unauthorised' : grant.shadow ? 'shadow' : 'active',
      reason: ruleReason?.slice(0, TEXT_MAX) ?? null,
      shadowed: shadowed(rule),
    })),
  };
}

/** Returns the journal entry for an authorisation that is valid from now on. */
export function authorisationEntry(authorisation: Authorisation, sha256: string): JournalEntry {
  const { order, notBefore, notAfter, installation, tracks } = authorisation;
  return {
    type: 'authorisation',
    order,
    sha256,
    notBefore,
    notAfter,
    ...(installation === true && { installation }),
    ...(tracks && { tracks: { grade: tracks.grade, days: tracks.days } }),
  };
}

function authorisationFields(authorisation: Authorisation | undefined) {
  return {
    order: authorisation?.order ?? null,
    validUntil: authorisation?.notAfter ?? null,
    installation: authorisation?.installation === true,
  };
}
