/** Formats and parses times in the site's time zone. */
import { AgentError } from './errors.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

const FORM = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?)?$/;

/** Text for foreign input that is not a time. */
const NO_TIME = 'no time';

export interface Tick {
  readonly ms: number;
  readonly label: string;
}

/** Step widths of a time scale. Days and months follow the calendar. */
const STEPS: readonly { readonly ms: number; readonly unit: 'time' | 'day' | 'month' }[] = [
  ...[1, 2, 5, 10, 15, 30].map((minutes) => ({ ms: minutes * MINUTE_MS, unit: 'time' as const })),
  ...[1, 2, 3, 6, 12].map((hours) => ({ ms: hours * HOUR_MS, unit: 'time' as const })),
  ...[1, 2, 7, 14].map((days) => ({ ms: days * DAY_MS, unit: 'day' as const })),
  ...[1, 2, 3, 6, 12, 24, 60].map((months) => ({ ms: months * 30 * DAY_MS, unit: 'month' as const })),
];

/** Span in which the site's clock has one offset from UTC: local time is UTC plus `offsetMs`. */
export interface OffsetSpan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly offsetMs: number;
}

/** Far less than the time between two changes of a zone's clock, ms. */
const OFFSET_STEP_MS = DAY_MS / 2;

export class SiteTime {
  readonly zone: string;
  readonly #full: Intl.DateTimeFormat;
  readonly #parts: Intl.DateTimeFormat;

  /** @throws AgentError `config` for an unknown zone */
  constructor(zone: string) {
    this.zone = zone;
    try {
      this.#full = new Intl.DateTimeFormat('en-GB', {
        timeZone: zone,
        day: 'numeric',
        month: 'short',
        year: 'numeric',
        hour: '2-digit',
        minute: '2-digit',
        hourCycle: 'h23',
      });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new AgentError(
        'config',
        `--time-zone: "${zone}" is not a time zone; use one such as Europe/Paris`,
      );
    }
    this.#parts = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      hourCycle: 'h23',
    });
  }

  /** Formats a time: `24 Nov 2026, 14:05 +01:00`. */
  text(ms: number): string {
    if (Number.isNaN(ms)) return NO_TIME;
    return `${this.#full.format(ms)} ${this.#offset(ms)}`;
  }

  /** Formats a span: `24 Nov 2026, 14:05 to 15:10 +01:00`. Day and offset are repeated if they differ. */
  span(fromMs: number, toMs: number): string {
    if (Number.isNaN(fromMs + toMs)) return `${this.text(fromMs)} to ${this.text(toMs)}`;
    const [from, to] = [this.#full.format(fromMs), this.#full.format(toMs)];
    const [day] = from.split(', ');
    const till = to.startsWith(`${day}, `) ? to.split(', ')[1] : to;
    const same = this.#offset(fromMs) === this.#offset(toMs);
    return `${same ? from : this.text(fromMs)} to ${till} ${this.#offset(toMs)}`;
  }

  /** Formats a time as `2026-11-24T14:05:07+01:00` (RFC 3339). */
  rfc3339(ms: number): string {
    if (Number.isNaN(ms)) return NO_TIME;
    return `${new Date(this.#toLocal(ms)).toISOString().slice(0, 19)}${this.#offset(ms)}`;
  }

  /**
   * Parses a time. Without an offset, the text is in the site's time.
   * @throws AgentError `config`
   */
  parse(option: string, text: string): number {
    const [, day = '', time = '00:00', offset] = FORM.exec(text) ?? [];
    const utcMs = Date.parse(`${day}T${time}Z`);
    const real = !Number.isNaN(utcMs) && new Date(utcMs).toISOString().startsWith(day);
    const elsewhereMs = Date.parse(`${day}T${time}${offset ?? 'Z'}`);
    if (day === '' || !real || Number.isNaN(elsewhereMs)) {
      const right = `use 2026-11-24 or 2026-11-24T14:00, with Z or +01:00 where it is not in ${this.zone}`;
      throw new AgentError('config', `${option}: invalid time "${text}"; ${right}`);
    }
    return offset === undefined ? this.#ofLocal(utcMs) : elsewhereMs;
  }

  /** Splits a span where the site's clock is set forward or back. Together the parts, oldest first, are the span. */
  offsetSpans(fromMs: number, toMs: number): OffsetSpan[] {
    const spans: OffsetSpan[] = [];
    let beginMs = fromMs;
    let offsetMs = this.#offsetMs(fromMs);
    for (let ms = fromMs; ms < toMs; ) {
      const nextMs = Math.min(ms + OFFSET_STEP_MS, toMs);
      const nextOffsetMs = this.#offsetMs(nextMs);
      if (nextOffsetMs !== offsetMs) {
        const changeMs = this.#changeBetween(ms, nextMs);
        spans.push({ fromMs: beginMs, toMs: changeMs, offsetMs });
        beginMs = changeMs;
        offsetMs = nextOffsetMs;
      }
      ms = nextMs;
    }
    if (beginMs < toMs) spans.push({ fromMs: beginMs, toMs, offsetMs });
    return spans;
  }

  /** Returns the moment of the one change between two times; clocks are set at whole minutes. */
  #changeBetween(fromMs: number, toMs: number): number {
    const before = this.#offsetMs(fromMs);
    let [same, other] = [Math.floor(fromMs / MINUTE_MS), Math.ceil(toMs / MINUTE_MS)];
    while (other - same > 1) {
      const middle = Math.floor((same + other) / 2);
      if (this.#offsetMs(middle * MINUTE_MS) === before) same = middle;
      else other = middle;
    }
    return Math.min(other * MINUTE_MS, toMs);
  }

  /** Returns at most `max` ticks at round times of the site. */
  ticks(fromMs: number, toMs: number, max: number): Tick[] {
    const step = STEPS.find(({ ms }) => (toMs - fromMs) / ms <= max) ?? STEPS.at(-1);
    if (step === undefined) return [];
    const moments =
      step.unit === 'month' ? this.#months(fromMs, toMs, step.ms) : this.#rounded(fromMs, toMs, step.ms);
    return moments
      .filter((ms) => ms >= fromMs && ms <= toMs)
      .map((ms) => ({ ms, label: this.#label(ms, step.unit) }));
  }

  #label(ms: number, unit: 'time' | 'day' | 'month'): string {
    const [day = '', time = ''] = this.#full.format(ms).split(', ');
    const [number, month, year] = day.split(' ');
    if (unit === 'month') return `${month} ${year}`;
    return unit === 'time' && time !== '00:00' ? time : `${number} ${month}`;
  }

  #rounded(fromMs: number, toMs: number, stepMs: number): number[] {
    const moments: number[] = [];
    // In local time, so that ticks stay at round hours when the clocks change.
    const first = Math.floor(this.#toLocal(fromMs) / stepMs) * stepMs;
    for (let local = first; local <= this.#toLocal(toMs); local += stepMs) moments.push(this.#ofLocal(local));
    return [...new Set(moments)];
  }

  #months(fromMs: number, toMs: number, stepMs: number): number[] {
    const moments: number[] = [];
    const months = Math.round(stepMs / (30 * DAY_MS));
    const begin = new Date(this.#toLocal(fromMs));
    for (let month = Math.floor(begin.getUTCMonth() / months) * months; ; month += months) {
      const ms = this.#ofLocal(Date.UTC(begin.getUTCFullYear(), month));
      if (ms > toMs) return moments;
      moments.push(ms);
    }
  }

  /** Returns the offset of the site's wall clock from UTC: `+01:00`. */
  #offset(ms: number): string {
    const minutes = this.#offsetMs(ms) / MINUTE_MS;
    const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
    const two = (count: number): string => String(count).padStart(2, '0');
    return `${minutes < 0 ? '-' : '+'}${two(hours)}:${two(rest)}`;
  }

  /** Returns the site's wall time as if it were UTC. */
  #toLocal(ms: number): number {
    const part = Object.fromEntries(this.#parts.formatToParts(ms).map(({ type, value }) => [type, value]));
    const { year, month, day, hour, minute, second } = part;
    return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  }

  #offsetMs(ms: number): number {
    return Math.round((this.#toLocal(ms) - ms) / MINUTE_MS) * MINUTE_MS;
  }

  #ofLocal(local: number): number {
    const guess = local - this.#offsetMs(local);
    return local - this.#offsetMs(guess);
  }
}

/** Formats a duration in its two largest units: `2 d 3 h`, `5 h 10 min`, `40 s`. */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

const NUMBER = new Intl.NumberFormat('en-GB');
export const numberText = (count: number): string => NUMBER.format(count);
