/** Computes the times that a question concerns: its span, limited to the daily hours of the site's clock. */
import type { SiteTime } from '../base/site-time.ts';
import type { TrackQuestion } from '../contract/track-log.ts';
import type { Window } from './coverage.ts';

const DAY_MS = 86_400_000;

/**
 * Returns the windows in order, none of them empty; no window if the daily hours never occur. They are the moments at
 * which the site's clock shows one of the daily hours. So an hour that it shows twice is in them twice, and one that it
 * leaves out is not.
 */
export function windowsOf(
  { from, to, daily }: Pick<TrackQuestion, 'from' | 'to' | 'daily'>,
  site: SiteTime,
): Window[] {
  const fullWindow = { fromMs: Date.parse(from), toMs: Date.parse(to) };
  if (fullWindow.fromMs >= fullWindow.toMs) return [];
  if (daily === undefined) return [fullWindow];
  const beginMs = msOfDay(daily.from);
  const endMs = msOfDay(daily.to) + (daily.to > daily.from ? 0 : DAY_MS);
  const windows: Window[] = [];
  for (const span of site.offsetSpans(fullWindow.fromMs, fullWindow.toMs)) {
    const firstDay = Math.floor((span.fromMs + span.offsetMs) / DAY_MS);
    // The hours of the day before may extend past midnight.
    for (let day = firstDay - 1; day * DAY_MS < span.toMs + span.offsetMs; day += 1) {
      const midnightMs = day * DAY_MS - span.offsetMs;
      const window = intersection(span, { fromMs: midnightMs + beginMs, toMs: midnightMs + endMs });
      if (window === undefined) continue;
      const last = windows.at(-1);
      // The clock was set within the hours.
      if (window.fromMs === span.fromMs && last?.toMs === span.fromMs)
        windows.splice(-1, 1, { fromMs: last.fromMs, toMs: window.toMs });
      else windows.push(window);
    }
  }
  return windows;
}

/** Returns the part of each window that lies in `within`. */
export function clipped(windows: readonly Window[], within: Window): Window[] {
  return windows.flatMap((window) => intersection(window, within) ?? []);
}

function intersection(a: Window, b: Window): Window | undefined {
  const window = { fromMs: Math.max(a.fromMs, b.fromMs), toMs: Math.min(a.toMs, b.toMs) };
  return window.fromMs < window.toMs ? window : undefined;
}

/** Reads `02:30`. */
function msOfDay(clockTime: string): number {
  return Date.parse(`1970-01-01T${clockTime}Z`);
}
