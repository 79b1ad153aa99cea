/**
 * Reads and creates the key that signs the journal's checkpoints. The box creates it at its first start, and it never
 * leaves the box.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { writeAtomically } from '../../base/atomic-file.ts';
import { AgentError, messageOf } from '../../base/errors.ts';

/** File in the state folder, beside the journal's own folder, so that a copy of that folder holds no secret. */
export const JOURNAL_KEY_FILE = 'journal.key';
export const JOURNAL_DIR = 'journal';

/** Throws AgentError: `config` if there is none, `corrupt` if it is not an ed25519 key. */
export function readJournalKey(file: string): KeyObject {
  if (!existsSync(file)) {
    throw new AgentError('config', `${file} does not exist: the agent makes it when it starts first`);
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(readFileSync(file, 'utf8'));
  } catch (error) {
    // The cause may quote the key's text.
    const reason = error instanceof Error && 'syscall' in error ? messageOf(error) : 'no private key in PEM';
    throw new AgentError('corrupt', `${file} cannot be used: ${reason}`);
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new AgentError('corrupt', `${file} is not an ed25519 key but ${key.asymmetricKeyType}`);
  return key;
}

/** Writes a new key, mode 0600, durable on return. */
export function makeJournalKey(file: string): KeyObject {
  const { privateKey } = generateKeyPairSync('ed25519');
  writeAtomically(file, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  return privateKey;
}
