/**
 * The name of a time zone. Every time of day that a person reads is in the time zone of the site (`timeZone` of the
 * configuration) and names it, the same way on stills, screens and the command line.
 */

const formats = new Map<string | undefined, Intl.DateTimeFormat>();

/** `CET`, `CEST`, `GMT-3`: short, and unambiguous in the hour that a clock shows twice. Throws RangeError for no zone. */
export function zoneName(ms: number, timeZone: string | undefined): string {
  let format = formats.get(timeZone);
  if (format === undefined) {
    // One locale for all languages: another would say UTC+1 where the still says CET.
    format = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', timeZoneName: 'short' });
    formats.set(timeZone, format);
  }
  return format.formatToParts(ms).find(({ type }) => type === 'timeZoneName')?.value ?? 'UTC';
}
