#!/usr/bin/env -S node --max-semi-space-size=2 --optimize-for-size --no-opt --no-sparkplug --max-lazy
/**
 * The program `vigie`. Exit codes: 0 = done; 1 = what was checked or found is not in order, or the work
 * failed while running; 2 = usage, configuration or input that cannot be worked with. What goes wrong is
 * said in one line on standard error; standard output belongs to the result.
 *
 * The flags above keep its memory small; what they cost stands in docs/design/005-benchmark.md.
 */
import { CommanderError } from 'commander';
import { AgentError, messageOf } from '../base/errors.ts';
import { printNote } from './print.ts';
import { makeProgram } from './program.ts';

const LEAVE_AFTER_MS = 5000;

/** A reader that has seen enough (`| head`) is no failure; anything else wrong with a pipe ends the program. */
function onPipeError(error: NodeJS.ErrnoException): void {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
}

/** Says what went wrong and returns the exit code. */
function report(error: unknown): number {
  // Commander has said it already: help, version, or a usage error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  printNote(`vigie: ${messageOf(error)}`);
  if (!(error instanceof AgentError) || error.kind === 'bug') {
    const stack = error instanceof Error ? error.stack : undefined;
    const asked = 'vigie: this is a mistake of the program; please report it with:';
    printNote(asked, ...(stack ?? '').split('\n'));
    return 1;
  }
  return error.kind === 'config' || error.kind === 'corrupt' ? 2 : 1;
}

process.stdout.on('error', onPipeError);
process.stderr.on('error', onPipeError);
try {
  await makeProgram().parseAsync();
} catch (error) {
  process.exitCode = report(error);
  // What has failed leaves, whatever it had begun.
  setTimeout(() => process.exit(), LEAVE_AFTER_MS).unref();
}
