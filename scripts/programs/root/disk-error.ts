/** Converts errors of the file system into AgentErrors with a line for people. */
import { AgentError, messageOf } from '../../../agent/base/errors.ts';

/** Returns an AgentError: `exhausted` if no space is left, else `unavailable`. */
export function diskError(where: string, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  const said = messageOf(error);
  if (/\bENOSPC\b|\bEDQUOT\b|No space left|quota exceeded/i.test(said))
    return new AgentError('exhausted', `${where}: no space is left on the disk`, error);
  return new AgentError('unavailable', `${where}: ${said}`, error);
}

/**
 * Runs `act`.
 *
 * @throws AgentError as in `diskError`
 */
export function onDisk<T>(where: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw diskError(where, error);
  }
}
