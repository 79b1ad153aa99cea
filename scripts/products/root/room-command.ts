/**
 * Reads and verifies a command of the room that root obeys, or whose effect on the agent root checks. The agent's user
 * writes it into its own folder, so only a signature of a key in root's own `commands.keys` is trusted.
 *
 * INVARIANTS:
 * - The checks are those of every command: signature, a key with the right, this box, dates.
 * - Each command is obeyed at most once, even if the agent restores its file. Root stores the newest counter of each
 *   key in its own folder before it obeys.
 *
 * LIMITS: a file of COMMAND_BYTES_MAX, no link and no pipe. A command is not judged again until its file changes.
 */
import { join } from 'node:path';
import type { Clock } from '../../../agent/base/clock.ts';
import { messageOf, rethrowBug } from '../../../agent/base/errors.ts';
import { readForeign } from '../../../agent/base/foreign-file.ts';
import { ReplayGuard } from '../../../agent/command/replay-guard.ts';
import { CommandVerifier } from '../../../agent/command/verifier.ts';
import {
  COMMAND_BYTES_MAX,
  type CommandOp,
  CommandRefused,
  type RefusalCode,
} from '../../../agent/contract/command.ts';
import { type CommandArgs, checkedCommand } from '../../../agent/contract/commands.ts';
import type { Config } from '../../../agent/contract/config.ts';
import { RENEW_FILE } from '../../../agent/contract/diagnosis.ts';
import { OPEN_HOTSPOT_FILE } from '../../../agent/contract/hotspot.ts';
import { SUSPEND_FILE } from '../../../agent/contract/mode.ts';

/**
 * Files of each operation: the command in the state folder, written by the agent, and in root's folder the counters of
 * obeyed commands.
 */
const FILES = {
  'open-hotspot': { command: OPEN_HOTSPOT_FILE, counters: 'hotspot-counters.json' },
  'renew-certificate': { command: RENEW_FILE, counters: 'renew-counters.json' },
  suspend: { command: SUSPEND_FILE, counters: 'suspend-counters.json' },
} as const satisfies Partial<Record<CommandOp, object>>;

interface RoomCommandOptions<K> {
  readonly op: K;
  /** The agent's state folder. */
  readonly stateDir: string;
  /** Root's folder. */
  readonly folder: string;
  readonly clock: Clock;
  /** Reads root's own configuration, never one that the agent has stored. Throws AgentError. */
  config(): Pick<Config, 'site' | 'box' | 'commands'>;
}

type RoomRequest<K extends CommandOp> =
  | { readonly args: CommandArgs<K> }
  | { readonly refusal: string; readonly code: RefusalCode | undefined };

export class RoomCommand<K extends keyof typeof FILES> {
  readonly #options: RoomCommandOptions<K>;
  #lastBytes: Buffer | undefined;

  constructor(options: RoomCommandOptions<K>) {
    this.#options = options;
  }

  /** Returns a new command since the last call; undefined if there is none. */
  newCommand(): RoomRequest<K> | undefined {
    const { op, stateDir } = this.#options;
    const file = join(stateDir, FILES[op].command);
    try {
      const bytes = readForeign(file, COMMAND_BYTES_MAX);
      if (bytes === undefined || this.#lastBytes?.equals(bytes) === true) return undefined;
      this.#lastBytes = bytes;
      return this.#verify(bytes);
    } catch (error) {
      rethrowBug(error);
      return {
        refusal: messageOf(error),
        code: error instanceof CommandRefused ? error.code : undefined,
      };
    }
  }

  /** Verifies a command. Throws AgentError. */
  #verify(bytes: Buffer): RoomRequest<K> {
    const { op, folder, clock } = this.#options;
    const { site, box, commands } = this.#options.config();
    // Restricts the keys to this operation, so that no other command uses up a counter of root's.
    const keys = commands.keys.map((key) => ({ ...key, may: key.may.filter((may) => may === op) }));
    // An empty journal: the real one belongs to the agent, and root trusts only its own folder.
    const journal = { recordedState: { commands: new Map<string, number>() }, enter: () => undefined };
    const guard = new ReplayGuard({ file: join(folder, FILES[op].counters), journal });
    const command = new CommandVerifier({ site, box, keys, guard, clock }).open(bytes);
    return { args: checkedCommand(op, command).args };
  }
}
