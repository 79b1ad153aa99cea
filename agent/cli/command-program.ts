/** Base of a program with subcommands: name, version, exit codes, and usage errors of one line each. */
import { Command } from '@commander-js/extra-typings';
import { programVersion } from '../base/package-root.ts';

export function commandProgram(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .version(programVersion())
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({ outputError: (text, write) => write(oneLine(name, text)) })
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 a problem was found or something failed, 2 usage, configuration or input.',
    );
}

/** Converts Commander's "error: …\n(Did you mean …?)\n" to one line in the form of all other messages. */
function oneLine(name: string, text: string): string {
  return `${name}: ${text
    .replace(/^error: /, '')
    .trim()
    .replace(/\s*\n\s*/g, ' ')}\n`;
}
