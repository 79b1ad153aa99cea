/**
 * Error class of the agent, the only one. Foreign errors are mapped once, in the folder that owns the library. Only
 * `unavailable` is retried.
 */
export type ErrorKind = 'config' | 'unavailable' | 'exhausted' | 'corrupt' | 'denied' | 'bug';

export class AgentError extends Error {
  readonly kind: ErrorKind;
  override readonly name = 'AgentError';

  /** `message` is one line for a person: the fault, its place and the accepted value. It contains no secret. */
  constructor(kind: ErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/** Rethrows programming errors and foreign errors, so that the caller handles only expected ones. */
export function rethrowBug(error: unknown): asserts error is AgentError {
  if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
}

/** Reports whether it is a Node error with that code (errno(3), by name). */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** Returns the text of any thrown value on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, ' ').trim();
}

/** Throws on a programming error. Never used for conditions that a user or the environment can cause. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AgentError('bug', message);
}
