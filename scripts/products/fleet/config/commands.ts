/** `fleet config …`: manages the boxes' configurations and the room's copies of them. */
import type { Command } from '@commander-js/extra-typings';
import { positiveNumber } from '../../../../agent/cli/commands/options.ts';
import { folderCommand } from '../folder-command.ts';
import { type PullOptions, pull } from './pull.ts';
import { type PushOptions, push } from './push.ts';

const TIMEOUT_S = 30;

const several = (word: string, before: readonly string[] = []): string[] => [...before, word];

export function configCommands(program: Command): void {
  const config = program
    .command('config')
    .description('changes the configurations of boxes, in waves, and keeps copies of them')
    .helpCommand(false);
  folderCommand(
    config,
    'push',
    'shows what would change in which boxes, asks, and makes a rollout of it; each box validates it, tries it, and keeps it or rolls back',
    'config push --set rules[stay].afterS=5 --to site:marseille-1 --plan plan.yaml',
    'config push patch.yaml --to board:rpi5 --plan plan.yaml --dry-run',
    'config push fleet/configs/marseille-1/canebiere-017.yaml --to canebiere-017 --order orders/',
  )
    .argument('[file]', 'YAML: the complete file of one box, or changes merged into the file of each')
    .requiredOption('--to <boxes>', 'box, site/box, site:NAME, board:NAME or all; several with commas')
    .option('--set <path=value>', 'a value by its path: rules[stay].afterS=5; may be given again', several)
    .option('--unset <path>', 'removes a key or an item; may be given again', several)
    .option('--plan <file>', 'YAML of waves, as of `rollout start`; one box needs none')
    .option(
      '--order <path>',
      'signed orders of authorities, or a folder of them; may be given again',
      several,
    )
    .option('--name <text>', 'names the rollout (default: the day and the revision)')
    .option('--dry-run', 'only shows what would change')
    .option('--yes', 'does not ask')
    .option('--take-over', 'writes over orders of a folder that is lost')
    .action((file: string | undefined, options: PushOptions) => push(file, options));
  folderCommand(
    config,
    'pull',
    'asks boxes for their files, by a signed command that they journal; the camera’s login stays there',
    'config pull canebiere-017',
    'config pull all',
  )
    .argument('<boxes>', 'box, site/box, site:NAME, board:NAME or all; several with commas')
    .option('--timeout <s>', 'seconds to wait for each answer', positiveNumber(3600), TIMEOUT_S)
    .action((boxes: string, options: PullOptions) => pull(boxes, options));
}
