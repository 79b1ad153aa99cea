/**
 * A command of the room's that root obeys, judged by root: the agent's user lays it into a folder of its own, so nothing of
 * it is believed but what one of root's own `commands.keys` has signed.
 *
 * INVARIANTS: the checks are those of every command (signature, a key that may, this box, dates); each command counts
 * once, whatever the agent puts back, since root keeps the newest counter of each key in its own folder, before it obeys.
 * LIMITS: a file of COMMAND_BYTES_MAX, no link and no pipe; what was judged is not judged again until the file changes.
 */
import { join } from 'node:path';
import type { Clock } from '../../../agent/base/clock.ts';
import { messageOf, rethrowBug } from '../../../agent/base/errors.ts';
import { readForeign } from '../../../agent/base/foreign-file.ts';
import { ReplayGuard } from '../../../agent/command/replay-guard.ts';
import { CommandVerifier } from '../../../agent/command/verifier.ts';
import { COMMAND_BYTES_MAX, CommandRefused, type RefusalCode } from '../../../agent/contract/command.ts';
import { type CommandArgs, checkedCommand, type RootCommand } from '../../../agent/contract/commands.ts';
import type { Config } from '../../../agent/contract/config.ts';

export interface RoomCommandOptions<K extends RootCommand> {
  readonly op: K;
  /** In the state folder: what the agent has laid. */
  readonly file: string;
  /** In root's folder: what was obeyed. */
  readonly countersFile: string;
  /** The agent's. */
  readonly stateDir: string;
  /** Root's. */
  readonly folder: string;
  readonly clock: Clock;
  /** Root's configuration, and nothing that the agent has kept. Throws AgentError. */
  config(): Pick<Config, 'site' | 'box' | 'commands'>;
}

export type Asked<K extends RootCommand> =
  | { readonly args: CommandArgs<K> }
  | { readonly refused: string; readonly code: RefusalCode | undefined };

export class RoomCommand<K extends RootCommand> {
  readonly #options: RoomCommandOptions<K>;
  #judged: Buffer | undefined;

  constructor(options: RoomCommandOptions<K>) {
    this.#options = options;
  }

  /** What is asked since the last look; undefined: nothing. */
  look(): Asked<K> | undefined {
    const file = join(this.#options.stateDir, this.#options.file);
    try {
      const bytes = readForeign(file, COMMAND_BYTES_MAX);
      if (bytes === undefined || this.#judged?.equals(bytes) === true) return undefined;
      this.#judged = bytes;
      return this.#judge(bytes);
    } catch (error) {
      rethrowBug(error);
      return {
        refused: messageOf(error),
        code: error instanceof CommandRefused ? error.code : undefined,
      };
    }
  }

  /** Throws AgentError. */
  #judge(bytes: Buffer): Asked<K> {
    const { op, countersFile, folder, clock } = this.#options;
    const { site, box, commands } = this.#options.config();
    // No other command may use up a counter of root's.
    const keys = commands.keys.map((key) => ({ ...key, may: key.may.filter((may) => may === op) }));
    // The journal is the agent's: what root has obeyed is in root's folder alone.
    const journal = { known: { commands: new Map<string, number>() }, enter: () => undefined };
    const guard = new ReplayGuard({ file: join(folder, countersFile), journal });
    const command = new CommandVerifier({ site, box, keys, guard, clock }).open(bytes);
    return { args: checkedCommand(op, command).args };
  }
}
