/**
 * Manages the folder that a web server serves to boxes: `metadata/` and `targets/`.
 *
 * INVARIANTS
 * - A file with a version in its name is never overwritten.
 * - All files that `timestamp.json` leads to are durable before it names them, and it is replaced by one rename.
 * - One program writes at a time.
 *
 * LIMITS  `clean` removes unnamed files after CLEAN_AFTER_MS, so that a box can finish a download.
 */
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { copyFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import type { Metadata, Root, Snapshot, TargetFile, Targets, Timestamp } from '@tufjs/models';
import { flush, writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { StateLock } from '../../../../agent/base/state-lock.ts';
import { ReleaseTarget } from '../../../../agent/contract/release.ts';
import { bytesOf, isSigned, type RoleName, readMetadata } from './metadata.ts';

/** Two days: a timestamp is valid for a day, and a download may take another. */
const CLEAN_AFTER_MS = 2 * 86_400_000;
const READABLE = 0o644;

/** An offered release for one architecture. */
export interface Offered {
  /** Target of the manifest. */
  readonly target: TargetFile;
  readonly custom: ReleaseTarget;
}

export class Repository {
  readonly dir: string;
  readonly #metadata: string;
  readonly #targets: string;

  constructor(dir: string) {
    this.dir = dir;
    this.#metadata = join(dir, 'metadata');
    this.#targets = join(dir, 'targets');
  }

  /**
   * Returns all published roots, from the first on; empty before the first. Throws AgentError `corrupt` if one is
   * missing.
   */
  roots(): Metadata<Root>[] {
    const versions = this.#versions('root');
    return versions.map((version, at) => {
      const name = `${version}.root.json`;
      if (version !== at + 1) throw new AgentError('corrupt', `${this.dir}: ${at + 1}.root.json is missing`);
      return this.#read('root', name);
    });
  }

  /** Returns the newest root. Throws AgentError `config` if there is none. */
  root(): Metadata<Root> {
    const root = this.roots().at(-1);
    if (root !== undefined) return root;
    throw new AgentError('config', `${this.dir}: does not contain a root; make one with \`fleet root init\``);
  }

  /** Returns the targets that boxes get now; undefined before the first release. */
  targets(): Metadata<Targets> | undefined {
    const snapshot = this.snapshot();
    const version = snapshot?.signed.meta['targets.json']?.version;
    return version === undefined ? undefined : this.#read('targets', `${version}.targets.json`);
  }

  snapshot(): Metadata<Snapshot> | undefined {
    const version = this.timestamp()?.signed.snapshotMeta.version;
    return version === undefined ? undefined : this.#read('snapshot', `${version}.snapshot.json`);
  }

  timestamp(): Metadata<Timestamp> | undefined {
    if (!existsSync(join(this.#metadata, 'timestamp.json'))) return undefined;
    return this.#read('timestamp', 'timestamp.json');
  }

  /** Returns the next free version, which also skips files of an interrupted publication. */
  nextVersion(role: 'snapshot' | 'targets'): number {
    return (this.#versions(role).at(-1) ?? 0) + 1;
  }

  /** Returns all numbers that were ever signed here, including withdrawn ones, since a number is never reused. */
  usedSeqs(): Set<number> {
    const all = this.#versions('targets').map((version) => this.#read('targets', `${version}.targets.json`));
    return new Set(all.flatMap(({ signed }) => offered(signed).map(({ custom }) => custom.seq)));
  }

  targetFile(name: string): string {
    return join(this.#targets, name);
  }

  /** Returns the exact bytes, for their hash. */
  metadataBytes(role: 'snapshot' | 'targets', version: number): Buffer {
    return readFileSync(join(this.#metadata, `${version}.${role}.json`));
  }

  /** Runs `work` under the lock. Throws AgentError `denied` if someone else holds it. */
  async locked<T>(work: () => T | Promise<T>): Promise<T> {
    for (const dir of [this.dir, this.#metadata, this.#targets])
      mkdirSync(dir, { recursive: true, mode: 0o755 });
    if (StateLock.isHeld(this.dir)) {
      throw new AgentError('denied', `${this.dir}: locked by another publish; retry when it has finished`);
    }
    const lock = new StateLock(this.dir);
    lock.take();
    try {
      return await work();
    } finally {
      lock.release();
    }
  }

  /** Copies an archive, unless it exists, and compares it with the signed hash. */
  async putTarget(target: TargetFile, fromDir: string): Promise<void> {
    const file = this.targetFile(target.path);
    if (existsSync(file)) return verified(target, file);
    const source = join(fromDir, target.path);
    if (!existsSync(source)) {
      throw new AgentError('config', `${source}: is missing; name the folder of the archives with --targets`);
    }
    const newFile = `${file}.new`;
    await rm(newFile, { force: true });
    await copyFile(source, newFile);
    try {
      await verified(target, newFile, source);
      flush(newFile);
      await rename(newFile, file);
    } finally {
      await rm(newFile, { force: true });
    }
    flush(this.#targets);
  }

  /** Writes `N.root.json`, and `root.json` for people. */
  putRoot(root: Metadata<Root>): void {
    const bytes = bytesOf(root);
    this.#put(`${root.signed.version}.root.json`, bytes);
    writeAtomically(join(this.#metadata, 'root.json'), bytes, READABLE);
  }

  put(role: 'snapshot' | 'targets', metadata: Metadata<Snapshot> | Metadata<Targets>): Buffer {
    const bytes = bytesOf(metadata);
    this.#put(`${metadata.signed.version}.${role}.json`, bytes);
    return bytes;
  }

  putTimestamp(timestamp: Metadata<Timestamp>): void {
    writeAtomically(join(this.#metadata, 'timestamp.json'), bytesOf(timestamp), READABLE);
  }

  /** Removes files that have been unnamed for a while; returns their number. */
  clean(nowMs: number): number {
    const targets = this.targets();
    const snapshot = this.snapshot();
    if (targets === undefined || snapshot === undefined) return 0;
    const targetsFile = join(this.#metadata, `${targets.signed.version}.targets.json`);
    const old: string[] = [];
    if (nowMs - statSync(targetsFile).mtimeMs > CLEAN_AFTER_MS) {
      const currentNames = new Set(Object.keys(targets.signed.targets));
      old.push(
        ...readdirSync(this.#targets)
          .filter((name) => !currentNames.has(name))
          .map((name) => this.targetFile(name)),
      );
    }
    for (const version of this.#versions('snapshot')) {
      const file = join(this.#metadata, `${version}.snapshot.json`);
      if (version < snapshot.signed.version && nowMs - statSync(file).mtimeMs > CLEAN_AFTER_MS)
        old.push(file);
    }
    for (const file of old) rmSync(file);
    return old.length;
  }

  /** Returns a line for each role that boxes do not trust in this state, or soon will not. */
  warnings(nowMs: number): string[] {
    const roots = this.roots();
    const root = roots.at(-1);
    if (root === undefined) return [];
    const all = [
      ['root', root, 'root rotate', 30],
      ['targets', this.targets(), 'release renew', 30],
      ['snapshot', this.snapshot(), 'release refresh', 1],
      ['timestamp', this.timestamp(), 'release refresh', 0.25],
    ] as const;
    return all.flatMap(([role, metadata, remedy, daysMin]) => {
      if (metadata === undefined) return [];
      const days = (Date.parse(metadata.signed.expires) - nowMs) / 86_400_000;
      if (!isSigned(metadata, root.signed, role)) return [unbelieved(role, remedy)];
      return days < daysMin ? [ending(role, metadata.signed.expires, days, remedy)] : [];
    });
  }

  /** Throws AgentError `corrupt` if the file already has other content. */
  #put(name: string, bytes: Buffer): void {
    const file = join(this.#metadata, name);
    if (!existsSync(file)) writeAtomically(file, bytes, READABLE);
    else if (!readFileSync(file).equals(bytes))
      throw new AgentError('corrupt', `${file}: is another one already`);
  }

  #versions(role: 'root' | 'snapshot' | 'targets'): number[] {
    if (!existsSync(this.#metadata)) return [];
    const form = new RegExp(`^([1-9]\\d*)\\.${role}\\.json$`);
    const versions = readdirSync(this.#metadata).flatMap((name) => form.exec(name)?.[1] ?? []);
    return versions.map(Number).sort((a, b) => a - b);
  }

  #read<R extends RoleName>(role: R, name: string): ReturnType<typeof readMetadata<R>> {
    const file = join(this.#metadata, name);
    try {
      return readMetadata(role, readFileSync(file), file);
    } catch (error) {
      if (error instanceof AgentError) throw error;
      throw new AgentError('corrupt', `${file}: cannot be read (${messageOf(error)})`, error);
    }
  }
}

/** Returns the releases in this metadata, newest first. Targets without `custom` are their archives. */
export function offered(targets: Targets): Offered[] {
  const all = Object.values(targets.targets).flatMap((target) => {
    const { custom } = target;
    return Value.Check(ReleaseTarget, custom) ? [{ target, custom }] : [];
  });
  return all.sort((a, b) => b.custom.seq - a.custom.seq || a.custom.arch.localeCompare(b.custom.arch));
}

function ending(role: string, expires: string, days: number, remedy: string): string {
  if (days <= 0) return `${role} ended on ${expires}: boxes take nothing more; run \`fleet ${remedy}\``;
  const remainingText = days < 2 ? `${Math.floor(days * 24)} h` : `${Math.floor(days)} days`;
  const urgent = days <= 7 && days >= 1 ? 'at once' : 'now';
  return `${role} ends in ${remainingText} (${expires}); run \`fleet ${remedy}\` ${role === 'snapshot' || role === 'timestamp' ? 'now' : urgent}`;
}

function unbelieved(role: string, remedy: string): string {
  return `${role} is not signed by the keys of the newest root: boxes take nothing more; run \`fleet ${remedy}\``;
}

/** Verifies a file; `shownName` is its name for people. */
async function verified(target: TargetFile, file: string, shownName = file): Promise<void> {
  try {
    await target.verify(createReadStream(file));
  } catch (error) {
    throw new AgentError('corrupt', `${shownName}: is not what was signed (${messageOf(error)})`, error);
  }
}
