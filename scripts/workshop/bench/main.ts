/** `scripts/bench`: measures the agent's cost above the bare work, in one run. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { typedProgram } from '../../lib/typed-program.ts';
import { type BareInferenceOptions, bareInference } from './bare-inference.ts';
import { benchmark } from './benchmark.ts';
import type { Input } from './gstreamer.ts';
import { tableOf } from './table.ts';
import { type TracedReplay, tracedReplay } from './v8-work.ts';

interface Arguments {
  readonly clip: string;
  readonly passes: number;
  readonly rounds: number;
  readonly model: string;
  readonly input: Input;
  readonly peer?: true;
  readonly live?: number;
  readonly json?: true;
}

/**
 * Frames before the measurement. After them V8 has compiled most hot code, and the libraries have all their memory. Of
 * vtest.avi's 795 pictures the first 400 spent 10 % of their time in the compiler, the next 4 %, those from 800 on 2 %.
 */
const WARM_FRAMES = 800;

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('use a whole number of at least 1.');
  return value;
}

function inputOf(text: string): Input {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  const sides = [Number(width), Number(height)] as const;
  if (sides.every((side) => side > 0 && side % 32 === 0)) return sides;
  throw new InvalidArgumentError('WIDTHxHEIGHT in multiples of 32 is expected, for instance 416x256.');
}

async function run({ clip, passes, rounds, model, input, peer, live, json }: Arguments): Promise<void> {
  if (!existsSync(clip)) {
    throw new AgentError('config', `${clip}: no such clip; scripts/setup fetches the usual one`);
  }
  const report = await benchmark({
    clip: resolve(clip),
    passes,
    warmFrames: WARM_FRAMES,
    rounds,
    model,
    input,
    peer: peer === true,
    liveS: live ?? 0,
    say: (line) => process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`),
  });
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  process.stdout.write(`${json ? JSON.stringify(report, null, 2) : tableOf(report)}\n`);
}

const STREET_CLIP = join(packageRoot(), '.cache', 'vtest.avi');
const program = typedProgram('bench')
  .usage('[options]')
  .description('Measures the agent against the floor: bare GStreamer and bare inference on the same frames.')
  .addOption(
    new Option('--clip <file>', 'clip with one video stream').default(STREET_CLIP, '.cache/vtest.avi'),
  )
  .addOption(new Option('--passes <n>', 'plays the clip n times in a row').argParser(count).default(4))
  .addOption(new Option('--rounds <n>', 'floor and agent in turn, n times').argParser(count).default(3))
  .option('--model <name>', 'model in models/', 'nanodet-g-city10')
  .addOption(new Option('--input <size>', 'detector input').argParser(inputOf).default([416, 256], '416x256'))
  .option('--peer', 'a plain Python program with the same model runs in turn with both')
  .addOption(
    new Option(
      '--live <s>',
      'then agent and Python program on a live camera, a busy and a quiet one, s seconds each',
    ).argParser(count),
  )
  .option('--json', 'print JSON instead of a table')
  .action(run);
program.command('bare-inference <settings>', { hidden: true }).action(async (settings: string) => {
  process.stdout.write(JSON.stringify(await bareInference(JSON.parse(settings) as BareInferenceOptions)));
});
program.command('traced-replay <settings>', { hidden: true }).action(async (settings: string) => {
  await tracedReplay(JSON.parse(settings) as TracedReplay);
});

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`bench: ${messageOf(error)}\n`);
  process.exitCode = 2;
}
