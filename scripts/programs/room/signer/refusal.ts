/** What the signer does not do: one line for whoever asked, and an HTTP status. */
import { AgentError, type ErrorKind, messageOf } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';

export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, line: string) {
    super(line);
    this.status = status;
  }
}

/** `denied`: the box has said no, to this person's question or to this key. */
const STATUS: Readonly<Record<ErrorKind, number>> = {
  config: 400,
  denied: 409,
  unavailable: 503,
  exhausted: 503,
  corrupt: 503,
  bug: 503,
};
/** A refusal of a box may have 500 characters. */
const LINE_CHARS_MAX = 600;

export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const status = error instanceof AgentError ? STATUS[error.kind] : STATUS.bug;
  // As the command line names what is wrong, without its dashes.
  return new Refusal(status, printable(messageOf(error), LINE_CHARS_MAX).replace(/^--/, ''));
}
