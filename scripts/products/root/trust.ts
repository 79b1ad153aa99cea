/**
 * Verifies which releases are signed, as a client of The Update Framework
 * (https://theupdateframework.github.io/specification/latest/, tuf-js) with the box's own connection to the server.
 *
 * INVARIANTS
 * - Verified metadata stays. Versions are monotonic, and a newer root is stored even if a later step fails.
 * - Metadata files are intact after a power cut: tuf-js writes into `work/`, and each file is then renamed into place.
 * - The chain of trust begins with the root file or the stored root, whichever is newer. Removing the folder restarts
 *   it.
 * - One key counts as one signature: a root that names a key twice in a role is refused.
 * - The wall clock is no earlier than the last time that metadata was found valid. A clock that is set back therefore
 *   revives no expired metadata.
 *
 * LIMITS  LENGTHS_MAX bytes per metadata file, `fetchWithinMs` for all of them; no delegations.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { BaseFetcher, type Fetcher, TargetFile, Updater } from 'tuf-js';
import { DownloadHTTPError } from 'tuf-js/dist/error.js';
import { writeAtomically } from '../../../agent/base/atomic-file.ts';
import { withDeadline } from '../../../agent/base/deadline.ts';
import { AgentError, assert, messageOf } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { printable } from '../../../agent/base/printable.ts';
import { manifestTarget, type ReleaseId, ReleaseTarget } from '../../../agent/contract/release.ts';
import { TIME_PATTERN } from '../../../agent/contract/time.ts';
import type { UpdaterStatus } from '../../../agent/contract/update.ts';
import { EARLIEST_MS } from './clock.ts';
import { onDisk } from './disk-error.ts';
import { addressOf, get, placeOf, type ReleaseServer, unavailable } from './release-server.ts';
import { checkRootKeys } from './root-keys.ts';

export type MetadataVersions = NonNullable<UpdaterStatus['metadata']>;

/** A file on the server whose size and hash are known. */
export interface TargetRef {
  /** Path below targets/ on the server. */
  readonly path: string;
  readonly length: number;
  /** Hexadecimal digits. */
  readonly sha256: string;
}

export interface TrustedRelease {
  readonly custom: ReleaseTarget;
  readonly manifest: TargetRef;
  /** Returns `custom.full`, or one of `custom.deltas`. @throws AgentError corrupt: no one has signed it */
  archive(name: string): Promise<TargetRef>;
}

export interface TrustOptions extends ReleaseServer {
  /** Folder of stored metadata; made if it is missing. */
  readonly dir: string;
  /** The first root, from the setup of the box. */
  readonly rootFile: string;
  /** Time limit of one refresh, ms. */
  readonly fetchWithinMs: number;
  /** Wall time; tests set it back. */
  readonly wallMs?: () => number;
}

const ROLES = ['root', 'timestamp', 'snapshot', 'targets'] as const;
type RoleName = (typeof ROLES)[number];

/**
 * Maximum size of a metadata file, bytes. A root has 3 KB and a release 1 KB of targets, so the limits allow some
 * hundred keys and a thousand releases.
 */
const LENGTHS_MAX: Readonly<Record<RoleName, number>> = {
  root: 262_144,
  timestamp: 16_384,
  snapshot: 65_536,
  targets: 4_194_304,
};
const TUF_CONFIG = {
  /** Enough for a box that was offline for ten years with a rotation each month. */
  maxRootRotations: 120,
  maxDelegations: 0,
  rootMaxLength: LENGTHS_MAX.root,
  timestampMaxLength: LENGTHS_MAX.timestamp,
  snapshotMaxLength: LENGTHS_MAX.snapshot,
  targetsMaxLength: LENGTHS_MAX.targets,
} as const;
const ROOT_FILE = /^\d+\.root\.json$/;
/** TUF's time format, with optional milliseconds. tuf-js would treat an invalid time as one that never comes. */
const EXPIRES = new RegExp(TIME_PATTERN);

const VERIFIED_FILE = 'verified.json';
/** Maximum amount by which a correct clock may be set back, ms. */
const CLOCK_SLACK_MS = 3_600_000;

export class ReleaseTrust {
  readonly #options: TrustOptions;
  #updater: Updater | undefined;

  constructor(options: TrustOptions) {
    this.#options = options;
  }

  /**
   * Fetches and verifies new metadata.
   *
   * @throws AgentError
   * - unavailable: it cannot be had now
   * - denied: a signature is missing, or it is old or expired
   * - corrupt: it is not metadata
   * - config: the root file, address or certificate cannot be used
   */
  async refresh(signal: AbortSignal): Promise<MetadataVersions> {
    const { dir, fetchWithinMs } = this.#options;
    const base = addressOf(this.#options, 'metadata');
    this.#checkClock();
    const work = onDisk(dir, () => this.#prepare());
    const within = withDeadline(fetchWithinMs, signal);
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
      // A first root without the required signatures is not stored.
      onDisk(dir, () => (updater === undefined ? rmSync(work, { recursive: true }) : this.#keep(work)));
    }
    const at = new Date(this.#wallMs()).toISOString();
    onDisk(dir, () => writeAtomically(join(dir, VERIFIED_FILE), JSON.stringify({ at }), 0o644));
    const versions = ROLES.map((role) => [role, formOf(join(dir, `${role}.json`)).version]);
    return Object.fromEntries(versions) as MetadataVersions;
  }

  /**
   * Returns a signed release, or undefined if there is none of that name. Requires `refresh` first.
   *
   * @throws AgentError corrupt: the signed target does not describe a release
   */
  async release(release: ReleaseId): Promise<TrustedRelease | undefined> {
    const path = manifestTarget(release);
    const target = await this.#target(path);
    if (target === undefined) return undefined;
    const { custom } = target;
    if (!Value.Check(ReleaseTarget, custom))
      throw new AgentError('corrupt', `${path}: the signed entry is not in the form of a release`);
    if (manifestTarget(custom) !== path)
      throw new AgentError('corrupt', `${path}: signed as ${manifestTarget(custom)}`);
    const archive = async (name: string): Promise<TargetRef> => {
      const file = await this.#target(name);
      if (file === undefined)
        throw new AgentError('corrupt', `${path} names ${name}, which is not in the signed metadata`);
      return refOf(name, file);
    };
    return { custom, manifest: refOf(path, target), archive };
  }

  async #target(path: string): Promise<TargetFile | undefined> {
    assert(this.#updater !== undefined, 'releases are requested before a refresh');
    const target: unknown = await this.#updater.getTargetInfo(path);
    // tuf-js looks the name up in a plain object, which also has inherited names.
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
      ? Math.max(EARLIEST_MS, verifiedMs - CLOCK_SLACK_MS)
      : EARLIEST_MS;
    if (this.#wallMs() >= leastMs) return;
    const [says, least] = [this.#wallMs(), leastMs].map((ms) => new Date(ms).toISOString());
    throw new AgentError(
      'unavailable',
      `this box's clock says ${says}, but it is later than ${least}: expiry cannot be checked until it is set`,
    );
  }

  /** Makes a folder for tuf-js with the stored metadata. */
  #prepare(): string {
    const { dir, rootFile } = this.#options;
    const work = join(dir, 'work');
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work, { recursive: true, mode: 0o755 });
    for (const role of ROLES) {
      const storedFile = join(dir, `${role}.json`);
      if (existsSync(storedFile)) cpSync(storedFile, join(work, `${role}.json`));
    }
    const rootForm = formOf(rootFile);
    if (!Number.isSafeInteger(rootForm.version))
      throw new AgentError('config', `${rootFile} is not a root of signed metadata: ${rootForm.reason}`);
    checkRootKeys(readFileSync(rootFile, 'utf8'), rootFile);
    if (!(formOf(join(work, 'root.json')).version >= rootForm.version))
      cpSync(rootFile, join(work, 'root.json'));
    return work;
  }

  /** Starts with the stored root, or with the first root if the stored one is damaged. */
  #start(work: string, base: URL, fetcher: Fetcher): Updater {
    const options = { metadataDir: work, metadataBaseUrl: base.href, fetcher, config: TUF_CONFIG };
    const root = join(work, 'root.json');
    try {
      return new Updater(options);
    } catch (error) {
      const rootBytes = readFileSync(this.#options.rootFile);
      if (readFileSync(root).equals(rootBytes)) throw error;
      onDisk(work, () => writeAtomically(root, rootBytes));
      return new Updater(options);
    }
  }

  /** Stores the new metadata, root first: a longer chain stays, whatever fails afterwards. */
  #keep(work: string): void {
    const { dir } = this.#options;
    for (const role of ROLES) {
      const newFile = join(work, `${role}.json`);
      const storedFile = join(dir, `${role}.json`);
      if (!existsSync(newFile)) continue;
      const content = readFileSync(newFile);
      if (!existsSync(storedFile) || !readFileSync(storedFile).equals(content))
        writeAtomically(storedFile, content, 0o644);
    }
    rmSync(work, { recursive: true });
  }
}

/** Connection of tuf-js to the server. Stores the failure, because tuf-js wraps some errors into text. */
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
    // No root with the next number means that the last one is the newest.
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

/**
 * Returns the maximum size for a file. With consistent snapshots its name begins with the version: `7.targets.json`.
 */
function lengthMaxOf(name: string): number {
  const role = ROLES.find((roleName) => name.replace(/^\d+\./, '') === `${roleName}.json`) ?? 'root';
  return LENGTHS_MAX[role];
}

interface Form {
  /** NaN if it has none. */
  readonly version: number;
  readonly expires: string;
  readonly reason: string;
}

/** Reads the fields of a metadata file that are needed before it is trusted. */
function formOf(file: string): Form {
  if (!existsSync(file)) return { version: Number.NaN, expires: '', reason: 'it is not there' };
  const { signed } = (jsonOf(readFileSync(file, 'utf8')) ?? {}) as {
    signed?: { version?: unknown; expires?: unknown };
  };
  const { version, expires } = signed ?? {};
  return {
    version: typeof version === 'number' ? version : Number.NaN,
    expires: typeof expires === 'string' ? expires : '',
    reason: 'it has no version',
  };
}

function refOf(path: string, { length, hashes }: TargetFile): TargetRef {
  const { sha256 = '' } = hashes;
  if (!Number.isSafeInteger(length) || length < 1 || !/^[0-9a-f]{64}$/.test(sha256) || /^\.+$/.test(path))
    throw new AgentError('corrupt', `${path}: signed without a length or a SHA-256`);
  return { path, length, sha256 };
}

/** Converts a refusal by tuf-js (its dist/store.js) into a line for people. */
function refusal(place: string, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  const message = printable(
    messageOf(error).replace(/^(Unable to load \w+( metadata)? error )?(\w*Error: )?/, ''),
  );
  const errorOf = (kind: 'denied' | 'corrupt', reason: string): AgentError =>
    new AgentError(kind, `${place}: refused: ${reason} (${message})`, error);
  if (/Failed to persist/.test(message))
    return new AgentError('unavailable', `signed metadata cannot be stored: ${message}`, error);
  if (/is expired/.test(message))
    return errorOf(
      'denied',
      'signed metadata has expired and must be signed again, or this box’s clock is wrong',
    );
  if (/was signed by/.test(message))
    return errorOf('denied', 'not signed by as many of the right keys as it must be');
  if (/less than current version/.test(message))
    return errorOf('denied', 'older than what this box has seen');
  if (/Expected version|does ?n[o']t match/.test(message))
    return errorOf('denied', 'metadata that does not belong together');
  return errorOf('corrupt', 'no valid signed metadata');
}
