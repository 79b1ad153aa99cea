/** Access to the box's record of accuracy, for commands that run beside the agent. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { RECORD_FILE, RecordStore } from '../accuracy/store.ts';
import { AgentError, hasCode, messageOf } from '../base/errors.ts';

/**
 * Opens the record.
 * @throws AgentError `config` if it does not exist, or is not readable for this user
 */
export function openBoxRecord(stateDir: string): RecordStore {
  const file = join(stateDir, RECORD_FILE);
  try {
    statSync(file);
  } catch (error) {
    const missing = hasCode(error, 'ENOENT');
    const problem = missing
      ? 'no accuracy record; `vigie run` creates it; use --state for another folder'
      : `cannot be read (${messageOf(error)}); try as the service’s own user: sudo -u vigie vigie …`;
    throw new AgentError('config', `${file}: ${problem}`, error);
  }
  return RecordStore.open(file);
}
