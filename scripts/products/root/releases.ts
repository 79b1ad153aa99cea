/**
 * Manages the releases on disk, and the link `current` to the one that runs.
 *
 * INVARIANTS:
 * - `current`, or the link named instead, is a symbolic link that is replaced by rename(2) and never removed.
 * - A folder below releases/ has its name only while it is complete: it gets the name last and loses it first.
 */
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { flush } from '../../../agent/base/atomic-file.ts';
import { AgentError, messageOf, rethrowBug } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { MANIFEST_FILE, ReleaseVersion, releaseName, VERSION_FILE } from '../../../agent/contract/release.ts';
import { type Entry, parseManifest, verifyTree } from '../../lib/manifest.ts';

const NAME = /^([1-9]\d{0,15})-(\d{1,5}\.\d{1,5}\.\d{1,5})$/;
const RELEASES = 'releases';

export interface Release {
  readonly seq: number;
  readonly version: string;
}

export const sameRelease = (one: Release | null, other: Release | null): boolean =>
  one !== null && other !== null && one.seq === other.seq && one.version === other.version;

export const nameOf = ({ seq, version }: Release): string => releaseName(seq, version);

/** Form of state that a release writes, and the forms that it reads. */
export type Forms = Pick<ReleaseVersion, 'stateWrites' | 'stateReads'>;

export class ReleaseFolder {
  readonly lib: string;
  readonly #link: string;

  constructor(lib: string, link = 'current') {
    this.lib = lib;
    this.#link = join(lib, link);
  }

  dirOf(release: Release): string {
    return join(this.lib, RELEASES, nameOf(release));
  }

  /** Returns null if there is no link, or if its target does not exist. */
  current(): Release | null {
    const link = lstatSync(this.#link, { throwIfNoEntry: false });
    if (link?.isSymbolicLink() !== true) return null;
    const [folder, name = ''] = readlinkSync(this.#link).split('/');
    const release = releaseOf(name);
    return folder === RELEASES && release !== null && existsSync(this.dirOf(release)) ? release : null;
  }

  /** Returns the releases, oldest first. */
  list(): Release[] {
    return this.#entries()
      .map(releaseOf)
      .filter((release) => release !== null)
      .sort((a, b) => a.seq - b.seq);
  }

  has(release: Release): boolean {
    return existsSync(join(this.dirOf(release), VERSION_FILE));
  }

  /** Throws AgentError `corrupt`. */
  versionOf(release: Release): ReleaseVersion {
    return readVersion(this.dirOf(release));
  }

  /** Returns the forms that a release writes and reads. Undefined if unreadable, so that a damaged release can be left. */
  formsOf(release: Release): Forms | undefined {
    try {
      return this.versionOf(release);
    } catch (error) {
      rethrowBug(error);
      return undefined;
    }
  }

  /** Checks every file of a release against its manifest. Throws AgentError. */
  async verify(release: Release): Promise<void> {
    const dir = this.dirOf(release);
    await verifyTree(dir, manifestOf(dir));
  }

  /** Makes the link beside `current` that `point` will rename. Throws AgentError `unavailable` if the disk refuses. */
  prepare(release: Release): void {
    const newLink = this.#newLink;
    this.#onDisk(() => {
      rmSync(newLink, { recursive: true, force: true });
      symlinkSync(join(RELEASES, nameOf(release)), newLink);
    });
  }

  /**
   * Moves the link to a release; atomic, and durable on return. Throws AgentError `unavailable` if the disk refuses.
   */
  point(release: Release): void {
    const link = this.#link;
    this.prepare(release);
    this.#onDisk(() => {
      // rename(2) does not replace a folder by a link.
      if (lstatSync(link, { throwIfNoEntry: false })?.isDirectory() === true) {
        // Stored for later analysis.
        rmSync(`${link}.damaged`, { recursive: true, force: true });
        renameSync(link, `${link}.damaged`);
      }
      renameSync(this.#newLink, link);
      flush(this.lib);
    });
  }

  #onDisk(action: () => void): void {
    try {
      action();
    } catch (error) {
      const message = `${this.#link} cannot be changed: ${messageOf(error)}`;
      throw new AgentError('unavailable', message, error);
    }
  }

  remove(release: Release): void {
    const trashDir = join(this.lib, RELEASES, `.gone-${nameOf(release)}`);
    rmSync(trashDir, { recursive: true, force: true });
    if (existsSync(this.dirOf(release))) renameSync(this.dirOf(release), trashDir);
    rmSync(trashDir, { recursive: true, force: true });
  }

  /** Removes what an interrupted program has left: incomplete releases, and a link that was not renamed. */
  sweep(): void {
    rmSync(this.#newLink, { force: true });
    for (const name of this.#entries()) {
      if (name.startsWith('.')) rmSync(join(this.lib, RELEASES, name), { recursive: true, force: true });
    }
  }

  get #newLink(): string {
    return `${this.#link}.new`;
  }

  #entries(): string[] {
    const dir = join(this.lib, RELEASES);
    return existsSync(dir) ? readdirSync(dir) : [];
  }
}

/** Reads the version file in a release's folder. Throws AgentError `corrupt`. */
export function readVersion(dir: string): ReleaseVersion {
  const file = join(dir, VERSION_FILE);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new AgentError('corrupt', `${file} cannot be read: ${messageOf(error)}`, error);
  }
  const version = jsonOf(text);
  if (Value.Check(ReleaseVersion, version)) return version;
  throw new AgentError('corrupt', `${file} does not say which release it is`);
}

/** Reads the manifest in a release's folder. Throws AgentError `corrupt`. */
export function manifestOf(dir: string): Entry[] {
  const file = join(dir, MANIFEST_FILE);
  try {
    return parseManifest(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('corrupt', `${file} cannot be read: ${messageOf(error)}`, error);
  }
}

function releaseOf(name: string): Release | null {
  const [, seq, version = ''] = NAME.exec(name) ?? [];
  return seq === undefined ? null : { seq: Number(seq), version };
}
