/** What a call asks for beyond what its schema can say; what cannot be is refused before a database sees it. */
import { CASE_RULE, unreadableOf } from '../../../../agent/contract/case.ts';
import { iso } from '../database/sql.ts';
import { CallError } from './handler.ts';

/** PostgreSQL knows no year 0, and text in UTC with four digits a year ends here. */
const FIRST_MS = Date.parse('0001-01-01T00:00:00.000Z');
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * ms since the epoch; what is finer is cut off. `name` is the parameter's, `text` fits the schema AskedTime. Throws
 * CallError 400 for a day that the calendar does not have.
 */
export function timeAsked(name: string, text: string): number {
  const day = text.slice(0, 10);
  const dayMs = Date.parse(`${day}T00:00:00.000Z`);
  // Date.parse makes 2 March of 30 February.
  if (Number.isNaN(dayMs) || iso(dayMs).slice(0, 10) !== day) {
    throw new CallError(400, `${name}: there is no day ${day}; a day of the calendar would be right`);
  }
  const ms = Date.parse(text.toUpperCase());
  if (ms >= FIRST_MS && ms <= LAST_MS) return ms;
  throw new CallError(400, `${name}: ${text} is no time of the years 0001 to 9999 in UTC`);
}

/** Throws CallError 400 where case or reason tells nothing. */
export function caseAsked(body: { readonly case: string; readonly reason: string }): void {
  const unreadable = unreadableOf(body);
  if (unreadable !== undefined) throw new CallError(400, `body: ${unreadable} ${CASE_RULE}`);
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
