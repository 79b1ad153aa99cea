/**
 * Name of a time zone. Every time of day shown to a person is in the time zone of the site (`timeZone` of the
 * configuration). It names that zone in the same way on stills, screens and the command line.
 */

const formats = new Map<string | undefined, Intl.DateTimeFormat>();

/**
 * Returns a short name that is unambiguous in the hour that a clock shows twice: `CET`, `CEST`, `GMT-3`.
 * @throws RangeError for an invalid zone
 */
export function zoneName(ms: number, timeZone: string | undefined): string {
  let format = formats.get(timeZone);
  if (format === undefined) {
    // One locale for all languages: another one would show UTC+1 where the still shows CET.
    format = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', timeZoneName: 'short' });
    formats.set(timeZone, format);
  }
  return format.formatToParts(ms).find(({ type }) => type === 'timeZoneName')?.value ?? 'UTC';
}
