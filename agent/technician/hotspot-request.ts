/**
 * The command `open-hotspot`: the room lets a technician in by the box's Wi-Fi although an order holds. The agent lays
 * the signed command where root looks.
 */

import type { CheckedCommand } from '../contract/commands.ts';
import { OPEN_HOTSPOT_FILE, type OpenHotspotResult } from '../contract/hotspot.ts';
import { layForRoot } from '../orders/for-root.ts';

/** Throws CommandRefused. */
export function requestHotspot(
  stateDir: string,
  { args, envelope }: CheckedCommand<'open-hotspot'>,
): OpenHotspotResult {
  layForRoot(stateDir, OPEN_HOTSPOT_FILE, envelope);
  return { minutes: args.minutes };
}
