/**
 * Passes signed messages from the room on to root by writing them unchanged into the agent's state folder. The agent
 * cannot start anything: root watches that folder, and trusts the signature and not the agent.
 */
import { join } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import { messageOf } from '../base/errors.ts';
import { CommandRefused } from '../contract/command.ts';

/** Durable on return. Throws CommandRefused `unavailable` if the disk refuses the write. */
export function writeForRoot(stateDir: string, name: string, envelope: Uint8Array): void {
  try {
    writeAtomically(join(stateDir, name), envelope);
  } catch (error) {
    const message = `${name} cannot be written (${messageOf(error)}); repair the disk of the box`;
    throw new CommandRefused('unavailable', message, { cause: error });
  }
}
