/**
 * Cases of The Update Framework for a box: the files that are served, step by step, and whether the box accepts them.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { ErrorKind } from '../../agent/base/errors.ts';
import { fullTarget, manifestTarget, type ReleaseTarget } from '../../agent/contract/release.ts';
import { ReleaseTrust, type TrustedRelease } from '../../scripts/programs/root/trust.ts';
import {
  ROLES,
  type RoleName,
  type Signed,
  type TufKey,
  TufRepository,
  type TufServer,
} from './tuf-repository.ts';

export const SIGNAL = new AbortController().signal;
export const ARCH = 'amd64';
export const [SEQ, VERSION] = [42, '0.2.0'] as const;
export const RELEASE = { what: 'release', seq: SEQ, version: VERSION, arch: ARCH } as const;
export const MANIFEST = manifestTarget(RELEASE);
export const CUSTOM: ReleaseTarget = {
  ...RELEASE,
  boards: ['pc'],
  node: ['20.17.0', '21.0.0'],
  seqMin: 1,
  stateWrites: 1,
  stateReads: [1, 1],
  full: fullTarget(RELEASE),
  deltas: {},
  installedBytes: 1,
};

export type Versions = Readonly<Record<RoleName, number>>;

/** A box's folder of metadata. */
export class BoxFolder {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
    mkdirSync(dir);
  }

  write(role: RoleName, bytes: Buffer | string): void {
    writeFileSync(join(this.dir, `${role}.json`), bytes);
  }

  read(role: RoleName): Buffer {
    return readFileSync(join(this.dir, `${role}.json`));
  }

  versions(): Partial<Versions> {
    const all = ROLES.filter((role) => existsSync(join(this.dir, `${role}.json`))).map((role) => {
      const { signed } = JSON.parse(this.read(role).toString('utf8')) as { signed?: Signed };
      return [role, signed?.version];
    });
    return Object.fromEntries(all) as Partial<Versions>;
  }
}

/** The repository's content and the expected result at one refresh. */
export interface Step {
  readonly change: (r: TufRepository, folder: BoxFolder) => void;
  /** Expected refusal; undefined if the refresh is accepted. */
  readonly refused?: readonly [ErrorKind, RegExp];
  /** Versions that differ from the previously stored ones (refused) or from the served ones (accepted). */
  readonly versions?: Partial<Versions>;
  /** Names that are requested, in order. */
  readonly requests?: readonly string[];
}

export interface Case {
  readonly name: string;
  /** The first root that the box receives, by default that of the repository. */
  readonly firstRoot?: (root: Buffer, r: TufRepository) => Buffer | string;
  /** True if the box has accepted version 1 of everything before. */
  readonly isKnown?: boolean;
  readonly steps: readonly Step[];
}

export type Change = Step['change'];
export const nothing: Change = () => undefined;
export const accepted = (change: Change = nothing, over: Omit<Step, 'change' | 'refused'> = {}): Step => ({
  change,
  ...over,
});
export const no =
  (kind: ErrorKind) =>
  (message: RegExp, change: Change = nothing, over: Omit<Step, 'change' | 'refused'> = {}): Step => ({
    change,
    refused: [kind, message],
    ...over,
  });
export const [denied, corrupt, unavailable] = [no('denied'), no('corrupt'), no('unavailable')];

/** A case of a box that has accepted version 1 of everything. */
export const knownBox = (name: string, ...steps: readonly Step[]): Case => ({ name, isKnown: true, steps });
/** A case of a box that has its first root alone. */
export const newBox = (name: string, ...steps: readonly Step[]): Case => ({ name, steps });
export const givenRoot = (
  name: string,
  root: NonNullable<Case['firstRoot']>,
  ...steps: readonly Step[]
): Case => ({
  name,
  firstRoot: root,
  steps,
});

export const UNSIGNED = /not signed by as many of the right keys/;
export const EXPIRED = /signed metadata has expired/;
export const OLDER = /older than what this box has seen/;
export const MIXED = /metadata that does not belong together/;
export const NOT_AS_SIGNED = /no valid signed metadata/;

/** Changes the JSON of a metadata file. */
export function edited(
  bytes: Buffer,
  change: (file: { signatures: { keyid: string; sig: string }[]; signed: Signed }) => void,
): Buffer {
  const file = JSON.parse(bytes.toString('utf8')) as Parameters<typeof change>[0];
  change(file);
  return Buffer.from(JSON.stringify(file));
}

export interface RootFields {
  keys: Record<string, unknown>;
  roles: Record<RoleName, { keyids: string[]; threshold: number }>;
}
export const rootOf = (signed: Signed): RootFields => signed as unknown as RootFields;

/** The first key of a role a second time, under another id. */
export function withSecondId(
  signed: Signed,
  role: RoleName,
  id: string,
  change: (content: TufKey['content']) => TufKey['content'],
): void {
  const { keys, roles } = rootOf(signed);
  const first = keys[roles[role].keyids[0] ?? ''] as TufKey['content'];
  keys[id] = change(structuredClone(first));
  roles[role].keyids.push(id);
}

export const first = <T>(all: readonly T[]): T => {
  const [one] = all;
  if (one === undefined) throw new Error('none');
  return one;
};

export interface Scene {
  readonly r: TufRepository;
  readonly server: TufServer;
  readonly folder: BoxFolder;
  trust(): ReleaseTrust;
}

export let scenes = 0;

export function scene(dir: string, server: TufServer, root?: Case['firstRoot']): Scene {
  scenes += 1;
  const r = new TufRepository();
  const rootFile = join(dir, `${scenes}.root.json`);
  const bytes = r.root();
  r.targets.set(MANIFEST, Buffer.from('#mtree\n'));
  r.targetFields.set(MANIFEST, { custom: CUSTOM });
  r.targets.set(CUSTOM.full, Buffer.from('archive'));
  r.publish();
  writeFileSync(rootFile, root?.(bytes, r) ?? bytes);
  server.repository = r;
  const folder = new BoxFolder(join(dir, `box-${scenes}`));
  const trust = (): ReleaseTrust =>
    new ReleaseTrust({ dir: folder.dir, rootFile, url: server.url, tls: undefined, fetchWithinMs: 30_000 });
  return { r, server, folder, trust };
}

export async function play(t: Test, one: Case, { r, server, folder, trust }: Scene): Promise<void> {
  if (one.isKnown === true) await trust().refresh(SIGNAL);
  for (const [at, step] of one.steps.entries()) {
    const name = one.steps.length === 1 ? one.name : `${one.name}, step ${at + 1}`;
    step.change(r, folder);
    server.requests.length = 0;
    if (step.refused === undefined) {
      await t.resolves(trust().refresh(SIGNAL), `${name}: taken`);
      t.strictSame(folder.versions(), { ...r.versions, ...step.versions }, `${name}: what is kept`);
      t.ok(await trustedAfter(trust), `${name}: the release is found`);
    } else {
      const before = folder.versions();
      const [kind, message] = step.refused;
      await t.rejects(trust().refresh(SIGNAL), { kind, message }, `${name}: refused`);
      t.strictSame(folder.versions(), { ...before, ...step.versions }, `${name}: what is kept`);
    }
    if (step.requests !== undefined)
      t.strictSame(
        server.requests.slice(0, step.requests.length),
        step.requests,
        `${name}: what is asked for`,
      );
  }
}

export async function trustedAfter(trust: () => ReleaseTrust): Promise<TrustedRelease | undefined> {
  const own = trust();
  await own.refresh(SIGNAL);
  return await own.release(RELEASE);
}
