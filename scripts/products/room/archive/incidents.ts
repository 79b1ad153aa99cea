/** Builds incidents from events: each event of an episode updates one row, in whatever order the events arrive. */
import type { VigieEvent } from '../../../../agent/contract/event.ts';
import { priorityOf } from '../contract/terms.ts';
import { clean, documentOf } from '../database/document.ts';
import { EVENT_COLUMNS } from '../database/incident-columns.ts';
import { type Dialect, iso, type Queries } from '../database/sql.ts';
import { momentOf } from './events.ts';
import { addAlerts } from './figures.ts';
import type { EventArrival } from './message.ts';
import { suppressNew } from './suppression.ts';

/** Maximum number of objects in a list. The incident itself has up to 64, as does the event. */
const OBJECTS_LISTED = 8;

/** Limits of a cause: as many members, and as long texts, as the screen shows in a line. */
const CAUSE_MEMBERS_MAX = 16;
const CAUSE_CHARS_MAX = 300;

/** Time in ms by which a clock may be ahead before it counts as wrong. An event from the past may have been delayed. */
const AHEAD_MAX_MS = 60_000;

/** Content of the column `detail`. */
export interface IncidentDetailColumn {
  /** Event time of the latest `cause` and `detectedObjects`. */
  readonly latest: string;
  readonly stills: readonly { moment: string; name: string; time: string; sha256: string }[];
  readonly absent: string | null;
  readonly purpose: string | null;
  readonly legalBasis: string | null;
  readonly validUntil: string | null;
  /** IANA time zone of the site; null if the box names none that exists. */
  readonly timeZone: string | null;
  readonly detectedObjects: VigieEvent['data']['objects'];
  readonly location: readonly number[] | null;
  readonly degraded: readonly string[];
  /** Id of the first event (start). */
  readonly event: string | null;
  readonly sealed: boolean;
}

interface IncidentRow {
  site: string;
  box: string;
  episode: string;
  entry: number;
  rev: number;
  severity: string;
  priority: number;
  kind: string;
  rule: string;
  place: string;
  started_at: string;
  ended_at: string | null;
  received: string;
  clock_doubt: boolean;
  objects: readonly { label: string; track: number }[];
  cause: Readonly<Record<string, string | number | boolean>>;
  events: number;
  newest: string;
  still: string | null;
  detail: IncidentDetailColumn;
  suppression: number | null;
  is_suppressed: boolean;
}

const COLUMNS = {
  site: 'text',
  box: 'text',
  episode: 'text',
  entry: 'integer',
  rev: 'integer',
  severity: 'text',
  priority: 'integer',
  kind: 'text',
  rule: 'text',
  place: 'text',
  started_at: 'time',
  ended_at: 'time',
  received: 'time',
  clock_doubt: 'boolean',
  objects: 'json',
  cause: 'json',
  events: 'integer',
  newest: 'time',
  still: 'text',
  detail: 'json',
  suppression: 'integer',
  is_suppressed: 'boolean',
} as const;

/** Columns that an event changes in an existing row. */
const CHANGED_COLUMNS = ['rev', ...EVENT_COLUMNS];

interface KeepOptions {
  /** First of the reserved change numbers, one for each event. The counter is locked. */
  readonly rev: number;
  readonly nowMs: number;
  readonly timeZone: string;
}

/** Adds new events to their incidents. Returns the number of affected rows. */
export async function keepIncidents(
  transaction: Queries,
  dialect: Dialect,
  events: readonly EventArrival[],
  { rev, nowMs, timeZone }: KeepOptions,
): Promise<number> {
  if (events.length === 0) return 0;
  const keys = new Map<string, { site: string; box: string; episode: string }>();
  for (const { place, event } of events) {
    if (event === undefined) continue;
    const key = { site: place.site, box: place.box, episode: clean(event.data.episode) };
    keys.set(keyOf(key), key);
  }
  const rows = await rowsOf(transaction, dialect, [...keys.values()]);
  const newRows = new Set<IncidentRow>();
  const touched = new Set<IncidentRow>();
  for (const { place, event, time } of events) {
    if (event === undefined) continue;
    const episode = clean(event.data.episode);
    const key = keyOf({ ...place, episode });
    let row = rows.get(key);
    if (row === undefined) {
      row = newRow(place, episode, event, nowMs);
      rows.set(key, row);
      newRows.add(row);
    }
    add(row, event, time, nowMs);
    touched.add(row);
  }
  let nextRev = rev;
  for (const row of touched) {
    row.rev = nextRev;
    nextRev += 1;
  }
  await suppressNew(transaction, newRows, { rev: nextRev - 1, nowMs });
  const names = Object.keys(COLUMNS).join(', ');
  await transaction.run(
    `INSERT INTO incident (${names}, revision, state)
     SELECT ${names}, 0, 'new' FROM ${dialect.rows('$1', 'new', COLUMNS)} WHERE true
     ON CONFLICT (site, box, episode, entry) DO UPDATE SET
     ${CHANGED_COLUMNS.map((name) => `${name} = excluded.${name}`).join(', ')}`,
    // A box may write a NUL into any text of an event. PostgreSQL would refuse it, and the alert would not be shown.
    [documentOf([...touched])],
  );
  await addAlerts(
    transaction,
    dialect,
    [...newRows].filter(({ severity }) => severity === 'alert'),
    timeZone,
  );
  return touched.size;
}

const keyOf = ({ site, box, episode }: { site: string; box: string; episode: string }): string =>
  `${site}/${box}/${episode}`;

/**
 * Reads the newest entry of each episode.
 *
 * `|| ''` disables other indexes. A planner without statistics rates any index by site and box as good as the one by
 * episode. It would scan all rows of the box for each event.
 */
async function rowsOf(
  transaction: Queries,
  dialect: Dialect,
  keys: readonly { site: string; box: string; episode: string }[],
): Promise<Map<string, IncidentRow>> {
  type Read = Omit<IncidentRow, 'objects' | 'cause' | 'detail' | 'clock_doubt' | 'is_suppressed'> &
    Record<'objects' | 'cause' | 'detail', string> &
    Record<'clock_doubt' | 'is_suppressed', boolean | number>;
  const columns = { site: 'text', box: 'text', episode: 'text' } as const;
  const read = await transaction.all<Read>(
    `SELECT ${Object.keys(COLUMNS)
      .map((name) => `incident.${name}`)
      .join(', ')} FROM incident
     JOIN ${dialect.rows('$1', 'asked', columns)} ON incident.episode = asked.episode
       AND incident.site || '' = asked.site AND incident.box || '' = asked.box ORDER BY entry`,
    [JSON.stringify(keys)],
  );
  return new Map(
    read.map((row) => [
      keyOf(row),
      {
        ...row,
        clock_doubt: Boolean(row.clock_doubt),
        is_suppressed: Boolean(row.is_suppressed),
        objects: JSON.parse(row.objects) as IncidentRow['objects'],
        cause: JSON.parse(row.cause) as IncidentRow['cause'],
        detail: JSON.parse(row.detail) as IncidentDetailColumn,
      },
    ]),
  );
}

function newRow(
  { site, box }: { site: string; box: string },
  episode: string,
  event: VigieEvent,
  nowMs: number,
): IncidentRow {
  const { severity, rule, zone, line } = event.data;
  const place = zone ?? line;
  const received = iso(nowMs);
  return {
    site,
    box,
    episode,
    entry: 1,
    rev: 0,
    severity,
    priority: priorityOf(severity, rule.kind),
    kind: rule.kind,
    rule: rule.id,
    place: clean(event.subject),
    started_at: '',
    ended_at: null,
    received,
    newest: received,
    clock_doubt: false,
    objects: [],
    cause: {},
    events: 0,
    still: null,
    suppression: null,
    is_suppressed: false,
    detail: {
      latest: '',
      stills: [],
      absent: null,
      detectedObjects: [],
      location: null,
      degraded: [],
      event: null,
      sealed: false,
      purpose: cleanOrNull(place?.purpose),
      legalBasis: cleanOrNull(place?.legalBasis),
      validUntil: place?.validUntil === undefined ? null : timeIn(place.validUntil),
      timeZone: knownZone(event.data.clock.timeZone),
    },
  };
}

/** Applies an event to its row. `time` is empty if the event's own time is not credible. */
function add(row: IncidentRow, event: VigieEvent, time: string, nowMs: number): void {
  const { phase, objects, cause, evidence, clock, degraded = [] } = event.data;
  const atMs = momentOf(time, nowMs);
  const durationS = typeof cause['durationS'] === 'number' ? cause['durationS'] : 0;
  const startMs = phase === 'start' ? atMs : atMs - Math.min(Math.max(durationS, 0), 366 * 86_400) * 1000;
  const isEarlier = row.started_at === '' || phase === 'start' || Date.parse(row.started_at) > startMs;
  if (isEarlier) row.started_at = iso(startMs);
  if (phase === 'end') row.ended_at = iso(Math.max(atMs, startMs));
  row.events += 1;
  row.newest = iso(nowMs);
  row.clock_doubt ||= !clock.synced || time === '' || Date.parse(time) > nowMs + AHEAD_MAX_MS;
  const stills = [...row.detail.stills];
  for (const moment of ['snapshot', 'before', 'deposit'] as const) {
    const still = evidence[moment];
    if (still === undefined) continue;
    const name = moment === 'snapshot' ? event.id : `${event.id}.${moment}`;
    const oldIndex = stills.findIndex((one) => one.moment === moment);
    // The snapshot of the alert is shown, not that of its end. For other moments, the first one is kept.
    if (oldIndex >= 0 && phase !== 'start') continue;
    if (oldIndex >= 0) stills.splice(oldIndex, 1);
    const takenTime = timeIn(still.time) ?? iso(atMs);
    stills.push({ moment, name: clean(name), time: takenTime, sha256: still.sha256 });
  }
  row.still = stills.find(({ moment }) => moment === 'snapshot')?.name ?? stills[0]?.name ?? null;
  const isLatest = row.detail.latest === '' || iso(atMs) >= row.detail.latest;
  if (isLatest) {
    row.cause = plain(cause);
    if (objects.length > 0) {
      row.objects = objects.slice(0, OBJECTS_LISTED).map(({ label, track }) => ({ label, track }));
    }
  }
  const { xyxyNorm } = cause;
  row.detail = {
    ...row.detail,
    stills,
    latest: isLatest ? iso(atMs) : row.detail.latest,
    absent: stills.length > 0 ? null : (cleanOrNull(evidence.absent) ?? row.detail.absent),
    detectedObjects:
      isLatest && objects.length > 0 ? objects.map(contractObject) : row.detail.detectedObjects,
    location: isXyxy(xyxyNorm) ? xyxyNorm : row.detail.location,
    degraded: [...new Set([...row.detail.degraded, ...degraded])],
    event: phase === 'start' ? clean(event.id) : row.detail.event,
    sealed: row.detail.sealed || evidence.sealed !== undefined,
  };
}

/** Keeps the part of a cause that fits in a line, because a hostile box may send anything. */
function plain(cause: Readonly<Record<string, unknown>>): IncidentRow['cause'] {
  const members = Object.entries(cause).slice(0, CAUSE_MEMBERS_MAX);
  return Object.fromEntries(
    members.flatMap(([key, value]): [string, string | number | boolean][] => {
      const name = clean(key.slice(0, 40));
      if (typeof value === 'string') return [[name, clean(value.slice(0, CAUSE_CHARS_MAX))]];
      return typeof value === 'number' || typeof value === 'boolean' ? [[name, value]] : [];
    }),
  );
}

/** Keeps the members of the contract. A newer box may send more, a hostile one anything. */
function contractObject({ track, label, score, xyxyNorm, since }: VigieEvent['data']['objects'][number]) {
  return { track, label, score, xyxyNorm, since };
}

const cleanOrNull = (text: string | undefined): string | null => (text === undefined ? null : clean(text));

/** The schema checks only the digits; returns null for a month 99. */
const timeIn = (text: string): string | null => (Number.isNaN(Date.parse(text)) ? null : text);

/** Returns null for a zone that the runtime does not know, because a hostile box may send any text. */
function knownZone(timeZone: string): string | null {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
    return timeZone;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function isXyxy(value: unknown): value is number[] {
  return Array.isArray(value) && value.length === 4 && value.every((one) => typeof one === 'number');
}
