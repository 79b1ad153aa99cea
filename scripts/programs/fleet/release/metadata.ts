/**
 * The four roles of TUF as this fleet has them (https://theupdateframework.github.io/specification/latest/): who signs,
 * how many, for how long.
 *
 * INVARIANT: consistent snapshots. Each snapshot and targets file has its version in its name and is never written over,
 * so that a box that reads while something is published sees what was, or what is; with plain names it could hold the
 * old timestamp against the new snapshot, and refuse both.
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
  type Targets,
  Timestamp,
} from '@tufjs/models';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { ED25519_SPKI_PREFIX, publicKeyFingerprint } from '../../../lib/tuf-key.ts';

const DAY_MS = 86_400_000;
/** The version of TUF's specification that tuf-js speaks. */
export const SPECIFICATION = '1.0.31';
/** Days that a signature is good for: root and targets are signed by people, the two others by the room's own key. */
export const LIFE_DAYS = { root: 365, targets: 90, snapshot: 7, timestamp: 1 } as const;
/** Of how many keys so many must sign root and targets. */
export const THRESHOLD = 2;
export const HOLDERS_MIN = 3;
export const ONLINE_THRESHOLD = 1;

export type Signed = Root | Targets | Snapshot | Timestamp;
export type RoleName = 'root' | 'targets' | 'snapshot' | 'timestamp';
/** Who holds a key; TUF leaves room for fields of one's own. */
export const HOLDER = 'x-vigie-holder';
export const ED25519 = 'ed25519';

/** A public key as TUF writes it, with the name of its holder. */
export function holderKey(publicKey: KeyObject, holder: string): Key {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const hex = spki.toString('hex').slice(ED25519_SPKI_PREFIX.length);
  return new Key({
    keyID: keyIdOf(hex),
    keyType: ED25519,
    scheme: ED25519,
    keyVal: { public: hex },
    unrecognizedFields: { [HOLDER]: holder },
  });
}

/** The specification's keyid of an ed25519 key: SHA-256 of the canonical form, whose members are sorted. */
export const keyIdOf = (hex: string): string =>
  sha256Of(JSON.stringify({ keytype: ED25519, keyval: { public: hex }, scheme: ED25519 }));

export function holderOf(key: Key): string {
  const holder = key.unrecognizedFields?.[HOLDER];
  return typeof holder === 'string' ? holder : key.keyID.slice(0, 16);
}

/** As `vigie-oversight keygen` prints it, hex; two keys with one fingerprint are one key, whatever their ids and encodings. */
export const fingerprintOf = (key: Key): string => publicKeyFingerprint(key.keyVal['public'] ?? '');

export function expiry(role: RoleName, nowMs: number): string {
  return new Date(nowMs + LIFE_DAYS[role] * DAY_MS).toISOString().replace(/\.\d+Z$/, 'Z');
}

export interface Holders {
  readonly root: readonly Key[];
  readonly targets: readonly Key[];
  readonly online: Key;
}

/** A root with these keys; `checkRoot` says whether it may be signed. */
export function rootOf({ root, targets, online }: Holders, version: number, expires: string): Root {
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

export function holdersOf(root: Root): Holders {
  const [online] = keysOf(root, 'timestamp');
  if (online === undefined) throw new AgentError('corrupt', 'the root names no key for the timestamp');
  return { root: keysOf(root, 'root'), targets: keysOf(root, 'targets'), online };
}

export function keysOf(root: Root, role: RoleName): Key[] {
  const { keyIDs = [] } = root.roles[role] ?? {};
  // An object has more names than were put into it.
  return keyIDs.flatMap((id) => (Object.hasOwn(root.keys, id) ? (root.keys[id] ?? []) : []));
}

/** The key of this role that belongs to this private key. */
export function keyFor(root: Root, role: RoleName, publicKey: KeyObject): Key | undefined {
  const { keyID } = holderKey(publicKey, '');
  return keysOf(root, role).find((key) => key.keyID === keyID);
}

export function signWith(metadata: Metadata<Signed>, key: KeyObject, keyID: string): void {
  metadata.sign((data) => new Signature({ keyID, sig: sign(null, data, key).toString('hex') }), true);
}

/** The holders in this root's role whose signatures are good; a key with two ids counts once. */
export function signersOf(metadata: Metadata<Signed>, root: Root, role: RoleName): Key[] {
  const different = new Map(keysOf(root, role).map((key) => [fingerprintOf(key), key]));
  return [...different.values()].filter((key) => {
    try {
      key.verifySignature(metadata);
      return true;
    } catch {
      // That is the answer: tuf-js has no other way to say it.
      return false;
    }
  });
}

/** Whether enough have signed, as a box would count. */
export function isSigned(metadata: Metadata<Signed>, root: Root, role: RoleName): boolean {
  return signersOf(metadata, root, role).length >= (root.roles[role]?.threshold ?? Number.POSITIVE_INFINITY);
}

/** The canonical form of what is signed, of which signatures are made. */
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

/** Of parsed JSON; says nothing of signatures. Throws AgentError `corrupt`. */
export function metadataOf<R extends RoleName>(role: R, value: unknown, where: string): Parsed<R> {
  if (typeof value !== 'object' || value === null)
    throw new AgentError('corrupt', `${where}: no ${role} metadata`);
  try {
    return parse[role](value) as Parsed<R>;
  } catch (error) {
    throw new AgentError('corrupt', `${where}: no ${role} metadata (${messageOf(error)})`, error);
  }
}

export function readMetadata<R extends RoleName>(role: R, bytes: Uint8Array, where: string): Parsed<R> {
  return metadataOf(role, jsonOf(Buffer.from(bytes).toString('utf8')), where);
}

/** Version, length and hash, so that not a byte of it can be another. */
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
