/**
 * What the agent passes on to root: a signed thing of the room's, laid into the agent's state folder as it came. The agent can
 * start nothing; root looks there, and believes the signature and not the agent.
 */
import { join } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import { messageOf } from '../base/errors.ts';
import { CommandRefused } from '../contract/command.ts';

/** Durable on return. Throws CommandRefused `unavailable` where the disk refuses. */
export function layForRoot(stateDir: string, name: string, envelope: Uint8Array): void {
  try {
    writeAtomically(join(stateDir, name), envelope);
  } catch (error) {
    const message = `${name} cannot be written (${messageOf(error)}); mend the disk of the box`;
    throw new CommandRefused('unavailable', message, { cause: error });
  }
}
