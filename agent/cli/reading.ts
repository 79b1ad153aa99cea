/** What cannot be read is a fault of what was typed. */
import { AgentError, messageOf } from '../base/errors.ts';

/** Throws AgentError `config` for what cannot be read. */
export function reading<T>(what: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    throw new AgentError('config', `${what} cannot be read: ${messageOf(error)}`, error);
  }
}
