/** `scripts/evaluate`: measures the box's quality on ground truth, with one subcommand for each part. */
import { join, resolve } from 'node:path';
import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { messageOf } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { typedProgram } from '../../lib/typed-program.ts';
import { bytesTable, measureBytes } from './bytes.ts';
import { CONDITIONS_HEAD, conditionRow, evaluateConditions } from './conditions.ts';
import { pictureFolder } from './contact-sheet.ts';
import { DEGRADATIONS, degradationOf } from './degradations.ts';
import { detectorTable, evaluateDetector } from './detector.ts';
import { evaluateEvents, labelsIn } from './events.ts';
import { evaluateGating } from './gating.ts';
import { evaluateRedaction, knownRedactionSequences, redactionTable } from './redaction.ts';
import { evaluateSight, goodFilms } from './sight.ts';
import { evaluateTracks, knownTrackSequences, tracksTable } from './tracks.ts';

type Input = readonly [number, number];

/** Clips and ground truth are stored outside the project, since their licences differ from its own. */
const dataDir = resolve(process.env['VIGIE_DATA'] ?? join(packageRoot(), '..', 'shared', 'data'));

const say = (line: string): void => {
  process.stderr.write(process.stderr.isTTY && !line.startsWith('skipped') ? `\r\x1b[K${line}` : `${line}\n`);
};

/** Shows the progress of work that takes hours, on a terminal only. */
function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

function clearLine(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}

function inputOf(text: string): Input {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  const sides = [Number(width), Number(height)] as const;
  if (sides.every((side) => side > 0 && side % 32 === 0)) return sides;
  throw new InvalidArgumentError('WIDTHxHEIGHT in multiples of 32 is expected, for instance 416x256.');
}

async function detector({
  model,
  input,
  copy,
  json,
}: {
  model: string;
  input?: Input[] | undefined;
  copy?: string;
  json?: true;
}): Promise<void> {
  const inputs = input ?? [
    [416, 256],
    [640, 384],
  ];
  const degradation = copy === undefined ? undefined : degradationOf(copy);
  const metrics = await evaluateDetector({ model, inputs, dataDir, copy: degradation, say });
  clearLine();
  process.stdout.write(`${json ? JSON.stringify(metrics, null, 2) : detectorTable(metrics)}\n`);
}

interface TracksArguments {
  readonly model: string;
  readonly input: Input;
  readonly out: string;
  readonly json?: true;
}

async function tracks({ model, input, out, json }: TracksArguments): Promise<void> {
  const sequences = knownTrackSequences(dataDir);
  const metrics = await evaluateTracks({ model, input, sequences, outDir: out, say });
  clearLine();
  process.stdout.write(`${json ? JSON.stringify(metrics, null, 2) : tracksTable(metrics)}\n`);
}

async function events({ labels, pictures }: { labels: string; pictures?: string }): Promise<void> {
  const options = pictures === undefined ? {} : { pictureDir: pictureFolder(pictures) };
  const right = await evaluateEvents(labels, (line) => process.stdout.write(`${line}\n`), options);
  if (!right) process.exitCode = 1;
}

interface ConditionsArguments {
  readonly labels: readonly string[];
  readonly only: readonly string[];
  readonly json?: true;
}

async function conditions({ labels, only, json }: ConditionsArguments): Promise<void> {
  const print = (text: string): void => {
    clearLine();
    process.stdout.write(`${text}\n`);
  };
  if (!json) print(CONDITIONS_HEAD);
  const rows = await evaluateConditions({
    dirs: folders(labels),
    only,
    say: progress,
    onRow: (row) => (json ? undefined : print(conditionRow(row))),
  });
  if (json) return print(JSON.stringify(rows, null, 2));
  for (const { condition, mistakes, forgave } of rows) {
    for (const line of [...mistakes, ...forgave]) print(`- ${condition}: ${line}`);
  }
}

interface SightArguments {
  readonly labels: readonly string[];
  readonly seconds: number;
}

async function sight({ labels, seconds }: SightArguments): Promise<void> {
  const films = goodFilms(folders(labels).flatMap((dir) => labelsIn(dir)));
  let seenS = 0;
  for (const label of films) {
    progress(`${label.name} …`);
    const one = await evaluateSight(label, seconds / films.length);
    seenS += one.seenS;
    clearLine();
    for (const line of one.mistakes) process.stdout.write(`- ${line}\n`);
    if (one.mistakes.length > 0) process.exitCode = 1;
  }
  process.stdout.write(`${films.length} films, ${(seenS / 60).toFixed(1)} minutes of video\n`);
}

/** Returns the named folders of labels, or both of the data. */
function folders(names: readonly string[]): readonly string[] {
  return names.length > 0 ? names : ['labels', 'labels-hard'].map((name) => join(dataDir, name));
}

async function gating({ labels }: { labels: string }): Promise<void> {
  const right = await evaluateGating(labels, (line) => process.stdout.write(`${line}\n`));
  if (!right) process.exitCode = 1;
}

async function bytes({ clip, json }: { clip: string; json?: true }): Promise<void> {
  const metrics = await measureBytes(clip, say);
  clearLine();
  process.stdout.write(`${json ? JSON.stringify(metrics, null, 2) : bytesTable(metrics)}\n`);
}

async function redaction({ stills, json }: { stills?: string; json?: true }): Promise<void> {
  const sequences = knownRedactionSequences(dataDir);
  const metrics = await evaluateRedaction(sequences, { stillsDir: stills, say });
  clearLine();
  process.stdout.write(`${json ? JSON.stringify(metrics, null, 2) : redactionTable(metrics)}\n`);
}

const labelsOption = () =>
  new Option('--labels <dir>', 'folder of labels').default(join(dataDir, 'labels'), 'labels/ of VIGIE_DATA');

const labelFoldersOption = () =>
  new Option(
    '--labels <dir>',
    'folder of labels, may be given again (labels/ and labels-hard/ of VIGIE_DATA)',
  )
    .argParser((dir, before: string[]) => [...before, dir])
    .default([], 'both');

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (seconds > 0 && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError('Seconds are expected, more than 0 and at most 86400.');
}

function conditionOf(name: string): string {
  const names = DEGRADATIONS.map((one) => one.name);
  if (names.includes(name)) return name;
  throw new InvalidArgumentError(`One of ${names.join(', ')} is expected.`);
}

const program = typedProgram('evaluate').description(
  'Measures the parts of the box on ground truth. VIGIE_DATA names the folder with clips/, gt/ and labels/.',
);
program
  .command('detector')
  .description('average precision and recall of people on PETS09-S2L1 and TUD-Stadtmitte, every 5th frame')
  .option('--model <name>', 'model in models/', 'nanodet-g-city10')
  .addOption(
    new Option('--input <size>', 'detector input, may be given again (416x256 and 640x384)').argParser(
      (text, before: Input[] | undefined) => [...(before ?? []), inputOf(text)],
    ),
  )
  .addOption(
    new Option('--copy <kind>', 'a copy of the clips in such a state, made by ffmpeg').choices(
      DEGRADATIONS.map(({ name }) => name),
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
      .argParser((text) => inputOf(text))
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
  .option(
    '--pictures <dir>',
    'where a contact sheet of each miss and false alert is written; not in the project',
  )
  .action(events);
program
  .command('conditions')
  .description(
    'the labelled films in bad light, weather and focus: found, false, and whether blindness is reported',
  )
  .addOption(labelFoldersOption())
  .addOption(
    new Option('--only <name>', 'one condition, may be given again')
      .argParser((name, before: string[]) => [...before, conditionOf(name)])
      .default([], 'all'),
  )
  .option('--json', 'print JSON instead of a table')
  .action(conditions);
program
  .command('sight')
  .description('films with a good view, in a loop: exit code 1 if a camera condition is reported')
  .addOption(labelFoldersOption())
  .option('--seconds <s>', 'length of all loops together', secondsOf, 3600)
  .action(sight);
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
  .description('how people are replaced in snapshots, the ratio of their area that is hidden, and the cost')
  .option('--stills <dir>', 'folder for the snapshots, to view them')
  .option('--json', 'print JSON instead of a table')
  .action(redaction);

try {
  await program.parseAsync();
} catch (error) {
  clearLine();
  process.stderr.write(`evaluate: ${messageOf(error)}\n`);
  process.exitCode = 2;
}
