/** A program of scripts/ as it is typed: what is wrong is one line in its name and exit code 2, and nothing is guessed. */
import { Command } from '@commander-js/extra-typings';

/** `name`: the wrapper's, and behind a space that of a program which the wrapper starts by its first word. */
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
