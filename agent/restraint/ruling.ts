/** A ruling with what it rests on, and how it is told. */
import type { Authorisation } from '../contract/authorisation.ts';
import type { ModeStatement } from '../contract/mode.ts';
import type { Ruling } from '../contract/permit.ts';
import type { Coverage } from './authorisation.ts';

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
    JSON.stringify([mode, reason?.replace(/; it is .*$/, ''), suspension, sha256, coverage]);
  return mark(a) === mark(b);
}

export function statementOf(
  { mode, since, reason, authorisation, suspension }: Ruled,
  { site, box }: { readonly site: string; readonly box: string },
  boot: string,
  time: string,
  framesRead: number,
): ModeStatement {
  return {
    ...{ site, box, boot, time, mode, since, reason, framesRead, suspension },
    order: authorisation?.order ?? null,
    validUntil: authorisation?.notAfter ?? null,
  };
}
