/** Adds the commands `fleet status`, `box`, `inventory` and `rollout`. */
import { type Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { printable } from '../../../../agent/base/printable.ts';
import { integerUpTo, placeName } from '../../../../agent/cli/commands/options.ts';
import { folderCommand } from '../folder-command.ts';
import { type AdoptOptions, adopt } from './adopt.ts';
import {
  type RolloutStatusOptions,
  type RunOptions,
  rolloutStatus,
  run,
  type SkipOptions,
  type StartOptions,
  skip,
  start,
} from './drive.ts';
import { inventory } from './inventory.ts';
import { audit, type BoxOptions, box, type StatusOptions, status } from './status-commands.ts';
import { want } from './want.ts';

function fingerprint(text: string): string {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be 64 of 0-9 and a-f, as `fleet box` shows it.');
}

function skipReason(text: string): string {
  const reason = printable(text.trim());
  if (reason.length >= 3 && reason.length <= 200) return reason;
  throw new InvalidArgumentError('It must have 3 to 200 characters.');
}

export function rolloutCommands(program: Command): void {
  folderCommand(
    program,
    'status',
    'prints every box: what it runs and how far it is',
    'status',
    'status --wide --site marseille-1',
    'status --json | jq ".boxes[] | select(.link != \\"online\\") | .box"',
  )
    .option('--wide', 'more columns')
    .option('--json', 'for programs: all that is known')
    .option('--watch', 'until Ctrl-C: a live table on a terminal, in a pipe what changes')
    .option('--site <name>', 'of one site', placeName)
    .action((options: StatusOptions) => status(options));
  folderCommand(
    program,
    'box',
    'prints all that is known about a box, or accepts its new key, or retires it',
    'box canebiere-017',
    'box canebiere-017 --accept-key 3f0c…',
  )
    .argument('<box>', 'its name', placeName)
    .option('--accept-key <fingerprint>', 'the key of its reports is another from now on', fingerprint)
    .option('--retire', 'removes it from the inventory')
    .option('--site <name>', 'where two sites have a box of that name', placeName)
    .option('--json', 'for programs')
    .action((name: string, options: BoxOptions) => box(name, options));
  folderCommand(program, 'inventory', 'prints the inventory for a spreadsheet', 'inventory --csv > boxes.csv')
    .option('--csv', 'RFC 4180')
    .action((options: { readonly dir: string; readonly csv?: boolean }) => inventory(options));
  folderCommand(program, 'audit', 'prints who did what, the newest first', 'audit --count 100')
    .option('--count <number>', 'of lines', integerUpTo(99_999), 20)
    .action((options: { readonly dir: string; readonly count: number }) => audit(options));
  const rollout = program
    .command('rollout')
    .description('brings a published release to the boxes, in waves')
    .helpCommand(false);
  folderCommand(
    rollout,
    'start',
    'makes a rollout: says which boxes get what in which wave, and asks',
    'rollout start 1.5.0 --plan plan.yaml --dry-run',
    'rollout start 1.5.0 --plan plan.yaml && scripts/fleet rollout run',
    'rollout start 1.5.0 --root --plan plan.yaml   # of root’s program',
  )
    .argument('<version>', 'of a published release, or its number')
    .option('--root', 'a release of root’s program; its number needs no --root')
    .requiredOption('--plan <file>', 'YAML: canary, waves, window, notAfterDays, thresholds')
    .option('--name <text>', 'names it (default: the day and the version)')
    .option('--dry-run', 'only says it')
    .option('--yes', 'does not ask')
    .option('--take-over', 'writes over orders of a folder that is lost')
    .action((version: string, options: StartOptions) => start(version, options));
  folderCommand(
    rollout,
    'run',
    'sends it and continues until it is over; may be stopped and started again at any time',
    'rollout run',
    'rollout run --once   # from a timer',
  )
    .option('--once', 'does what is due now')
    .action((options: RunOptions) => run(options));
  folderCommand(
    rollout,
    'status',
    'prints how far a rollout is',
    'rollout status --watch',
    'rollout status 2026-11-26-1.5.0 --json',
  )
    .argument('[name]', 'of another than the newest')
    .option('--watch', 'until it is over: bars on a terminal')
    .option('--json', 'for programs')
    .action((name: string | undefined, options: RolloutStatusOptions) => rolloutStatus(name, options));
  folderCommand(
    rollout,
    'adopt',
    'brings a database that is behind the fleet up to what boxes and broker know: after a restore',
    'rollout adopt',
    'rollout adopt --plan plan.yaml   # of a rollout that the database does not have',
    'rollout adopt --abort            # and ends what is under way',
  )
    .argument('[name]', 'of the open rollout, where boxes’ reports alone do not show it')
    .option('--plan <file>', 'YAML with which that rollout was started, where the database does not have it')
    .option('--abort', 'ends the rollout that is under way')
    .option('--yes', 'does not ask')
    .action((name: string | undefined, options: AdoptOptions) => adopt(name, options));
  for (const [operation, description] of [
    ['pause', 'boxes go no further than they are; none is left between two releases'],
    ['resume', 'continues one that is paused or has halted; earlier failures no longer count'],
    ['abort', 'ends it for good: every box that was ordered gets a signed withdrawal'],
  ] as const) {
    folderCommand(rollout, operation, description, `rollout ${operation}`).action(
      (options: { readonly dir: string }) => want(operation, options),
    );
  }
  folderCommand(
    rollout,
    'skip',
    'leaves boxes out of the rollout that is under way: it waits for them no more, and they do not count',
    'rollout skip canebiere-017 --reason "stolen, ticket 4711"',
  )
    .argument('<box...>', 'names, or SITE/BOX')
    .requiredOption('--reason <text>', 'why, for the records: 3 to 200 characters', skipReason)
    .action((names: readonly string[], options: SkipOptions) => skip(names, options));
}
