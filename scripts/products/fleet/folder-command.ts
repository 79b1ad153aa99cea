/** Defines a command of a fleet's folder. */
import type { Command } from '@commander-js/extra-typings';
import { FLEET_DIR } from './settings.ts';

/** Returns a command with the option `--dir`, which all need, and with examples below the help. */
export function folderCommand(parent: Command, name: string, description: string, ...examples: string[]) {
  const lines = examples.map((line) => `  scripts/fleet ${line}`);
  return parent
    .command(name)
    .description(description)
    .allowExcessArguments(false)
    .option('--dir <folder>', 'folder with fleet.yaml and the store', FLEET_DIR)
    .addHelpText('after', lines.length === 0 ? '' : `\nExamples:\n${lines.join('\n')}`);
}
