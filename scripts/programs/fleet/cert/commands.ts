/** `fleet cert`: the boxes' certificates; see docs/guide/fleet-certificates.md. */
import { type Command, InvalidArgumentError } from 'commander';
import { renewCommand } from '../ask/commands.ts';
import { FLEET_DIR } from '../fleet-file.ts';
import { type ListOptions, list } from './list.ts';
import { type RevokeOptions, revoke } from './revoke.ts';

/** A box whose place another takes comes back within two minutes at first (agent/mqtt/delivery.ts), and is heard then. */
const WATCH_S = 150;

export function certCommands(program: Command): void {
  const cert = program.command('cert').description('the boxes’ certificates').helpCommand(false);
  command(cert, 'list', 'prints every box’s certificate: its end in the enrolment, and as the box says')
    .option('--ends <days>', 'only what ends within so many days, or has ended', whole(0, 36_500))
    .option('--json', 'a line of JSON for each box')
    .action((options: ListOptions) => list(options));
  command(
    cert,
    'revoke',
    'shuts a box out: takes its certificates and tokens back, ends its connection, and looks whether it comes back',
  )
    .argument('<box>', 'its name', boxName)
    .option('--broker-pid <pid>', 'Mosquitto on this machine, which reads revoked.pem in its place', whole(2))
    .option('--reload <command>', 'for sh: brings $VIGIE_CRL to the broker and reloads it')
    .option('--watch <seconds>', 'how long it is looked for afterwards', whole(1, 3600), WATCH_S)
    .option('--yes', 'does not ask')
    .action((box: string, options: RevokeOptions) => revoke(box, options));
  renewCommand(cert);
}

/** With the folder that all work in. */
function command(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .allowExcessArguments(false)
    .option('--dir <folder>', 'folder with fleet.yaml and the store', FLEET_DIR);
}

function boxName(text: string): string {
  if (/^[a-z0-9-]{1,32}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 32 of a-z, 0-9 and -.');
}

function whole(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,15}$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}
