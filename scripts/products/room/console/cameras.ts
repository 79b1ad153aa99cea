/** Lists the cameras as the room sees them now: last report, its age, and upcoming expiries. */
import { setImmediate } from 'node:timers/promises';
import {
  CONDITION_KINDS,
  CONDITIONS,
  type ConditionEffect,
  isBlinding,
  isConditionKind,
} from '../../../../agent/contract/condition.ts';
import { CAMERAS_MAX, type Camera, type Cameras, type RemovedCamera } from '../contract/camera.ts';
import { type Condition, ENDING_DAYS, SILENT_S } from '../contract/terms.ts';
import { iso, type Queries, type Value } from '../database/sql.ts';
import { textsIn, timeOf } from './rows.ts';

const DAY_MS = 86_400_000;

/** Maximum number of reasons, as in the contract. */
const REASONS_MAX = 64;

/** Cameras per query in a walk over all. */
const PAGE_MAX = 500;

const REASON_CHARS_MAX = 40;

/** Condition of a camera, by the effect of a condition that its box reports. */
const CONDITION_BY_EFFECT: Readonly<Record<ConditionEffect, Exclude<Condition, 'offline'>>> = {
  off: 'suspended',
  blind: 'blind',
  degraded: 'impaired',
  impaired: 'impaired',
  // The camera's row holds the dates that newer boxes report.
  ending: 'ending',
  none: 'well',
};

const BLINDING = CONDITION_KINDS.filter(isBlinding);

/** Returns the condition for a kind. An unknown kind of a newer agent counts as impaired. */
function conditionBy(kind: string): Exclude<Condition, 'offline'> {
  return isConditionKind(kind) ? CONDITION_BY_EFFECT[CONDITIONS[kind].effect] : 'impaired';
}

export interface CameraRow {
  readonly site: string;
  readonly box: string;
  readonly rev: number;
  readonly state: string | null;
  readonly mode: string | null;
  /** JSON: kinds of active system conditions. */
  readonly conditions: string;
  readonly certificate_ends: string | null;
  readonly order_ends: string | null;
  readonly version: string | null;
  readonly last_alert: string | null;
  readonly last_report: string;
  /** Time until which nothing from the box is stored, because it has used its daily share. */
  readonly share_until: string | null;
}

const COLUMNS = `site, box, rev, state, mode, conditions, certificate_ends, order_ends, version,
  last_alert, last_report, share_until`;

/**
 * Computes the condition at a given time. It also changes with time alone: through silence or an approaching expiry.
 */
export function conditionOf(
  row: Pick<
    CameraRow,
    'state' | 'mode' | 'conditions' | 'certificate_ends' | 'order_ends' | 'last_report' | 'share_until'
  >,
  nowMs: number,
): { readonly condition: Condition; readonly reasons: string[] } {
  const activeKinds = textsIn(JSON.parse(row.conditions)).map((kind) => kind.slice(0, REASON_CHARS_MAX));
  const isSilent = nowMs - Date.parse(row.last_report) >= SILENT_S * 1000;
  const offlineReasons = [
    ...(row.state === 'offline' || row.state === 'stopped' ? [row.state] : []),
    ...(isSilent ? ['silent'] : []),
  ];
  // A mode other than `active` has the name of the condition that it causes.
  const suspended = row.mode !== null && conditionBy(row.mode) === 'suspended' ? [row.mode] : [];
  const limited = row.share_until !== null && Date.parse(row.share_until) > nowMs ? ['storage-share'] : [];
  const ending = [
    ...(endsSoon(row.certificate_ends, nowMs) ? ['certificate-expiring'] : []),
    ...(endsSoon(row.order_ends, nowMs) ? ['authorisation-expiring'] : []),
  ];
  const reasons = [
    ...new Set([...offlineReasons, ...suspended, ...limited, ...activeKinds, ...ending]),
  ].slice(0, REASONS_MAX);
  const has = (condition: Condition): boolean => activeKinds.some((kind) => conditionBy(kind) === condition);
  const condition = (): Condition => {
    if (offlineReasons.length > 0) return 'offline';
    if (has('blind')) return 'blind';
    if (suspended.length > 0 || has('suspended')) return 'suspended';
    if (limited.length > 0 || has('impaired')) return 'impaired';
    return ending.length > 0 || has('ending') ? 'ending' : 'well';
  };
  return { condition: condition(), reasons };
}

function endsSoon(at: string | null, nowMs: number): boolean {
  return at !== null && Date.parse(at) <= nowMs + ENDING_DAYS * DAY_MS;
}

/**
 * Returns the cameras whose condition changed since the last call, which `sentConditions` stores by site/box. The first
 * call returns none, because the client has just loaded all cameras.
 */
export function changedConditions(
  sentConditions: Map<string, Condition>,
  cameras: readonly Camera[],
): Camera[] {
  return cameras.filter(({ site, box, condition }) => {
    const key = `${site}/${box}`;
    const before = sentConditions.get(key);
    sentConditions.set(key, condition);
    return before !== undefined && before !== condition;
  });
}

/** Time interval in ms. */
export type Interval = readonly [fromMs: number, toMs: number];

/** Returns the duration in whole seconds, within the given range, during which at least one interval holds. */
export function coveredS(intervals: readonly Interval[], fromMs: number, toMs: number): number {
  let [sum, coveredToMs] = [0, fromMs];
  for (const [from, to] of [...intervals].sort(([a], [b]) => a - b)) {
    const [begin, end] = [Math.max(from, coveredToMs), Math.min(to, toMs)];
    if (!(end > begin)) continue;
    sum += end - begin;
    coveredToMs = end;
  }
  return Math.round(sum / 1000);
}

export async function camerasOf(db: Queries, nowMs: number): Promise<Cameras> {
  const rows = await listCameras(db);
  const cameras = await withBlindness(db, rows, nowMs);
  const restCount =
    rows.length < CAMERAS_MAX ? 0 : (await countOf(db, 'camera WHERE NOT is_removed')) - rows.length;
  return {
    now: iso(nowMs),
    cameras: cameras.map(({ camera }) => camera),
    more: Math.max(0, restCount),
    strangers: await countOf(db, "stranger WHERE box <> '' AND last_at > $1", [iso(nowMs - DAY_MS)]),
  };
}

/**
 * Lists up to CAMERAS_MAX cameras. If there are more, the first site of each box comes first, so that a box that
 * invents sites hides no other.
 */
async function listCameras(db: Queries): Promise<CameraRow[]> {
  const rows = await db.all<CameraRow>(
    `SELECT ${COLUMNS} FROM camera WHERE NOT is_removed ORDER BY site, box LIMIT ${CAMERAS_MAX + 1}`,
  );
  if (rows.length <= CAMERAS_MAX) return rows;
  return db.all<CameraRow>(
    `SELECT ${COLUMNS} FROM (SELECT ${COLUMNS} FROM (SELECT ${COLUMNS},
         row_number() OVER (PARTITION BY box ORDER BY site) AS place
       FROM camera WHERE NOT is_removed) AS placed
       ORDER BY place, site, box LIMIT ${CAMERAS_MAX}) AS listed
     ORDER BY site, box`,
  );
}

async function countOf(db: Queries, source: string, values: readonly Value[] = []): Promise<number> {
  const [row] = await db.all<{ n: number }>(`SELECT count(*) AS n FROM ${source}`, values);
  return row?.n ?? 0;
}

/** Yields all cameras sorted by name, reading page by page. */
export async function* allCameras(db: Queries, nowMs: number): AsyncGenerator<Camera> {
  for (let last: readonly Value[] = ['', '']; ; ) {
    const rows = await db.all<CameraRow>(
      `SELECT ${COLUMNS} FROM camera WHERE NOT is_removed AND (site, box) > ($1, $2)
       ORDER BY site, box LIMIT ${PAGE_MAX}`,
      last,
    );
    for (const { camera } of await withBlindness(db, rows, nowMs)) yield camera;
    const end = rows.at(-1);
    if (end === undefined || rows.length < PAGE_MAX) return;
    last = [end.site, end.box];
    // SQLite answers synchronously: this yields to other tasks of the process.
    await setImmediate();
  }
}

interface CameraChange {
  readonly rev: number;
  /** Exactly one of `camera` and `removal` is set. */
  readonly camera?: Camera;
  readonly removal?: RemovedCamera;
}

/** Returns the changes in the order of `rev`. */
export async function camerasChanged(
  db: Queries,
  { after, upTo, limit }: { readonly after: number; readonly upTo: number; readonly limit: number },
  nowMs: number,
): Promise<CameraChange[]> {
  const rows = await db.all<CameraRow & { readonly is_removed: boolean | number }>(
    `SELECT ${COLUMNS}, is_removed FROM camera WHERE rev > $1 AND rev <= $2 ORDER BY rev LIMIT ${limit}`,
    [after, upTo],
  );
  const presentRows = rows.filter(({ is_removed }) => !is_removed);
  const cameras = presentRows.length === 0 ? [] : await withBlindness(db, presentRows, nowMs);
  const removals = rows
    .filter((row) => row.is_removed)
    .map(({ site, box, rev }) => ({ rev, removal: { site, box } }));
  return [...cameras, ...removals].sort((a, b) => a.rev - b.rev);
}

/** Copied member by member for speed, as for incidents: there are 5,000 cameras. */
function cameraOf(row: CameraRow, nowMs: number, blindS: number): Camera {
  const { condition, reasons } = conditionOf(row, nowMs);
  return {
    site: row.site,
    box: row.box,
    condition,
    reasons,
    state: row.state,
    mode: row.mode,
    lastReport: row.last_report,
    lastAlert: timeOf(row.last_alert),
    blindS,
    certificateEnds: timeOf(row.certificate_ends),
    orderEnds: timeOf(row.order_ends),
    version: row.version,
  };
}

/**
 * Maximum number of cameras named in a query; beyond it the query covers all. A storm of changes affects few boxes at a
 * time.
 */
const NAMED_MAX = 50;

async function withBlindness(
  db: Queries,
  rows: readonly CameraRow[],
  nowMs: number,
): Promise<{ readonly rev: number; readonly camera: Camera }[]> {
  const span = { fromMs: nowMs - DAY_MS, toMs: nowMs, nowMs };
  const intervals = await blindnessOf(db, rows, span, rows.length > NAMED_MAX ? [] : rows);
  return rows.map((row) => {
    const blindS = coveredS(intervals.get(`${row.site}/${row.box}`) ?? [], span.fromMs, nowMs);
    return { rev: row.rev, camera: cameraOf(row, nowMs, blindS) };
  });
}

interface BlindSpan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly nowMs: number;
}

/**
 * Returns the intervals without a usable picture by site/box, where they touch the span. `cameras` tells which
 * conditions are active; the query covers the `queriedCameras`, or all if there are none.
 */
export async function blindnessOf(
  db: Queries,
  cameras: readonly Pick<CameraRow, 'site' | 'box' | 'conditions'>[],
  { fromMs, toMs, nowMs }: BlindSpan,
  queriedCameras: readonly Pick<CameraRow, 'site' | 'box'>[] = [],
): Promise<Map<string, Interval[]>> {
  const values: Value[] = [iso(fromMs), iso(toMs)];
  const ofBoxes = queriedCameras.map(({ site, box }) => {
    values.push(site, box);
    return `(site = $${values.length - 1} AND box = $${values.length})`;
  });
  // Two queries instead of one: with OR, PostgreSQL scans all system incidents of a box.
  const blindWhile = (still: string): string =>
    `SELECT site, box, kind, started_at, ended_at FROM incident
     WHERE severity = 'system' AND ${still} AND started_at <= $2
       AND kind IN (${BLINDING.map((kind) => `'${kind}'`).join(', ')})
       ${ofBoxes.length > 0 ? `AND (${ofBoxes.join(' OR ')})` : ''}`;
  const blind = await db.all<{
    site: string;
    box: string;
    kind: string;
    started_at: string;
    ended_at: string | null;
  }>(`${blindWhile('ended_at >= $1')} UNION ALL ${blindWhile('ended_at IS NULL')}`, values);
  const intervals = new Map<string, Interval[]>();
  const conditionsByBox = new Map(cameras.map((row) => [`${row.site}/${row.box}`, row.conditions]));
  for (const { site, box, kind, started_at, ended_at } of blind) {
    const key = `${site}/${box}`;
    // The end message is missing, but the box no longer lists the condition. Its end time is unknown, so the interval
    // is skipped.
    if (ended_at === null && conditionsByBox.get(key)?.includes(`"${kind}"`) !== true) continue;
    const interval: Interval = [Date.parse(started_at), ended_at === null ? nowMs : Date.parse(ended_at)];
    const boxIntervals = intervals.get(key);
    if (boxIntervals === undefined) intervals.set(key, [interval]);
    else boxIntervals.push(interval);
  }
  return intervals;
}
