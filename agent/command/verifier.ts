/**
 * Verifies every command: signature, box, time, permission and counter, in this order.
 *
 * INVARIANTS:
 * - Fails closed: anything not proven valid is refused.
 * - `open` returns only when the counter is on disk. A command is executed at most once, whatever crashes.
 */
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import {
  COMMAND_BYTES_MAX,
  COMMAND_OPS,
  COMMAND_TYPE,
  Command,
  type CommandOp,
  CommandRefused,
  type SignedCommand,
} from '../contract/command.ts';
import { COMMANDS } from '../contract/commands.ts';
import type { CommandKey } from '../contract/config.ts';
import { envelopeOpener, keyIdOf, ofForm, parseJson, publicKeyOf } from '../orders/dsse.ts';
import type { ReplayGuard } from './replay-guard.ts';

const openEnvelope = envelopeOpener({
  payloadType: COMMAND_TYPE,
  bytesMax: COMMAND_BYTES_MAX,
  signatures: 1,
  keysIn: 'commands.keys of this box',
});

export interface CommandVerifierOptions {
  readonly site: string;
  readonly box: string;
  readonly keys: readonly CommandKey[];
  readonly guard: ReplayGuard;
  readonly clock: Clock;
}

export class CommandVerifier {
  readonly #options: CommandVerifierOptions;
  readonly #keys = new Map<string, CommandKey>();
  readonly #publicKeys = new Map<string, KeyObject>();

  constructor(options: CommandVerifierOptions) {
    this.#options = options;
    for (const key of options.keys) {
      const publicKey = publicKeyOf(key.publicKey);
      const keyid = keyIdOf(publicKey);
      this.#keys.set(keyid, key);
      this.#publicKeys.set(keyid, publicKey);
    }
  }

  /**
   * Returns the command, for a single immediate execution.
   * @throws CommandRefused
   */
  open(bytes: Uint8Array): SignedCommand {
    const { keyids, payload } = openEnvelope(bytes, this.#publicKeys);
    const command = ofForm(Command, parseJson(payload, 'the command'), 'not a command');
    const key = this.#keys.get(keyids[0] ?? '');
    const op = this.#permitted(command, key);
    this.#checkBox(command, op);
    this.#checkTime(command);
    const { counter, args } = command;
    const name = key?.name ?? '';
    this.#options.guard.use({ op, key: name, keyid: keyids[0] ?? '', counter });
    return { op, args, counter, key: name, envelope: bytes };
  }

  #permitted({ op }: Command, key: CommandKey | undefined): CommandOp {
    const operation = COMMAND_OPS.find((name) => name === op);
    if (operation === undefined) {
      throw new CommandRefused(
        'not-permitted',
        `no command is called ${op}; there are: ${COMMAND_OPS.join(', ')}`,
      );
    }
    if (key?.may.includes(operation) !== true) {
      throw new CommandRefused(
        'not-permitted',
        `the key ${key?.name ?? ''} may not ${op} (commands.keys, may)`,
      );
    }
    return operation;
  }

  #checkBox({ site, box }: Command, op: CommandOp): void {
    const own = this.#options;
    const forAll = box === '*' && COMMANDS[op].isForAll;
    if (site === own.site && (box === own.box || forAll)) return;
    throw new CommandRefused('wrong-box', `it is for ${box} at ${site}; this is ${own.box} at ${own.site}`);
  }

  #checkTime({ notBefore, notAfter }: Command): void {
    const nowMs = this.#options.clock.wallMs();
    const now = new Date(nowMs).toISOString();
    // Written so that an invalid time (NaN) is refused.
    if (!(Date.parse(notBefore) <= nowMs)) {
      throw new CommandRefused('not-yet-valid', `valid from ${notBefore}; the clock of the box says ${now}`);
    }
    if (!(nowMs <= Date.parse(notAfter))) {
      throw new CommandRefused('expired', `valid until ${notAfter}; the clock of the box says ${now}`);
    }
  }
}
