/**
 * `fleet logs`, `fleet doctor`, `fleet unlock-pairing` and `fleet cert renew`: commands to one box that do not concern
 * its restraint.
 */
import { type Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { printableJson } from '../../../../agent/base/printable.ts';
import { integerUpTo } from '../../../../agent/cli/commands/options.ts';
import { print, printNote } from '../../../../agent/cli/print.ts';
import { LOGS_BYTES_MAX } from '../../../../agent/contract/diagnosis.ts';
import { findingText } from '../../../../agent/contract/finding.ts';
import { counted } from '../../../lib/counted.ts';
import { type AskOptions, ask, asking, namedBox } from './box-command.ts';
import { logLines } from './logs-text.ts';

const UNITS_S: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
const SINCE_MAX_S = 31 * 86_400;

interface LogsOptions extends AskOptions {
  readonly since?: number;
  readonly bytes?: number;
}

export function askCommands(program: Command): void {
  asking(program, 'logs', 'lines of the box’s log, without logins, keys and pictures; newest last')
    .option('--since <span>', 'how far back: 90s, 30m, 12h, 7d (default: a day)', seconds)
    .option(
      '--bytes <n>',
      `maximum size of the text in bytes, up to ${LOGS_BYTES_MAX} (the default)`,
      integerUpTo(LOGS_BYTES_MAX, 1000),
    )
    .action(async (name: string, options: LogsOptions) => logs(name, options));
  asking(program, 'doctor', 'what the box’s own doctor finds; exit code 1 where something failed')
    .option('--json', 'a line of JSON for each check')
    .action(async (name: string, options: AskOptions & { json?: true }) => {
      process.exitCode = await doctor(name, options);
    });
  asking(
    program,
    'unlock-pairing',
    'lets phones try again that the box’s page has locked for wrong codes',
  ).action(async (name: string, options: AskOptions) => {
    const target = namedBox(name, options.dir);
    await ask(target, options, 'unlock-pairing', {});
    print(`${target.box}: phones that were locked for wrong codes may try again`);
  });
}

/** Adds `renew BOX` to the group `cert`. */
export function renewCommand(cert: Command): void {
  asking(
    cert,
    'renew',
    'let a box renew its certificate now, with a new key; vigie-root verifies the command',
  ).action(async (name: string, options: AskOptions) => {
    const target = namedBox(name, options.dir);
    await ask(target, options, 'renew-certificate', {});
    print(
      `${name}: its vigie-root has received the command; \`fleet box ${name}\` shows the new certificate’s end`,
    );
  });
}

/** Throws AgentError, one line. */
async function logs(name: string, options: LogsOptions): Promise<void> {
  const { since: sinceS, bytes: bytesMax } = options;
  const args = { ...(sinceS !== undefined && { sinceS }), ...(bytesMax !== undefined && { bytesMax }) };
  const result = await ask(namedBox(name, options.dir), options, 'logs', args);
  print(...logLines(result));
  if (result.cut)
    printNote(
      `fleet: older lines were left out: ${counted(result.lines, 'line')}, ${counted(result.bytes, 'byte')}`,
    );
}

async function doctor(name: string, options: AskOptions & { json?: true }): Promise<number> {
  const result = await ask(namedBox(name, options.dir), options, 'doctor', {});
  for (const { name, state, detail, remedy } of result.checks) {
    if (options.json) process.stdout.write(`${printableJson({ name, state, detail, remedy })}\n`);
    else print(...findingText({ name, state, detail, ...(remedy !== null && { fix: remedy }) }).split('\n'));
  }
  return result.checks.some(({ state }) => state === 'failed') ? 1 : 0;
}

function seconds(text: string): number {
  const [, count, unit = ''] = /^([1-9]\d{0,7})([smhd])$/.exec(text) ?? [];
  const span = Number(count) * (UNITS_S[unit] ?? Number.NaN);
  if (span <= SINCE_MAX_S) return span;
  throw new InvalidArgumentError('It must be a span of 31 days at most: 90s, 30m, 12h, 7d.');
}
