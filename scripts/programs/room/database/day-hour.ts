/** The day and the hour of a moment in the room's time zone, by which figures are kept. */

export interface DayHour {
  /** YYYY-MM-DD */
  readonly day: string;
  /** 0–23 */
  readonly hour: number;
}

/** Making a format takes a hundred times as long as using it; a room has one time zone. */
const formats = new Map<string, Intl.DateTimeFormat>();

/** Throws a RangeError for what is no IANA time zone. */
export function dayHourOf(atMs: number, timeZone: string): DayHour {
  let format = formats.get(timeZone);
  if (format === undefined) {
    // Sweden writes dates as ISO 8601 does.
    format = new Intl.DateTimeFormat('sv-SE', {
      timeZone,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      hourCycle: 'h23',
    });
    formats.set(timeZone, format);
  }
  const [day = '', hour = ''] = format.format(atMs).split(' ');
  return { day, hour: Number(hour) };
}
