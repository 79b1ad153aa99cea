/** Computes the day and the hour of a moment in the room's time zone, the keys of the statistics. */

export interface DayHour {
  /** YYYY-MM-DD */
  readonly day: string;
  /** 0–23 */
  readonly hour: number;
}

/** Cached formats: creating one takes a hundred times as long as using it. A room has one time zone. */
const formats = new Map<string, Intl.DateTimeFormat>();

/**
 * Returns the day and hour of a time.
 * @throws {RangeError} if `timeZone` is not an IANA time zone
 */
export function dayHourOf(atMs: number, timeZone: string): DayHour {
  let format = formats.get(timeZone);
  if (format === undefined) {
    // Swedish dates have the form of ISO 8601.
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
