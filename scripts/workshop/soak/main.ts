/** `scripts/soak`: tests within hours, as far as possible, that the agent can run for months. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { SingleBar } from 'cli-progress';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { typedProgram } from '../../lib/typed-program.ts';
import { memoryPicture } from './picture.ts';
import { findingsOf, type Run, seriesOf, tableOf } from './report.ts';
import { PROCESSES, type ProcessSample, soak } from './soak.ts';

interface Arguments {
  readonly hours: number;
  readonly warmup: number;
  readonly clip: string;
  readonly fps: number;
  readonly out: string;
  readonly json?: true;
}

const SAMPLE_EVERY_MS = 5000;

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= 1000) return value;
  throw new InvalidArgumentError('a number above 0, at most 1000, is expected.');
}

async function run({ hours, warmup, clip, fps, out, json }: Arguments): Promise<void> {
  if (!existsSync(clip)) {
    throw new AgentError('config', `${clip}: no such clip; scripts/setup fetches the usual one`);
  }
  const warmupHours = Math.min(warmup / 60, hours / 2);
  mkdirSync(out, { recursive: true });
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort());
  const bar = new SingleBar({
    format: '{bar} {percentage} % | vision {vision} MiB, agent {agent} MiB',
    stream: process.stderr,
    hideCursor: true,
  });
  if (process.stderr.isTTY) bar.start(hours, 0, { vision: '–', agent: '–' });
  const progress = (at: number, { processes }: ProcessSample): void => {
    bar.update(Math.min(at, hours), {
      vision: processes.vision?.rssMiB ?? '–',
      agent: processes.agent?.rssMiB ?? '–',
    });
  };
  const soaked = await soak({
    hours,
    source: `file:${resolve(clip)}`,
    fps,
    everyMs: SAMPLE_EVERY_MS,
    logFile: join(out, 'agent.log'),
    signal: stopping.signal,
    progress,
  }).finally(() => bar.stop());
  const lasted: Run = { hours: soaked.samples.at(-1)?.hours ?? 0, warmupHours, clip, fps };
  const findings = findingsOf(soaked, lasted);
  const series = PROCESSES.map((name) => ({
    name,
    points: seriesOf(name, soaked),
    slope: findings.processes[name].slope ?? undefined,
  }));
  writeFileSync(join(out, 'soak.json'), JSON.stringify({ ...findings, samples: soaked.samples }));
  writeFileSync(join(out, 'soak.svg'), memoryPicture(series, warmupHours));
  writeFileSync(join(out, 'metrics.txt'), soaked.metrics);
  process.stdout.write(`${json ? JSON.stringify(findings, null, 2) : tableOf(findings)}\n`);
  if (!json) process.stdout.write(`in ${out}: soak.json, soak.svg, metrics.txt, agent.log\n`);
  process.exitCode = findings.steady ? 0 : 1;
}

const program = typedProgram('soak')
  .description(
    'Runs the real agent against a real broker on a clip that is played again and again, and reports growth of memory, descriptors, frames, events and latencies. Exit codes: 0 steady, 1 it grows or broke, 2 usage.',
  )
  .addOption(new Option('--hours <n>', 'how long').argParser(positive).default(1))
  .addOption(
    new Option('--warmup <min>', 'not counted at the start, at most half').argParser(positive).default(10),
  )
  .addOption(
    new Option('--clip <file>', 'clip with one video stream').default(
      join(packageRoot(), '.cache', 'vtest.avi'),
      '.cache/vtest.avi',
    ),
  )
  .addOption(new Option('--fps <n>', 'analysed frames per second').argParser(positive).default(5))
  .addOption(
    new Option('--out <dir>', 'folder for the results').default(
      join(packageRoot(), '.cache', 'soak'),
      '.cache/soak',
    ),
  )
  .option('--json', 'print JSON instead of a table')
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`soak: ${messageOf(error)}\n`);
  process.exitCode = error instanceof AgentError && error.kind === 'config' ? 2 : 1;
}
