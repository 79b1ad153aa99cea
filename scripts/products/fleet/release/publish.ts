/**
 * Publishes metadata that has enough signatures.
 *
 * INVARIANT: atomic for readers. Archives come first, then the metadata that names them, and last the timestamp, by one
 * rename. A reader sees the complete old state or the complete new one.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Metadata, Root, Targets } from '@tufjs/models';
import { AgentError } from '../../../../agent/base/errors.ts';
import {
  type Arch,
  manifestTarget,
  type ReleaseKind,
  type ReleaseTarget,
} from '../../../../agent/contract/release.ts';
import { parseManifest } from '../../../lib/manifest.ts';
import {
  isSigned,
  keyFor,
  metaFile,
  type RoleName,
  roleKeysOf,
  type Signed,
  signersOf,
  signWith,
  snapshotOf,
  timestampOf,
} from './metadata.ts';
import { type Offered, offered, type Repository } from './repository.ts';
import { signedDigest } from './root-check.ts';
import {
  checkAgainst,
  checkChain,
  checkOrigin,
  isComplete,
  isOfRoot,
  readSigningFile,
  roleOf,
  type SigningFile,
  verifyingRoots,
} from './signing-file.ts';
import { filesOf, numberProblem, releaseOf, signatureWords } from './words.ts';

export interface PublishOptions {
  /** Private keys of the snapshot and timestamp roles; after a rotation also the previous key. */
  readonly online: readonly KeyObject[];
  /** Folder of the archives. */
  readonly targetsDir?: string | undefined;
  /** Publishes a root even if no box will trust the releases until they are renewed. */
  readonly releasesLater?: boolean | undefined;
  readonly nowMs: number;
}

export interface RootPublishOptions extends PublishOptions {
  /** `signedDigest` of the root whose differences were agreed to. */
  readonly agreed: string;
}

/**
 * Publishes a list of releases. Throws AgentError: `denied` if signatures are missing or the file is out of date,
 * `config`, `corrupt`.
 */
export async function publishReleases(
  repository: Repository,
  file: string,
  options: PublishOptions,
): Promise<Metadata<Targets>> {
  const content = readSigningFile(file);
  const { metadata } = content;
  if (isOfRoot(metadata)) throw new AgentError('config', `${file}: is a root; use \`fleet root publish\``);
  const root = repository.root();
  await repository.locked(async () => {
    checkAgainst(repository, content, file);
    checkOrigin(content, file, root, options.nowMs);
    complete(content, file);
    const before = repository.targets()?.signed;
    checkReleases(metadata.signed, before, repository.usedSeqs(), file);
    const from = options.targetsDir ?? join(dirname(file), 'targets');
    for (const target of Object.values(metadata.signed.targets)) await repository.putTarget(target, from);
    for (const one of offered(metadata.signed)) checkManifest(repository, one);
    putOnline(repository, root, repository.put('targets', metadata), metadata.signed.version, options);
  });
  return metadata;
}

/**
 * Publishes a root. If the previous online key is available, it signs the timestamp too, before the root is published.
 * The timestamp is then valid under the old root and the new one.
 */
export async function publishRoot(
  repository: Repository,
  file: string,
  options: RootPublishOptions,
): Promise<Metadata<Root>> {
  return await repository.locked(() => {
    const { metadata } = checkRootFile(repository, file, options.nowMs);
    if (signedDigest(metadata) !== options.agreed) {
      throw new AgentError(
        'denied',
        `${file}: has changed since its differences were agreed to; check it again`,
      );
    }
    const roots = repository.roots();
    const targets = repository.targets();
    if (targets !== undefined) {
      if (options.releasesLater !== true && !isSigned(targets, metadata.signed, 'targets')) {
        throw new AgentError(
          'denied',
          `${file}: boxes would no longer accept the published releases (${signatureWords(signersOf(targets, metadata.signed, 'targets'), metadata.signed, 'targets')} of the new root); first \`fleet release renew\`, signed by keyholders who stay; if too few do, --releases-later and renew afterwards`,
        );
      }
      const bytes = repository.metadataBytes('targets', targets.signed.version);
      putOnline(repository, metadata, bytes, targets.signed.version, options, roots.at(-1));
    }
    repository.putRoot(metadata);
    return metadata;
  });
}

/** Checks that this root can be published now, and returns its content for agreement. Throws AgentError. */
export function checkRootFile(
  repository: Repository,
  file: string,
  nowMs: number,
): SigningFile & { readonly metadata: Metadata<Root> } {
  const content = readSigningFile(file);
  const { metadata } = content;
  if (!isOfRoot(metadata))
    throw new AgentError('config', `${file}: not a root; use \`fleet release publish\``);
  const roots = repository.roots();
  checkAgainst(repository, content, file);
  checkOrigin(content, file, roots.at(-1), nowMs);
  complete(content, file);
  checkChain([...roots, metadata], file);
  return { ...content, metadata };
}

/**
 * Signs a new timestamp, and a new snapshot after half of the old one's lifetime. Returns the number of files removed.
 */
export async function refresh(repository: Repository, { online, nowMs }: PublishOptions): Promise<number> {
  const root = repository.root();
  return await repository.locked(() => {
    const [targets, snapshot] = [repository.targets(), repository.snapshot()];
    if (targets === undefined || snapshot === undefined) {
      throw new AgentError(
        'config',
        `${repository.dir}: no release is published yet; run \`fleet release make\` first`,
      );
    }
    const leftMs = Date.parse(snapshot.signed.expires) - nowMs;
    const isCurrent = leftMs > SNAPSHOT_LEFT_MS && isSigned(snapshot, root.signed, 'snapshot');
    if (isCurrent) putTimestamp(repository, root, snapshot.signed.version, { online, nowMs });
    else {
      const bytes = repository.metadataBytes('targets', targets.signed.version);
      putOnline(repository, root, bytes, targets.signed.version, { online, nowMs });
    }
    return repository.clean(nowMs);
  });
}

const SNAPSHOT_LEFT_MS = 3.5 * 86_400_000;

function complete(content: SigningFile, file: string): void {
  if (isComplete(content)) return;
  const { metadata } = content;
  const role = roleOf(metadata);
  const short = verifyingRoots(content).find((root) => !isSigned(metadata, root, role));
  const words =
    short === undefined ? 'no root' : signatureWords(signersOf(metadata, short, role), short, role);
  throw new AgentError('denied', `${file}: not enough have signed: ${words}`);
}

/** Throws AgentError `denied`. */
function checkReleases(
  after: Targets,
  before: Targets | undefined,
  usedSeqs: ReadonlySet<number>,
  file: string,
): void {
  const [is, was] = [offered(after), before === undefined ? [] : offered(before)];
  const knownPaths = new Set(was.map(({ target }) => target.path));
  refuseShared(is, file);
  for (const one of is) {
    const name = releaseOf(one.custom);
    if (one.target.path !== manifestTarget(one.custom)) {
      throw new AgentError(
        'denied',
        `${file}: ${one.target.path} is not the name of ${name}, which is ${manifestTarget(one.custom)}`,
      );
    }
    const missing = filesOf(one).find((path) => after.targets[path] === undefined);
    if (missing !== undefined)
      throw new AgentError('denied', `${file}: ${name} names ${missing}, which is not signed`);
    if (knownPaths.has(one.target.path)) continue;
    const problem = numberProblem(one.custom, usedSeqs);
    if (problem !== undefined) throw new AgentError('denied', `${file}: ${problem}`);
  }
  for (const { custom } of is.filter(({ target }) => !knownPaths.has(target.path))) {
    const [same, before] = [archesOf(is, custom), lastArches(was, custom.what)];
    const missingArch = before.find((arch) => !same.includes(arch));
    if (missingArch !== undefined) {
      throw new AgentError(
        'denied',
        `${file}: ${releaseOf(custom)} lacks ${missingArch}, which the release before has; make it with --arch ${missingArch} too`,
      );
    }
  }
}

/** Throws AgentError `denied` if releases of two programs have the same number. */
function refuseShared(is: readonly Offered[], file: string): void {
  const owners = new Map<number, string>();
  for (const { custom } of is) {
    const name = releaseOf(custom);
    const other = owners.get(custom.seq) ?? name;
    if (other !== name)
      throw new AgentError('denied', `${file}: ${name} and ${other} have one number; make one of them again`);
    owners.set(custom.seq, name);
  }
}

function archesOf(all: readonly Offered[], { what: kind, seq }: Pick<ReleaseTarget, 'what' | 'seq'>): Arch[] {
  return all
    .filter(({ custom }) => custom.what === kind && custom.seq === seq)
    .map(({ custom }) => custom.arch);
}

function lastArches(was: readonly Offered[], kind: ReleaseKind): Arch[] {
  const last = was.find(({ custom }) => custom.what === kind);
  return last === undefined ? [] : archesOf(was, last.custom);
}

/** Refuses a manifest that no box could read. */
function checkManifest(repository: Repository, { target }: Offered): void {
  parseManifest(readFileSync(repository.targetFile(target.path), 'utf8'));
}

/** Publishes a snapshot of these targets, and its timestamp. */
function putOnline(
  repository: Repository,
  root: Metadata<Root>,
  targetsBytes: Uint8Array,
  version: number,
  options: PublishOptions,
  previousRoot?: Metadata<Root>,
): void {
  const next = repository.nextVersion('snapshot');
  const snapshot = snapshotOf(metaFile(targetsBytes, version), next, options.nowMs);
  signOnline(snapshot, 'snapshot', root, previousRoot, options.online);
  repository.put('snapshot', snapshot);
  putTimestamp(repository, root, next, options, previousRoot);
}

function putTimestamp(
  repository: Repository,
  root: Metadata<Root>,
  snapshot: number,
  { online, nowMs }: PublishOptions,
  previousRoot?: Metadata<Root>,
): void {
  const version = (repository.timestamp()?.signed.version ?? 0) + 1;
  const timestamp = timestampOf(
    metaFile(repository.metadataBytes('snapshot', snapshot), snapshot),
    version,
    nowMs,
  );
  signOnline(timestamp, 'timestamp', root, previousRoot, online);
  repository.putTimestamp(timestamp);
}

function signOnline(
  metadata: Metadata<Signed>,
  role: RoleName,
  root: Metadata<Root>,
  previousRoot: Metadata<Root> | undefined,
  keys: readonly KeyObject[],
): void {
  for (const key of keys) {
    const publicKey = createPublicKey(key);
    const roleKey =
      keyFor(root.signed, role, publicKey) ?? (previousRoot && keyFor(previousRoot.signed, role, publicKey));
    if (roleKey !== undefined) signWith(metadata, key, roleKey.keyID);
  }
  if (isSigned(metadata, root.signed, role)) return;
  const { keyID } = roleKeysOf(root.signed).online;
  throw new AgentError(
    'config',
    `--online-key: is not the ${role} key of root ${root.signed.version} (${keyID.slice(0, 16)})`,
  );
}
