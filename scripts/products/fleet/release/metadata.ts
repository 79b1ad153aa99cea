/**
 * Defines the four TUF roles of this fleet (https://theupdateframework.github.io/specification/latest/): signers,
 * thresholds and lifetimes.
 *
 * INVARIANT: consistent snapshots. Each snapshot and targets file has its version in its name and is never overwritten.
 * A box that reads during a publication sees either the old or the new state. With plain names it could compare the old
 * timestamp with the new snapshot, and refuse both.
 */

import { type KeyObject, sign } from 'node:crypto';
import {
  Key,
  Metadata,
  MetadataKind,
  MetaFile,
  Root,
  Signature,
  Snapshot,
  type TargetFile,
  Targets,
  Timestamp,
} from '@tufjs/models';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { printable } from '../../../../agent/base/printable.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { ED25519_SPKI_PREFIX, publicKeyFingerprint } from '../../../lib/tuf-key.ts';

const DAY_MS = 86_400_000;
/** Version of the TUF specification that tuf-js implements. */
export const SPECIFICATION = '1.0.31';
/** Days for which a signature is valid. People sign root and targets; the room's own key signs the other two. */
export const LIFETIME_DAYS = { root: 365, targets: 90, snapshot: 7, timestamp: 1 } as const;
/** Number of keyholders that must sign root and targets. */
export const THRESHOLD = 2;
export const KEYHOLDERS_MIN = 3;
export const ONLINE_THRESHOLD = 1;

/** Maximum clock difference, in days, between the machine of the maker and a keyholder's, which has no network. */
const CLOCK_DIFFERENCE_DAYS = 1;
/** Format of times in the fleet's programs and TUF. */
const EXPIRY_PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

export type Signed = Root | Targets | Snapshot | Timestamp;
export type RoleName = 'root' | 'targets' | 'snapshot' | 'timestamp';
/** Field with the name of the keyholder; TUF allows additional fields. */
export const KEYHOLDER_FIELD = 'x-vigie-holder';
export const ED25519 = 'ed25519';

/** Returns a public key in TUF's form, with the name of its keyholder. */
export function keyholderKey(publicKey: KeyObject, keyholder: string): Key {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const hex = spki.toString('hex').slice(ED25519_SPKI_PREFIX.length);
  return new Key({
    keyID: keyIdOf(hex),
    keyType: ED25519,
    scheme: ED25519,
    keyVal: { public: hex },
    unrecognizedFields: { [KEYHOLDER_FIELD]: keyholder },
  });
}

/** Returns the specification's keyid of an ed25519 key: SHA-256 of the canonical form, whose members are sorted. */
export const keyIdOf = (hex: string): string =>
  sha256Of(JSON.stringify({ keytype: ED25519, keyval: { public: hex }, scheme: ED25519 }));

export function keyholderOf(key: Key): string {
  const keyholder = key.unrecognizedFields?.[KEYHOLDER_FIELD];
  return typeof keyholder === 'string' ? keyholder : key.keyID.slice(0, 16);
}

/**
 * Returns the fingerprint in the form of `vigie-oversight keygen`, hex. Equal fingerprints mean one key, whatever the
 * ids and encodings.
 */
export const fingerprintOf = (key: Key): string => publicKeyFingerprint(key.keyVal['public'] ?? '');

export function expiry(role: RoleName, nowMs: number): string {
  return new Date(nowMs + LIFETIME_DAYS[role] * DAY_MS).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Returns what is wrong with the expiry date of a root or targets; undefined if it is valid. */
export function expiryProblem(role: 'root' | 'targets', expires: string, nowMs: number): string | undefined {
  const untilMs = Date.parse(expires);
  if (!EXPIRY_PATTERN.test(expires) || Number.isNaN(untilMs))
    return `expires: "${printable(expires, 40)}" is not a time in UTC`;
  const now = new Date(nowMs).toISOString();
  if (untilMs <= nowMs) return `is stale: it ended on ${expires}, and it is ${now}; make it again`;
  const days = LIFETIME_DAYS[role] + CLOCK_DIFFERENCE_DAYS;
  if (untilMs <= nowMs + days * DAY_MS) return undefined;
  return `would be good until ${expires}; at most ${days} days from now (${now}) are accepted for ${role}: make it again, or set this machine's clock`;
}

export interface RoleKeys {
  readonly root: readonly Key[];
  readonly targets: readonly Key[];
  readonly online: Key;
}

/** Returns a root with these keys; `checkRoot` decides whether it may be signed. */
export function rootOf({ root, targets, online }: RoleKeys, version: number, expires: string): Root {
  const role = (keys: readonly Key[], threshold: number) => ({
    keyids: keys.map(({ keyID }) => keyID),
    threshold,
  });
  return Root.fromJSON({
    spec_version: SPECIFICATION,
    version,
    expires,
    consistent_snapshot: true,
    keys: Object.fromEntries([...root, ...targets, online].map((key) => [key.keyID, key.toJSON()])),
    roles: {
      root: role(root, THRESHOLD),
      targets: role(targets, THRESHOLD),
      snapshot: role([online], ONLINE_THRESHOLD),
      timestamp: role([online], ONLINE_THRESHOLD),
    },
  });
}

export function roleKeysOf(root: Root): RoleKeys {
  const [online] = keysOf(root, 'timestamp');
  if (online === undefined) throw new AgentError('corrupt', 'the root lacks a key for the timestamp');
  return { root: keysOf(root, 'root'), targets: keysOf(root, 'targets'), online };
}

export function keysOf(root: Root, role: RoleName): Key[] {
  const { keyIDs = [] } = root.roles[role] ?? {};
  // An object also has inherited names.
  return keyIDs.flatMap((id) => (Object.hasOwn(root.keys, id) ? (root.keys[id] ?? []) : []));
}

/** Returns the role's key that belongs to this public key. */
export function keyFor(root: Root, role: RoleName, publicKey: KeyObject): Key | undefined {
  const { keyID } = keyholderKey(publicKey, '');
  return keysOf(root, role).find((key) => key.keyID === keyID);
}

export function signWith(metadata: Metadata<Signed>, key: KeyObject, keyID: string): void {
  metadata.sign((data) => new Signature({ keyID, sig: sign(null, data, key).toString('hex') }), true);
}

/** Returns the keyholders of the role whose signatures are valid; a key with two ids counts once. */
export function signersOf(metadata: Metadata<Signed>, root: Root, role: RoleName): Key[] {
  const different = new Map(keysOf(root, role).map((key) => [fingerprintOf(key), key]));
  return [...different.values()].filter((key) => {
    try {
      key.verifySignature(metadata);
      return true;
    } catch {
      // tuf-js reports an invalid signature only by an error.
      return false;
    }
  });
}

/** Reports whether the threshold is reached, counted as a box counts. */
export function isSigned(metadata: Metadata<Signed>, root: Root, role: RoleName): boolean {
  return signersOf(metadata, root, role).length >= (root.roles[role]?.threshold ?? Number.POSITIVE_INFINITY);
}

/** Returns the canonical form of the signed part, over which signatures are made. */
export function signedBytes(signed: Signed): Buffer {
  let bytes = Buffer.alloc(0);
  new Metadata(signed).sign((data) => {
    bytes = Buffer.from(data);
    return new Signature({ keyID: '', sig: '' });
  });
  return bytes;
}

export function bytesOf(metadata: Metadata<Signed>): Buffer {
  return Buffer.from(`${JSON.stringify(metadata.toJSON())}\n`);
}

const parse = {
  root: (value: object) => Metadata.fromJSON(MetadataKind.Root, value as never),
  targets: (value: object) => Metadata.fromJSON(MetadataKind.Targets, value as never),
  snapshot: (value: object) => Metadata.fromJSON(MetadataKind.Snapshot, value as never),
  timestamp: (value: object) => Metadata.fromJSON(MetadataKind.Timestamp, value as never),
};
type Parsed<R extends RoleName> = ReturnType<(typeof parse)[R]>;

/** Parses JSON into metadata, without checking signatures. Throws AgentError `corrupt`. */
export function metadataOf<R extends RoleName>(role: R, value: unknown, place: string): Parsed<R> {
  if (typeof value !== 'object' || value === null)
    throw new AgentError('corrupt', `${place}: no ${role} metadata`);
  try {
    return parse[role](value) as Parsed<R>;
  } catch (error) {
    throw new AgentError('corrupt', `${place}: no ${role} metadata (${messageOf(error)})`, error);
  }
}

export function readMetadata<R extends RoleName>(role: R, bytes: Uint8Array, place: string): Parsed<R> {
  return metadataOf(role, jsonOf(Buffer.from(bytes).toString('utf8')), place);
}

/** Returns version, length and hash, which fix every byte of the file. */
export function metaFile(bytes: Uint8Array, version: number): MetaFile {
  return new MetaFile({ version, length: bytes.length, hashes: { sha256: sha256Of(bytes) } });
}

export function snapshotOf(targets: MetaFile, version: number, nowMs: number): Metadata<Snapshot> {
  return new Metadata(
    new Snapshot({
      specVersion: SPECIFICATION,
      version,
      expires: expiry('snapshot', nowMs),
      meta: { 'targets.json': targets },
    }),
  );
}

/** Returns a list of releases for people to sign. */
export function targetsOf(targets: readonly TargetFile[], version: number, nowMs: number): Metadata<Targets> {
  return new Metadata(
    new Targets({
      specVersion: SPECIFICATION,
      version,
      expires: expiry('targets', nowMs),
      targets: Object.fromEntries(targets.map((target) => [target.path, target])),
    }),
  );
}

export function timestampOf(snapshot: MetaFile, version: number, nowMs: number): Metadata<Timestamp> {
  return new Metadata(
    new Timestamp({
      specVersion: SPECIFICATION,
      version,
      expires: expiry('timestamp', nowMs),
      snapshotMeta: snapshot,
    }),
  );
}
