/**
 * Tests staging: a release is made completely beside the running one, or not at all. Covers deltas, hostile
 * archives and a full disk.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { deltaTarget, fullTarget, manifestTarget, type ReleaseTarget } from '../../agent/contract/release.ts';
import { parseManifest, scanTree, verifyTree } from '../../scripts/lib/manifest.ts';
import { packFiles } from '../../scripts/lib/release-archive.ts';
import { machine } from '../../scripts/products/root/board.ts';
import { DEFAULT_PLACES } from '../../scripts/products/root/paths.ts';
import { ServerSource } from '../../scripts/products/root/release-source.ts';
import { ReleaseFolder } from '../../scripts/products/root/releases.ts';
import { readSettings } from '../../scripts/products/root/settings.ts';
import { bytesToWrite, type Staged, stage } from '../../scripts/products/root/stage.ts';
import { ROOT, scratch, scratchOnDisk } from '../lib/paths.ts';
import { ReleaseRepository, sampleRelease, TestReleaseServer, withManifest } from '../lib/release-server.ts';
import { FULL, unlessAll } from '../lib/run.ts';
import { SmallDisk } from '../lib/small-disk.ts';

const OLD = { seq: 42, version: '0.2.0' };
const NEW = { seq: 43, version: '0.3.0' };

interface Setup {
  readonly lib: string;
  /** Folder of the running release. */
  readonly current: string;
  readonly custom: ReleaseTarget;
  /** Path of a file below targets/. */
  target(name: string): string;
  readonly delta: string;
  readonly full: string;
  run(over?: Partial<Parameters<typeof stage>[0]>): Promise<Staged>;
  /** Names below releases/. */
  releases(): string[];
}

/** Runs release 42 and publishes 43: one changed, one new and one removed file, and a folder that became a link. */
async function makeSetup(t: Test, dir = scratch(t), over: Partial<ReleaseTarget> = {}): Promise<Setup> {
  const lib = join(dir, 'lib');
  const releases = join(lib, 'releases');
  const same = { 'bin/run': '#!/bin/sh\n', 'dist/same.js': 'same', 'models/a/big': 'x'.repeat(200_000) };
  const files = { ...same, 'dist/main.js': 'old', 'dist/gone/a.js': 'a', 'dist/gone/b.js': 'b' };
  const current = await sampleRelease(releases, { ...OLD, files });
  symlinkSync('releases/42-0.2.0', join(lib, 'current'));
  const now = { ...same, 'dist/main.js': 'new', 'dist/fresh/deep/c.js': 'c', 'dist/empty': '' };
  const tree = await sampleRelease(join(dir, 'made'), { ...NEW, files: now });
  symlinkSync('fresh/deep', join(tree, 'dist/gone'));
  await withManifest(tree);
  const repository = new ReleaseRepository(join(dir, 'repository'));
  const custom = await repository.addRelease(tree, { ...NEW, ...over }, { 42: current });
  const target = (name: string): string => join(repository.dir, 'targets', name);
  const [full, delta] = [target(custom.full), target(custom.deltas[42] ?? '')];
  const manifest = join(tree, 'MANIFEST');
  const usual = {
    lib,
    current: join(lib, 'current'),
    custom,
    manifest,
    delta,
    full: () => Promise.resolve(full),
    signal: new AbortController().signal,
  };
  const run: Setup['run'] = (options = {}) => stage({ ...usual, ...options });
  return { lib, current, custom, target, full, delta, run, releases: () => readdirSync(releases).sort() };
}

void t.test('a release with files that systemd or udev would obey as root is refused', async (t) => {
  const dir = scratch(t);
  const { lib, run, releases } = await makeSetup(t, dir);
  const tree = join(dir, 'made/43-0.3.0');
  const evil = '[Service]\nUser=root\nExecStart=/usr/lib/vigie/current/bin/run\n';
  for (const path of [
    'systemd/vigie-evil.service',
    'etc/systemd/system/vigie.service.d/evil.conf',
    'vigie.service.d/evil.conf',
    'vigie.sysusers.conf',
    'evil.timer',
    'lib/tmpfiles.d/evil.conf',
    'lib/rules.d/99-evil.rules',
  ]) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), evil);
    await withManifest(tree);
    const message = `release 43-0.3.0: ${path}: a release must not bring units, users, folders or rules of the system; they belong to the package vigie-root`;
    await t.rejects(run({ full: noFull }), { kind: 'corrupt', message }, path);
    t.same(releases(), ['42-0.2.0'], 'no part of it is left');
    t.notOk(existsSync(join(lib, 'releases/43-0.3.0')));
    rmSync(join(tree, path));
  }
});

const noFull = (): never => {
  throw new Error('the whole was asked for');
};
const inode = (...path: string[]): number => statSync(join(...path)).ino;

void t.test('a release is staged from a delta or completely', async (t) => {
  const { lib, current, run, releases, delta } = await makeSetup(t);
  const before = await scanTree(current);
  const { dir, ...result } = await run({ full: noFull });
  t.same(result, { by: 'delta', reason: undefined });
  const entries = parseManifest(readFileSync(join(dir, 'MANIFEST'), 'utf8'));
  await verifyTree(dir, entries);
  t.equal(
    execFileSync('mtree', ['-f', 'MANIFEST'], { cwd: dir }).toString(),
    'extra: MANIFEST\n',
    'mtree agrees',
  );
  t.equal(inode(dir, 'models/a/big'), inode(current, 'models/a/big'), 'equal files exist once');
  t.not(inode(dir, 'dist/main.js'), inode(current, 'dist/main.js'));
  t.not(inode(dir, 'MANIFEST'), inode(current, 'MANIFEST'));
  t.equal(readlinkSync(join(dir, 'dist/gone')), 'fresh/deep');
  t.equal(statSync(join(dir, 'bin/run')).mode & 0o7777, 0o755);
  t.same(await scanTree(current), before, 'the running release is unchanged');
  t.same(releases(), ['42-0.2.0', '43-0.3.0'], 'no other file is left');
  t.equal(
    bytesToWrite(entries, before),
    ['new', 'c', readFileSync(join(dir, 'VERSION'), 'utf8')].join('').length,
  );
  t.ok(bytesToWrite(entries) > 200_000);

  t.same(
    await run({ full: noFull, delta: undefined }),
    { dir, by: 'present', reason: undefined },
    'it is there',
  );
  appendFileSync(join(dir, 'dist/main.js'), 'x');
  mkdirSync(join(lib, 'releases/.stage/left'), { recursive: true });
  mkdirSync(join(lib, 'releases/.unpacked/left'), { recursive: true });
  t.equal((await run({ delta: undefined })).by, 'full', 'a damaged release is staged again');
  await verifyTree(dir, entries);
  t.equal(statSync(join(dir, 'models/a/big')).nlink, 1);
  t.same(releases(), ['42-0.2.0', '43-0.3.0'], 'the rest of an earlier try is removed');

  const checkFull = async (reason: RegExp, over = {}): Promise<void> => {
    rmSync(dir, { recursive: true });
    t.match(await run(over), { by: 'full', reason }, `whole: ${reason}`);
    await verifyTree(dir, entries);
    t.same(releases(), ['42-0.2.0', '43-0.3.0']);
  };
  await checkFull(/cannot be unpacked: .*zstd: can't stat/, { delta: join(lib, 'gone.zst') });
  const bytes = readFileSync(delta);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 20) ^ 1, bytes.length - 20);
  writeFileSync(delta, bytes);
  await checkFull(/cannot be unpacked/);
  const dictionary = join(current, 'MANIFEST');
  await packFiles(current, ['dist/main.js'], delta, { dictionary });
  await checkFull(/cannot be unpacked: tar: .*: Not found in archive/);
  const changedFiles = ['MANIFEST', 'VERSION', 'dist/main.js', 'dist/fresh/deep/c.js', 'dist/empty'];
  await packFiles(dir, changedFiles, delta, { dictionary });
  rmSync(dir, { recursive: true });
  t.equal((await run({ full: noFull })).by, 'delta', 'a good one');
  chmodSync(join(current, 'dist/same.js'), 0o4755);
  await checkFull(/dist\/same.js type=file mode=04755/);
  chmodSync(join(current, 'dist/same.js'), 0o644);
  appendFileSync(join(current, 'dist/gone/a.js'), 'x');
  await checkFull(/dist\/gone\/a.js .*and should have/);
  truncateSync(join(current, 'dist/gone/a.js'), 1);
  rmSync(join(current, 'models'), { recursive: true });
  symlinkSync(lib, join(current, 'models'));
  await checkFull(/models type=link/);
  t.notOk(existsSync(join(lib, 'a')), 'a link of the release that runs leads nowhere');
  rmSync(join(current, 'MANIFEST'));
  await checkFull(/MANIFEST/);
  t.equal((await run({ current: undefined, full: noFull })).by, 'present');
});

/** Makes a hostile archive by tar's own options, compressed by zstd. */
function archive(file: string, tree: string, ...tar: string[]): void {
  const script = 'cd "$1"; out="$2"; shift 2; tar -c "$@" | zstd -q -f -o "$out"';
  execFileSync('sh', ['-c', script, 'sh', tree, file, ...tar], { stdio: 'pipe' });
}

void t.test('hostile archives are refused and touch nothing', async (t) => {
  // tar(1) treats a link that a file follows differently in memory.
  const dir = scratchOnDisk(t);
  const { lib, run, full, releases, current } = await makeSetup(t, dir);
  const tree = join(dir, 'made/43-0.3.0');
  const bad = join(dir, 'bad');
  const outside = join(dir, 'outside');
  const before = await scanTree(current);
  writeFileSync(outside, 'mine');
  const reset = (): void => {
    rmSync(bad, { recursive: true, force: true });
    cpSync(tree, bad, { recursive: true, verbatimSymlinks: true });
    rmSync(join(bad, 'MANIFEST'));
    rmSync(join(bad, 'dist/gone'));
  };
  const files = ['VERSION', 'bin/run', 'dist/empty', 'dist/fresh/deep/c.js', 'dist/main.js', 'dist/same.js'];
  const all = [...files, 'models/a/big'];
  const refuse = async (name: string, message: RegExp, ...tar: string[]): Promise<void> => {
    archive(full, bad, ...tar);
    await t.rejects(run({ delta: undefined }), { kind: 'corrupt', message }, name);
    t.same(releases(), ['42-0.2.0'], `${name}: no file is left`);
    t.equal(readFileSync(outside, 'utf8'), 'mine', `${name}: nothing outside is touched`);
    t.same(readdirSync(dir).sort(), ['bad', 'lib', 'made', 'outside', 'repository']);
    reset();
  };
  const checkAccepted = async (name: string, ...tar: string[]): Promise<void> => {
    archive(full, bad, ...tar);
    const { dir: staged } = await run({ delta: undefined });
    await verifyTree(staged, parseManifest(readFileSync(join(staged, 'MANIFEST'), 'utf8')));
    t.same(readdirSync(dir).sort(), ['bad', 'lib', 'made', 'outside', 'repository'], name);
    t.equal(readFileSync(outside, 'utf8'), 'mine', `${name}: nothing outside is touched`);
    rmSync(staged, { recursive: true });
    reset();
  };
  reset();
  await checkAccepted('as it should be', ...all);
  const rename = (from: string, to: string): string => `--transform=s,^${from}$,${to},`;
  writeFileSync(join(bad, 'extra'), 'evil');
  await checkAccepted('a name upwards', '-P', rename('extra', '../../../evil'), 'extra', ...all);
  await refuse(
    'a name upwards for one that is needed',
    /Not found in archive/,
    '-P',
    rename('VERSION', '../VERSION'),
    ...all,
  );
  symlinkSync(outside, join(bad, 'link'));
  await refuse(
    'a link for a file',
    /VERSION is not a regular file/,
    rename('link', 'VERSION'),
    'link',
    ...all.slice(1),
  );
  symlinkSync('../../..', join(bad, 'link'));
  await checkAccepted('a link for a folder', rename('link', 'dist'), 'link', ...all);
  mkdirSync(join(bad, 'x'));
  cpSync(join(bad, 'VERSION'), join(bad, 'x/VERSION'));
  symlinkSync('..', join(bad, 'x/link'));
  await refuse(
    'a file by way of a link',
    /Not found in archive/,
    '--transform=s,^x/VERSION,x/link/VERSION,',
    'x',
    ...all.slice(1),
  );
  rmSync(join(bad, 'dist/main.js'));
  execFileSync('mkfifo', [join(bad, 'dist/main.js')]);
  await refuse('a pipe for a file', /main.js is not a regular file/, ...all);
  if (process.getuid?.() === 0) {
    rmSync(join(bad, 'dist/main.js'));
    execFileSync('mknod', [join(bad, 'dist/main.js'), 'c', '1', '3']);
    await refuse('a device for a file', /main.js is not a regular file/, ...all);
  }
  chmodSync(join(bad, 'bin/run'), 0o6777);
  chmodSync(join(bad, 'dist/main.js'), 0o777);
  await checkAccepted('setuid, and writable by all', '--owner=1000', '--group=1000', ...all);
  rmSync(join(bad, 'dist/main.js'));
  execFileSync('ln', [join(bad, 'VERSION'), join(bad, 'dist/main.js')]);
  await refuse('a hard link to another', /dist\/main.js .*should have/, ...all);
  writeFileSync(join(bad, 'dist/main.js'), 'evil');
  await refuse('another content', /dist\/main.js .*should have/, ...all);
  truncateSync(join(bad, 'dist/main.js'), 300_000_000);
  await refuse('a bomb in one file', /holds more than the \d+ bytes|File too large|limit/i, ...all);
  const manyPaths = Array.from({ length: 3000 }, () => 'dist/same.js');
  await refuse(
    'a bomb of many files',
    /holds more than the \d+ bytes/,
    '--hard-dereference',
    ...manyPaths,
    ...all,
  );
  writeFileSync(full, 'no archive at all');
  await t.rejects(run({ delta: undefined }), {
    kind: 'corrupt',
    message: /cannot be unpacked: zstd: .*(unsupported|not in)/i,
  });
  execFileSync('sh', ['-c', 'head -c 100000 /dev/urandom | zstd -q -f -o "$1"', 'sh', full]);
  await t.rejects(run({ delta: undefined }), {
    kind: 'corrupt',
    message: /cannot be unpacked: tar: This does not/,
  });
  t.same(await scanTree(current), before, 'the running release is unchanged');
  t.equal(readlinkSync(join(lib, 'current')), 'releases/42-0.2.0');
});

void t.test('an archive that differs from its signed manifest is refused', async (t) => {
  const { run, custom, releases, lib, current } = await makeSetup(t);
  const not = (message: RegExp, over: object) =>
    t.rejects(run({ delta: undefined, ...over }), { kind: 'corrupt', message }, String(message));
  await not(/VERSION: version is "0.3.0", and was signed as "0.4.0"/, {
    custom: { ...custom, version: '0.4.0' },
  });
  await not(/VERSION: stateReads is \[1,1\], and was signed as \[1,2\]/, {
    custom: { ...custom, stateReads: [1, 2] },
  });
  const manifest = join(lib, 'bad');
  writeFileSync(manifest, '#mtree\n. type=dir mode=0755\n./../x type=dir mode=0755\n');
  await not(/manifest, line 3/, { manifest });
  t.same(releases(), ['42-0.2.0']);
  await t.rejects(run({ custom: { ...custom, ...OLD } }), {
    kind: 'bug',
    message: /is to be staged, and it runs/,
  });
  const aborted = { signal: AbortSignal.abort() };
  await t.rejects(run(aborted), { kind: 'unavailable', message: /cancelled/ });
  const cancel = new AbortController();
  const full = (): Promise<string> => {
    setTimeout(() => cancel.abort(), 5);
    return Promise.resolve('/dev/zero');
  };
  const cancelled = { kind: 'unavailable', message: /cancelled/ };
  await t.rejects(run({ delta: undefined, signal: cancel.signal, full }), cancelled, 'while it is unpacked');
  const path = process.env['PATH'];
  process.env['PATH'] = lib;
  await t.rejects(run({ delta: undefined }), {
    kind: 'unavailable',
    message: /cannot be run: is it installed/,
  });
  const bin = scratch(t);
  writeFileSync(join(bin, 'zstd'), '#!/bin/sh\nkill -9 $$\n', { mode: 0o755 });
  process.env['PATH'] = `${bin}:${path}`;
  // It says nothing about the archive.
  await t.rejects(run({ delta: undefined }), { kind: 'unavailable', message: /zstd was killed by SIGKILL/ });
  process.env['PATH'] = path;
  t.same(releases(), ['42-0.2.0']);
  t.ok(lstatSync(current).isDirectory());
});

void t.test(
  'a full disk leaves no part of a release',
  { skip: SmallDisk.unavailable() || unlessAll },
  async (t) => {
    const dir = scratch(t);
    const disk = new SmallDisk(dir, 16);
    disk.mount();
    t.teardown(() => disk.unmount());
    const { run, releases, current } = await makeSetup(t, disk.dir);
    const before = await scanTree(current);
    disk.fill();
    const message = /43-0.3.0: no space is left on the disk|no space is left/;
    await t.rejects(run(), { kind: 'exhausted', message }, 'from a delta');
    await t.rejects(run({ delta: undefined }), { kind: 'exhausted', message }, 'whole');
    t.same(releases(), ['42-0.2.0'], 'no part of it is left');
    t.same(await scanTree(current), before);
    disk.free();
    const { dir: staged, by } = await run();
    t.equal(by, 'delta', 'with space again');
    disk.cutPower();
    disk.powerBack();
    await verifyTree(staged, parseManifest(readFileSync(join(staged, 'MANIFEST'), 'utf8')));
    t.same(await scanTree(current), before, 'both are on the disk when the power goes');
  },
);

/** A box that runs 42 requests 43 from the server. */
async function serve(t: Test) {
  const dir = scratch(t);
  const program = join(ROOT, 'dist/agent');
  const names = readdirSync(program, { recursive: true, encoding: 'utf8' });
  const size = (name: string): number => statSync(join(program, name)).size;
  // Small and large files.
  const sorted = names.filter((name) => name.endsWith('.js')).sort((a, b) => size(a) - size(b));
  const step = Math.floor(sorted.length / CHANGED_COUNT);
  const changedNames = sorted.filter((_, index) => index % step === 0).slice(0, CHANGED_COUNT);
  const bulk = Array.from({ length: PATHS }, (_, n) => [`node_modules/m-${n % 40}/lib/part-${n}.js`, `${n}`]);
  const files = (suffix: string) =>
    Object.fromEntries([
      ...bulk,
      ...changedNames.map((name) => [`dist/${name}`, readFileSync(join(program, name), 'utf8') + suffix]),
    ]) as Record<string, string>;
  const lib = join(dir, 'lib');
  const current = await sampleRelease(join(lib, 'releases'), { ...OLD, files: files('') });
  symlinkSync('releases/42-0.2.0', join(lib, 'current'));
  const tree = await sampleRelease(join(dir, 'made'), {
    ...NEW,
    files: files('export const changed = true;\n'),
  });
  const repository = new ReleaseRepository(join(dir, 'repository'));
  await repository.addRelease(tree, NEW, { 42: current });
  repository.publish();
  const server = await TestReleaseServer.start(repository.dir);
  t.teardown(() => server.stop());
  const places = { ...DEFAULT_PLACES, state: join(dir, 'state'), root: repository.rootFile };
  const settings = { ...readSettings(join(dir, 'none')), url: server.url };
  const lines: string[] = [];
  const releases = new ReleaseFolder(lib);
  const say = (line: string): void => void lines.push(line);
  const source = new ServerSource({ places, settings, machine: machine('pc'), releases, say });
  const downloads = join(places.state, 'downloads');
  const bytes = readFileSync(join(tree, 'MANIFEST'));
  /** Fetches, and returns the requested targets in order and the output. */
  const fetchStage = async (): Promise<[string[], string]> => {
    const { signal } = new AbortController();
    for (const list of [server.requests, lines]) list.length = 0;
    rmSync(downloads, { recursive: true, force: true });
    server.sentBytes = 0;
    const offered = await source.find('release', NEW, signal);
    if (offered === undefined) throw new Error('not offered');
    await offered.download(signal, () => undefined);
    t.ok(readFileSync(join(downloads, FULL_MANIFEST)).equals(bytes), 'the manifest equals the signed one');
    const paths = server.requests.map(({ path }) => path).filter((path) => path.startsWith('targets/'));
    return [paths.map((path) => path.replace('targets/', '')), lines.join('\n')];
  };
  return { current, repository, server, fetched: fetchStage, bytes };
}
const CHANGED_COUNT = 12;
/** Number of paths, as in a release, or enough that a complete manifest is too large. */
const PATHS = FULL ? 4000 : 600;
const ARCH = process.arch === 'arm64' ? 'arm64' : 'amd64';
const NEWER = { what: 'release', seq: 43, version: '0.3.0', arch: ARCH } as const;
const FULL_MANIFEST = manifestTarget(NEWER);
const DELTA = deltaTarget(42, NEWER);
const RELEASE = fullTarget(NEWER);

void t.test('a usual release is fetched as one delta, its manifest in it', { skip: unlessAll }, async (t) => {
  const { current, repository, server, fetched, bytes } = await serve(t);
  t.same(await fetched(), [[DELTA], ''], 'the delta alone');
  const delta = join(repository.dir, 'targets', DELTA);
  t.comment(`${server.sentBytes} bytes; manifest of ${bytes.length}, delta of ${statSync(delta).size}`);
  t.ok(bytes.length > 80_000, 'the whole manifest would be more');
  t.ok(server.sentBytes <= 50_000, `${server.sentBytes} bytes`);

  server.faults.set(`targets/${DELTA}`, { kind: 'status', status: 404 });
  await t.rejects(fetched(), /answers 404/, 'a server that has lost it');
  server.faults.set(`targets/${DELTA}`, { kind: 'swap', content: Buffer.alloc(statSync(delta).size, 'x') });
  await t.rejects(fetched(), /hash mismatch with the signed metadata/, 'another than was signed');
  server.faults.clear();

  const checkFull = async (name: string): Promise<void> => {
    t.same(await fetched(), [[FULL_MANIFEST, RELEASE], ''], name);
  };
  const manifest = join(current, 'MANIFEST');
  const own = readFileSync(manifest);
  const edited = own.toString().replace(/(part-77\.js .*)mode=0644/, '$1mode=0755');
  writeFileSync(manifest, edited);
  await checkFull('its own manifest was edited');
  writeFileSync(manifest, '');
  await checkFull('its own is empty');
  rmSync(manifest);
  await checkFull('it has none');
  writeFileSync(manifest, own);

  const signedAs = async (name: string, reason: RegExp, content: Buffer): Promise<void> => {
    repository.addFile(DELTA, content);
    repository.publish();
    const [paths, output] = await fetched();
    t.same(paths, [DELTA, FULL_MANIFEST, RELEASE], name);
    t.match(output, new RegExp(`^the complete release is fetched: .*${reason.source}.*$`), name);
  };
  const good = readFileSync(delta);
  const zstd = (script: string): Buffer =>
    execFileSync('sh', ['-c', script], { maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'pipe'] });
  const bomb = zstd('cd "$(mktemp -d)"; truncate -s 1G x; tar -c x | zstd -q -1 -c; rm x');
  await signedAs('a bomb', /holds more than the \d+ bytes/, bomb);
  const empty = zstd('head -c 1000000000 /dev/zero | zstd -q -1 -c');
  // tar ends at the first empty blocks: it or the limit is first.
  const either = /(holds more than the \d+ bytes|tar: MANIFEST: Not found in archive)/;
  await signedAs('empty blocks without end', either, empty);
  const wide = zstd('head -c 300000000 /dev/zero | zstd -q -1 --long=30 -c');
  await signedAs('a window that asks for much memory', /cannot be unpacked: .*/, wide);
  await signedAs('no archive', /cannot be unpacked: zstd: .*/, Buffer.from('no archive at all'));
  const other = zstd('cd "$(mktemp -d)"; echo else >MANIFEST; tar -c MANIFEST | zstd -q -c');
  await signedAs('with another manifest', /its manifest is not the one that was signed/, other);
  repository.addFile(DELTA, good);
  repository.publish();
  t.same(await fetched(), [[DELTA], ''], 'a good one again');
});
