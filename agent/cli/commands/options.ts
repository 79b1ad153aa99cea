/** Shared parts of command definitions. */
import { type Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { DEFAULT_STATE_DIR } from '../state-dir.ts';

export const DEFAULT_CONFIG = '/etc/vigie/vigie.yaml';

/** Defines a subcommand whose help ends with examples, each with its meaning. */
export function command(
  program: Command,
  name: string,
  description: string,
  examples: readonly (readonly [string, string])[],
): Command {
  return program
    .command(name)
    .description(description)
    .allowExcessArguments(false)
    .addHelpText('after', examplesText(examples));
}

/** Returns the end of a help text: examples, each with its meaning. */
export function examplesText(examples: readonly (readonly [string, string])[]): string {
  const lines = examples.map(([typed, meaning]) => `  # ${meaning}\n  ${typed}`);
  return `\nExamples:\n${lines.join('\n')}`;
}

export function configOption(): Option<'--config <file>'> {
  return new Option('--config <file>', 'configuration, YAML or JSON');
}

export function stateOption(): Option<'--state <dir>'> {
  const meaning = `folder of all that must survive a restart (default: systemd’s, else ${DEFAULT_STATE_DIR})`;
  return new Option('--state <dir>', meaning).env('VIGIE_STATE_DIR');
}

export function positiveNumber(max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value > 0 && value <= max) return value;
    throw new InvalidArgumentError(`It must be a number above 0, at most ${max}.`);
  };
}

/** Like `positiveNumber`, and also accepts `live`. */
export function rateOrLive(max: number): (text: string) => number | 'live' {
  const number = positiveNumber(max);
  return (text) => (text === 'live' ? text : number(text));
}

export function integerUpTo(max: number, least = 1): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^(0|[1-9]\d*)$/.test(text) && value >= least && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${max}.`);
  };
}

/** Parses the name of a site or a box. */
export function placeName(text: string): string {
  if (/^[a-z0-9-]{1,32}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 32 of a-z, 0-9 and -.');
}
