/**
 * Definition of the command line: commands, options, help and examples. The code of each command is imported when it is
 * called, so that `vigie check` does not load what only `vigie run` needs.
 */
import type { Command } from '@commander-js/extra-typings';
import { commandProgram } from './command-program.ts';
import { addBoxCommands } from './commands/box.ts';
import { addRestraintCommands } from './commands/restraint.ts';

export function makeProgram(): Command {
  const program = commandProgram(
    'vigie',
    'Street events from one city camera: pixels stay at home, and the box can prove its restraint.',
  );
  addBoxCommands(program);
  addRestraintCommands(program);
  return program;
}
