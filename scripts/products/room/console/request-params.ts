/** Validates parameters of a call beyond their schema, so that invalid values never reach a database. */
import { caseProblem, normalCase } from '../../../../agent/contract/case.ts';
import { iso } from '../database/sql.ts';
import { CallError } from './handler.ts';

/** Range of valid times: PostgreSQL has no year 0, and years are stored with four digits. */
const FIRST_MS = Date.parse('0001-01-01T00:00:00.000Z');
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * Parses a time that fits the schema AskedTime into ms since the epoch, rounded down. `name` is the name of the
 * parameter.
 * @throws {CallError} 400 for a day that does not exist
 */
export function timeAsked(name: string, text: string): number {
  const day = text.slice(0, 10);
  const dayMs = Date.parse(`${day}T00:00:00.000Z`);
  // Date.parse turns 30 February into 2 March.
  if (Number.isNaN(dayMs) || iso(dayMs).slice(0, 10) !== day) {
    throw new CallError(400, `${name}: ${day} does not exist; use a day of the calendar`);
  }
  const ms = Date.parse(text.toUpperCase());
  if (ms >= FIRST_MS && ms <= LAST_MS) return ms;
  throw new CallError(400, `${name}: ${text} is not a time of the years 0001 to 9999 in UTC`);
}

/**
 * Returns the request with its number of the case in the normal form, which is then audited, signed and sent.
 * @throws {CallError} 400 if a box would refuse case or reason
 */
export function caseAsked<T extends { readonly case: string; readonly reason: string }>(body: T): T {
  const request = { ...body, case: normalCase(body.case) };
  const problem = caseProblem(request);
  if (problem !== undefined) throw new CallError(400, `body: ${problem.field} ${problem.message}`);
  return request;
}

export interface Span {
  readonly fromMs: number;
  /** Exclusive end. */
  readonly toMs: number;
}

export function spanAsked({ from, to }: { readonly from: string; readonly to: string }): Span {
  const [fromMs, toMs] = [timeAsked('from', from), timeAsked('to', to)];
  if (fromMs >= toMs) throw new CallError(400, `to: ${iso(toMs)} is not after from, ${iso(fromMs)}`);
  return { fromMs, toMs };
}

/** Refuses NUL: PostgreSQL cannot store it in text, and no text of the room contains it. */
export function textAsked(name: string, text: string): string {
  if (text.includes('\0')) throw new CallError(400, `${name}: holds a character with the code 0`);
  return text;
}

/** Refuses numbers beyond the safe integers, which identify nothing. */
export function noAsked(noun: string, no: number): number {
  if (!Number.isSafeInteger(no)) throw new CallError(404, `${noun} ${no} does not exist`);
  return no;
}
