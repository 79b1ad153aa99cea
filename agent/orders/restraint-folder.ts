/**
 * What restrains the box, in a folder that vision reads and the agent cannot write where the package is installed
 * (/var/lib/vigie-restraint, root's): whose orders it obeys, which box it is and what must be black, whether it is
 * suspended, and how far its journal had grown. In a plain run one user owns everything, and the folder lies in the
 * state folder: that protects against mistakes, not against that user.
 *
 * INVARIANT: fail-closed: what is missing or cannot be read throws; what a file of suspension does not tell is a
 * suspension.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, hasCode, messageOf } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { MaskConfig } from '../contract/config.ts';
import { readSuspension, SUSPENSION_FILE, type SuspensionState } from './suspension.ts';

const strict = { additionalProperties: false } as const;
const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });

/** The authority's public key, PEM. */
export const AUTHORITY_FILE = 'authority.pub';
export const BOX_FILE = 'box.json';
export const CAMERA_FILE = 'camera.json';
export const JOURNAL_FILE = 'journal.json';
/** Ids of the suspensions that were ended, the newest last. */
export const ENDED_FILE = 'ended.json';

/** Which box it is, and what is black in every picture of its camera. */
export const BoxRecord = Type.Object(
  { version: Type.Literal(1), site: Name, box: Name, masks: Type.Array(MaskConfig, { maxItems: 64 }) },
  strict,
);
export type BoxRecord = Static<typeof BoxRecord>;

/** Where its camera was when the agent started, for vision, which looks up no name; none for a camera on no network. */
export const CameraRecord = Type.Object(
  {
    version: Type.Literal(1),
    /** As the configuration names it. */
    host: Type.String({ maxLength: 255 }),
    addresses: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 32 }),
  },
  strict,
);
export type CameraRecord = Static<typeof CameraRecord>;

/** How far the box's journal had grown when root last took note of it. */
export const JournalRecord = Type.Object(
  {
    version: Type.Literal(1),
    verifierKey: Type.String({ maxLength: 256 }),
    /** A signed checkpoint, as published. */
    head: Type.String({ maxLength: 4096 }),
  },
  strict,
);
export type JournalRecord = Static<typeof JournalRecord>;

/** Each took the signatures of two keys. */
const ENDED_MAX = 10_000;
export const Ended = Type.Array(Type.String({ pattern: '^[0-9a-f]{16}$' }), { maxItems: ENDED_MAX });

/** Where a plain run keeps it. */
export function ownFolder(stateDir: string): RestraintFolder {
  return new RestraintFolder(join(stateDir, 'restraint'));
}

export class RestraintFolder {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** Whose orders count. Throws AgentError `denied`. */
  authority(): KeyObject {
    const file = this.path(AUTHORITY_FILE);
    try {
      return createPublicKey(readFileSync(file));
    } catch (error) {
      throw new AgentError('denied', `${file}: no authority’s key (${messageOf(error)})`);
    }
  }

  /** Throws AgentError `denied`. */
  box(): BoxRecord {
    return this.#read(BOX_FILE, BoxRecord);
  }

  /** Addresses of the camera. Throws AgentError `unavailable` where root has put down none of this host, `denied` as all. */
  addressesOf(host: string): readonly string[] {
    const { host: known, addresses = [] } = this.#find(CAMERA_FILE, CameraRecord) ?? {};
    if (known === host && addresses.length > 0) return addresses;
    const fix = 'systemctl restart vigie-camera-address';
    throw new AgentError('unavailable', `${this.path(CAMERA_FILE)} has no address of ${host}; ${fix}`);
  }

  /** Undefined before the first time. Throws AgentError `denied` for a file that cannot be read. */
  journal(): JournalRecord | undefined {
    return this.#find(JOURNAL_FILE, JournalRecord);
  }

  /** Undefined where it was never suspended. */
  suspension(): SuspensionState | undefined {
    return readSuspension(this.path(SUSPENSION_FILE));
  }

  /** Throws AgentError `denied` for a file that cannot be read. */
  ended(): readonly string[] {
    return this.#find(ENDED_FILE, Ended) ?? [];
  }

  #read<S extends TSchema>(name: string, schema: S): Static<S> {
    const found = this.#find(name, schema);
    if (found !== undefined) return found;
    throw new AgentError('denied', `${this.path(name)} is missing`);
  }

  #find<S extends TSchema>(name: string, schema: S): Static<S> | undefined {
    const file = this.path(name);
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw new AgentError('denied', `${file} cannot be read: ${messageOf(error)}`);
    }
    const content = jsonOf(text);
    if (Value.Check(schema, content)) return content;
    throw new AgentError('denied', `${file} is damaged`);
  }
}
