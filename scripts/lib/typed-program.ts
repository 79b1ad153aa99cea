/**
 * Creates a command-line program of scripts/. A usage error gives one line with the program's name and exit code 2, and
 * no suggestion.
 */
import { Command } from '@commander-js/extra-typings';

/** `name`: the wrapper's name, and after a space that of a program that the wrapper starts by its first word. */
export function typedProgram(name: string): Command {
  const [wrapper = name] = name.split(' ');
  return new Command(`scripts/${name}`)
    .helpCommand(false)
    .allowExcessArguments(false)
    .showSuggestionAfterError(false)
    .configureOutput({
      outputError: (text, write) => write(`${wrapper}: ${text.replace(/^error: /, '')}`),
    })
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
}
