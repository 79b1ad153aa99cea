/**
 * What can be typed: commands, options, help and examples. The work behind each command is imported when
 * it is called, so that `vigie check` does not load what only `vigie run` needs.
 */
import { Command } from 'commander';
import { programVersion } from '../base/package-root.ts';
import { addBoxCommands } from './commands/box.ts';
import { addRestraintCommands } from './commands/restraint.ts';
import { addRoomCommands } from './commands/room.ts';

export function makeProgram(): Command {
  const program = new Command('vigie')
    .description(
      'Street events from one city camera: pixels stay at home, and the box can prove its restraint.',
    )
    .version(programVersion())
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({ outputError: (text, write) => write(oneLine(text)) })
    .addHelpText(
      'after',
      `\nExit codes: 0 done, 1 something is not in order or failed, 2 usage, configuration or input.`,
    );
  addBoxCommands(program);
  addRoomCommands(program);
  addRestraintCommands(program);
  return program;
}

/** Commander's "error: …\n(Did you mean …?)\n" as one line in the form of all our messages. */
function oneLine(text: string): string {
  return `vigie: ${text
    .replace(/^error: /, '')
    .trim()
    .replace(/\s*\n\s*/g, ' ')}\n`;
}
