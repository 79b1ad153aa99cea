/** Formats times and actions of tracks for the tracks screen. */

import type { TrackCoverage, TrackPlace } from '../../../../../agent/contract/track-log.ts';
import { language } from '../../../../../agent/kit/words.ts';
import { roundedRatio } from '../../contract/rounded-ratio.ts';
import { session } from '../session.ts';
import { count, plain } from '../views/view-texts.ts';
import { wallTime } from '../views/zone.ts';
import { trackWords } from '../words/tracks.ts';
import { words } from '../words/words.ts';

const DAY_MS = 24 * 3600_000;
const formats = new Map<string, Intl.DateTimeFormat>();

const zone = (): string => session.value?.timeZone ?? 'UTC';

function formatted(ms: number, style: 'second' | 'minute' | 'day'): string {
  const locale = language.value === 'en' ? 'en-GB' : 'fr';
  const key = `${style} ${locale} ${zone()}`;
  let format = formats.get(key);
  if (format === undefined) {
    format = new Intl.DateTimeFormat(locale, {
      timeZone: zone(),
      ...(style === 'day'
        ? { day: 'numeric', month: 'short' }
        : { timeStyle: style === 'second' ? ('medium' as const) : ('short' as const) }),
    });
    formats.set(key, format);
  }
  return format.format(ms);
}

/** Local time of the room, with seconds. */
export const clock = (ms: number): string => formatted(ms, 'second');
export const dayOf = (ms: number): string => formatted(ms, 'day');

/** Formats a moment, with the day if the span has several. */
export function moment(ms: number, spanMs: number): string {
  return spanMs > DAY_MS ? `${dayOf(ms)} ${clock(ms)}` : clock(ms);
}

/** Formats a mark of an axis: days if the step is a day or more, else hours and minutes. */
export function mark(ms: number, stepMs: number): string {
  return stepMs >= DAY_MS ? dayOf(ms) : formatted(ms, 'minute');
}

/** Returns the offset of the room's local time from UTC. */
export function offsetAt(ms: number): number {
  const minute = 60_000;
  const fullMinuteMs = Math.floor(ms / minute) * minute;
  return Date.parse(`${wallTime(fullMinuteMs, zone())}:00.000Z`) - fullMinuteMs;
}

/** Returns the name of a class without an article. */
export function classText(label: string): string {
  const { labels } = words.value;
  const [one] = (Object.hasOwn(labels, label) ? labels[label] : undefined) ?? [plain(label)];
  return one.replace(/^(an?|une?) /, '');
}

export function deedText(place: TrackPlace | undefined): string {
  const { deed } = trackWords.value;
  if (place === undefined) return deed.none;
  return 'line' in place ? deed[place.direction] : deed[place.does];
}

/** Returns one sentence: the matches, and the part of the time that the box covers. */
export function coverageText(
  matchText: string,
  { seen: analysedRatio, watched, gaps, more }: TrackCoverage,
): string {
  const { summary } = trackWords.value;
  const gapCount = gaps.length + more;
  return summary.join(matchText, [
    summary.analysed(tenths(analysedRatio, 'down')),
    ...(watched > 0 ? [summary.watched(tenths(watched, 'down'))] : []),
    gapCount === 0
      ? summary.noGap
      : summary.gaps(gapCount, count(gapCount), tenths(Math.max(0, 1 - analysedRatio - watched), 'up')),
  ]);
}

/** Formats a ratio in tenths of a percent, rounded so that 100 % excludes any gap, and a gap is never 0 %. */
function tenths(part: number, round: 'down' | 'up'): string {
  const format = new Intl.NumberFormat(language.value, { style: 'percent', maximumFractionDigits: 1 });
  return format.format(roundedRatio(part, round));
}
