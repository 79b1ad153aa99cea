/**
 * Sends one signed command to a box that is named on the command line. The command is audited, and the box journals it.
 */
import type { Command } from '@commander-js/extra-typings';
import { AgentError } from '../../../../agent/base/errors.ts';
import { positiveNumber } from '../../../../agent/cli/commands/options.ts';
import { signingKey as namedKey } from '../../../../agent/cli/signing-key.ts';
import type { CommandOp } from '../../../../agent/contract/command.ts';
import type { CommandArgs, CommandResult } from '../../../../agent/contract/commands.ts';
import { askBox } from '../../../lib/room-link/box-session.ts';
import { NAME, type Room } from '../../../lib/room-link/room-file.ts';
import { folderCommand } from '../folder-command.ts';
import { readFleet, signingKey } from '../settings.ts';
import { FleetStore } from '../store.ts';

const TIMEOUT_S = 60;

export interface AskOptions {
  readonly dir: string;
  readonly timeout: number;
  /** Signing key, if not the fleet's own. */
  readonly sign?: string;
}

/** The named box, and the connection to it. */
export interface AskedBox {
  readonly room: Room;
  readonly box: string;
}

export function asking(program: Command, name: string, description: string) {
  return folderCommand(program, name, `${description} (by a signed command that the box journals)`)
    .argument('<box>', 'the box, or site/box where two sites have one of that name')
    .option('--sign <file>', 'ed25519 private key, PEM, that signs instead of the one of fleet.yaml')
    .option('--timeout <s>', 'seconds to wait for the answer', positiveNumber(3600), TIMEOUT_S);
}

/** Resolves a name. Throws AgentError `config` for an invalid or ambiguous name. */
export function namedBox(name: string, dir: string): AskedBox {
  const { site, box } = placeOf(name, dir);
  const { timeZone, mqtt } = readFleet(dir);
  return { room: { site, timeZone, mqtt }, box };
}

/** Sends the command and returns its result. Throws AgentError, one line. */
export async function ask<K extends CommandOp>(
  { room, box }: AskedBox,
  { dir, timeout: timeoutS, sign }: AskOptions,
  op: K,
  args: CommandArgs<K>,
): Promise<CommandResult<K>> {
  const key = sign === undefined ? signingKey(readFleet(dir)) : namedKey(sign);
  const store = new FleetStore(dir);
  try {
    store.record(`${op} requested from ${room.site}/${box}`, Date.now());
  } finally {
    store.close();
  }
  return askBox(room, { op, args, box, key, timeoutS });
}

function placeOf(name: string, dir: string): { readonly site: string; readonly box: string } {
  const parts = name.split('/');
  const [site = '', own = ''] = parts;
  if (parts.length > 2 || !parts.every((part) => NAME.test(part)))
    throw new AgentError(
      'config',
      `invalid box name "${name.slice(0, 80)}"; use the form canebiere-017 or marseille-1/canebiere-017`,
    );
  if (parts.length === 2) return { site, box: own };
  const store = new FleetStore(dir, true);
  try {
    const sites = store.boxesNamed(name).map((row) => row.site);
    const [only] = sites;
    if (only !== undefined && sites.length === 1) return { site: only, box: name };
    const reason =
      sites.length === 0 ? 'the fleet knows no box of that name' : `there is one at ${sites.join(' and ')}`;
    throw new AgentError('config', `${name}: ${reason}; name its site too: site/${name}`);
  } finally {
    store.close();
  }
}
