/**
 * Schedule of a rule: spans of the week in the site's time zone.
 * On a listed public holiday only the spans that name `holiday` count. A span that ends before it begins continues into
 * the next day. Local time comes from Intl (IANA tz data of the runtime), so summer time is correct.
 */
import type { RuleConfig, ScheduleSpan } from './rule-config.ts';
import type { Window } from './update.ts';

export interface ScheduleOptions {
  readonly timeZone: string;
  /** Dates YYYY-MM-DD in the site's time zone. */
  readonly holidays: readonly string[];
}

const DAY_MINUTES = 1440;
const MINUTE_MS = 60_000;

interface LocalTime {
  /** mon … sun, or holiday. */
  readonly day: string;
  readonly minute: number;
}

/** Reports whether a rule is on at a wall time, in ms since the epoch. */
export function isOnAt(rule: RuleConfig, site: ScheduleOptions, wallMs: number): boolean {
  const schedule = 'schedule' in rule ? rule.schedule : undefined;
  return schedule === undefined || new Schedule(schedule, site).isOn(wallMs);
}

/**
 * Reports whether a window of the room is open.
 * @throws RangeError if its time zone is invalid
 */
export function isOpenAt(window: Window, wallMs: number): boolean {
  return scheduleOf(window).isOn(wallMs);
}

export function scheduleOf({ tz, days, from, to }: Window): Schedule {
  return new Schedule([{ days, from, to }], { timeZone: tz, holidays: [] });
}

export class Schedule {
  readonly #spans: readonly { days: readonly string[]; from: number; to: number }[];
  readonly #holidays: ReadonlySet<string>;
  readonly #format: Intl.DateTimeFormat;
  /** Cached result, valid for its minute; formatting a date is slow. */
  #cachedResult: { minute: number; on: boolean } | undefined;

  constructor(spans: readonly ScheduleSpan[], { timeZone, holidays }: ScheduleOptions) {
    this.#spans = spans.map(({ days, from, to }) => ({ days, from: minutesOf(from), to: minutesOf(to) }));
    this.#holidays = new Set(holidays);
    this.#format = new Intl.DateTimeFormat('en-CA', {
      timeZone,
      hourCycle: 'h23',
      weekday: 'short',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
    });
  }

  isOn(wallMs: number): boolean {
    const minute = Math.floor(wallMs / MINUTE_MS);
    if (this.#cachedResult?.minute !== minute)
      this.#cachedResult = { minute, on: this.#workOut(minute * MINUTE_MS) };
    return this.#cachedResult.on;
  }

  #workOut(wallMs: number): boolean {
    const now = this.#local(wallMs);
    // About noon of the previous day, which a change to or from summer time cannot shift into another day.
    const yesterday = this.#local(wallMs - (now.minute + DAY_MINUTES / 2) * MINUTE_MS);
    return this.#spans.some(({ days, from, to }) => {
      const overnight = to <= from;
      const today = days.includes(now.day) && now.minute >= from && (overnight || now.minute < to);
      return today || (overnight && days.includes(yesterday.day) && now.minute < to);
    });
  }

  #local(wallMs: number): LocalTime {
    const part = Object.fromEntries(
      this.#format.formatToParts(wallMs).map(({ type, value }) => [type, value]),
    );
    const date = `${part['year']}-${part['month']}-${part['day']}`;
    const day = this.#holidays.has(date) ? 'holiday' : String(part['weekday']).toLowerCase();
    return { day, minute: Number(part['hour']) * 60 + Number(part['minute']) };
  }
}

/** Parses `HH:MM`, 24:00 included. */
function minutesOf(text: string): number {
  return Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));
}
