/** Converts rows of the room's tables to values of its interface. Every row converts, whatever a box has written. */

import type { AuditDraft } from '../contract/audit.ts';
import type { Incident } from '../contract/incident.ts';
import { isTime } from '../contract/open-schema.ts';
import type { Account } from './handler.ts';

/** Columns of `incident` that `incidentOf` and the actions read. */
export const INCIDENT_COLUMNS = `no, rev, revision, site, box, episode, entry, severity, priority, kind, rule, place,
  started_at, ended_at, received, clock_doubt, objects, cause, events, still, last_note, state, claimed_by,
  claimed_until, claimed_first, dispatched_by, dispatched_at, patrol, patrol_answer, patrol_answer_at,
  arrived_at, suppression, is_suppressed, verdict, verdict_at, verdict_by, closed_at, closed_reason, reopens`;

/** Columns of `incident` that actions change and their undo restores, with their types. */
export const ACTION_COLUMNS = {
  state: 'text',
  claimed_by: 'text',
  claimed_until: 'time',
  claimed_first: 'time',
  dispatched_by: 'text',
  dispatched_at: 'time',
  patrol: 'text',
  patrol_answer: 'text',
  patrol_answer_at: 'time',
  arrived_at: 'time',
  verdict: 'text',
  verdict_at: 'time',
  verdict_by: 'text',
  closed_at: 'time',
} as const;
type ActionColumn = keyof typeof ACTION_COLUMNS;

/** New or former values of such columns. */
export type ActionValues = Readonly<Partial<Record<ActionColumn, string | null>>>;

/** Returns the values that an undo of a change restores. */
export function formerValues(row: IncidentRow, change: ActionValues): ActionValues {
  const names = Object.keys(change) as ActionColumn[];
  return Object.fromEntries(names.map((name) => [name, row[name]]));
}

export interface IncidentRow {
  readonly no: number;
  readonly rev: number;
  readonly revision: number;
  readonly site: string;
  readonly box: string;
  readonly episode: string;
  readonly entry: number;
  readonly severity: Incident['severity'];
  readonly priority: number;
  readonly kind: string;
  readonly rule: string;
  readonly place: string;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly received: string;
  readonly clock_doubt: boolean | number;
  readonly objects: string;
  readonly cause: string;
  readonly events: number;
  readonly still: string | null;
  readonly last_note: number | null;
  readonly state: Incident['state'];
  readonly claimed_by: string | null;
  readonly claimed_until: string | null;
  readonly claimed_first: string | null;
  readonly dispatched_by: string | null;
  readonly dispatched_at: string | null;
  readonly patrol: string | null;
  readonly patrol_answer: Incident['patrolAnswer'];
  readonly patrol_answer_at: string | null;
  readonly arrived_at: string | null;
  readonly suppression: number | null;
  readonly is_suppressed: boolean | number;
  readonly verdict: Incident['verdict'];
  readonly verdict_at: string | null;
  readonly verdict_by: string | null;
  readonly closed_at: string | null;
  readonly closed_reason: Incident['closedReason'];
  readonly reopens: number | null;
}

/** Limits as in the contract. */
const OBJECTS_MAX = 8;
const CAUSE_CHARS_MAX = 300;

/**
 * Converts a row. Copies member by member, because spreading takes ten times as long and a queue has two thousand rows.
 */
export function incidentOf(row: IncidentRow): Incident {
  const startedAt = timeOf(row.started_at);
  return {
    no: row.no,
    rev: row.rev,
    revision: row.revision,
    site: row.site,
    box: row.box,
    episode: row.episode,
    severity: row.severity,
    priority: row.priority,
    kind: row.kind,
    rule: row.rule,
    place: row.place,
    startedAt: startedAt ?? row.received,
    endedAt: timeOf(row.ended_at),
    received: row.received,
    clockDoubt: Boolean(row.clock_doubt) || startedAt === null,
    objects: objectsIn(row.objects),
    cause: causeIn(row.cause),
    events: row.events,
    still: row.still,
    lastNote: row.last_note,
    state: row.state,
    claimedBy: row.claimed_by,
    claimedUntil: timeOf(row.claimed_until),
    dispatchedBy: row.dispatched_by,
    dispatchedAt: timeOf(row.dispatched_at),
    patrol: row.patrol,
    patrolAnswer: row.patrol_answer,
    patrolAnswerAt: timeOf(row.patrol_answer_at),
    arrivedAt: timeOf(row.arrived_at),
    suppression: row.suppression,
    isSuppressed: isHidden(row),
    verdict: row.verdict,
    verdictAt: timeOf(row.verdict_at),
    closedAt: timeOf(row.closed_at),
    closedReason: row.closed_reason,
    reopens: row.reopens,
  };
}

/** True if a suppression keeps the incident out of the queue. It enters when someone takes it. */
export function isHidden(row: Pick<IncidentRow, 'is_suppressed' | 'state' | 'priority'>): boolean {
  return Boolean(row.is_suppressed) && row.state === 'new' && row.priority > 1;
}

/** SQL for the same. */
export const HIDDEN = "is_suppressed AND state = 'new' AND priority > 1";

/** Returns the time if the interface can express it, else null; a year of five digits does not fit. */
export function timeOf(text: string | null): string | null {
  return text !== null && isTime(text) ? text : null;
}

/** Parses a JSON object; any other value gives an empty object. */
export function objectIn(json: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(json);
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

/** Returns the strings of a JSON array. */
export function textsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

/** Returns the actor for an entry of the audit log. */
export function actorOf({ name, role, isProgram }: Account): Pick<AuditDraft, 'account' | 'role'> {
  return { account: name, role: isProgram ? 'program' : role };
}

function objectsIn(json: string): Incident['objects'] {
  const value: unknown = JSON.parse(json);
  if (!Array.isArray(value)) return [];
  return (value as Incident['objects']).slice(0, OBJECTS_MAX).map(({ label, track }) => ({ label, track }));
}

function causeIn(json: string): Incident['cause'] {
  const cause: Incident['cause'] = {};
  for (const [name, value] of Object.entries(objectIn(json))) {
    if (typeof value === 'string') cause[name] = value.slice(0, CAUSE_CHARS_MAX);
    else if (typeof value === 'boolean' || typeof value === 'number') cause[name] = value;
  }
  return cause;
}
