/** A refusal of the signer: one line for the caller, and an HTTP status. */
import { AgentError, type ErrorKind, messageOf } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';

export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, line: string) {
    super(line);
    this.status = status;
  }
}

/** HTTP status of each kind of error. `denied` means that the box refused this query or this key. */
const STATUS: Readonly<Record<ErrorKind, number>> = {
  config: 400,
  denied: 409,
  unavailable: 503,
  exhausted: 503,
  corrupt: 503,
  bug: 503,
};
/** Maximum length of a line. A refusal of a box may have 500 characters. */
const LINE_CHARS_MAX = 600;

export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const status = error instanceof AgentError ? STATUS[error.kind] : STATUS.bug;
  // Errors of the command line name an option with dashes, which are removed here.
  return new Refusal(status, printable(messageOf(error), LINE_CHARS_MAX).replace(/^--/, ''));
}
