/**
 * Makes a release of this checkout, of the agent or of vigie-root: its archives, and the file that the keyholders of
 * the targets role sign.
 *
 * INVARIANTS:
 * - Before a file to be signed is written, a release of the agent has run on the state of the previous one and back.
 *   The test covers the architecture that runs here.
 * - Offered releases are counted per program: those of one program never displace those of the other.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import type { TargetFile } from '@tufjs/models';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { packageRoot } from '../../../../agent/base/package-root.ts';
import {
  type Arch,
  type Board,
  deltaTarget,
  fullTarget,
  MANIFEST_FILE,
  manifestTarget,
  type ReleaseKind,
  type ReleaseTarget,
  ReleaseVersion,
  releaseName,
  VERSION_FILE,
} from '../../../../agent/contract/release.ts';
import { counted } from '../../../lib/counted.ts';
import { changedPaths, type Entry, parseManifest, verifyTree } from '../../../lib/manifest.ts';
import { type PackOptions, packFiles } from '../../../lib/release-archive.ts';
import { targetFile, unpacked } from './archives.ts';
import { targetsOf } from './metadata.ts';
import { type Offered, offered, type Repository } from './repository.ts';
import { signingFileOf, writeSigningFile } from './signing-file.ts';
import type { StateCheckOptions } from './state-check.ts';
import { bytesText, filesOf, numberProblem, PROGRAM_NAMES, releaseOf } from './words.ts';

/** Boards of each architecture (agent/base/board.ts); `generic` is any other. */
const BOARDS_OF: Readonly<Record<Arch, readonly Board[]>> = {
  amd64: ['pc', 'generic'],
  arm64: ['rpi4', 'rpi5', 'jetson', 'rk3588', 'generic'],
};
/**
 * Range of node versions: at least that of package.json, and only node 20, as the addons are compiled for its ABI
 * (115).
 */
const NODE: ReleaseTarget['node'] = ['20.17.0', '21.0.0'];
const MACHINE: Readonly<Record<string, Arch>> = { x64: 'amd64', arm64: 'arm64' };
/** Maximum number of paths in a message. */
const CHANGED_SHOWN = 15;

/** Option of scripts/package that makes the folder of a release. */
const TREE_OPTIONS = {
  release: '--release-tree',
  root: '--root-release-tree',
} as const satisfies Record<ReleaseKind, string>;
/** Prefix of the default folder's name. */
const OUT_PREFIXES = { release: '', root: 'root-' } as const satisfies Record<ReleaseKind, string>;

export interface MakeOptions {
  /** Undefined: the program of the given trees, else the agent. */
  readonly kind?: ReleaseKind | undefined;
  readonly arches: readonly Arch[];
  /** Boards; those that the architecture lacks are ignored. Empty means all. */
  readonly boards: readonly Board[];
  readonly seq?: number | undefined;
  readonly seqMin?: number | undefined;
  /**
   * Number of earlier releases for which differences are made, and number of releases that stay on offer, including
   * this one.
   */
  readonly deltas: number;
  readonly keep: number;
  readonly out?: string | undefined;
  readonly allowDirty: boolean;
  /** Existing trees; the others are built. */
  readonly trees: ReadonlyMap<Arch, string>;
  readonly clip: string;
  readonly nowMs: number;
}

export interface Surroundings {
  readonly say: (line: string) => void;
  readonly warn: (line: string) => void;
  readonly checkState: (options: StateCheckOptions) => Promise<void>;
}

interface Tree {
  readonly dir: string;
  readonly arch: Arch;
  readonly version: ReleaseVersion;
  readonly entries: readonly Entry[];
}

/** Returns the file to be signed. Throws AgentError, one line. */
export async function makeRelease(
  repository: Repository,
  options: MakeOptions,
  surroundings: Surroundings,
): Promise<string> {
  if (options.kind === 'root' && options.boards.length > 0)
    throw new AgentError('config', '--boards: a release of root’s program is for all boards; leave it out');
  const note = provenance(options, surroundings);
  const before = repository.targets()?.signed;
  repository.root();
  const work = mkdtempSync(join(tmpdir(), 'vigie-release-'));
  try {
    const trees = await treesOf(options, work);
    const release = oneRelease(trees, options.kind);
    const { what: kind, seq, version } = release;
    refuseOld(repository, release);
    const all = before === undefined ? [] : offered(before);
    const was = all.filter(({ custom }) => custom.what === kind);
    for (const tree of trees) await checkTree(tree, was, repository, options, surroundings, work);
    const name = `${OUT_PREFIXES[kind]}${releaseName(seq, version)}`;
    const out = options.out ?? join(packageRoot(), '.cache/release', name);
    const targetsDir = join(out, 'targets');
    mkdirSync(targetsDir, { recursive: true });
    const files: TargetFile[] = [];
    for (const tree of trees)
      files.push(...(await packed(tree, was, repository, options, targetsDir, surroundings)));
    const keptReleases = [
      ...keptOf(was, options.keep - 1),
      ...all.filter(({ custom }) => custom.what !== kind),
    ];
    const keptTargets = keptReleases.flatMap(filesOf).flatMap((path) => before?.targets[path] ?? []);
    const next = repository.nextVersion('targets');
    const targets = targetsOf([...keptTargets, ...files], next, options.nowMs);
    const file = join(out, 'release.json');
    writeSigningFile(file, signingFileOf(repository, targets, note));
    return file;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const git = (...args: string[]): string =>
  execFileSync('git', ['-C', packageRoot(), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trimEnd();

/** Describes the sources, for the keyholders. Refuses sources from which no other machine could build it again. */
function provenance({ trees, arches, allowDirty }: MakeOptions, { warn }: Surroundings): string {
  const givenArches = arches.filter((arch) => trees.has(arch));
  if (givenArches.length === arches.length) return `of trees that were given for ${givenArches.join(', ')}`;
  let commit: string;
  let changedFiles: string[];
  try {
    commit = git('rev-parse', 'HEAD');
    changedFiles = git('status', '--porcelain')
      .split('\n')
      .filter((line) => line !== '');
  } catch (error) {
    throw new AgentError(
      'config',
      `${packageRoot()}: is not a git checkout; a release is made from a commit (${messageOf(error)})`,
      error,
    );
  }
  if (changedFiles.length === 0) return `commit ${commit}`;
  if (!allowDirty) {
    throw new AgentError(
      'config',
      `${packageRoot()}: ${counted(changedFiles.length, 'file is', 'files are')} not as committed (${changedFiles[0]?.slice(3)}…); commit or stash them, or pass --allow-dirty for a release that cannot be reproduced`,
    );
  }
  warn(
    `warning: ${counted(changedFiles.length, 'file is', 'files are')} NOT AS COMMITTED: no one can reproduce this release; not for boxes in the street`,
  );
  return `commit ${commit} with ${counted(changedFiles.length, 'file')} NOT AS COMMITTED`;
}

async function treesOf({ kind, arches, trees, seq }: MakeOptions, work: string): Promise<Tree[]> {
  const read: Tree[] = [];
  for (const arch of arches) {
    const dir = trees.get(arch) ?? join(work, arch);
    if (!trees.has(arch)) await build(kind ?? 'release', arch, dir, seq);
    const version = jsonOf(text(join(dir, VERSION_FILE)));
    if (!Value.Check(ReleaseVersion, version))
      throw new AgentError('config', `${dir}/${VERSION_FILE}: is none of a release`);
    // vigie-root is the same for each architecture.
    if (version.arch !== undefined && version.arch !== arch)
      throw new AgentError('config', `${dir}: is for ${version.arch}, not for ${arch}`);
    const entries = parseManifest(text(join(dir, MANIFEST_FILE)));
    await verifyTree(dir, entries);
    read.push({ dir, arch, version, entries });
  }
  return read;
}

function text(file: string): string {
  if (existsSync(file)) return readFileSync(file, 'utf8');
  throw new AgentError(
    'config',
    `${file}: is missing; a release is made by scripts/package --release-tree or --root-release-tree`,
  );
}

async function build(kind: ReleaseKind, arch: Arch, dir: string, seq: number | undefined): Promise<void> {
  const numbered = seq === undefined ? [] : ['--seq', String(seq)];
  const args = [TREE_OPTIONS[kind], dir, '--arch', arch, ...numbered];
  const child = spawn(join(packageRoot(), 'scripts/package'), args, {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0)
    throw new AgentError(
      'config',
      `scripts/package ${args.join(' ')}: failed; its logs are .cache/package/*.log`,
    );
}

function oneRelease(trees: readonly Tree[], kind: ReleaseKind | undefined): ReleaseVersion {
  const [first] = trees;
  if (first === undefined) throw new AgentError('config', '--arch: name one at least');
  const nameOf = ({ version }: Tree): string => `${releaseOf(version)}, ${version.version}`;
  const other = trees.find((tree) => nameOf(tree) !== nameOf(first));
  if (other !== undefined)
    throw new AgentError('config', `${other.dir}: is ${nameOf(other)}, and ${first.dir} is ${nameOf(first)}`);
  const { what } = first.version;
  if (kind !== undefined && kind !== what)
    throw new AgentError(
      'config',
      `--root: ${first.dir} is a release of ${PROGRAM_NAMES[what]}; leave --root out, or give other folders`,
    );
  return first.version;
}

function refuseOld(repository: Repository, release: ReleaseVersion): void {
  const usedSeqs = repository.usedSeqs();
  const problem = numberProblem(release, usedSeqs);
  if (problem === undefined) return;
  throw new AgentError('config', `${problem}; give a free one: --seq ${Math.max(0, ...usedSeqs) + 1}`);
}

/**
 * Refuses a release whose state or record the previous one cannot read. Runs both releases of the agent on one state
 * folder, if this machine can.
 */
async function checkTree(
  tree: Tree,
  was: readonly Offered[],
  repository: Repository,
  options: MakeOptions,
  { say, warn, checkState }: Surroundings,
  work: string,
): Promise<void> {
  const { arch } = tree;
  const { what: kind, seq, stateWrites } = tree.version;
  const previous = was.find(({ custom }) => custom.arch === arch);
  const reads = previous?.custom.stateReads ?? [stateWrites, stateWrites];
  const wayBack = stateWrites >= reads[0] && stateWrites <= reads[1];
  if (!wayBack && (options.seqMin ?? 0) <= (previous?.custom.seq ?? 0)) {
    throw new AgentError(
      'config',
      `${arch}: release ${previous?.custom.seq} cannot read the ${WRITTEN[kind]} that this one writes (form ${stateWrites}): so rollback is impossible; pass --seq-min ${seq} to accept`,
    );
  }
  if (kind === 'root') {
    say(
      `${arch}: ${previous === undefined ? 'no release of root’s program was published before' : wayBack ? `release ${previous.custom.seq} reads its record` : `NO WAY BACK to release ${previous.custom.seq}`}; root’s program is not run here: its own tests are its trial`,
    );
    return;
  }
  if (MACHINE[process.arch] !== arch) {
    warn(
      `warning: ${arch}: cannot run here, so old and new on one state folder is NOT CHECKED for it; make the release on such a machine too`,
    );
    return;
  }
  const before =
    previous === undefined ? undefined : await unpacked(repository, previous, join(work, `before-${arch}`));
  say(
    `${arch}: ${previous === undefined ? 'the release alone, since none was published before,' : `release ${previous.custom.seq}, then this one${wayBack ? ', then that again' : ''},`} on one state folder`,
  );
  await checkState({ next: tree.dir, before, wayBack, clip: options.clip, say: (line) => say(`  ${line}`) });
}

/** Name of the state that each program leaves for its previous release. */
const WRITTEN = { release: 'state', root: 'record' } as const satisfies Record<ReleaseKind, string>;

/** Makes the archives and the manifest, as targets. */
async function packed(
  tree: Tree,
  was: readonly Offered[],
  repository: Repository,
  options: MakeOptions,
  dir: string,
  { say }: Surroundings,
): Promise<TargetFile[]> {
  const { arch } = tree;
  const { what: kind, seq, version, stateWrites, stateReads } = tree.version;
  const id = { what: kind, seq, version, arch };
  const full = fullTarget(id);
  const archives: TargetFile[] = [];
  const put = async (
    name: string,
    paths: readonly string[],
    packOptions: PackOptions = {},
  ): Promise<string> => {
    await packFiles(tree.dir, paths, join(dir, name), packOptions);
    const file = await targetFile(name, join(dir, name));
    archives.push(file);
    return bytesText(file.length);
  };
  // Folders and links come from the manifest.
  const files = new Set(tree.entries.filter(({ type }) => type === 'file').map(({ path }) => path));
  say(`${arch}: full: ${await put(full, [...files])}, ${tree.entries.length} paths`);
  const deltas: Record<string, string> = {};
  for (const { target, custom } of was.filter((one) => one.custom.arch === arch).slice(0, options.deltas)) {
    const before = repository.targetFile(target.path);
    const from = parseManifest(readFileSync(before, 'utf8'));
    const { write, remove } = changedPaths(from, tree.entries);
    const name = deltaTarget(custom.seq, id);
    const paths = [MANIFEST_FILE, ...write.filter((path) => files.has(path))];
    const bytes = await put(name, paths, { dictionary: before });
    deltas[custom.seq] = name;
    say(
      `${arch}: from ${custom.seq}: ${bytes}, ${counted(write.length, 'path')} written, ${remove.length} removed`,
    );
    if (Object.keys(deltas).length === 1) for (const path of write.slice(0, CHANGED_SHOWN)) say(`  ${path}`);
    if (Object.keys(deltas).length === 1 && write.length > CHANGED_SHOWN)
      say(`  and ${write.length - CHANGED_SHOWN} more`);
  }
  const boards = BOARDS_OF[arch].filter(
    (board) => options.boards.length === 0 || options.boards.includes(board),
  );
  if (boards.length === 0)
    throw new AgentError('config', `--boards: none of them is ${arch}: ${BOARDS_OF[arch].join(', ')}`);
  const previous = was.find(({ custom }) => custom.arch === arch);
  const custom: ReleaseTarget = {
    what: kind,
    seq,
    version,
    arch,
    boards,
    node: NODE,
    seqMin: options.seqMin ?? previous?.custom.seqMin ?? 1,
    stateWrites,
    stateReads,
    full,
    deltas,
    installedBytes: tree.entries.reduce((sum, { size = 0 }) => sum + size, 0),
  };
  const manifest = manifestTarget(id);
  copyFileSync(join(tree.dir, MANIFEST_FILE), join(dir, manifest));
  return [await targetFile(manifest, join(dir, manifest), custom), ...archives];
}

/** Returns the newest releases. */
function keptOf(was: readonly Offered[], count: number): Offered[] {
  const seqs = [...new Set(was.map(({ custom }) => custom.seq))].slice(0, Math.max(0, count));
  return was.filter(({ custom }) => seqs.includes(custom.seq));
}
