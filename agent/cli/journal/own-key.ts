/** Verifier key of this box's own journal, from its state folder. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../base/errors.ts';
import { JOURNAL_DIR, JOURNAL_KEY_FILE, readJournalKey } from '../../restraint/journal/key.ts';
import { CHECKPOINT } from '../../restraint/journal/layout.ts';
import { verifierKey } from '../../restraint/journal/note.ts';
import { reading } from '../reading.ts';

/**
 * Returns the key as `vigie journal key` prints it.
 * @throws AgentError `config` if no agent has run yet
 */
export function ownKey(stateDir: string): string {
  const checkpoint = join(stateDir, JOURNAL_DIR, CHECKPOINT);
  if (!existsSync(checkpoint)) {
    throw new AgentError(
      'config',
      `${checkpoint} does not exist or not for this user: the agent makes it when it starts first; another folder is named with --state`,
    );
  }
  const key = reading(stateDir, () => readJournalKey(join(stateDir, JOURNAL_KEY_FILE)));
  const [origin = ''] = reading(checkpoint, () => readFileSync(checkpoint, 'utf8')).split('\n');
  return verifierKey(origin, key);
}
