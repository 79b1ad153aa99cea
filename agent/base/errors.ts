/**
 * One error class for the whole agent. Foreign errors are mapped once, in the folder that owns the
 * library; only `unavailable` is retried.
 */
export type ErrorKind = 'config' | 'unavailable' | 'exhausted' | 'corrupt' | 'denied' | 'bug';

export class AgentError extends Error {
  readonly kind: ErrorKind;
  override readonly name = 'AgentError';

  /** `message` is one line for a person: what, where, what would be right. No secret belongs in it. */
  constructor(kind: ErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/** For what a caller can tell and go on from; mistakes in the program are thrown again. */
export function rethrowBug(error: unknown): asserts error is AgentError {
  if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
}

/** Whether it is node's error of that code (errno(3), by name). */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** The text of any thrown value, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, ' ').trim();
}

/** Stops at a programmer's mistake; never used for what a user or the world can cause. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AgentError('bug', message);
}
