/**
 * Decides which new incidents sound, from what this browser remembers for one account.
 *
 * INVARIANTS:
 * - An incident is considered once, whatever the order, the batch or the tab in which it arrives, and again when the
 *   claim on it expires.
 * - An incident that someone has claimed does not sound, nor a new one that this person has opened.
 * - Incidents of one box and rule, each within SERIES_GAP_MS of the one before, sound once. Of one kind in the whole
 *   city, OF_A_KIND_MAX sound.
 * LIMITS: stores one entry for each box, rule and kind of the last SERIES_GAP_MS, and for each claim.
 */
import type { Incident } from '../../contract/incident.ts';
import { hasClaimExpired } from '../../contract/terms.ts';

/** Maximum gap in ms within a series, equal to that of a storm in the queue. */
const SERIES_GAP_MS = 60_000;
/** Incidents of one kind that sound in a series: the same kind at several places may be several emergencies. */
const OF_A_KIND_MAX = 3;
/** Minimum time between two sounds in ms. A person who has just been called looks at the queue. */
const SOUND_GAP_MS = 5000;

interface Series {
  readonly newestMs: number;
  readonly count: number;
}

export interface AlarmMemory {
  /** Highest number and latest reception of all considered incidents; an incident beyond either is new. */
  readonly no: number;
  readonly receivedMs: number;
  readonly soundMs: number;
  readonly series: Readonly<Record<string, Series>>;
  /** End of each claim, by incident. */
  readonly claims: Readonly<Record<number, number>>;
}

export interface Alarm {
  readonly sounds: boolean;
  /** Incidents to show as desktop notifications. */
  readonly notices: readonly Incident[];
  readonly memory: AlarmMemory;
}

export function isUrgent({ priority, severity }: Incident): boolean {
  return severity === 'alert' && priority === 1;
}

/**
 * Considers all held incidents. Without a memory, the alarm has just been switched on: everything that is held counts
 * as considered.
 */
export function alarmOf(
  incidents: readonly Incident[],
  memory: AlarmMemory | undefined,
  isSeen: (no: number) => boolean,
  nowMs: number,
): Alarm {
  const urgent = incidents.filter(isUrgent).sort((a, b) => a.no - b.no);
  const before = memory ?? { no: 0, receivedMs: 0, soundMs: 0, series: {}, claims: {} };
  let { no, receivedMs, soundMs } = before;
  const series = new Map(Object.entries(before.series));
  const notices: Incident[] = [];
  let sounds = false;
  for (const incident of urgent) {
    const arrivedMs = Date.parse(incident.received);
    const isNew = (incident.no > before.no || arrivedMs > before.receivedMs) && !isSeen(incident.no);
    no = Math.max(no, incident.no);
    receivedMs = Math.max(receivedMs, arrivedMs);
    const claimEndMs = before.claims[incident.no] ?? Number.POSITIVE_INFINITY;
    const isAgain = hasClaimExpired(claimEndMs, nowMs);
    if (memory === undefined || incident.state !== 'new' || !(isNew || isAgain)) continue;
    const atMs = isAgain ? claimEndMs : arrivedMs;
    const ofRule = extended(series, `${incident.site}/${incident.box}/${incident.rule}`, atMs);
    if (ofRule > 1 || extended(series, incident.kind, atMs) > OF_A_KIND_MAX) continue;
    notices.push(incident);
    if (sounds || Math.abs(atMs - soundMs) < SOUND_GAP_MS) continue;
    sounds = true;
    soundMs = atMs;
  }
  const recent = [...series].filter(([, { newestMs }]) => receivedMs - newestMs <= SERIES_GAP_MS);
  const claims = urgent.flatMap((one) =>
    one.state === 'claimed' && one.claimedUntil !== null ? [[one.no, Date.parse(one.claimedUntil)]] : [],
  );
  const lists = { series: Object.fromEntries(recent), claims: Object.fromEntries(claims) };
  return { sounds, notices, memory: { no, receivedMs, soundMs, ...lists } };
}

/** Adds an incident to its series, or starts one. Returns the number of incidents in it. */
function extended(series: Map<string, Series>, key: string, atMs: number): number {
  const previous = series.get(key);
  const continues = previous !== undefined && Math.abs(atMs - previous.newestMs) <= SERIES_GAP_MS;
  const count = continues ? previous.count + 1 : 1;
  series.set(key, { newestMs: continues ? Math.max(previous.newestMs, atMs) : atMs, count });
  return count;
}
