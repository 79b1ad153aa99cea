/** A ruling with what it rests on, and how it is told. */
import type { Authorisation } from '../contract/authorisation.ts';
import type { FramesReport } from '../contract/health.ts';
import type { JournalEntry } from '../contract/journal.ts';
import type { ModeStatement, RestraintReport } from '../contract/mode.ts';
import type { Ruling } from '../contract/permit.ts';
import type { Coverage } from './authorisation.ts';

const TEXT_MAX = 500;

export interface Ruled extends Ruling {
  readonly since: string;
  readonly suspension: string | null;
  readonly by: string | null;
  readonly authorisation: Authorisation | undefined;
  readonly sha256: string | undefined;
  readonly coverage: readonly Coverage[];
}

/** Reasons of time hold the time, which is no change. */
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

/** `shadowed`: incidents of a rule that shadow has kept back. */
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
    rules: coverage.map(({ rule, grant, reason: why }) => ({
      id: rule,
      state: grant === undefined ? 'unauthorised' : grant.shadow ? 'shadow' : 'active',
      reason: why?.slice(0, TEXT_MAX) ?? null,
      shadowed: shadowed(rule),
    })),
  };
}

/** Of an order that is in force from now on. */
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
