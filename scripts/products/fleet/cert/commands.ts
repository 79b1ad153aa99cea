/** `fleet cert`: manages the boxes' certificates (docs/guide/fleet-certificates.md). */
import type { Command } from '@commander-js/extra-typings';
import { integerUpTo, placeName } from '../../../../agent/cli/commands/options.ts';
import { renewCommand } from '../ask/commands.ts';
import { folderCommand } from '../folder-command.ts';
import { type ListOptions, list } from './list.ts';
import { type RevokeOptions, revoke } from './revoke.ts';

/**
 * Time to listen, s. A disconnected box first reconnects within two minutes (agent/mqtt/delivery.ts), and is then
 * received.
 */
const WATCH_S = 150;

export function certCommands(program: Command): void {
  const cert = program.command('cert').description('the boxes’ certificates').helpCommand(false);
  folderCommand(cert, 'list', 'prints every box’s certificate: its end in the enrolment, and as the box says')
    .option(
      '--ends <days>',
      'only certificates that end within this number of days, or have ended',
      integerUpTo(36_500, 0),
    )
    .option('--json', 'a line of JSON for each box')
    .action((options: ListOptions) => list(options));
  folderCommand(
    cert,
    'revoke',
    'shuts a box out: revokes its certificates and tokens, ends its connection, and checks whether it reconnects',
  )
    .argument('<box>', 'its name', placeName)
    .option(
      '--broker-pid <pid>',
      'Mosquitto on this machine, which reads revoked.pem in its place',
      integerUpTo(Number.MAX_SAFE_INTEGER, 2),
    )
    .option('--reload <command>', 'for sh: makes the broker read the lists in $VIGIE_BOXES again')
    .option('--boxes-port <number>', 'port of the boxes at the broker', integerUpTo(65_535), 8883)
    .option('--watch <seconds>', 'how long it is looked for afterwards', integerUpTo(3600), WATCH_S)
    .option('--yes', 'does not ask')
    .action((box: string, options: RevokeOptions) => revoke(box, options));
  renewCommand(cert);
}
