/**
 * The room's command to open the hotspot, judged by root: the agent's user lays it into a folder of its own, so nothing of
 * it is believed but what one of root's own `commands.keys` has signed.
 *
 * INVARIANTS: the checks are those of every command (signature, a key that may, this box, dates); each command opens once,
 * whatever the agent puts back, since root keeps the newest counter of each key in its own folder, before it opens.
 * LIMITS: a file of COMMAND_BYTES_MAX, no link and no pipe; what was judged is not judged again until the file changes.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import type { Clock } from '../../base/clock.ts';
import { messageOf, rethrowBug } from '../../base/errors.ts';
import { ReplayGuard } from '../../command/replay-guard.ts';
import { CommandVerifier } from '../../command/verifier.ts';
import { COMMAND_BYTES_MAX } from '../../contract/command.ts';
import type { Config } from '../../contract/config.ts';
import { OPEN_HOTSPOT_FILE, OpenHotspotArgs } from '../../contract/hotspot.ts';

const OP = 'open-hotspot';
const COUNTERS_FILE = 'hotspot-counters.json';

export interface HotspotRequestOptions {
  /** The agent's. */
  readonly stateDir: string;
  /** Root's. */
  readonly folder: string;
  readonly clock: Clock;
  /** Root's configuration, and nothing that the agent has kept. Throws AgentError. */
  config(): Pick<Config, 'site' | 'box' | 'commands'>;
}

export type HotspotAsked = { readonly minutes: number } | { readonly refused: string };

export class HotspotRequest {
  readonly #options: HotspotRequestOptions;
  #judged: Buffer | undefined;

  constructor(options: HotspotRequestOptions) {
    this.#options = options;
  }

  /** What is asked since the last look; undefined: nothing. */
  look(): HotspotAsked | undefined {
    const file = join(this.#options.stateDir, OPEN_HOTSPOT_FILE);
    try {
      const bytes = readRequest(file);
      if (bytes === undefined || this.#judged?.equals(bytes) === true) return undefined;
      this.#judged = bytes;
      return this.#judge(bytes);
    } catch (error) {
      rethrowBug(error);
      return { refused: messageOf(error) };
    }
  }

  /** Throws AgentError. */
  #judge(bytes: Buffer): HotspotAsked {
    const { folder, clock } = this.#options;
    const { site, box, commands } = this.#options.config();
    // No other command may use up a counter of root's.
    const keys = commands.keys.map((key) => ({ ...key, may: key.may.filter((op) => op === OP) }));
    // The journal is the agent's: what root has obeyed is in root's folder alone.
    const journal = { known: { commands: new Map<string, number>() }, enter: () => undefined };
    const guard = new ReplayGuard({ file: join(folder, COUNTERS_FILE), journal });
    const { args } = new CommandVerifier({ site, box, keys, guard, clock }).open(bytes);
    if (Value.Check(OpenHotspotArgs, args)) return { minutes: args.minutes };
    return { refused: 'open-hotspot takes minutes: 1 to 60, a whole number' };
  }
}

/** Undefined where there is none; empty where it is nothing that the agent writes. */
function readRequest(file: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    return Buffer.alloc(0);
  }
  try {
    const stat = fstatSync(fd);
    return stat.isFile() && stat.size <= COMMAND_BYTES_MAX ? readFileSync(fd) : Buffer.alloc(0);
  } finally {
    closeSync(fd);
  }
}
