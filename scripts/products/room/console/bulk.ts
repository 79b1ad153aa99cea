/** Actions on many incidents at once: each incident is done or refused separately. */
import type { BulkAnswer, Undo } from '../contract/undo.ts';
import { CallError } from './handler.ts';
import { type IncidentRow, incidentOf } from './rows.ts';

/** An incident as the person saw it. */
export interface SeenIncident {
  readonly no: number;
  readonly revision: number;
}

/** Rows after the action and refusals, by the numbers of the incidents that were named. */
export interface BulkResult {
  readonly updated: ReadonlyMap<number, IncidentRow>;
  readonly refusals: ReadonlyMap<number, CallError>;
  readonly undo: Undo;
}

/** Maximum length of a problem, as in the contract. */
const PROBLEM_CHARS_MAX = 200;

export const missing = (no: number): CallError =>
  new CallError(404, `incident ${no} does not exist, or is no longer stored`);

/**
 * Returns the incidents whose numbers can exist.
 * @throws {CallError} 400 if one is named twice
 */
export function namedOnce(incidents: readonly SeenIncident[]): SeenIncident[] {
  const nos = new Set(incidents.map(({ no }) => no));
  if (nos.size < incidents.length) throw new CallError(400, 'incidents: one is named twice; name each once');
  return incidents.filter(({ no }) => Number.isSafeInteger(no));
}

export function bulkAnswer(
  incidents: readonly SeenIncident[],
  { updated, refusals, undo }: BulkResult,
): BulkAnswer {
  const results = incidents.map(({ no }) => {
    const row = updated.get(no);
    if (row !== undefined) return { no, incident: incidentOf(row), problem: null, reason: null };
    const { message, incident = null, reason = null } = refusals.get(no) ?? missing(no);
    return { no, incident, problem: message.slice(0, PROBLEM_CHARS_MAX), reason };
  });
  return { results, undo };
}
