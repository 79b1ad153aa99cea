/**
 * `scripts/flash`: makes a vendor's image with Vigie in it, and a box's card, stick and label. See docs/guide/flash.md.
 */

import { type Command, Option } from '@commander-js/extra-typings';
import { SingleBar } from 'cli-progress';
import { messageOf } from '../../../agent/base/errors.ts';
import { printableLine } from '../../../agent/base/printable.ts';
import { typedProgram } from '../../lib/typed-program.ts';
import { ADAPTERS } from './adapters.ts';
import { type BakeOptions, bake } from './bake.ts';
import { type CardOptions, card, type Surroundings } from './card.ts';
import { type LabelOptions, newLabel } from './new-label.ts';
import type { Progress } from './write.ts';

const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort());

/** Shows a progress bar on a terminal; nothing in a pipe. */
function progressBar(): { progress: Progress; end(): void } {
  const bar = new SingleBar({
    format: '{what}  {bar}  {percentage} %  {value} of {total} MB  {eta_formatted}',
    stream: process.stderr,
    etaBuffer: 100,
  });
  let now = '';
  const words = { write: 'writing     ', verify: 'reading back' };
  const progress: Progress = (doneBytes, of, phase) => {
    if (!process.stderr.isTTY) return;
    const [value, total] = [Math.round(doneBytes / 1e6), Math.round(of / 1e6)];
    if (now !== phase) bar.start(total, value, { what: words[phase] });
    else bar.update(value);
    now = phase;
  };
  return { progress, end: () => bar.stop() };
}

async function withProgress(work: (context: Surroundings) => Promise<void>): Promise<void> {
  const { progress, end } = progressBar();
  const say = (line: string): void => {
    const to = line.startsWith('warning: ') ? process.stderr : process.stdout;
    to.write(`${printableLine(line)}\n`);
  };
  try {
    await work({
      progress,
      signal: abort.signal,
      say: (line) => {
        end();
        say(line);
      },
    });
  } finally {
    end();
  }
}

const program = typedProgram('flash')
  .usage('[options] [command]')
  .description('Makes the card of a box. See docs/guide/flash.md.');

program
  .command('bake')
  .description('installs Vigie and its dependencies in a vendor’s image, once per release; needs root')
  .requiredOption('--image <file>', 'raw image of the vendor: one FAT and one ext4 partition')
  .option('--out <file>', 'the image that is made (default: the vendor’s name with -vigie)')
  .option('--deb <file>', 'the package, that of the updater beside it (default: those of this checkout)')
  .action((options: BakeOptions) => withProgress((context) => bake(options, context)));

program
  .command('card')
  .description('writes one box’s card, reads it back, and makes its label')
  .requiredOption('--site <folder>', 'what the room keeps of the site')
  .requiredOption('--box <name>', 'folder in SITE/boxes')
  .option('--image <file>', 'a baked image')
  .addOption(
    new Option('--device <path>', 'disk of the card (not a partition): /dev/sdX or /dev/mmcblkN').conflicts([
      'toFile',
      'stick',
    ]),
  )
  .addOption(new Option('--to-file <file>', 'a new file instead of a card').conflicts('stick'))
  .option('--stick <place>', 'a stick (/dev/sdX) or a folder, for boards that their vendor’s tool flashes')
  .addOption(
    new Option('--adapter <name>', 'how the image learns its name').choices(ADAPTERS).default('none'),
  )
  .option('--room <url>', 'https://host[:port] of the room’s enrolment')
  .addOption(new Option('--token <token>', 'one-time token of the room').conflicts('roomDir'))
  .option('--room-dir <folder>', 'the room’s enrolment on this machine, which gives the token')
  .option('--confirm <text>', '"SIZE SERIAL" of the disk, for use without a terminal')
  .option('--out <folder>', 'where the label goes (default: beside the file, or label-BOX)')
  .option('--page-fingerprint <hex>', 'SHA-256 of the page’s certificate, for the label')
  .action(async (options: CardOptions, command: Command) => {
    const { device, toFile, stick } = options;
    if (device === undefined && toFile === undefined && stick === undefined) {
      command.error('error: name one of --device, --to-file, --stick');
    }
    await withProgress((context) => card(options, context));
  });

program
  .command('label')
  .description('makes a label with a new setup code, and the file that the box must have for it')
  .requiredOption('--site <folder>', 'what the room keeps of the site')
  .requiredOption('--box <name>', 'folder in SITE/boxes')
  .option('--code-out <folder>', 'where label and setup-code.json go', '.')
  .option('--page-fingerprint <hex>', 'SHA-256 of the page’s certificate')
  .action((options: LabelOptions) => withProgress((context) => newLabel(options, context)));

try {
  await program.parseAsync();
} catch (error) {
  for (const line of (error instanceof Error ? error.message : messageOf(error)).split('\n')) {
    process.stderr.write(`flash: ${printableLine(line)}\n`);
  }
  process.exitCode = 1;
}
