/** Makes roots: the first one, and later ones that replace a key or extend the expiry date. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Key, Metadata, type Root } from '@tufjs/models';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { expiry, keyholderKey, keyholderOf, type RoleKeys, roleKeysOf, rootOf } from './metadata.ts';
import type { Repository } from './repository.ts';
import { checkRoot, isKeyholderName, repeatedKeyProblem } from './root-check.ts';

export interface RootChange {
  /** `HOLDER=FILE` words with public keys; an existing keyholder gets this key instead. */
  readonly rootKey?: readonly string[];
  readonly targetsKey?: readonly string[];
  readonly onlineKey?: string;
  /** Keyholders whose keys are removed. */
  readonly dropRoot?: readonly string[];
  readonly dropTargets?: readonly string[];
}

export function firstRoot(
  { rootKey = [], targetsKey = [], onlineKey }: RootChange,
  nowMs: number,
): Metadata<Root> {
  if (onlineKey === undefined)
    throw new AgentError('config', '--online-key: name the public key of the room');
  const roleKeys: RoleKeys = {
    root: rootKey.map((text) => parseKey(text, '--root-key')),
    targets: targetsKey.map((text) => parseKey(text, '--targets-key')),
    online: keyholderKey(publicKeyIn(onlineKey, '--online-key'), 'online'),
  };
  return checked(roleKeys, undefined, nowMs);
}

/** Returns the next root; without a change, with the same keys for another year. */
export function nextRoot(repository: Repository, change: RootChange, nowMs: number): Metadata<Root> {
  const { signed } = repository.root();
  const now = roleKeysOf(signed);
  const roleKeys: RoleKeys = {
    root: exchanged(now.root, change.rootKey, change.dropRoot, ['--root-key', '--drop-root']),
    targets: exchanged(now.targets, change.targetsKey, change.dropTargets, [
      '--targets-key',
      '--drop-targets',
    ]),
    online:
      change.onlineKey === undefined
        ? now.online
        : keyholderKey(publicKeyIn(change.onlineKey, '--online-key'), 'online'),
  };
  return checked(roleKeys, signed, nowMs);
}

function checked(roleKeys: RoleKeys, previous: Root | undefined, nowMs: number): Metadata<Root> {
  const place = '--root-key, --targets-key, --online-key';
  // A root with two equal ids in one role cannot be written at all.
  const repeated =
    repeatedKeyProblem('root', roleKeys.root) ?? repeatedKeyProblem('targets', roleKeys.targets);
  if (repeated !== undefined) throw new AgentError('config', `${place}: ${repeated}`);
  const root = rootOf(roleKeys, (previous?.version ?? 0) + 1, expiry('root', nowMs));
  checkRoot(root, { previous, nowMs, place, kind: 'config' });
  return new Metadata(root);
}

function exchanged(
  keys: readonly Key[],
  coming: readonly string[] = [],
  going: readonly string[] = [],
  [option, dropOption]: readonly [string, string],
): Key[] {
  const keysByKeyholder = new Map(keys.map((key) => [keyholderOf(key), key]));
  for (const keyholder of going) {
    if (keysByKeyholder.delete(keyholder)) continue;
    throw new AgentError(
      'config',
      `${dropOption} ${keyholder}: not a keyholder; keyholders are ${keys.map(keyholderOf).join(', ')}`,
    );
  }
  for (const text of coming) {
    const key = parseKey(text, option);
    keysByKeyholder.set(keyholderOf(key), key);
  }
  return [...keysByKeyholder.values()];
}

function parseKey(text: string, option: string): Key {
  const at = text.indexOf('=');
  const [keyholder, file] = [text.slice(0, at), text.slice(at + 1)];
  if (at > 0 && file !== '' && isKeyholderName(keyholder))
    return keyholderKey(publicKeyIn(file, option), keyholder);
  throw new AgentError(
    'config',
    `${option} ${text}: write HOLDER=FILE, HOLDER of a-z, 0-9 and -; as anna=anna.key.pub`,
  );
}

function publicKeyIn(file: string, option: string): KeyObject {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new AgentError('config', `${option}: ${file} cannot be read (${messageOf(error)})`, error);
  }
  // Node would extract the public key, but a private key must not be on the machine that makes a root.
  if (text.includes('PRIVATE KEY')) {
    throw new AgentError('config', `${option}: ${file} is a private key; name the public one (${file}.pub)`);
  }
  try {
    const key = createPublicKey(text);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (error) {
    throw new AgentError(
      'config',
      `${option}: ${file} does not contain a public key in PEM form (${messageOf(error)})`,
      error,
    );
  }
  throw new AgentError(
    'config',
    `${option}: ${file} is not an ed25519 key; make one with \`fleet release keygen\``,
  );
}
