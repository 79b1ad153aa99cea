/**
 * Downloads releases from the room's server: verifies them with The Update Framework, and stages them beside the one
 * that runs.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../../agent/base/atomic-file.ts';
import { AgentError, rethrowBug } from '../../../agent/base/errors.ts';
import { sha256Of } from '../../../agent/base/sha256.ts';
import { MANIFEST_FILE, type ReleaseKind } from '../../../agent/contract/release.ts';
import { type Entry, parseManifest, verifyTree } from '../../lib/manifest.ts';
import { freeBytesOf, type Machine } from './board.ts';
import { diskError, onDisk } from './disk-error.ts';
import { download } from './download.ts';
import { misfit } from './fits.ts';
import { downloadsDir, type Places, tufDir } from './paths.ts';
import type { ReleaseServer } from './release-server.ts';
import { manifestOf, type Release, type ReleaseFolder } from './releases.ts';
import type { Settings } from './settings.ts';
import { bytesToWrite, manifestEntry, stage } from './stage.ts';
import { type MetadataVersions, ReleaseTrust, type TargetRef, type TrustedRelease } from './trust.ts';
import { unpack } from './unpack.ts';

/** Maximum number of a file's bytes in an archive beside its content, for each byte of its line in the manifest. */
const ARCHIVE_BYTES_PER_BYTE = 32;
/** Timeout for four small files over a mobile network, ms. */
const METADATA_WITHIN_MS = 120_000;

/** A signed release for this box's architecture. */
export interface Offered {
  readonly seqMin: number;
  /** Returns one line why this box refuses it; undefined if it accepts it. */
  misfit(): string | undefined;
  /** Downloads the signed files; resumes an interrupted download. Throws AgentError. */
  download(signal: AbortSignal, onProgress: (doneBytes: number, total: number) => void): Promise<void>;
  /** Makes the complete folder below releases/, checked and durable. Throws AgentError. */
  stage(signal: AbortSignal): Promise<void>;
}

export interface ReleaseSource {
  /** Fetches new metadata first. Returns undefined if there is no such release. Throws AgentError. */
  find(kind: ReleaseKind, target: Release, signal: AbortSignal): Promise<Offered | undefined>;
  /** Returns the versions of the verified metadata; null before the first. */
  metadata(): MetadataVersions | null;
}

export interface ReleaseSourceOptions {
  readonly places: Places;
  readonly settings: Settings;
  readonly machine: Machine;
  readonly releases: ReleaseFolder;
  /** Logs a line for people. */
  readonly say: (line: string) => void;
}

export class ServerSource implements ReleaseSource {
  readonly #options: ReleaseSourceOptions;
  #metadata: MetadataVersions | null = null;

  constructor(options: ReleaseSourceOptions) {
    this.#options = options;
  }

  metadata(): MetadataVersions | null {
    return this.#metadata;
  }

  async find(
    kind: ReleaseKind,
    { seq, version }: Release,
    signal: AbortSignal,
  ): Promise<Offered | undefined> {
    const { places, settings, machine } = this.#options;
    const server = serverOf(this.#options);
    mkdirSync(tufDir(places), { recursive: true, mode: 0o755 });
    const trust = new ReleaseTrust({
      url: server.url,
      tls: server.tls,
      patience: server.patience,
      dir: tufDir(places),
      rootFile: places.root,
      fetchWithinMs: METADATA_WITHIN_MS,
    });
    this.#metadata = await trust.refresh(signal);
    const trusted = await trust.release({ what: kind, seq, version, arch: machine.arch });
    if (trusted === undefined) return undefined;
    const { rateKiBps } = settings;
    return await Download.of(this.#options, trusted, (ref, file, at, onProgress) =>
      download(ref, file, { ...server, rateKiBps, signal: at, ...(onProgress && { onProgress }) }),
    );
  }
}

/** Throws AgentError `config`. */
function serverOf({ settings, places }: ReleaseSourceOptions): ReleaseServer {
  const { url, ca, cert, key } = settings;
  if (url === undefined)
    throw new AgentError('config', `${places.settings}: url: must name the release server`);
  return { url, tls: url.startsWith('https:') ? { ca, cert, key } : undefined };
}

type Fetch = (
  ref: TargetRef,
  file: string,
  signal: AbortSignal,
  onProgress?: (doneBytes: number, total: number) => void,
) => Promise<void>;

interface Parts {
  readonly full: TargetRef;
  readonly delta: TargetRef | undefined;
  /** Files of the running release, if they match its manifest. */
  readonly from: readonly Entry[] | undefined;
}

class Download implements Offered {
  readonly #options: ReleaseSourceOptions;
  readonly #trusted: TrustedRelease;
  readonly #fetch: Fetch;
  #parts: Parts;
  #entries: readonly Entry[] | undefined;

  private constructor(options: ReleaseSourceOptions, trusted: TrustedRelease, fetch: Fetch, parts: Parts) {
    this.#options = options;
    this.#trusted = trusted;
    this.#fetch = fetch;
    this.#parts = parts;
  }

  static async of(options: ReleaseSourceOptions, trusted: TrustedRelease, fetch: Fetch): Promise<Download> {
    const { custom, archive } = trusted;
    const current = options.releases.current();
    const name = current === null ? undefined : custom.deltas[String(current.seq)];
    const from =
      current !== null && name !== undefined ? await intact(options.releases.dirOf(current)) : undefined;
    const delta = name !== undefined && from !== undefined ? await archive(name) : undefined;
    return new Download(options, trusted, fetch, { full: await archive(custom.full), delta, from });
  }

  get seqMin(): number {
    return this.#trusted.custom.seqMin;
  }

  misfit(): string | undefined {
    return this.#misfit(this.#parts.delta);
  }

  async download(signal: AbortSignal, onProgress: (doneBytes: number, total: number) => void): Promise<void> {
    mkdirSync(downloadsDir(this.#options.places, this.#trusted.custom.what), {
      recursive: true,
      mode: 0o755,
    });
    const manifest = this.#file(this.#trusted.manifest);
    const { full, delta } = this.#parts;
    if (delta !== undefined) {
      await this.#fetch(delta, this.#file(delta), signal, onProgress);
      await this.#useDelta(manifest, this.#file(delta), signal);
    }
    if (this.#parts.delta === undefined) await this.#fetch(this.#trusted.manifest, manifest, signal);
    this.#entries = parseManifest(readFileSync(manifest, 'utf8'));
    // The manifest tells what must be written, so the space is checked again.
    const wrong = this.misfit();
    if (wrong !== undefined) throw new AgentError('exhausted', wrong);
    if (this.#parts.delta === undefined) await this.#fetch(full, this.#file(full), signal, onProgress);
  }

  async stage(signal: AbortSignal): Promise<void> {
    const { custom, manifest } = this.#trusted;
    const { releases } = this.#options;
    const current = releases.current();
    await stage({
      lib: releases.lib,
      current: current === null ? undefined : releases.dirOf(current),
      custom,
      manifest: this.#file(manifest),
      delta: this.#parts.delta === undefined ? undefined : this.#file(this.#parts.delta),
      full: async () => {
        const wrong = this.#misfit(undefined);
        if (wrong !== undefined) throw new AgentError('exhausted', wrong);
        await this.#fetch(this.#parts.full, this.#file(this.#parts.full), signal);
        return this.#file(this.#parts.full);
      },
      signal,
    });
  }

  /** Extracts the manifest of a delta. If it is not the signed one, the full release is fetched instead. */
  async #useDelta(file: string, delta: string, signal: AbortSignal): Promise<void> {
    const { custom, manifest } = this.#trusted;
    const dir = `${file}.unpacked`;
    try {
      rmSync(dir, { recursive: true, force: true });
      mkdirSync(dir);
      await unpack(delta, dir, [manifestEntry(manifest.length)], {
        signal,
        dictionary: join(this.#options.releases.lib, 'current', MANIFEST_FILE),
        otherBytesMax: custom.installedBytes + manifest.length * ARCHIVE_BYTES_PER_BYTE,
      });
      const bytes = readFileSync(join(dir, MANIFEST_FILE));
      if (sha256Of(bytes) !== manifest.sha256)
        throw new AgentError('corrupt', `${delta}: its manifest is not the one that was signed`);
      writeAtomically(file, bytes, 0o644);
    } catch (error) {
      const failure = diskError(file, error);
      rethrowBug(failure);
      // Fetching the full release would fail too.
      if (signal.aborted || failure.kind === 'exhausted' || failure.kind === 'config') throw failure;
      this.#options.say(`the complete release is fetched: ${failure.message}`);
      this.#parts = { full: this.#parts.full, delta: undefined, from: undefined };
    } finally {
      onDisk(dir, () => rmSync(dir, { recursive: true, force: true }));
    }
  }

  #misfit(delta: TargetRef | undefined): string | undefined {
    const { machine, releases } = this.#options;
    const { custom } = this.#trusted;
    const current = releases.current();
    const archive = delta ?? this.#parts.full;
    const written =
      this.#entries === undefined
        ? delta === undefined
          ? custom.installedBytes
          : 0
        : bytesToWrite(this.#entries, delta === undefined ? [] : this.#parts.from);
    return misfit(custom, {
      ...machine,
      seq: current?.seq ?? 0,
      forms: current === null ? undefined : releases.formsOf(current),
      freeBytes: freeBytesOf(releases.lib),
      neededBytes: archive.length + written,
    });
  }

  #file({ path }: TargetRef): string {
    return join(downloadsDir(this.#options.places, this.#trusted.custom.what), path);
  }
}

/** Returns the manifest if every file matches it. A damaged release is not a base for a difference. */
async function intact(dir: string): Promise<readonly Entry[] | undefined> {
  try {
    const entries = manifestOf(dir);
    await verifyTree(dir, entries);
    return entries;
  } catch (error) {
    if (error instanceof AgentError) rethrowBug(error);
    else if (!(error instanceof Error && 'code' in error)) throw error;
    return undefined;
  }
}
