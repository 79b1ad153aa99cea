/** What a journal says of each month, and of now. */

import type { SiteTime } from '../journal/site-time.ts';
import { STATES, type State, type Story, type StoryTeller } from '../journal/story.ts';
import type { MonthCounts } from './facts.ts';

/** A heartbeat comes every 10 minutes (agent/journal-desk.ts); a busy disk may keep it waiting. */
const FRESH_MS = 900_000;
/** A year, and the month that runs. */
const MONTHS_MAX = 13;

/** Newest first; none while the journal is empty. */
export function monthsOf(teller: StoryTeller, site: SiteTime, nowMs: number): MonthCounts[] {
  const { firstMs } = teller;
  if (firstMs === undefined) return [];
  const months: MonthCounts[] = [];
  for (let month = monthAt(site, nowMs), toMs = nowMs; months.length < MONTHS_MAX; ) {
    const startMs = site.parse('month', `${month}-01`);
    const fromMs = Math.max(startMs, firstMs);
    if (fromMs < toMs) {
      // Frames that were read across the turn of a month count for the later one, and once.
      const frames = framesUntil(teller, firstMs, toMs) - framesUntil(teller, firstMs, fromMs);
      months.push(countsOf(month, frames, teller.tell(fromMs, toMs)));
    }
    if (startMs <= firstMs) break;
    toMs = startMs;
    month = monthAt(site, startMs - 1);
  }
  return months;
}

/** Since when the box is as it is. */
export function stateNow(teller: StoryTeller, nowMs: number): { readonly mode: State; readonly since: Date } {
  const { firstMs = nowMs, lastMs = nowMs } = teller;
  const fresh = nowMs - lastMs <= FRESH_MS;
  // What was so at the last entry is so now, as long as the next one is not overdue.
  const periods = teller
    .tell(firstMs, fresh ? lastMs : nowMs)
    .periods.filter(({ toMs, fromMs }) => toMs > fromMs);
  const last = periods.at(-1);
  if (last === undefined) return { mode: 'unproved', since: new Date(firstMs) };
  // Periods of one state that differ in their reasons are one here.
  let since = last.fromMs;
  for (const { state, fromMs } of periods.toReversed()) {
    if (state !== last.state) break;
    since = fromMs;
  }
  return { mode: last.state, since: new Date(since) };
}

function framesUntil(teller: StoryTeller, firstMs: number, toMs: number): number {
  return toMs <= firstMs ? 0 : teller.tell(firstMs, toMs + 1).frames.read;
}

/** 2026-11 */
function monthAt(site: SiteTime, ms: number): string {
  const parts = new Intl.DateTimeFormat('en-GB', { timeZone: site.zone, year: 'numeric', month: '2-digit' })
    .formatToParts(ms)
    .map(({ type, value }) => [type, value]);
  const { year, month } = Object.fromEntries(parts) as { year: string; month: string };
  return `${year}-${month}`;
}

function countsOf(month: string, frames: number, story: Story): MonthCounts {
  const wholeMs = story.toMs - story.fromMs;
  const shares = Object.fromEntries(STATES.map((state) => [state, 0])) as Record<State, number>;
  for (const { state, fromMs, toMs } of story.periods) shares[state] += (toMs - fromMs) / wholeMs;
  const count = (type: string): number =>
    story.told.filter(({ content }) => content.type === type).length + (story.erased.get(type) ?? 0);
  return {
    month,
    frames,
    alerts: count('alert'),
    searches: count('search'),
    unsealings: count('unseal'),
    shares,
  };
}
