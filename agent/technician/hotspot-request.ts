/**
 * The command `open-hotspot`: the room lets a technician in by the box's Wi-Fi although an order holds. The agent lays
 * the signed command where root looks.
 */
import { Value } from '@sinclair/typebox/value';
import { layForRoot } from '../base/for-root.ts';
import { CommandRefused, type SignedCommand } from '../contract/command.ts';
import { OPEN_HOTSPOT_FILE, OpenHotspotArgs, type OpenHotspotResult } from '../contract/hotspot.ts';

/** Throws CommandRefused. */
export function requestHotspot(stateDir: string, { args, envelope }: SignedCommand): OpenHotspotResult {
  if (!Value.Check(OpenHotspotArgs, args)) {
    throw new CommandRefused('bad-arguments', 'open-hotspot takes minutes: 1 to 60, a whole number');
  }
  layForRoot(stateDir, OPEN_HOTSPOT_FILE, envelope);
  return { minutes: args.minutes };
}
