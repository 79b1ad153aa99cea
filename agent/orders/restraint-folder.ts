/**
 * Reads the folder that restrains the box. It names the authority whose authorisations count, the box, and the areas
 * that must be black. It also states whether the box is suspended, and how far its journal had grown.
 *
 * Vision reads this folder. In an installed package (/var/lib/vigie-restraint) it belongs to root and the agent cannot
 * write it. In a plain run one user owns everything, and the folder is in the state folder. That protects against
 * mistakes, not against that user.
 *
 * INVARIANT: fails closed. A missing or unreadable file throws, and a suspension file that cannot be understood counts
 * as a suspension.
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
/** Ids of the suspensions that have ended, newest last. */
export const ENDED_FILE = 'ended.json';

/** Identity of the box, and the masks that are black in every picture of its camera. */
export const BoxRecord = Type.Object(
  { version: Type.Literal(1), site: Name, box: Name, masks: Type.Array(MaskConfig, { maxItems: 64 }) },
  strict,
);
export type BoxRecord = Static<typeof BoxRecord>;

/**
 * Addresses of the camera when the agent started, for vision, which resolves no names. Absent for a camera that is not
 * on a network.
 */
export const CameraRecord = Type.Object(
  {
    version: Type.Literal(1),
    /** Host name as in the configuration. */
    host: Type.String({ maxLength: 255 }),
    addresses: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 32 }),
  },
  strict,
);
export type CameraRecord = Static<typeof CameraRecord>;

/** Size of the box's journal when root last recorded it. */
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

/** Upper bound of ended suspensions. Each needed the signatures of two keys. */
const ENDED_MAX = 10_000;
export const EndedIds = Type.Array(Type.String({ pattern: '^[0-9a-f]{16}$' }), { maxItems: ENDED_MAX });

/** Returns the folder that a plain run uses. */
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

  /** Returns the key of the authority whose authorisations count. Throws AgentError `denied`. */
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

  /**
   * Addresses of the camera. Throws AgentError `unavailable` if root has recorded none for this host, and `denied` as
   * the other methods do.
   */
  addressesOf(host: string): readonly string[] {
    const { host: storedHost, addresses = [] } = this.#find(CAMERA_FILE, CameraRecord) ?? {};
    if (storedHost === host && addresses.length > 0) return addresses;
    const fix = 'systemctl restart vigie-camera-address';
    throw new AgentError(
      'unavailable',
      `${this.path(CAMERA_FILE)} does not contain an address of ${host}; ${fix}`,
    );
  }

  /** Undefined before the first record. Throws AgentError `denied` for a file that cannot be read. */
  journal(): JournalRecord | undefined {
    return this.#find(JOURNAL_FILE, JournalRecord);
  }

  /** Undefined if the box was never suspended. */
  suspension(): SuspensionState | undefined {
    return readSuspension(this.path(SUSPENSION_FILE));
  }

  /** Throws AgentError `denied` for a file that cannot be read. */
  endedIds(): readonly string[] {
    return this.#find(ENDED_FILE, EndedIds) ?? [];
  }

  #read<S extends TSchema>(name: string, schema: S): Static<S> {
    const content = this.#find(name, schema);
    if (content !== undefined) return content;
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
