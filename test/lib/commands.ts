/** Keys and signed commands for tests. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import {
  COMMAND_OPS,
  COMMAND_TYPE,
  type Command,
  type CommandOp,
  CommandRefused,
} from '../../agent/contract/command.ts';
import { type CheckedCommand, type CommandHandlers, checkedCommand } from '../../agent/contract/commands.ts';
import type { CommandKey } from '../../agent/contract/config.ts';
import type { UpdateOrder } from '../../agent/contract/update.ts';
import { signEnvelope } from '../../agent/orders/dsse.ts';
import { BOX, SITE } from './room.ts';

export interface Signer {
  readonly privateKey: KeyObject;
  readonly config: CommandKey;
}

export function makeSigner(name = 'judge-desk', may: CommandKey['may'] = ['search']): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  return { privateKey, config: { name, publicKey: spki, may } };
}

/** A command as a handler receives it: signed by a known key, its arguments checked. Throws CommandRefused. */
export function accepted<K extends CommandOp>(
  op: K,
  args: Readonly<Record<string, unknown>>,
  about: { readonly counter?: number; readonly key?: string; readonly envelope?: Uint8Array } = {},
): CheckedCommand<K> {
  const { counter: number = 1, key = 'judge-desk', envelope = new Uint8Array() } = about;
  return checkedCommand(op, { op, args, counter: number, key, envelope });
}

const notHere = (): never => {
  throw new CommandRefused('unavailable', 'this box has no handler for it');
};
/** Handlers of a box that obeys no command. */
export const NO_HANDLERS = Object.fromEntries(
  COMMAND_OPS.map((op) => [op, notHere]),
) as unknown as CommandHandlers;

let counter = Date.now();

/** A search of the last hour by default, with a counter above any given before. */
export function searchCommand(change: Partial<Command> = {}, nowMs = Date.now()): Command {
  counter += 1;
  const iso = (ms: number): string => new Date(ms).toISOString();
  return {
    site: SITE,
    box: BOX,
    counter,
    notBefore: iso(nowMs - 60_000),
    notAfter: iso(nowMs + 60_000),
    op: 'search',
    args: {
      case: '2026/1234',
      reason: 'theft on the forecourt',
      query: { from: iso(nowMs - 3_600_000), to: iso(nowMs) },
    },
    ...change,
  };
}

/** An order to install a release within the next hour. */
export function updateOrder(
  order: Pick<UpdateOrder, 'rollout' | 'site' | 'box' | 'counter' | 'seq' | 'version'> & Partial<UpdateOrder>,
  nowMs = Date.now(),
): UpdateOrder {
  return {
    what: 'release',
    action: 'install',
    notBefore: new Date(nowMs - 60_000).toISOString(),
    notAfter: new Date(nowMs + 3_600_000).toISOString(),
    window: null,
    ...order,
  };
}

export function signed({ privateKey }: Signer, command: unknown, type = COMMAND_TYPE): Buffer {
  return Buffer.from(signEnvelope(type, JSON.stringify(command), privateKey));
}
