/**
 * Handles the command `open-hotspot`, by which the room admits a technician over the box's Wi-Fi while an authorisation
 * holds. The agent writes the signed command to the request spool for root.
 */

import type { CheckedCommand } from '../contract/commands.ts';
import { OPEN_HOTSPOT_FILE, type OpenHotspotResult } from '../contract/hotspot.ts';
import { writeForRoot } from '../orders/for-root.ts';

/** Throws CommandRefused. */
export function requestHotspot(
  stateDir: string,
  { args, envelope }: CheckedCommand<'open-hotspot'>,
): OpenHotspotResult {
  writeForRoot(stateDir, OPEN_HOTSPOT_FILE, envelope);
  return { minutes: args.minutes };
}
