/** What a call asks for beyond what its schema can say; what cannot be is refused before a database sees it. */
import { iso } from '../database/sql.ts';
import { CallError } from './handler.ts';

/** PostgreSQL knows no year 0, and neither database a month 13. */
const FIRST_MS = Date.parse('0001-01-01T00:00:00.000Z');

/** ms since the epoch. `name` is the parameter's. */
export function timeAsked(name: string, text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms) || ms < FIRST_MS) {
    throw new CallError(
      400,
      `${name}: there is no such time; UTC as 2026-11-27T14:03:12.000Z would be right`,
    );
  }
  return ms;
}

export interface Span {
  readonly fromMs: number;
  /** The first moment that is not in it. */
  readonly toMs: number;
}

export function spanAsked({ from, to }: { readonly from: string; readonly to: string }): Span {
  const [fromMs, toMs] = [timeAsked('from', from), timeAsked('to', to)];
  if (fromMs >= toMs) throw new CallError(400, `to: ${iso(toMs)} is not after from, ${iso(fromMs)}`);
  return { fromMs, toMs };
}

/** PostgreSQL keeps no NUL in text, and nothing in the room has one. */
export function textAsked(name: string, text: string): string {
  if (text.includes('\0')) throw new CallError(400, `${name}: holds a character with the code 0`);
  return text;
}

/** Numbers beyond this are no numbers of anything. */
export function noAsked(what: string, no: number): number {
  if (!Number.isSafeInteger(no)) throw new CallError(404, `there is no ${what} ${no}`);
  return no;
}
