/** The time at which a place looked like that: hours and minutes at the site with its zone, and the day where it was another one. */
import { zoneName } from '../../contract/zone-name.ts';

const DAY_MS = 86_400_000;

export function placeTime(wallMs: number, nowWallMs: number, timeZone: string): string {
  // Swedish writes dates as ISO 8601 does, with a space before the time.
  const parts = new Intl.DateTimeFormat('sv-SE', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    ...(nowWallMs - wallMs >= DAY_MS / 2 && { year: 'numeric', month: '2-digit', day: '2-digit' }),
  });
  return `${parts.format(wallMs)} ${zoneName(wallMs, timeZone)}`;
}
