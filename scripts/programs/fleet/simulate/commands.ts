/** `fleet simulate`: a rollout to boxes that are none, before one to boxes that are. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { BOARDS, type Board } from '../../../../agent/contract/release.ts';
import { say, warn } from '../said.ts';
import { assertWhole, simulate, simulatedLines } from './simulate.ts';

function number(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+(\.\d+)?$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a number from ${least} to ${most}.`);
  };
}

interface Options {
  readonly boxes: number;
  readonly processes: number;
  readonly rollBack: number;
  readonly offline: number;
  readonly mute: number;
  readonly broken?: Board;
  readonly deltaBytes: number;
  readonly fullBytes: number;
  readonly haltShare?: number;
  readonly maxQueued?: number;
  readonly dieInWave?: number;
  readonly seed: number;
}

export function simulateCommands(program: Command): void {
  program
    .command('simulate')
    .description(
      'a rollout to simulated boxes, over a real broker, with faults: which of them end it, and how long it takes',
    )
    .allowExcessArguments(false)
    .option('--boxes <number>', 'how many', number(20, 5000), 1500)
    .option('--roll-back <share>', 'boxes that go back', number(0, 1), 0.02)
    .option(
      '--offline <share>',
      'boxes that are away; two of three come back some days later',
      number(0, 1),
      0.05,
    )
    .option('--mute <share>', 'boxes that are connected and say nothing', number(0, 1), 0.01)
    .addOption(new Option('--broken <board>', 'a board of which every box goes back').choices(BOARDS))
    .option(
      '--halt-share <share>',
      'halts above this share of failures (default: that of a plan)',
      number(0, 1),
    )
    .option('--delta-bytes <number>', 'size of the delta from the release before', number(1, 1e10), 17_000)
    .option('--full-bytes <number>', 'size of the whole release', number(1, 1e10), 28_600_000)
    .option('--max-queued <number>', 'max_queued_messages of the broker', number(1, 1e9))
    .option(
      '--die-in-wave <number>',
      'the controller dies in the middle of that wave, and another goes on',
      number(0, 20),
    )
    .option('--processes <number>', 'of boxes', number(1, 16), 3)
    .option('--seed <number>', 'of what is by chance', number(0, 1e9), 1)
    .addHelpText(
      'after',
      '\nExamples:\n  scripts/fleet simulate --broken rk3588\n  scripts/fleet simulate --boxes 200 --halt-share 0.05 --die-in-wave 2',
    )
    .action(async (options: Options) => {
      const { broken, haltShare, maxQueued, dieInWave } = options;
      const result = await simulate({ ...options, broken, haltShare, maxQueued, dieInWave }, warn);
      for (const line of simulatedLines(result)) say(line);
      assertWhole(result);
    });
}
