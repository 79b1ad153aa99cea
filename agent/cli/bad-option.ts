/** Returns the error for an invalid option value; `message` states the fault and the accepted value. */
import { AgentError } from '../base/errors.ts';

export function wrong(option: string, message: string): AgentError {
  return new AgentError('config', `${option}: ${message}`);
}
