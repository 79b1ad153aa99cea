/** Programs that tests start, and their output. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { bundled } from './bundled.ts';

/** The built program. */
export const VIGIE = fileURLToPath(new URL('../../agent/cli/main.js', import.meta.url));

export interface Program {
  readonly child: ChildProcess;
  out: string;
  err: string;
  /** Exit code; undefined while it runs. */
  code: number | null | undefined;
  /** Resolves with its exit code when all of its output has been read. */
  readonly exit: Promise<number | null>;
}

/** Starts a program; ended with the test at the latest. */
export function start(t: Test, file: string, args: readonly string[]): Program {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const exit = once(child, 'close').then(([code]: (number | null)[]) => {
    program.code = code ?? null;
    return program.code;
  });
  const program: Program = { child, out: '', err: '', code: undefined, exit };
  child.stdout.on('data', (chunk: Buffer) => {
    program.out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    program.err += chunk.toString();
  });
  t.teardown(() => child.kill('SIGKILL'));
  return program;
}

/** Path of a program of the room. */
export const roomProgram = (name: string): string => bundled(`scripts/products/room/${name}`);

/** Starts the built program with these arguments; its standard input is a pipe. */
export const vigie = (t: Test, ...args: string[]): Program => start(t, process.execPath, [VIGIE, ...args]);

/** Starts the oversight program in the same way. */
export const oversight = (t: Test, ...args: string[]): Program =>
  start(t, process.execPath, [bundled('scripts/products/oversight'), ...args]);
