/**
 * Makes the folder of a release beside the running one: complete and checked, or not at all.
 *
 * INVARIANTS
 * - `releases/<name>` appears by one rename, after every file was checked against the signed manifest and is on disk.
 * - No file of another release is written: its hard links are removed, and new files are renamed into their place.
 *
 * LIMITS  One stage at a time (the caller holds the lock); leftovers of an earlier attempt are removed.
 */
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Value } from '@sinclair/typebox/value';
import { flush } from '../../../agent/base/atomic-file.ts';
import { AgentError, assert, rethrowBug } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import {
  MANIFEST_FILE,
  type ReleaseTarget,
  ReleaseVersion,
  releaseName,
  VERSION_FILE,
} from '../../../agent/contract/release.ts';
import { changedPaths, type Entry, parseManifest, verifyTree } from '../../lib/manifest.ts';
import { diskError } from './disk-error.ts';
import { assertNoUnits } from './unit-files.ts';
import { unpack } from './unpack.ts';

const run = promisify(execFile);

export interface StageOptions {
  readonly lib: string;
  /** Folder of the running release, the base of a delta; undefined if there is none. */
  readonly current: string | undefined;
  readonly custom: ReleaseTarget;
  /** File of the downloaded MANIFEST. */
  readonly manifest: string;
  /** Downloaded archive of the changes since `current`; undefined if the full archive is used. */
  readonly delta: string | undefined;
  /** Returns the downloaded full archive; called only if it is needed. */
  readonly full: () => Promise<string>;
  readonly signal: AbortSignal;
}

export interface Staged {
  readonly dir: string;
  /** `present`: an earlier attempt had completed it. */
  readonly by: 'delta' | 'full' | 'present';
  /** Reason for not using the delta. */
  readonly reason: string | undefined;
}

/**
 * Folder beside the releases, so that a rename completes a stage. No release's name begins so; lists of names for
 * unpack.ts do.
 */
const STAGE = '.stage';
const UNPACKED = '.unpacked';

/**
 * Stages a release. On an error no file of it is left.
 *
 * @throws AgentError
 * - corrupt: the signed files do not make a release
 * - exhausted: the disk is full
 * - unavailable: staging was cancelled, or the disk has failed
 */
export async function stage(options: StageOptions): Promise<Staged> {
  const { lib, custom, manifest } = options;
  const releases = join(lib, 'releases');
  const dir = join(releases, releaseName(custom.seq, custom.version));
  try {
    await clear(releases);
    const text = await readFile(manifest, 'utf8');
    const entries = parseManifest(text);
    assertNoUnits(releaseName(custom.seq, custom.version), entries);
    if (await isPresent(dir, text, options)) return { dir, by: 'present', reason: undefined };
    const outcome = await make(join(releases, STAGE), { ...options, text, entries });
    await run('sync', ['--file-system', join(releases, STAGE)]);
    options.signal.throwIfAborted();
    await rename(join(releases, STAGE), dir);
    flush(releases);
    return { dir, ...outcome };
  } catch (error) {
    const failure = options.signal.aborted
      ? new AgentError('unavailable', `${dir}: staging cancelled`, error)
      : diskError(dir, error);
    await clear(releases).catch((cleanupError: unknown) => {
      const also = diskError(releases, cleanupError).message;
      throw new AgentError(
        failure.kind,
        `${failure.message}; the partial files cannot be removed: ${also}`,
        error,
      );
    });
    throw failure;
  }
}

/**
 * Returns the bytes that a stage writes beside the archive itself. `from` is the running release's manifest, for a
 * delta.
 */
export function bytesToWrite(entries: readonly Entry[], from: readonly Entry[] = []): number {
  const write = new Set(changedPaths(from, entries).write);
  return entries.reduce((sum, { path, size }) => sum + (write.has(path) ? (size ?? 0) : 0), 0);
}

interface Making extends StageOptions {
  readonly text: string;
  readonly entries: readonly Entry[];
}

async function make(into: string, making: Making): Promise<Pick<Staged, 'by' | 'reason'>> {
  const { delta, current } = making;
  let reason: string | undefined;
  if (delta !== undefined && current !== undefined) {
    try {
      await fromDelta(into, current, delta, making);
      await finish(into, making);
      return { by: 'delta', reason };
    } catch (error) {
      const failure = diskError(into, error);
      rethrowBug(failure);
      // On a full disk, or after an abort, the full archive would fail too.
      if (failure.kind === 'exhausted' || making.signal.aborted) throw failure;
      reason = failure.message;
      await clear(dirname(into));
    }
  }
  const archive = await making.full();
  await mkdir(into, { mode: 0o755 });
  await unpack(archive, into, filesOf(making.entries), { signal: making.signal });
  foldersAndLinks(into, making.entries);
  await finish(into, making);
  return { by: 'full', reason };
}

async function fromDelta(
  into: string,
  current: string,
  archive: string,
  { text, entries, signal }: Making,
): Promise<void> {
  const manifest = join(current, MANIFEST_FILE);
  const from = parseManifest(await readFile(manifest, 'utf8'));
  // A folder that has become a link would lead out of the stage.
  await verifyTree(current, from);
  const { write, remove } = changedPaths(from, entries);
  const written = new Set(write);
  const newEntries = entries.filter(({ path }) => written.has(path));
  const unpacked = join(dirname(into), UNPACKED);
  await mkdir(unpacked, { mode: 0o755 });
  const files = [manifestEntry(Buffer.byteLength(text)), ...filesOf(newEntries)];
  await unpack(archive, unpacked, files, { signal, dictionary: manifest });
  // Makes folders; files and links share their content with the running release.
  await run('cp', ['--archive', '--link', '--no-target-directory', await realpath(current), into], {
    signal,
  });
  for (const path of [MANIFEST_FILE, ...remove]) await rm(join(into, path), { recursive: true });
  for (const { path, type } of newEntries) if (type !== 'dir') await rm(join(into, path), { force: true });
  foldersAndLinks(into, newEntries);
  for (const { path } of filesOf(newEntries)) await rename(join(unpacked, path), join(into, path));
  await rm(unpacked, { recursive: true });
}

/** Entry of the manifest itself, which is the first file of a delta. */
export const manifestEntry = (size: number): Entry => ({ path: MANIFEST_FILE, type: 'file', size });

/** Makes folders and links. In the manifest's order, a folder comes before its content. */
function foldersAndLinks(dir: string, entries: readonly Entry[]): void {
  for (const { path, type, link = '' } of entries) {
    if (type === 'dir') mkdirSync(join(dir, path), { recursive: true, mode: 0o755 });
    if (type === 'link') symlinkSync(link, join(dir, path));
  }
}

/** Writes the manifest and checks the whole release against it. */
async function finish(dir: string, { text, entries, custom }: Making): Promise<void> {
  await writeFile(join(dir, MANIFEST_FILE), text, { flag: 'wx', mode: 0o644 });
  // Sets the modes explicitly, independent of the umask.
  await chmod(dir, 0o755);
  await chmod(join(dir, MANIFEST_FILE), 0o644);
  for (const { path, type } of entries) if (type === 'dir') chmodSync(join(dir, path), 0o755);
  await verifyTree(dir, entries);
  const version = jsonOf(await readFile(join(dir, VERSION_FILE), 'utf8'));
  if (!Value.Check(ReleaseVersion, version))
    throw new AgentError('corrupt', `${dir}/${VERSION_FILE} is not in the form of a release's`);
  for (const key of Object.keys(version) as (keyof ReleaseVersion)[]) {
    const [is, signed] = [version[key], custom[key]].map((value) => JSON.stringify(value));
    if (is !== signed)
      throw new AgentError('corrupt', `${dir}/${VERSION_FILE}: ${key} is ${is}, and was signed as ${signed}`);
  }
}

/** Reports whether an earlier attempt has completed the folder. An incomplete one is removed. */
async function isPresent(dir: string, text: string, { lib, current }: StageOptions): Promise<boolean> {
  if (!existsSync(dir)) return false;
  if (await isIntact(dir, text)) return true;
  const usedDirs = await Promise.all(
    [join(lib, 'current'), ...(current === undefined ? [] : [current])].map(realPathOf),
  );
  assert(!usedDirs.includes(await realpath(dir)), `${dir} is to be staged, and it runs`);
  await rm(dir, { recursive: true });
  return false;
}

async function isIntact(dir: string, text: string): Promise<boolean> {
  const manifest = join(dir, MANIFEST_FILE);
  if (!existsSync(manifest) || (await readFile(manifest, 'utf8')) !== text) return false;
  try {
    await verifyTree(dir, parseManifest(text));
    return true;
  } catch (error) {
    rethrowBug(error);
    if (error.kind !== 'corrupt') throw error;
    return false;
  }
}

async function realPathOf(path: string): Promise<string> {
  return existsSync(path) ? await realpath(path) : path;
}

async function clear(releases: string): Promise<void> {
  for (const name of await readdir(releases)) {
    if (name.startsWith(STAGE) || name.startsWith(UNPACKED))
      await rm(join(releases, name), { recursive: true });
  }
}

function filesOf(entries: readonly Entry[]): Entry[] {
  return entries.filter(({ type }) => type === 'file');
}
