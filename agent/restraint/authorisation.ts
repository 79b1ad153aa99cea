/**
 * What an authorisation covers, and the files that it and its authority's key are read from.
 *
 * INVARIANTS: fail-closed: what is not positively right is refused with its reason; a rule runs only where an entry
 * names its kind, its zone or line and its purpose. Of several entries that fit, the first counts.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { keyIdOf, publicKeyOf } from '../base/dsse.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import { AUTHORISATION_BYTES_MAX, type Authorisation } from '../contract/authorisation.ts';
import type { RuleGrant } from '../contract/permit.ts';
import type { RuleConfig } from '../contract/rule-config.ts';

/** Group and others may not change whose word the box obeys. */
const OTHERS_WRITE = 0o022;

export interface Coverage {
  readonly rule: string;
  /** Undefined: it does not run. */
  readonly grant: RuleGrant | undefined;
  /** Why it does not run. */
  readonly reason: string | undefined;
}

/** Rule by rule of the configuration. */
export function coverageOf(authorisation: Authorisation, rules: readonly RuleConfig[]): Coverage[] {
  return rules.map((rule) => {
    const place = 'zone' in rule ? rule.zone : rule.line;
    const { order, notAfter } = authorisation;
    const ofKind = authorisation.rules.filter(({ kind }) => kind === rule.kind);
    const ofPlace = ofKind.filter(({ zones }) => zones === 'all' || zones.includes(place));
    const found = ofPlace.find(({ purpose }) => purpose === rule.purpose);
    if (found !== undefined) {
      const { legalBasis, shadow = false } = found;
      return { rule: rule.id, grant: { legalBasis, validUntil: notAfter, shadow }, reason: undefined };
    }
    const purposes = ofPlace.map(({ purpose }) => purpose).join(', ');
    const reason =
      ofKind.length === 0
        ? `order ${order} does not name ${rule.kind}`
        : ofPlace.length === 0
          ? `order ${order} names ${rule.kind}, but not for ${place}`
          : `order ${order} names ${rule.kind} for ${place} with the purpose ${purposes}, not ${rule.purpose}`;
    return { rule: rule.id, grant: undefined, reason };
  });
}

/** The keys whose signatures let a suspended box go on, by keyid. */
export function resumeKeysOf({ resumeKeys }: Authorisation): ReadonlyMap<string, KeyObject> {
  const keys = resumeKeys.map(({ publicKey }) => publicKeyOf(publicKey));
  return new Map(keys.map((key) => [keyIdOf(key), key]));
}

/** The authority's public key, PEM. Throws AgentError `config` in one line. */
export function readAuthorityKey(file: string): KeyObject {
  const pem = readFile(file, 'authorityKey');
  const { mode } = statSync(file);
  if ((mode & OTHERS_WRITE) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(4, '0');
    throw new AgentError(
      'config',
      `authorityKey ${file} can be changed by others (mode ${octal}); chmod 0644`,
    );
  }
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new AgentError('config', `authorityKey ${file} holds no public key in PEM form`);
  }
  if (key.asymmetricKeyType === 'ed25519' && !pem.includes('PRIVATE KEY')) return key;
  const what = pem.includes('PRIVATE KEY') ? 'a private key, which belongs on no box' : 'not of type ed25519';
  throw new AgentError('config', `authorityKey ${file} is ${what}; \`vigie keygen\` makes a pair`);
}

/** Throws AgentError `config` in one line. */
export function readAuthorisationFile(file: string): Buffer {
  const bytes = readFile(file, 'authorisation');
  if (bytes.length <= AUTHORISATION_BYTES_MAX) return bytes;
  const message = `authorisation ${file}: more than ${AUTHORISATION_BYTES_MAX} bytes; this is no authorisation`;
  throw new AgentError('config', message);
}

/** One byte more than any of these files may have is enough to know that it is none. */
function readFile(file: string, what: string): Buffer {
  try {
    if (!statSync(file).isFile()) throw new AgentError('config', `${what} ${file} is not a file`);
    const fd = openSync(file, 'r');
    try {
      const bytes = Buffer.alloc(AUTHORISATION_BYTES_MAX + 1);
      return bytes.subarray(0, readSync(fd, bytes));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('config', `${what} ${file} cannot be read: ${messageOf(error)}`, error);
  }
}
