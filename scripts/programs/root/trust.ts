/**
 * Which releases are signed, and which they are: the client of The Update Framework
 * (https://theupdateframework.github.io/specification/latest/, tuf-js), with the box's own way to the server.
 *
 * INVARIANTS
 * - What was verified once stays: versions never go back, and a newer root is kept even where what follows fails.
 * - A file of metadata is whole after a power cut: tuf-js writes into `work/`, from where each is renamed into place.
 * - The chain begins with the root of the root file, or the one kept, whichever is newer; to begin anew, remove the folder.
 * - One key is one signature: a root that names it twice in a role is refused.
 * - The wall clock is no earlier than the last time that metadata was found fresh: what has expired cannot be kept alive
 *   by a clock put back.
 *
 * LIMITS  LENGTHS_MAX bytes a file of metadata, `fetchWithinMs` for all of them; no delegations.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { BaseFetcher, type Fetcher, TargetFile, Updater } from 'tuf-js';
import { DownloadHTTPError } from 'tuf-js/dist/error.js';
import { writeAtomically } from '../../../agent/base/atomic-file.ts';
import { AgentError, assert, messageOf } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { printable } from '../../../agent/base/printable.ts';
import {
  manifestPatchTarget,
  manifestTarget,
  type ReleaseId,
  ReleaseTarget,
} from '../../../agent/contract/release.ts';
import { TIME_PATTERN } from '../../../agent/contract/time.ts';
import type { UpdaterStatus } from '../../../agent/contract/update.ts';
import { onDisk } from './disk-error.ts';
import { addressOf, get, placeOf, type ReleaseServer, unavailable } from './release-server.ts';
import { checkRootKeys } from './root-keys.ts';

export type MetadataVersions = NonNullable<UpdaterStatus['metadata']>;

/** A file on the server, of which every byte is known. */
export interface TargetRef {
  /** Below targets/ of the server. */
  readonly path: string;
  /** Bytes. */
  readonly length: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

export interface TrustedRelease {
  readonly custom: ReleaseTarget;
  readonly manifest: TargetRef;
  /** `custom.full`, or one of `custom.deltas`. @throws AgentError corrupt where nobody has signed it */
  archive(name: string): Promise<TargetRef>;
  /** The manifest as the difference from that of another release; undefined where none is signed. */
  manifestPatch(fromSeq: number): Promise<TargetRef | undefined>;
}

export interface TrustOptions extends ReleaseServer {
  /** Kept metadata; made where it is not there. */
  readonly dir: string;
  /** The root to begin with, as the box was set up. */
  readonly rootFile: string;
  /** For one refresh. */
  readonly fetchWithinMs: number;
  /** Wall time; tests turn it back. */
  readonly wallMs?: () => number;
}

const ROLES = ['root', 'timestamp', 'snapshot', 'targets'] as const;
type RoleName = (typeof ROLES)[number];

/** Bytes. A root has 3 KB and a release 1 KB of targets, so that these are some hundred keys and a thousand releases. */
const LENGTHS_MAX: Readonly<Record<RoleName, number>> = {
  root: 262_144,
  timestamp: 16_384,
  snapshot: 65_536,
  targets: 4_194_304,
};
const TUF_CONFIG = {
  /** A box that was away for ten years with a rotation each month. */
  maxRootRotations: 120,
  maxDelegations: 0,
  rootMaxLength: LENGTHS_MAX.root,
  timestampMaxLength: LENGTHS_MAX.timestamp,
  snapshotMaxLength: LENGTHS_MAX.snapshot,
  targetsMaxLength: LENGTHS_MAX.targets,
} as const;
const ROOT_FILE = /^\d+\.root\.json$/;
/** As TUF writes time, but for the milliseconds; tuf-js takes what is no time as one that never comes. */
const EXPIRES = new RegExp(TIME_PATTERN);

/** Nobody had a release before; what a clock says that has not been set since power came. */
const FIRST_RELEASE_MS = Date.UTC(2026, 0, 1);
const VERIFIED_FILE = 'verified.json';
/** A clock that has been right may be set back by as much, ms. */
const CLOCK_SLACK_MS = 3_600_000;

export class ReleaseTrust {
  readonly #options: TrustOptions;
  #updater: Updater | undefined;

  constructor(options: TrustOptions) {
    this.#options = options;
  }

  /**
   * Fetches and verifies what is new.
   *
   * @throws AgentError unavailable where it cannot be had now; denied for what is not signed as it must be, is old or has
   *   expired; corrupt for what is none; config for a root file, address or certificate that cannot be used
   */
  async refresh(signal: AbortSignal): Promise<MetadataVersions> {
    const { dir, fetchWithinMs } = this.#options;
    const base = addressOf(this.#options, 'metadata');
    this.#checkClock();
    const work = onDisk(dir, () => this.#prepare());
    const within = AbortSignal.any([signal, AbortSignal.timeout(fetchWithinMs)]);
    const fetcher = new MetadataFetcher(this.#options, within);
    let updater: Updater | undefined;
    try {
      updater = this.#start(work, base, fetcher);
      await updater.refresh();
      for (const role of ROLES) {
        if (!EXPIRES.test(formOf(join(work, `${role}.json`)).expires.replace(/Z$/, '.000Z')))
          throw new AgentError('corrupt', `${placeOf(base)}: ${role}.json does not say when it expires`);
      }
      this.#updater = updater;
    } catch (error) {
      throw fetcher.failure ?? refusal(placeOf(base), error);
    } finally {
      // A root to begin with that is not signed as it must be is no root to keep.
      onDisk(dir, () => (updater === undefined ? rmSync(work, { recursive: true }) : this.#keep(work)));
    }
    const at = new Date(this.#wallMs()).toISOString();
    onDisk(dir, () => writeAtomically(join(dir, VERIFIED_FILE), JSON.stringify({ at }), 0o644));
    const versions = ROLES.map((role) => [role, formOf(join(dir, `${role}.json`)).version]);
    return Object.fromEntries(versions) as MetadataVersions;
  }

  /**
   * A release that the keys of releases have signed; undefined where there is none of that name. After `refresh`.
   *
   * @throws AgentError corrupt where what was signed is no description of it
   */
  async release(release: ReleaseId): Promise<TrustedRelease | undefined> {
    const path = manifestTarget(release);
    const target = await this.#target(path);
    if (target === undefined) return undefined;
    const { custom } = target;
    if (!Value.Check(ReleaseTarget, custom))
      throw new AgentError('corrupt', `${path}: what was signed of it is not in the form of a release`);
    if (manifestTarget(custom) !== path)
      throw new AgentError('corrupt', `${path}: signed as ${manifestTarget(custom)}`);
    const archive = async (name: string): Promise<TargetRef> => {
      const file = await this.#target(name);
      if (file === undefined)
        throw new AgentError('corrupt', `${path} names ${name}, which nobody has signed`);
      return refOf(name, file);
    };
    const manifestPatch = async (fromSeq: number): Promise<TargetRef | undefined> => {
      const name = manifestPatchTarget(fromSeq, release);
      const file = await this.#target(name);
      return file === undefined ? undefined : refOf(name, file);
    };
    return { custom, manifest: refOf(path, target), archive, manifestPatch };
  }

  async #target(path: string): Promise<TargetFile | undefined> {
    assert(this.#updater !== undefined, 'releases are asked for before a refresh');
    const target: unknown = await this.#updater.getTargetInfo(path);
    // tuf-js looks in a plain object, which has more names than were put into it.
    return target instanceof TargetFile ? target : undefined;
  }

  #wallMs(): number {
    return (this.#options.wallMs ?? Date.now)();
  }

  #checkClock(): void {
    const file = join(this.#options.dir, VERIFIED_FILE);
    const { at } = (existsSync(file) ? (jsonOf(readFileSync(file, 'utf8')) ?? {}) : {}) as { at?: unknown };
    const verifiedMs = typeof at === 'string' ? Date.parse(at) : Number.NaN;
    const leastMs = Number.isFinite(verifiedMs)
      ? Math.max(FIRST_RELEASE_MS, verifiedMs - CLOCK_SLACK_MS)
      : FIRST_RELEASE_MS;
    if (this.#wallMs() >= leastMs) return;
    const [says, least] = [this.#wallMs(), leastMs].map((ms) => new Date(ms).toISOString());
    throw new AgentError(
      'unavailable',
      `this box's clock says ${says}, but it is later than ${least}: what has expired cannot be told until it is set`,
    );
  }

  /** A folder for tuf-js with what is kept. */
  #prepare(): string {
    const { dir, rootFile } = this.#options;
    const work = join(dir, 'work');
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work, { recursive: true, mode: 0o755 });
    for (const role of ROLES) {
      const kept = join(dir, `${role}.json`);
      if (existsSync(kept)) cpSync(kept, join(work, `${role}.json`));
    }
    const given = formOf(rootFile);
    if (!Number.isSafeInteger(given.version))
      throw new AgentError('config', `${rootFile} is no root of signed metadata: ${given.why}`);
    checkRootKeys(readFileSync(rootFile, 'utf8'), rootFile);
    if (!(formOf(join(work, 'root.json')).version >= given.version))
      cpSync(rootFile, join(work, 'root.json'));
    return work;
  }

  /** With the kept root, or, where that has been damaged on the disk, with the one to begin with. */
  #start(work: string, base: URL, fetcher: Fetcher): Updater {
    const options = { metadataDir: work, metadataBaseUrl: base.href, fetcher, config: TUF_CONFIG };
    const root = join(work, 'root.json');
    try {
      return new Updater(options);
    } catch (error) {
      const given = readFileSync(this.#options.rootFile);
      if (readFileSync(root).equals(given)) throw error;
      onDisk(work, () => writeAtomically(root, given));
      return new Updater(options);
    }
  }

  /** Root first: a chain that got further is kept, whatever came after it. */
  #keep(work: string): void {
    const { dir } = this.#options;
    for (const role of ROLES) {
      const made = join(work, `${role}.json`);
      const kept = join(dir, `${role}.json`);
      if (!existsSync(made)) continue;
      const content = readFileSync(made);
      if (!existsSync(kept) || !readFileSync(kept).equals(content)) writeAtomically(kept, content, 0o644);
    }
    rmSync(work, { recursive: true });
  }
}

/** tuf-js's way to the server; what fails on the way is remembered, since tuf-js wraps some of it into text. */
class MetadataFetcher extends BaseFetcher {
  readonly #server: ReleaseServer;
  readonly #signal: AbortSignal;
  failure: AgentError | undefined;

  constructor(server: ReleaseServer, signal: AbortSignal) {
    super();
    this.#server = server;
    this.#signal = signal;
  }

  override async downloadBytes(url: string, lengthMax: number): Promise<Buffer> {
    const address = new URL(url);
    const name = address.pathname.split('/').at(-1) ?? '';
    try {
      const bytes = await this.#bytes(address, name, Math.min(lengthMax, lengthMaxOf(name)));
      if (ROOT_FILE.test(name)) checkRootKeys(bytes.toString('utf8'), placeOf(address));
      return bytes;
    } catch (error) {
      if (error instanceof AgentError) this.failure = error;
      throw error;
    }
  }

  override fetch(url: string): Promise<never> {
    throw new AgentError('bug', `${url}: tuf-js is to fetch metadata only`);
  }

  async #bytes(address: URL, name: string, lengthMax: number): Promise<Buffer> {
    const answer = await get(address, this.#server, {}, this.#signal);
    const { status } = answer;
    if (status !== 200) answer.close();
    // That there is no root of the next number says that the last one is the newest.
    if ((status === 404 || status === 403) && ROOT_FILE.test(name))
      throw new DownloadHTTPError(`HTTP ${status}`, status);
    if (status !== 200) throw unavailable(address, `answers ${status}, not 200`);
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of answer.chunks()) {
      length += chunk.length;
      if (length > lengthMax)
        throw new AgentError('corrupt', `${placeOf(address)}: longer than ${lengthMax} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }
}

/** With consistent snapshots a file has its version in front: `7.targets.json`. */
function lengthMaxOf(name: string): number {
  const role = ROLES.find((known) => name.replace(/^\d+\./, '') === `${known}.json`) ?? 'root';
  return LENGTHS_MAX[role];
}

interface Form {
  /** NaN where it has none. */
  readonly version: number;
  readonly expires: string;
  readonly why: string;
}

/** What of a file of metadata is read before it is trusted. */
function formOf(file: string): Form {
  if (!existsSync(file)) return { version: Number.NaN, expires: '', why: 'it is not there' };
  const { signed } = (jsonOf(readFileSync(file, 'utf8')) ?? {}) as {
    signed?: { version?: unknown; expires?: unknown };
  };
  const { version, expires } = signed ?? {};
  return {
    version: typeof version === 'number' ? version : Number.NaN,
    expires: typeof expires === 'string' ? expires : '',
    why: 'it has no version',
  };
}

function refOf(path: string, { length, hashes }: TargetFile): TargetRef {
  const { sha256 = '' } = hashes;
  if (!Number.isSafeInteger(length) || length < 1 || !/^[0-9a-f]{64}$/.test(sha256) || /^\.+$/.test(path))
    throw new AgentError('corrupt', `${path}: signed without a length or a SHA-256`);
  return { path, length, sha256 };
}

/** What tuf-js says where it refuses (its dist/store.js), in a line for people. */
function refusal(place: string, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  const said = printable(
    messageOf(error).replace(/^(Unable to load \w+( metadata)? error )?(\w*Error: )?/, ''),
  );
  const refused = (kind: 'denied' | 'corrupt', why: string): AgentError =>
    new AgentError(kind, `${place}: refused: ${why} (${said})`, error);
  if (/Failed to persist/.test(said))
    return new AgentError('unavailable', `signed metadata cannot be kept: ${said}`, error);
  if (/is expired/.test(said))
    return refused(
      'denied',
      'signed metadata has expired and must be signed anew, or this box’s clock is wrong',
    );
  if (/was signed by/.test(said))
    return refused('denied', 'not signed by as many of the right keys as it must be');
  if (/less than current version/.test(said)) return refused('denied', 'older than what this box has seen');
  if (/Expected version|does ?n[o']t match/.test(said))
    return refused('denied', 'metadata that does not belong together');
  return refused('corrupt', 'no metadata as it was signed');
}
