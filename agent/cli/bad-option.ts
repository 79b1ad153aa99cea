/** What was typed for an option is not right: what, and what would be. */
import { AgentError } from '../base/errors.ts';

export function wrong(option: string, message: string): AgentError {
  return new AgentError('config', `${option}: ${message}`);
}
