/**
 * Formats the time at which the scene looked as shown: hours, minutes and zone at the site, and the date if it was
 * another day.
 */
import { zoneName } from '../../contract/zone-name.ts';

const DAY_MS = 86_400_000;

export function placeTime(wallMs: number, nowWallMs: number, timeZone: string): string {
  // The Swedish locale writes ISO 8601 dates, with a space before the time.
  const parts = new Intl.DateTimeFormat('sv-SE', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    ...(nowWallMs - wallMs >= DAY_MS / 2 && { year: 'numeric', month: '2-digit', day: '2-digit' }),
  });
  return `${parts.format(wallMs)} ${zoneName(wallMs, timeZone)}`;
}
