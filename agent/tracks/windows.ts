/** Computes the times that a question concerns: its span, limited to the daily hours of the site's clock. */
import type { SiteTime } from '../base/site-time.ts';
import type { TrackQuestion } from '../contract/track-log.ts';
import type { Window } from './coverage.ts';

const DAY_MS = 86_400_000;

/** Returns the windows in order, none of them empty; no window if the daily hours never occur. */
export function windowsOf(
  { from, to, daily }: Pick<TrackQuestion, 'from' | 'to' | 'daily'>,
  site: SiteTime,
): Window[] {
  const fullWindow = { fromMs: Date.parse(from), toMs: Date.parse(to) };
  if (daily === undefined) return fullWindow.fromMs < fullWindow.toMs ? [fullWindow] : [];
  const windows: Window[] = [];
  // The hours of the day before may extend past midnight. Not every day has 24 hours.
  const dayOf = (ms: number): string => site.rfc3339(ms).slice(0, 10);
  const lastDay = dayOf(fullWindow.toMs);
  for (let day = dayOf(fullWindow.fromMs - DAY_MS); day <= lastDay; day = nextDay(day)) {
    const fromMs = site.parse('daily', `${day}T${daily.from}`);
    const sameDayMs = site.parse('daily', `${day}T${daily.to}`);
    const toMs = sameDayMs > fromMs ? sameDayMs : site.parse('daily', `${nextDay(day)}T${daily.to}`);
    const window = intersection(fullWindow, { fromMs, toMs });
    if (window !== undefined && window.fromMs >= (windows.at(-1)?.toMs ?? 0)) windows.push(window);
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

function nextDay(day: string): string {
  return new Date(Date.parse(`${day}T12:00:00Z`) + DAY_MS).toISOString().slice(0, 10);
}
