/** Converts errors of the file system into AgentErrors with a line for people. */
import { AgentError, messageOf } from '../../../agent/base/errors.ts';

/** Returns an AgentError: `exhausted` if no space is left, else `unavailable`. */
export function diskError(place: string, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  const message = messageOf(error);
  if (/\bENOSPC\b|\bEDQUOT\b|No space left|quota exceeded/i.test(message))
    return new AgentError('exhausted', `${place}: no space is left on the disk`, error);
  return new AgentError('unavailable', `${place}: ${message}`, error);
}

/**
 * Runs `action`.
 *
 * @throws AgentError as in `diskError`
 */
export function onDisk<T>(place: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw diskError(place, error);
  }
}
