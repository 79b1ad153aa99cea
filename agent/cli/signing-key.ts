/**
 * Loads private keys that are named by an option, for signing.
 * @throws AgentError `config`, one line
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { messageOf } from '../base/errors.ts';
import { openToOthers } from '../base/private-file.ts';
import { RESUME_SIGNATURES } from '../contract/mode.ts';
import { keyIdOf } from '../orders/dsse.ts';
import { wrong } from './bad-option.ts';

/** Loads a key; `option` is the option that named it. */
export function signingKey(file: string, option = '--sign'): KeyObject {
  let pem: Buffer;
  try {
    pem = readFileSync(file);
  } catch (error) {
    throw wrong(option, `${file} cannot be read (${messageOf(error)})`);
  }
  const right = 'make one with: openssl genpkey -algorithm ed25519 -out FILE';
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw wrong(option, `${file} does not contain a private key in PEM form without a passphrase; ${right}`);
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw wrong(option, `${file} is a key of type ${key.asymmetricKeyType}; ${right}`);
  }
  const open = openToOthers(file);
  if (open !== undefined) throw wrong(option, open);
  return key;
}

/** Loads the keys for a resume, which needs two keyholders. */
export function resumeKeys(files: readonly string[]): KeyObject[] {
  const keys = files.map((file) => signingKey(file, '--key'));
  if (new Set(keys.map(keyIdOf)).size >= RESUME_SIGNATURES) return keys;
  throw wrong('--key', 'two different keys of the authorisation must sign; name both files');
}
