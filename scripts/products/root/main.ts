/**
 * `vigie-root`, root's program on the box. It belongs to no release of the agent (docs/design/032-change-machine.md).
 */
import { CommanderError } from '@commander-js/extra-typings';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { printableLine } from '../../../agent/base/printable.ts';
import { makeProgram } from './program.ts';

const say = (line: string): void => void process.stderr.write(`${printableLine(line)}\n`);

/** Prints the error and returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  say(`vigie-root: ${messageOf(error)}`);
  if (error instanceof AgentError && error.kind !== 'bug') return error.kind === 'config' ? 2 : 1;
  for (const line of (error instanceof Error ? (error.stack ?? '') : '').split('\n')) say(line);
  return 1;
}

/**
 * Ignores EPIPE: a reader such as `status | head`, or systemd's journal during a switch, may close without ending this
 * program.
 */
function onPipeError(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

process.umask(0o022);
process.stdout.on('error', onPipeError);
process.stderr.on('error', onPipeError);
try {
  await makeProgram().parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
