/** Programs that tests start, and what they say. */
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
  /** Undefined while it runs. */
  code: number | null | undefined;
  /** Resolves with its exit code when all that it said has been read. */
  readonly ended: Promise<number | null>;
}

/** Ended with the test at the latest. */
export function start(t: Test, file: string, args: readonly string[]): Program {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = once(child, 'close').then(([code]: (number | null)[]) => {
    program.code = code ?? null;
    return program.code;
  });
  const program: Program = { child, out: '', err: '', code: undefined, ended };
  child.stdout.on('data', (chunk: Buffer) => {
    program.out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    program.err += chunk.toString();
  });
  t.teardown(() => child.kill('SIGKILL'));
  return program;
}

/** A program of the room. */
export const roomProgram = (name: string): string => bundled(`scripts/programs/room/${name}`);

/** The built program with these arguments; its standard input is a pipe. */
export const vigie = (t: Test, ...args: string[]): Program => start(t, process.execPath, [VIGIE, ...args]);

/** The same of the program for those who oversee boxes. */
export const oversight = (t: Test, ...args: string[]): Program =>
  start(t, process.execPath, [bundled('scripts/programs/oversight'), ...args]);
