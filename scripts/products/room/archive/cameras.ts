/** Keeps the state of each camera current from the reports and system events of its box. */
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { jsonOf } from '../../../../agent/base/json.ts';
import { HealthReport, StatusReport } from '../../../../agent/contract/health.ts';
import { isTime, openSchema } from '../contract/open-schema.ts';
import { type Dialect, iso, type Queries } from '../database/sql.ts';
import type { EventArrival, ReportArrival } from './message.ts';

const status = TypeCompiler.Compile(openSchema(StatusReport));
const health = TypeCompiler.Compile(openSchema(HealthReport));

/** Maximum number of conditions, as in the health report. */
const CONDITIONS_MAX = 64;

interface CameraRow {
  site: string;
  box: string;
  rev: number;
  state: string | null;
  mode: string | null;
  conditions: string[];
  certificate_ends: string | null;
  order_ends: string | null;
  version: string | null;
  last_alert: string | null;
  last_report: string;
}

const COLUMNS = {
  site: 'text',
  box: 'text',
  rev: 'integer',
  state: 'text',
  mode: 'text',
  conditions: 'json',
  certificate_ends: 'time',
  order_ends: 'time',
  version: 'text',
  last_alert: 'time',
  last_report: 'time',
} as const;

interface Touch {
  readonly events: readonly EventArrival[];
  readonly reports: readonly ReportArrival[];
  /** First of the reserved change numbers, one for each box. The counter is locked. */
  readonly rev: number;
  readonly nowMs: number;
}

/**
 * Updates cameras and returns the number that look different on screen. Of the others only the time of the last message
 * changes.
 */
export async function touchCameras(
  transaction: Queries,
  dialect: Dialect,
  { events, reports, rev, nowMs }: Touch,
): Promise<number> {
  const boxes = new Map<string, { site: string; box: string }>();
  for (const { site, box } of [...events.map(({ place }) => place), ...reports]) {
    boxes.set(`${site}/${box}`, { site, box });
  }
  if (boxes.size === 0) return 0;
  const rows = await rowsOf(transaction, dialect, [...boxes.values()]);
  const before = new Map([...rows].map(([key, row]) => [key, screenJson(row)]));
  for (const [key, { site, box }] of boxes) if (!rows.has(key)) rows.set(key, unknown(site, box));
  for (const report of reports) {
    const row = rows.get(`${report.site}/${report.box}`);
    if (row !== undefined) say(row, report, nowMs);
  }
  for (const { place, event } of events) {
    const row = rows.get(`${place.site}/${place.box}`);
    if (row === undefined || event === undefined) continue;
    const { severity, phase, rule } = event.data;
    row.last_report = iso(nowMs);
    if (severity === 'alert' && phase === 'start') row.last_alert = iso(nowMs);
    if (severity !== 'system') continue;
    const otherKinds = row.conditions.filter((kind) => kind !== rule.kind);
    row.conditions = phase === 'end' ? otherKinds : [...otherKinds, rule.kind].slice(-CONDITIONS_MAX);
  }
  let nextRev = rev;
  for (const [key, row] of rows) {
    if (before.get(key) === screenJson(row)) continue;
    row.rev = nextRev;
    nextRev += 1;
  }
  const names = Object.keys(COLUMNS);
  const inOrder = [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  await transaction.run(
    `INSERT INTO camera (${names.join(', ')}) SELECT ${names.join(', ')}
     FROM ${dialect.rows('$1', 'new', COLUMNS)} WHERE true ON CONFLICT (site, box) DO UPDATE SET
     ${names
       .slice(2)
       .map((name) => `${name} = excluded.${name}`)
       .join(', ')}, is_removed = FALSE`,
    [JSON.stringify(inOrder)],
  );
  return nextRev - rev;
}

/** Serialises everything that a screen shows of a camera. */
const screenJson = ({ rev: _rev, last_report: _lastReport, ...row }: CameraRow): string =>
  JSON.stringify(row);

function unknown(site: string, box: string): CameraRow {
  return {
    site,
    box,
    rev: 0,
    state: null,
    mode: null,
    conditions: [],
    certificate_ends: null,
    order_ends: null,
    version: null,
    last_alert: null,
    last_report: iso(0),
  };
}

async function rowsOf(
  transaction: Queries,
  dialect: Dialect,
  boxes: readonly { site: string; box: string }[],
): Promise<Map<string, CameraRow>> {
  const rows = await transaction.all<Omit<CameraRow, 'conditions'> & { conditions: string }>(
    `SELECT ${Object.keys(COLUMNS)
      .map((name) => `camera.${name}`)
      .join(', ')} FROM camera
     JOIN ${dialect.rows('$1', 'asked', { site: 'text', box: 'text' })} USING (site, box)
     WHERE NOT camera.is_removed`,
    [JSON.stringify(boxes)],
  );
  return new Map(
    rows.map((row) => [
      `${row.site}/${row.box}`,
      { ...row, conditions: JSON.parse(row.conditions) as string[] },
    ]),
  );
}

/** Applies a report to a row. An unreadable report has no effect on it; the report itself is stored unchanged. */
function say(row: CameraRow, { topic, body, isRetained }: ReportArrival, nowMs: number): void {
  const content = jsonOf(body);
  if (topic === 'status') {
    if (!status.Check(content)) return;
    row.state = content.state;
    // `offline` is sent by the broker on behalf of the box, and a retained status is old, so neither counts as heard.
    if (content.state !== 'offline' && !isRetained) row.last_report = iso(nowMs);
    return;
  }
  // A report counts only if it names the box of its topic.
  if (!health.Check(content) || content.site !== row.site || content.box !== row.box) return;
  const { mode, restraint, certificate, conditions, versions, time } = content;
  row.last_report = heardAt(
    row.last_report,
    isRetained ? Math.min(Date.parse(time) || 0, nowMs) : nowMs,
    nowMs,
  );
  row.mode = mode;
  row.conditions = [...conditions];
  row.certificate_ends = earlier(certificate?.notAfter ?? null, certificate?.caNotAfter ?? null);
  // An installation authorisation is temporary by design, so its end is not a warning.
  row.order_ends = restraint.installation === true ? null : timeOrNull(restraint.validUntil);
  row.version = versions['vigie'] ?? null;
}

/**
 * Returns the time of the last message. After the room's clock was set back, a time in the future is replaced, so that
 * the camera does not count as heard until then.
 */
function heardAt(before: string, ms: number, nowMs: number): string {
  const beforeMs = Date.parse(before);
  return iso(beforeMs > nowMs ? ms : Math.max(beforeMs, ms));
}

function earlier(a: string | null, b: string | null): string | null {
  const [first = null] = [timeOrNull(a), timeOrNull(b)].filter((time) => time !== null).sort();
  return first;
}

function timeOrNull(time: string | null): string | null {
  return time !== null && isTime(time) ? time : null;
}
