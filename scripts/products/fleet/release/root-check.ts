/**
 * Checks a root before anyone signs or publishes it, and names its differences from the previous one.
 *
 * INVARIANTS
 * - `checkRoot` is called wherever a root is made, signed or published. It accepts only what `fleet root` would have
 *   made.
 * - Only keys, keyholders and dates can differ from one root to the next, and `rootDifferences` names each difference.
 */
import type { Key, Metadata, Root } from '@tufjs/models';
import { AgentError } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import {
  ED25519,
  expiryProblem,
  fingerprintOf,
  KEYHOLDER_FIELD,
  KEYHOLDERS_MIN,
  keyholderOf,
  keyIdOf,
  keysOf,
  ONLINE_THRESHOLD,
  type RoleName,
  roleKeysOf,
  rootOf,
  type Signed,
  SPECIFICATION,
  signedBytes,
  THRESHOLD,
} from './metadata.ts';
import { keyWords } from './words.ts';

const ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const satisfies readonly RoleName[];
const KEYHOLDER_PATTERN = /^[a-z0-9-]{1,32}$/;

export const isKeyholderName = (name: string): boolean => KEYHOLDER_PATTERN.test(name);

export interface RootCheck {
  /** The newest published root; undefined before the first. */
  readonly previous: Root | undefined;
  readonly nowMs: number;
  /** File or options, for the message. */
  readonly place: string;
  /** Kind of the error; `denied` by default. */
  readonly kind?: 'config' | 'denied';
}

/** Throws AgentError, one line, for a root that `fleet root init` or `rotate` would not make. */
export function checkRoot(root: Root, { previous, nowMs, place, kind = 'denied' }: RootCheck): void {
  const problem =
    versionProblem(root, previous) ??
    rolesProblem(root) ??
    ROLES.map((role) => repeatedKeyProblem(role, keysOf(root, role))).find((one) => one !== undefined) ??
    keysProblem(root) ??
    separationProblem(root) ??
    expiryProblem('root', root.expires, nowMs) ??
    formProblem(root);
  if (problem !== undefined) throw new AgentError(kind, `${place}: ${problem}`);
}

/** Returns the SHA-256 of the signed part, hex, which does not depend on the signatures. */
export function signedDigest(metadata: Metadata<Signed>): string {
  return sha256Of(signedBytes(metadata.signed));
}

function versionProblem(root: Root, previous: Root | undefined): string | undefined {
  const next = (previous?.version ?? 0) + 1;
  if (root.version !== next)
    return `is root ${root.version}, and the next one is ${next}: boxes go from one number to the next; make it again`;
  if (root.specVersion !== SPECIFICATION)
    return `names version ${printable(root.specVersion)} of the specification; it must be ${SPECIFICATION}`;
  if (!root.consistentSnapshot)
    return 'turns consistent_snapshot off; it must be on, or boxes that read during a publication are refused';
  return undefined;
}

function rolesProblem(root: Root): string | undefined {
  const other = Object.keys(root.roles).find((role) => !ROLES.some((allowedRole) => allowedRole === role));
  if (other !== undefined)
    return `has a role "${printable(other)}"; there must be ${ROLES.join(', ')} and no other`;
  for (const role of ROLES) {
    const expected = role === 'root' || role === 'targets' ? THRESHOLD : ONLINE_THRESHOLD;
    const threshold = root.roles[role]?.threshold;
    if (threshold !== expected) return `${role}: ${threshold} must sign; it must be ${expected}`;
  }
  return undefined;
}

/** Reports a key with two names, which would count as two signatures of one person. */
export function repeatedKeyProblem(role: RoleName, keys: readonly Key[]): string | undefined {
  const firstKeys = new Map<string, Key>();
  for (const key of keys) {
    const firstKey = firstKeys.get(fingerprintOf(key));
    if (firstKey !== undefined)
      return `${role}: ${printable(keyholderOf(firstKey))} and ${printable(keyWords(key))}, have one and the same key; each keyholder must have their own`;
    firstKeys.set(fingerprintOf(key), key);
  }
  return undefined;
}

function keysProblem(root: Root): string | undefined {
  for (const role of ROLES) {
    const keys = keysOf(root, role);
    if (keys.length !== root.roles[role]?.keyIDs.length) return `${role}: names a key that is not there`;
    const hasKeyholders = role === 'root' || role === 'targets';
    if (hasKeyholders && (keys.length < KEYHOLDERS_MIN || new Set(keys.map(keyholderOf)).size < keys.length))
      return `${role}: ${KEYHOLDERS_MIN} different keys of ${KEYHOLDERS_MIN} different keyholders are needed, of which ${THRESHOLD} sign`;
    if (!hasKeyholders && keys.length !== 1) return `${role}: must have one key, the room's own`;
  }
  const namedIds = new Set(ROLES.flatMap((role) => root.roles[role]?.keyIDs ?? []));
  const unused = Object.keys(root.keys).find((id) => !namedIds.has(id));
  if (unused !== undefined) return `has a key that no role names (${unused.slice(0, 16)})`;
  const odd = Object.values(root.keys).find((key) => !isPlain(key));
  return odd === undefined
    ? undefined
    : `the key of ${printable(keyholderOf(odd))} is not written as \`fleet root\` writes one (ed25519, 64 digits, its own keyid)`;
}

/**
 * Reports keys in several roles. A key on a networked machine must not sign releases, and a release key must not change
 * keyholders.
 */
function separationProblem(root: Root): string | undefined {
  const roleOf = new Map<string, RoleName>();
  for (const role of ['root', 'targets', 'timestamp'] as const) {
    for (const key of keysOf(root, role)) {
      const other = roleOf.get(fingerprintOf(key));
      if (role === 'timestamp' && other !== undefined)
        return `${other}: the online key lies on a machine with a network; take another`;
      if (other !== undefined)
        return `${printable(keyholderOf(key))} has one key for ${other} and ${role}; make a key for each role`;
      roleOf.set(fingerprintOf(key), role);
    }
  }
  const [snapshot, timestamp] = [keysOf(root, 'snapshot')[0], keysOf(root, 'timestamp')[0]];
  return snapshot?.keyID === timestamp?.keyID
    ? undefined
    : 'snapshot and timestamp have two keys; they must have one, the room’s own';
}

/** Reports any other difference: the root must equal one that is made from its keyholders, version and date. */
function formProblem(root: Root): string | undefined {
  const canonicalRoot = rootOf(roleKeysOf(root), root.version, root.expires);
  return signedBytes(canonicalRoot).equals(signedBytes(root))
    ? undefined
    : 'holds fields that `fleet root` does not make';
}

function isPlain(key: Key): boolean {
  const { keyID, keyType, scheme, keyVal, unrecognizedFields = {} } = key;
  const { public: hex = '', ...otherValues } = keyVal;
  const { [KEYHOLDER_FIELD]: keyholder, ...fields } = unrecognizedFields;
  return (
    /^[0-9a-f]{64}$/.test(hex) &&
    keyType === ED25519 &&
    scheme === ED25519 &&
    keyID === keyIdOf(hex) &&
    typeof keyholder === 'string' &&
    isKeyholderName(keyholder) &&
    Object.keys({ ...otherValues, ...fields }).length === 0
  );
}
