/** Our own programs as a person types them, parsed by their own parsers without carrying anything out. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command, CommanderError } from 'commander';
import { messageOf } from '../../agent/base/errors.ts';
import { makeProgram as makeVigie } from '../../agent/cli/program.ts';
import { makeProgram as makeOversight } from '../../scripts/products/oversight/program.ts';
import { makeProgram as makeRoot } from '../../scripts/products/root/program.ts';
import { ROOT } from './paths.ts';

export interface Typed {
  /** The program's name and its arguments. */
  readonly words: readonly string[];
  /** False for a mention within a sentence, which may leave out what the command needs. */
  readonly isWhole: boolean;
}

/** A value that the reader fills in: `FILE`, `1D5A…`, `$program`. */
const PLACEHOLDER = /^[A-Z][A-Z0-9_-]*$|…$|^\$/;
/** Errors that a mention may cause. */
const MISSING = ['missingArgument', 'missingMandatoryOptionValue', 'optionMissingArgument', 'help'];
/** Programs of the room, by the first word after `vigie-room` or `scripts/room`. */
const ROOM = ['archive', 'console', 'enrol', 'metrics', 'search', 'signer', 'tracks', 'unseal'];
/** Wrappers of one program of Node, with its folder. */
const WRAPPED: Readonly<Record<string, string>> = {
  bench: 'workshop/bench',
  evaluate: 'workshop/evaluate',
  flash: 'products/flash',
  fleet: 'products/fleet',
  soak: 'workshop/soak',
};
/** Wrappers that read their arguments in order, so that a last `--help` ends them before they do anything. */
const SHELL = ['demo', 'package', 'setup', 'test'];

/** Returns the parser that a main file makes; the file is imported while parsing does nothing. */
async function programOf(folder: string): Promise<Command> {
  const programs: Command[] = [];
  const { parseAsync } = Command.prototype;
  Command.prototype.parseAsync = function (this: Command) {
    programs.push(this);
    return Promise.resolve(this);
  };
  try {
    await import(new URL(`../../scripts/${folder}/main.js`, import.meta.url).href);
  } finally {
    Command.prototype.parseAsync = parseAsync;
  }
  const [program] = programs;
  if (program === undefined) throw new Error(`${folder} makes no program`);
  return program;
}

/** Makes a program and its subcommands parse only, and accept a placeholder for every value. */
function parseOnly(command: Command): Command {
  command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  // A group of commands has no action of its own.
  if (Reflect.get(command, '_actionHandler') !== null) command.action(() => undefined);
  for (const value of [...command.options, ...command.registeredArguments]) {
    const { parseArg } = value;
    if (parseArg === undefined) continue;
    const parse = parseArg as (text: string, previous: unknown) => unknown;
    value.parseArg = ((text: string, previous: unknown) =>
      PLACEHOLDER.test(text) ? text : parse(text, previous)) as typeof parseArg;
  }
  for (const subcommand of command.commands) parseOnly(subcommand);
  return command;
}

async function shellProblem(wrapper: string, args: readonly string[]): Promise<string | undefined> {
  const values = args.map((word) => (PLACEHOLDER.test(word) ? '1' : word));
  try {
    await promisify(execFile)(join(ROOT, 'scripts', wrapper), [...values, '--help']);
    return undefined;
  } catch (error) {
    return (error as { stderr?: string }).stderr ?? messageOf(error);
  }
}

export class TypedCommands {
  readonly #programs: ReadonlyMap<string, Command>;

  private constructor(programs: ReadonlyMap<string, Command>) {
    this.#programs = programs;
  }

  static async load(): Promise<TypedCommands> {
    const programs = new Map<string, Command>([
      ['vigie', makeVigie() as Command],
      ['vigie-oversight', makeOversight() as Command],
      ['vigie-root', makeRoot() as Command],
    ]);
    for (const name of ROOM) programs.set(`room ${name}`, await programOf(`products/room/${name}`));
    for (const [name, folder] of Object.entries(WRAPPED)) programs.set(name, await programOf(folder));
    for (const program of programs.values()) parseOnly(program);
    return new TypedCommands(programs);
  }

  /** Returns what the program would say of the command line, or undefined if it would carry it out. */
  problem({ words: [name = '', ...args], isWhole }: Typed): Promise<string | undefined> {
    const wrapper = /(?:^|\/)scripts\/([a-z-]+)$/.exec(name)?.[1];
    if (wrapper !== undefined && SHELL.includes(wrapper)) return shellProblem(wrapper, args);
    if (wrapper === 'oversight') return this.#parsed('vigie-oversight', args, isWhole);
    if (wrapper !== undefined && wrapper in WRAPPED) return this.#parsed(wrapper, args, isWhole);
    if (/dist\/agent\/cli\/main\.js$/.test(name)) return this.#parsed('vigie', args, isWhole);
    if (wrapper !== 'room' && name !== 'vigie-room') return this.#parsed(name, args, isWhole);
    const [first = '', ...rest] = args;
    if (ROOM.includes(first)) return this.#parsed(`room ${first}`, rest, isWhole);
    // The wrapper starts the archive; the package's program asks for a name.
    if (wrapper === 'room') return this.#parsed('room archive', args, isWhole);
    const isKnown = ['', '--help'].includes(first) || PLACEHOLDER.test(first);
    return Promise.resolve(isKnown ? undefined : `vigie-room: no program ${first}`);
  }

  async #parsed(name: string, args: readonly string[], isWhole: boolean): Promise<string | undefined> {
    const program = this.#programs.get(name);
    if (program === undefined) return `no program ${name}`;
    // A mention of a program alone has nothing to parse.
    if (args.length === 0 && !isWhole) return undefined;
    try {
      await program.parseAsync(args, { from: 'user' });
      return undefined;
    } catch (error) {
      if (
        error instanceof CommanderError &&
        (error.exitCode === 0 || (!isWhole && MISSING.includes(error.code.replace('commander.', ''))))
      )
        return undefined;
      return messageOf(error);
    }
  }
}
