/** `fleet logs`, `fleet doctor`, `fleet unlock-pairing` and `fleet cert renew`: a signed command to one box, and its answer; the box journals it. */

import { type Command, InvalidArgumentError } from 'commander';
import { AgentError } from '../../../../agent/base/errors.ts';
import { printableJson } from '../../../../agent/base/printable.ts';
import { positiveNumber, wholeNumber } from '../../../../agent/cli/commands/options.ts';
import { print, printNote } from '../../../../agent/cli/print.ts';
import { askBox } from '../../../../agent/cli/room/ask-box.ts';
import { NAME } from '../../../../agent/cli/room/room-file.ts';
import type { CommandOp } from '../../../../agent/contract/command.ts';
import type { CommandArgs, CommandResult } from '../../../../agent/contract/commands.ts';
import { LOGS_BYTES_MAX } from '../../../../agent/contract/diagnosis.ts';
import { findingText } from '../../../../agent/contract/finding.ts';
import { FLEET_DIR, readFleet, signingKey } from '../fleet-file.ts';
import { FleetStore } from '../store.ts';
import { logLines } from './logs-text.ts';

const TIMEOUT_S = 60;
const UNITS_S: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
const SINCE_MAX_S = 31 * 86_400;

interface AskOptions {
  readonly dir: string;
  readonly timeout: number;
}

interface LogsOptions extends AskOptions {
  readonly since?: number;
  readonly bytes?: number;
}

export function askCommands(program: Command): void {
  asking(program, 'logs', 'lines of the box’s log, without logins, keys and pictures; newest last')
    .option('--since <span>', 'how far back: 90s, 30m, 12h, 7d (default: a day)', seconds)
    .option(
      '--bytes <n>',
      `so many bytes of text at most, to ${LOGS_BYTES_MAX} (the default)`,
      wholeNumber(LOGS_BYTES_MAX, 1000),
    )
    .action(async (box: string, options: LogsOptions) => logs(box, options));
  asking(program, 'doctor', 'what the box’s own doctor finds; exit code 1 where something failed')
    .option('--json', 'a line of JSON for each check')
    .action(async (box: string, options: AskOptions & { json?: true }) => {
      process.exitCode = await doctor(box, options);
    });
  asking(
    program,
    'unlock-pairing',
    'lets phones try again that the box’s page has locked for wrong codes',
  ).action(async (box: string, options: AskOptions) => {
    await ask(box, options, 'unlock-pairing', {});
    print(`${box}: phones that were locked for wrong codes may try again`);
  });
}

/** `renew BOX`, for the group `cert`. */
export function renewCommand(cert: Command): void {
  asking(
    cert,
    'renew',
    'let a box renew its certificate now, with a new key; its root judges the command',
  ).action(async (box: string, options: AskOptions) => {
    await ask(box, options, 'renew-certificate', {});
    print(`${box}: its root was given the command; \`fleet box ${box}\` shows the new certificate’s end`);
  });
}

function asking(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(`${description} (by a signed command that the box journals)`)
    .argument('<box>', 'the box, or site/box where two sites have one of that name')
    .allowExcessArguments(false)
    .option('--dir <dir>', 'folder of the fleet', FLEET_DIR)
    .option('--timeout <s>', 'wait so long for the answer', positiveNumber(3600), TIMEOUT_S);
}

/** Throws AgentError, one line. */
async function logs(box: string, options: LogsOptions): Promise<void> {
  const { since: sinceS, bytes: bytesMax } = options;
  const args = { ...(sinceS !== undefined && { sinceS }), ...(bytesMax !== undefined && { bytesMax }) };
  const result = await ask(box, options, 'logs', args);
  print(...logLines(result));
  if (result.cut) printNote(`fleet: older lines were left out: ${result.lines} lines, ${result.bytes} bytes`);
}

async function doctor(box: string, options: AskOptions & { json?: true }): Promise<number> {
  const result = await ask(box, options, 'doctor', {});
  for (const { name, state, detail, remedy } of result.checks) {
    if (options.json) process.stdout.write(`${printableJson({ name, state, detail, remedy })}\n`);
    else print(...findingText({ name, state, detail, ...(remedy !== null && { fix: remedy }) }).split('\n'));
  }
  return result.checks.some(({ state }) => state === 'failed') ? 1 : 0;
}

async function ask<K extends CommandOp>(
  name: string,
  { dir, timeout: timeoutS }: AskOptions,
  op: K,
  args: CommandArgs<K>,
): Promise<CommandResult<K>> {
  const fleet = readFleet(dir);
  const { site, box } = placeOf(name, dir);
  const room = { site, timeZone: fleet.timeZone, mqtt: fleet.mqtt };
  const key = signingKey(fleet);
  const store = new FleetStore(dir);
  try {
    store.record(`${op} asked of ${site}/${box}`, Date.now());
  } finally {
    store.close();
  }
  return askBox(room, { op, args, box, key, timeoutS });
}

/** Throws AgentError `config` for what is no name, or a name that is not enough. */
function placeOf(name: string, dir: string): { readonly site: string; readonly box: string } {
  const parts = name.split('/');
  const [site = '', own = ''] = parts;
  if (parts.length > 2 || !parts.every((part) => NAME.test(part)))
    throw new AgentError(
      'config',
      `"${name.slice(0, 80)}" is no name of a box; canebiere-017 and marseille-1/canebiere-017 are`,
    );
  if (parts.length === 2) return { site, box: own };
  const store = new FleetStore(dir, true);
  try {
    const sites = store.named(name).map((row) => row.site);
    const [only] = sites;
    if (only !== undefined && sites.length === 1) return { site: only, box: name };
    const why =
      sites.length === 0 ? 'the fleet knows no box of that name' : `there is one at ${sites.join(' and ')}`;
    throw new AgentError('config', `${name}: ${why}; name its site too: site/${name}`);
  } finally {
    store.close();
  }
}

function seconds(text: string): number {
  const [, count, unit = ''] = /^([1-9]\d{0,7})([smhd])$/.exec(text) ?? [];
  const span = Number(count) * (UNITS_S[unit] ?? Number.NaN);
  if (span <= SINCE_MAX_S) return span;
  throw new InvalidArgumentError('It must be a span of 31 days at most: 90s, 30m, 12h, 7d.');
}
