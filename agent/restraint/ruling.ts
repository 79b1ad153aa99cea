/** Rules on whether the box may analyse, and describes the ruling in statements, reports and entries. */
import type { Authorisation } from '../contract/authorisation.ts';
import type { FramesReport } from '../contract/health.ts';
import type { JournalEntry } from '../contract/journal.ts';
import type { ModeStatement, RestraintReport } from '../contract/mode.ts';
import type { Ruling } from '../contract/permit.ts';
import type { SuspensionState } from '../orders/suspension.ts';
import type { Coverage } from './authorisation.ts';
import type { OrderRefusal, Signed } from './orders.ts';
import { permitUnder } from './permit.ts';

const TEXT_MAX = 500;

export interface Ruled extends Ruling {
  readonly since: string;
  readonly suspension: string | null;
  readonly by: string | null;
  readonly authorisation: Authorisation | undefined;
  readonly sha256: string | undefined;
  readonly coverage: readonly Coverage[];
}

export interface Grounds {
  readonly suspension: SuspensionState;
  /** Valid authorisation, or the reason why there is none. */
  readonly signedOrder: Signed | OrderRefusal;
  /** Required for a permit: without a working journal nothing can be proved. */
  readonly journalWritable: boolean;
  /** Reason why root's record cannot be kept; undefined if it can, or in a plain run. */
  readonly rootFault: string | undefined;
}

/**
 * Rules by the suspension first, then the authorisation, then the proof. `since` is empty if the ruling began just now.
 */
export function rulingOf({ suspension, signedOrder, journalWritable, rootFault }: Grounds): Ruled {
  const { suspended, id, since, reason, by } = suspension;
  const [authorisation, sha256, coverage] =
    'reason' in signedOrder
      ? [undefined, undefined, []]
      : [signedOrder.content, signedOrder.sha256, signedOrder.coverage];
  const refusedRules = new Map(
    coverage.flatMap(({ rule, reason: ruleReason }): [string, string][] =>
      ruleReason === undefined ? [] : [[rule, ruleReason]],
    ),
  );
  const base = { authorisation, sha256, coverage, refused: refusedRules, permit: undefined };
  if (suspended) return { ...base, suspension: id, by, since: since ?? '', mode: 'suspended', reason };
  const own = { ...base, suspension: null, by: null, since: '' };
  const unauthorised = (why: string): Ruled => ({
    ...own,
    mode: 'unauthorised',
    reason: why.slice(0, TEXT_MAX),
  });
  if ('reason' in signedOrder) return unauthorised(signedOrder.reason);
  if (!journalWritable) return unauthorised('journal-down: what could not be proved is not done');
  if (rootFault !== undefined) return unauthorised(rootFault);
  return { ...own, mode: 'active', reason: null, permit: permitUnder(signedOrder.order, coverage) };
}

/** True if two rulings are the same. Reasons about time contain the time, which is not a change. */
export function isSame(a: Ruled, b: Ruled): boolean {
  const mark = ({ mode, reason, suspension, sha256, coverage }: Ruled): string =>
    JSON.stringify([mode, reason?.replace(/; it is \S+ by/g, ''), suspension, sha256, coverage]);
  return mark(a) === mark(b);
}

export function statementOf(
  { mode, since, reason, authorisation, suspension }: Ruled,
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
    since,
    reason,
    framesRead,
    packetsWatched,
    suspension,
    ...orderOf(authorisation),
  };
}

/** Returns the report of a ruling. `shadowed`: incidents that a shadow rule has suppressed. */
export function reportOf(ruled: Ruled | undefined, shadowed: (rule: string) => number): RestraintReport {
  const {
    since = '1970-01-01T00:00:00.000Z',
    reason = 'starting',
    authorisation,
    coverage = [],
  } = ruled ?? {};
  return {
    since,
    reason,
    ...orderOf(authorisation),
    rules: coverage.map(({ rule, grant, reason: ruleReason }) => ({
      id: rule,
      state: grant === undefined ? 'unauthorised' : grant.shadow ? 'shadow' : 'active',
      reason: ruleReason?.slice(0, TEXT_MAX) ?? null,
      shadowed: shadowed(rule),
    })),
  };
}

/** Returns the journal entry for an authorisation that is valid from now on. */
export function orderEntry(authorisation: Authorisation, sha256: string): JournalEntry {
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

function orderOf(authorisation: Authorisation | undefined) {
  return {
    order: authorisation?.order ?? null,
    validUntil: authorisation?.notAfter ?? null,
    installation: authorisation?.installation === true,
  };
}
