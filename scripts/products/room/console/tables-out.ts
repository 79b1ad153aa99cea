/** Defines the tables exported as CSV. The writer escapes the cells. */
import type { AuditEntry } from '../contract/audit.ts';
import type { Camera } from '../contract/camera.ts';
import type { ClosedIncident } from '../contract/closed.ts';
import type { Dispatched, ShiftLine, Statistics } from '../contract/figures.ts';
import type { Incident } from '../contract/incident.ts';
import type { WeekRow } from './week.ts';

export type Cell = string | number | boolean | null;
export type CsvRow = Readonly<Record<string, Cell>>;

/** Columns in order, and the row of a value. */
export interface Table<T> {
  readonly columns: readonly string[];
  rowOf(one: T): CsvRow;
}

const INCIDENT = [
  ...['no', 'received', 'startedAt', 'endedAt', 'clockDoubt', 'site', 'box', 'severity', 'priority', 'kind'],
  ...['rule', 'place', 'events', 'state', 'claimedBy', 'dispatchedBy', 'dispatchedAt', 'patrol'],
  ...['patrolAnswer', 'patrolAnswerAt', 'arrivedAt', 'verdict', 'verdictAt', 'closedAt', 'closedReason'],
  ...['reopens', 'suppression', 'isSuppressed', 'episode'],
] as const;

export const INCIDENTS: Table<Incident> = {
  columns: [...INCIDENT, 'objects'],
  rowOf: ({ objects, cause: _cause, ...incident }) => ({
    ...incident,
    objects: objects.map(({ label, track }) => `${label} ${track}`).join(', '),
  }),
};

export const CLOSED: Table<ClosedIncident> = {
  columns: [...INCIDENTS.columns, 'closedBy', 'reopenedAs'],
  rowOf: ({ closedBy, reopenedAs, ...incident }) => ({ ...INCIDENTS.rowOf(incident), closedBy, reopenedAs }),
};

export const CAMERAS: Table<Camera> = {
  columns: [
    ...['site', 'box', 'condition', 'reasons', 'state', 'mode', 'lastReport', 'lastAlert', 'blindS'],
    ...['certificateEnds', 'orderEnds', 'version'],
  ],
  rowOf: ({ reasons, ...camera }) => ({ ...camera, reasons: reasons.join(' ') }),
};

export const STATISTICS: Table<Statistics['rows'][number]> = {
  columns: [
    'key',
    'alerts',
    'confirmed',
    'falseAlarms',
    'unclear',
    'share',
    'low',
    'high',
    'meanClaimS',
    'meanArrivalS',
    'suppressed',
  ],
  rowOf: (row) => row,
};

export const SHIFT_LINES: Table<ShiftLine> = {
  columns: [
    ...[
      'state',
      'count',
      'firstReceived',
      'lastReceived',
      'site',
      'box',
      'priority',
      'kind',
      'rule',
      'place',
    ],
    ...['claimedBy', 'dispatchedBy', 'dispatchedAt', 'newest'],
  ],
  rowOf: ({ incident, count, firstReceived, lastReceived }) => {
    const { no: newest, state, site, box, priority, kind, rule, place } = incident;
    const { claimedBy, dispatchedBy, dispatchedAt } = incident;
    const cause = { state, count, firstReceived, lastReceived, site, box, priority, kind, rule, place };
    return Object.assign(cause, { claimedBy, dispatchedBy, dispatchedAt, newest });
  },
};

/** Returns a dispatch as a line of its own, with the patrol's sender and time of that dispatch. */
export function lineOfDispatch({ incident, account: dispatchedBy, at: dispatchedAt }: Dispatched): ShiftLine {
  const { received } = incident;
  const times = { firstReceived: received, lastReceived: received };
  return { incident: { ...incident, dispatchedBy, dispatchedAt }, count: 1, ...times };
}

export const WEEK: Table<WeekRow> = {
  columns: [
    ...['from', 'to', 'site', 'box', 'rule', 'kind', 'alerts', 'confirmed', 'falseAlarms', 'unclear'],
    ...['share', 'low', 'high', 'meanClaimS'],
  ],
  rowOf: (row) => row,
};

export const AUDIT: Table<AuditEntry> = {
  columns: ['no', 'at', 'account', 'role', 'act', 'site', 'box', 'incident', 'more', 'previous', 'hash'],
  rowOf: ({ more, ...entry }) => ({ ...entry, more: JSON.stringify(more) }),
};

export async function* rowsOf<T>(
  table: Table<T>,
  all: AsyncIterable<T> | Iterable<T>,
): AsyncGenerator<CsvRow> {
  for await (const one of all) yield table.rowOf(one);
}
