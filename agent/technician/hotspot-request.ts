/**
 * The command `open-hotspot`: the room lets a technician in by the box's Wi-Fi although an order holds. The agent can start
 * nothing: it lays the signed command where root looks, and root believes the signature and not the agent.
 */
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { messageOf } from '../base/errors.ts';
import { CommandRefused, type SignedCommand } from '../contract/command.ts';
import { OPEN_HOTSPOT_FILE, OpenHotspotArgs, type OpenHotspotResult } from '../contract/hotspot.ts';

/** Throws CommandRefused. */
export function requestHotspot(stateDir: string, { args, envelope }: SignedCommand): OpenHotspotResult {
  if (!Value.Check(OpenHotspotArgs, args)) {
    throw new CommandRefused('bad-arguments', 'open-hotspot takes minutes: 1 to 60, a whole number');
  }
  try {
    writeAtomically(join(stateDir, OPEN_HOTSPOT_FILE), envelope);
  } catch (error) {
    const message = `${OPEN_HOTSPOT_FILE} cannot be written (${messageOf(error)}); mend the disk of the box`;
    throw new CommandRefused('unavailable', message, { cause: error });
  }
  return { minutes: args.minutes };
}
