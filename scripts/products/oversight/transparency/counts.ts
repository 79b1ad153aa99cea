/** Computes each month's counts, and the present state, from a journal that was just copied from its box. */

import type { SiteTime } from '../../../../agent/base/site-time.ts';
import { STATES, type State, type Timeline, type TimelineWriter } from '../timeline/timeline.ts';
import type { MonthCounts } from './facts.ts';

/** A year, and the present month. */
const MONTHS_MAX = 13;

/** Returns the months, newest first; none while the journal is empty. */
export function monthsOf(writer: TimelineWriter, site: SiteTime, nowMs: number): MonthCounts[] {
  const { firstMs } = writer;
  if (firstMs === undefined) return [];
  const months: MonthCounts[] = [];
  for (let month = monthAt(site, nowMs), toMs = nowMs; months.length < MONTHS_MAX; ) {
    const startMs = site.parse('month', `${month}-01`);
    const fromMs = Math.max(startMs, firstMs);
    if (fromMs < toMs) {
      // Frames read across the end of a month count once, for the later month.
      const frames = framesUntil(writer, firstMs, toMs) - framesUntil(writer, firstMs, fromMs);
      months.push(countsOf(month, frames, writer.tell(fromMs, toMs, nowMs)));
    }
    if (startMs <= firstMs) break;
    toMs = startMs;
    month = monthAt(site, startMs - 1);
  }
  return months;
}

/** Returns the state and its beginning; a state without an entry is unproved. */
export function stateNow(
  writer: TimelineWriter,
  nowMs: number,
): { readonly mode: State; readonly sinceTime: Date } {
  const { state = 'unproved', sinceMs = nowMs } = writer.atEnd(nowMs) ?? {};
  return { mode: state, sinceTime: new Date(sinceMs) };
}

/** Returns missing resumes within the reported months. */
export function missingResumes(
  writer: TimelineWriter,
  months: readonly MonthCounts[],
  nowMs: number,
): Date[] {
  const first = months.at(-1);
  if (first === undefined) return [];
  const { missingResumes: missing } = writer.tell(first.from.getTime(), nowMs + 1, nowMs);
  return missing.map(({ atMs }) => new Date(atMs));
}

function framesUntil(writer: TimelineWriter, firstMs: number, toMs: number): number {
  return toMs <= firstMs ? 0 : writer.tell(firstMs, toMs + 1).frames.read;
}

/** Returns a month such as 2026-11. */
function monthAt(site: SiteTime, ms: number): string {
  const parts = new Intl.DateTimeFormat('en-GB', { timeZone: site.zone, year: 'numeric', month: '2-digit' })
    .formatToParts(ms)
    .map(({ type, value }) => [type, value]);
  const { year, month } = Object.fromEntries(parts) as { year: string; month: string };
  return `${year}-${month}`;
}

function countsOf(month: string, frames: number, timeline: Timeline): MonthCounts {
  const totalMs = timeline.toMs - timeline.fromMs;
  const ratios = Object.fromEntries(STATES.map((state) => [state, 0])) as Record<State, number>;
  for (const { state, fromMs, toMs } of timeline.periods) ratios[state] += (toMs - fromMs) / totalMs;
  const count = (type: string): number =>
    timeline.entries.filter(({ content }) => content.type === type).length + (timeline.erased.get(type) ?? 0);
  // Requests for missing stills hand out nothing.
  const inVain = timeline.entries.filter(
    ({ content }) =>
      content.type === 'unseal' && content.record.record === 'unseal' && content.record.sha256 === null,
  ).length;
  return {
    month,
    from: new Date(timeline.fromMs),
    frames,
    framesAtLeast: timeline.uncounted.length > 0,
    alerts: count('alert'),
    searches: count('search'),
    unsealings: count('unseal') - inVain,
    trackQuestions: count('tracks'),
    ratios,
  };
}
