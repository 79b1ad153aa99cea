/**
 * The four roles of TUF as this fleet has them (https://theupdateframework.github.io/specification/latest/): who signs,
 * how many, for how long.
 *
 * INVARIANT: consistent snapshots. Each snapshot and targets file has its version in its name and is never written over,
 * so that a box that reads while something is published sees what was, or what is; with plain names it could hold the
 * old timestamp against the new snapshot, and refuse both.
 */

import { createHash, type KeyObject, sign } from 'node:crypto';
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

const DAY_MS = 86_400_000;
/** The version of TUF's specification that tuf-js speaks. */
export const SPECIFICATION = '1.0.31';
/** Days that a signature is good for: root and targets are signed by people, the two others by the room's own key. */
export const LIFE_DAYS = { root: 365, targets: 90, snapshot: 7, timestamp: 1 } as const;
/** Of how many keys so many must sign root and targets. */
export const THRESHOLD = 2;
export const HOLDERS_MIN = 3;
const ONLINE_THRESHOLD = 1;

export type Signed = Root | Targets | Snapshot | Timestamp;
export type RoleName = 'root' | 'targets' | 'snapshot' | 'timestamp';
/** Who holds a key; TUF leaves room for fields of one's own. */
const HOLDER = 'x-vigie-holder';

/** What comes before the 32 bytes of an ed25519 key in its SubjectPublicKeyInfo (RFC 8410). */
const SPKI_PREFIX = '302a300506032b6570032100';

/** A public key as TUF writes it, with the name of its holder. */
export function holderKey(publicKey: KeyObject, holder: string): Key {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const hex = spki.toString('hex').slice(SPKI_PREFIX.length);
  const [keyType, scheme, keyVal] = ['ed25519', 'ed25519', { public: hex }];
  // The specification's keyid: SHA-256 of the canonical form, whose members are sorted.
  const keyID = createHash('sha256')
    .update(JSON.stringify({ keytype: keyType, keyval: keyVal, scheme }))
    .digest('hex');
  return new Key({ keyID, keyType, scheme, keyVal, unrecognizedFields: { [HOLDER]: holder } });
}

export function holderOf(key: Key): string {
  const holder = key.unrecognizedFields?.[HOLDER];
  return typeof holder === 'string' ? holder : key.keyID.slice(0, 16);
}

/** As `vigie keygen` prints it: SHA-256 of the SubjectPublicKeyInfo. */
export function fingerprintOf(key: Key): string {
  return sha256Of(Buffer.from(`${SPKI_PREFIX}${key.keyVal['public'] ?? ''}`, 'hex'));
}

export function expiry(role: RoleName, nowMs: number): string {
  return new Date(nowMs + LIFE_DAYS[role] * DAY_MS).toISOString().replace(/\.\d+Z$/, 'Z');
}

export interface Holders {
  readonly root: readonly Key[];
  readonly targets: readonly Key[];
  readonly online: Key;
}

/** Throws AgentError `config` where too few hold a key, or one holds two. */
export function rootOf({ root, targets, online }: Holders, version: number, nowMs: number): Root {
  for (const [role, keys] of Object.entries({ root, targets })) {
    const [ids, names] = [new Set(keys.map(({ keyID }) => keyID)), new Set(keys.map(holderOf))];
    if (keys.length < HOLDERS_MIN || ids.size < keys.length || names.size < keys.length) {
      throw new AgentError(
        'config',
        `${role}: ${HOLDERS_MIN} different keys of ${HOLDERS_MIN} different holders are needed, of which ${THRESHOLD} sign`,
      );
    }
    if (ids.has(online.keyID)) {
      throw new AgentError(
        'config',
        `${role}: the online key lies on a machine with a network; take another`,
      );
    }
  }
  const role = (keys: readonly Key[], threshold: number) => ({
    keyids: keys.map(({ keyID }) => keyID),
    threshold,
  });
  return Root.fromJSON({
    spec_version: SPECIFICATION,
    version,
    expires: expiry('root', nowMs),
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
  return (root.roles[role]?.keyIDs ?? []).flatMap((id) => root.keys[id] ?? []);
}

/** The key of this role that belongs to this private key. */
export function keyFor(root: Root, role: RoleName, publicKey: KeyObject): Key | undefined {
  const { keyID } = holderKey(publicKey, '');
  return keysOf(root, role).find((key) => key.keyID === keyID);
}

export function signWith(metadata: Metadata<Signed>, key: KeyObject, keyID: string): void {
  metadata.sign((data) => new Signature({ keyID, sig: sign(null, data, key).toString('hex') }), true);
}

/** The holders in this root's role whose signatures are good. */
export function signersOf(metadata: Metadata<Signed>, root: Root, role: RoleName): Key[] {
  return keysOf(root, role).filter((key) => {
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
