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

/** The text of any thrown value, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, ' ').trim();
}

/** Stops at a programmer's mistake; never used for what a user or the world can cause. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AgentError('bug', message);
}
