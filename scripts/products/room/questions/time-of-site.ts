/** Provides the clock for typed and displayed times: that of the site or of a given time zone. */
import { SiteTime } from '../../../../agent/base/site-time.ts';
import type { Room } from '../../../lib/room-link/room-file.ts';

/** Falls back to the time zone of this machine. */
export function timeOfSite({ timeZone }: { readonly timeZone?: string }, room: Room): SiteTime {
  return new SiteTime(timeZone ?? room.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
}
