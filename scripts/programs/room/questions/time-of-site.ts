/** The clock by which times are typed and shown: of the site, or of the zone that was named. */
import { SiteTime } from '../../../../agent/base/site-time.ts';
import type { Room } from '../../../lib/room-link/room-file.ts';

/** Where nothing else says it: the zone of this machine. */
export function timeOfSite({ timeZone }: { readonly timeZone?: string }, room: Room): SiteTime {
  return new SiteTime(timeZone ?? room.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
}
