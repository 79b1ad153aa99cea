/** Maps errors of reading a file to errors of the command's input. */
import { AgentError, messageOf } from '../base/errors.ts';

/** @throws AgentError `config` for an unreadable file */
export function reading<T>(subject: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    throw new AgentError('config', `${subject} cannot be read: ${messageOf(error)}`, error);
  }
}
