/** `fleet simulate`: rehearses a rollout on simulated boxes. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { AgentError } from '../../../../agent/base/errors.ts';
import { BOARDS } from '../../../../agent/contract/release.ts';
import { say, warn } from '../output.ts';
import { tableOf } from '../rollout/table.ts';
import { VANISHING } from './box.ts';
import { MIXES } from './mixes.ts';
import { assertComplete, MIX_COLUMNS, simulatedLines } from './report.ts';
import { type Simulated, type SimulateOptions, simulate } from './simulate.ts';

/**
 * Maximum number of boxes. Each has its own connection, and a machine has 28,000 local ports for one broker and 20,000
 * files per process.
 */
const BOXES_MAX = 15_000;
/** Number of the broker's files that belong to no box. */
const FILES_BESIDE = 200;

function number(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+(\.\d+)?$/.test(text) && value >= minimum && value <= maximum) return value;
    throw new InvalidArgumentError(`It must be a number from ${minimum} to ${maximum}.`);
  };
}

interface Options extends Omit<SimulateOptions, 'kind'> {
  readonly root?: boolean;
  readonly allFaults?: boolean;
}

export function simulateCommands(program: Command): void {
  program
    .command('simulate')
    .description(
      'a rollout to simulated boxes, over a real broker, with faults: which of them end it, and how long it takes',
    )
    .allowExcessArguments(false)
    .option('--root', 'what is rolled out is a release of root’s program')
    .option('--boxes <number>', 'how many', number(20, BOXES_MAX), 1500)
    .option('--roll-back <share>', 'boxes that roll back', number(0, 1), 0.02)
    .option(
      '--offline <share>',
      'boxes that are offline; two of three return some days later',
      number(0, 1),
      0.05,
    )
    .option('--mute <share>', 'boxes that are connected and say nothing', number(0, 1), 0.01)
    .option(
      '--vanish <share>',
      'boxes, canaries too, that the release takes off the network for good',
      number(0, 1),
      0,
    )
    .addOption(
      new Option('--vanish-at <phase>', 'when they vanish')
        .choices([...VANISHING, 'any'])
        .default('switching'),
    )
    .option(
      '--vanish-after-minutes <number>',
      'with --vanish-at confirmed: minutes from the confirmation on',
      number(0, 10_000),
      5,
    )
    .option('--spare-canaries', 'no canary vanishes')
    .option('--dark <share>', 'boxes, canaries too, whose pole has no power by day', number(0, 1), 0)
    .addOption(new Option('--broken <board>', 'a board of which every box rolls back').choices(BOARDS))
    .option(
      '--die-in-wave <number>',
      'the controller dies in the middle of that wave, and another continues',
      number(0, 20),
    )
    .option(
      '--empty-in-wave <number>',
      'with the first orders of that wave the broker loses all retained messages, and returns',
      number(0, 20),
    )
    .option(
      '--restore-in-wave <number>',
      'in that wave the store is restored to its state before the previous wave, and adopts the rollout again',
      number(1, 20),
    )
    .option('--all-faults', 'mixes of faults in sequence, a line for each; options of faults do not count')
    .option('--processes <number>', 'of boxes', number(1, 16), 3)
    .option('--seed <number>', 'of what is by chance', number(0, 1e9), 1)
    .addHelpText(
      'after',
      [
        '\nExamples:',
        '  scripts/fleet simulate --broken rk3588',
        '  scripts/fleet simulate --boxes 200 --die-in-wave 2',
        '  scripts/fleet simulate --vanish 0.9 --vanish-at probation --dark 0.4',
        '  scripts/fleet simulate --all-faults',
      ].join('\n'),
    )
    .action(async ({ root, allFaults: isOfAll, ...faults }: Options) => {
      assertSockets(faults.boxes);
      const options = { ...faults, kind: root === true ? ('root' as const) : ('release' as const) };
      if (isOfAll === true) return allFaults(options);
      const result = await simulate(options, warn);
      for (const line of simulatedLines(result)) say(line);
      assertComplete(result);
    });
}

async function allFaults(options: SimulateOptions): Promise<void> {
  const rows: (Simulated & { readonly name: string })[] = [];
  for (const [name, faults] of MIXES) {
    warn(`faults: ${name}`);
    const result = await simulate(
      { ...options, broken: undefined, emptyInWave: undefined, restoreInWave: undefined, ...faults },
      warn,
    );
    const row = { ...result, name };
    warn(MIX_COLUMNS.map(([, cell]) => cell(row)).join('; '));
    rows.push(row);
    assertComplete(result);
  }
  for (const line of tableOf(MIX_COLUMNS, rows)) say(line);
}

/** Throws AgentError `config` if the broker may not open a file for each box. */
function assertSockets(boxes: number): void {
  const limit = Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
  const needed = boxes + FILES_BESIDE;
  if (limit >= needed) return;
  throw new AgentError(
    'config',
    `--boxes: ${boxes} boxes need ${needed} open files, and ${limit} are allowed; run \`ulimit -n ${needed}\` before, or take fewer`,
  );
}
