/** `scripts/evaluate`: how good the box is, measured on ground truth; one subcommand for each part. */
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { messageOf } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { bytesTable, measureBytes } from './bytes.ts';
import { detectorTable, evaluateDetector } from './detector.ts';
import { evaluateEvents } from './events.ts';
import { evaluateGating } from './gating.ts';
import { evaluateRedaction, knownRedactionSequences, redactionTable } from './redaction.ts';
import { evaluateTracks, knownTrackSequences, tracksTable } from './tracks.ts';

type Input = readonly [number, number];

/** Clips and ground truth lie beside the project, since their licences differ from its own. */
const dataDir = resolve(process.env['VIGIE_DATA'] ?? join(packageRoot(), '..', 'shared', 'data'));

const say = (line: string): void => {
  process.stderr.write(process.stderr.isTTY && !line.startsWith('skipped') ? `\r\x1b[K${line}` : `${line}\n`);
};

function clearLine(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}

function inputsOf(text: string, before: readonly Input[] | undefined): Input[] {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  const sides = [Number(width), Number(height)] as const;
  if (sides.every((side) => side > 0 && side % 32 === 0)) return [...(before ?? []), sides];
  throw new InvalidArgumentError('WIDTHxHEIGHT in multiples of 32 is expected, for instance 416x256.');
}

async function detector({
  model,
  input,
  json,
}: {
  model: string;
  input?: Input[];
  json?: true;
}): Promise<void> {
  const inputs = input ?? [
    [416, 256],
    [640, 384],
  ];
  const figures = await evaluateDetector({ model, inputs, dataDir, say });
  clearLine();
  process.stdout.write(`${json ? JSON.stringify(figures, null, 2) : detectorTable(figures)}\n`);
}

interface TracksArguments {
  readonly model: string;
  readonly input: Input;
  readonly out: string;
  readonly json?: true;
}

async function tracks({ model, input, out, json }: TracksArguments): Promise<void> {
  const sequences = knownTrackSequences(dataDir);
  const figures = await evaluateTracks({ model, input, sequences, outDir: out, say });
  clearLine();
  process.stdout.write(`${json ? JSON.stringify(figures, null, 2) : tracksTable(figures)}\n`);
}

async function events({ labels }: { labels: string }): Promise<void> {
  const right = await evaluateEvents(labels, (line) => process.stdout.write(`${line}\n`));
  if (!right) process.exitCode = 1;
}

async function gating({ labels }: { labels: string }): Promise<void> {
  const right = await evaluateGating(labels, (line) => process.stdout.write(`${line}\n`));
  if (!right) process.exitCode = 1;
}

async function bytes({ clip, json }: { clip: string; json?: true }): Promise<void> {
  const figures = await measureBytes(clip, say);
  clearLine();
  process.stdout.write(`${json ? JSON.stringify(figures, null, 2) : bytesTable(figures)}\n`);
}

async function redaction({ stills, json }: { stills?: string; json?: true }): Promise<void> {
  const sequences = knownRedactionSequences(dataDir);
  const figures = await evaluateRedaction(sequences, { stillsDir: stills, say });
  clearLine();
  process.stdout.write(`${json ? JSON.stringify(figures, null, 2) : redactionTable(figures)}\n`);
}

const labelsOption = (): Option =>
  new Option('--labels <dir>', 'folder of labels').default(join(dataDir, 'labels'), 'labels/ of VIGIE_DATA');

const program = new Command('scripts/evaluate')
  .description(
    'Measures the parts of the box on ground truth. VIGIE_DATA names the folder with clips/, gt/ and labels/.',
  )
  .helpCommand(false);
program
  .command('detector')
  .description('average precision and recall of people on PETS09-S2L1 and TUD-Stadtmitte, every 5th frame')
  .option('--model <name>', 'model in models/', 'nanodet-g-city10')
  .addOption(
    new Option('--input <size>', 'detector input, may be given again (416x256 and 640x384)').argParser(
      inputsOf,
    ),
  )
  .option('--json', 'print JSON instead of a table')
  .action(detector);

program
  .command('tracks')
  .description('HOTA, MOTA and IDF1 of people on the same sequences')
  .option('--model <name>', 'model in models/', 'nanodet-g-city10')
  .addOption(
    new Option('--input <size>', 'detector input')
      .argParser((text) => inputsOf(text, [])[0])
      .default([416, 256], '416x256'),
  )
  .addOption(
    new Option('--out <dir>', 'where the tracks are written').default(
      join(packageRoot(), '.cache', 'tracks'),
      '.cache/tracks',
    ),
  )
  .option('--json', 'print JSON instead of a table')
  .action(tracks);
program
  .command('events')
  .description('replays every labelled clip: found, missed and false alerts; exit code 1 where there are any')
  .addOption(labelsOption())
  .action(events);
program
  .command('gating')
  .description(
    'inferences that motion gating saves on every labelled clip; exit code 1 where an incident differs',
  )
  .addOption(labelsOption())
  .action(gating);
program
  .command('bytes')
  .description(
    'bytes that the box publishes in an hour, to the H.264 stream that it replaces; load of a room',
  )
  .addOption(
    new Option('--clip <file>', 'street clip, watched once').default(
      join(packageRoot(), '.cache', 'vtest.avi'),
      '.cache/vtest.avi',
    ),
  )
  .option('--json', 'print JSON instead of tables')
  .action(bytes);

program
  .command('redaction')
  .description('by what people are drawn in snapshots, how much of these is hidden, and what it costs')
  .option('--stills <dir>', 'where the snapshots are written, to be looked at')
  .option('--json', 'print JSON instead of a table')
  .action(redaction);

try {
  await program.parseAsync();
} catch (error) {
  clearLine();
  process.stderr.write(`evaluate: ${messageOf(error)}\n`);
  process.exitCode = 2;
}
