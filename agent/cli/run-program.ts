/**
 * Runs a program that people type, and sets its exit code. An error is one line on standard error; standard output
 * belongs to the result.
 * - 0: done.
 * - 1: a check failed, or an error occurred while running.
 * - 2: unusable command line, configuration or input.
 */
import { CommanderError } from '@commander-js/extra-typings';
import { AgentError, messageOf } from '../base/errors.ts';
import { printNote } from './print.ts';

const LEAVE_AFTER_MS = 5000;

/** Ends the program on a fault of a pipe. A reader that closes early (`| head`) is not an error. */
function onPipeError(error: NodeJS.ErrnoException): void {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
}

/** Prints the error after the name of the program, and returns the exit code. */
function report(name: string, error: unknown): number {
  // Commander has already printed it: help, version, or a usage error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  printNote(`${name}: ${messageOf(error)}`);
  if (!(error instanceof AgentError) || error.kind === 'bug') {
    const stack = error instanceof Error ? error.stack : undefined;
    const bugNotice = `${name}: this is a bug in the program; please report it with:`;
    printNote(bugNotice, ...(stack ?? '').split('\n'));
    return 1;
  }
  return error.kind === 'config' || error.kind === 'corrupt' ? 2 : 1;
}

/** Runs `work` and sets the exit code. `name` precedes each message. */
export async function runProgram(name: string, work: () => Promise<unknown>): Promise<void> {
  process.stdout.on('error', onPipeError);
  process.stderr.on('error', onPipeError);
  try {
    await work();
  } catch (error) {
    process.exitCode = report(name, error);
    // A failed program exits, whatever it has started.
    setTimeout(() => process.exit(), LEAVE_AFTER_MS).unref();
  }
}
