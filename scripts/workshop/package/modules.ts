/**
 * Reduces a node_modules to what runs on one kind of machine. `modules.js DIR ARCH` (arm64 or x64) deletes packages
 * that only an installation calls, binaries for other platforms, sources of addons, and files that are never loaded. It
 * prints the remaining packages and their size.
 */
import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { type Manifest, manifestOf, neededBy } from './npm-package.ts';

/** Packages that an install script calls and the running program never loads. */
const INSTALL_ONLY: Readonly<Record<string, readonly string[]>> = {
  'better-sqlite3': ['prebuild-install'],
  'gstreamer-superficial': ['nan'],
  'onnxruntime-node': ['adm-zip', 'global-agent'],
  vigie: ['node-addon-api'],
};

/** Leftovers of compiling, and files for other platforms, by package; paths are below the package. */
const LEFT_OVERS: Readonly<Record<string, readonly string[]>> = {
  'better-sqlite3': ['deps', 'src', 'binding.gyp', 'build/Release/obj', 'build/Release/obj.target'],
  fastify: ['integration'],
  'node-gstreamer-superficial': ['src', 'examples', 'binding.gyp', 'build/Release/obj.target'],
  'onnxruntime-node': ['script', '__commit.txt'],
  pdfkit: ['js/pdfkit.standalone.js', 'js/pdfkit.es.js', 'js/pdfkit.es5.js', 'js/pdfkit.esnext.js'],
  sharp: ['src', 'install'],
  'vigie-native': [
    'gst',
    'addon',
    'onnxruntime',
    'test',
    'binding.gyp',
    'build/.built',
    'build/Release/obj.target',
  ],
};

/** Types, sources, maps and pages: for readers and compilers, not for node. Licences stay. */
const UNREAD =
  /\.([cm]?ts|map|h|cc|md|markdown|html|flow|tsbuildinfo|gypi?|mk|o|a|d)$|^(Makefile|\..+|(.+\.)?test\.js)$/;
const UNREAD_DIRS = /^(test|tests|__tests__|fixtures?|docs?|examples?|benchmarks?|\..+|coverage)$/;

const [modulesArgument, arch] = process.argv.slice(2);
if (modulesArgument === undefined || (arch !== 'arm64' && arch !== 'x64')) {
  process.stderr.write('modules: give a folder that holds node_modules, and arm64 or x64\n');
  process.exit(2);
}
const root = resolve(modulesArgument);
const modules = join(root, 'node_modules');

const neededDirs = reachable(manifestOf(root), root);
for (const dir of packageDirs(modules))
  if (!neededDirs.has(dir)) rmSync(dir, { recursive: true, force: true });
for (const [name, paths] of Object.entries(LEFT_OVERS)) {
  for (const path of paths) rmSync(join(modules, name, path), { recursive: true, force: true });
}
pruneRuntimes(join(modules, 'onnxruntime-node', 'bin'));
for (const dir of ['.bin', '.cache']) rmSync(join(modules, dir), { recursive: true, force: true });
pruneFiles(modules);
process.stdout.write(`${neededDirs.size} packages, ${Math.round(bytesOf(modules) / 1e6)} MB\n`);

/** Returns the folders of all packages needed at run time, starting from the dependencies of `manifest`. */
function reachable(manifest: Manifest, from: string, dirs = new Set<string>()): Set<string> {
  const skipped = INSTALL_ONLY[manifest.name ?? ''] ?? [];
  for (const dependency of neededBy(manifest)) {
    const dir = skipped.includes(dependency) ? undefined : resolveFrom(from, dependency);
    if (dir === undefined || dirs.has(dir)) continue;
    const its = manifestOf(dir);
    // Debian's npm also installs packages for another C library; newer versions do not.
    if (its.libc?.includes('glibc') === false) continue;
    dirs.add(dir);
    reachable(its, dir, dirs);
  }
  return dirs;
}

/** Resolves like node: the nearest node_modules upwards. Undefined for an optional package of another platform. */
function resolveFrom(from: string, name: string): string | undefined {
  for (let dir = from; dir.startsWith(root); dir = resolve(dir, '..')) {
    const candidate = join(dir, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
  }
  return undefined;
}

function packageDirs(dir: string): string[] {
  if (!existsSync(dir)) return [];
  const names = readdirSync(dir).filter((name) => !name.startsWith('.'));
  return names.flatMap((name) => {
    if (name.startsWith('@')) return readdirSync(join(dir, name)).map((inner) => join(dir, name, inner));
    return [join(dir, name), ...packageDirs(join(dir, name, 'node_modules'))];
  });
}

/** Keeps one of bin/napi-vN/PLATFORM/ARCH. */
function pruneRuntimes(bin: string): void {
  if (!existsSync(bin)) return;
  for (const version of readdirSync(bin)) {
    for (const platform of readdirSync(join(bin, version))) {
      for (const machine of readdirSync(join(bin, version, platform))) {
        if (platform !== 'linux' || machine !== arch) {
          rmSync(join(bin, version, platform, machine), { recursive: true });
        }
      }
      if (platform !== 'linux') rmSync(join(bin, version, platform), { recursive: true });
    }
  }
}

function pruneFiles(dir: string): void {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    const unread = entry.isDirectory()
      ? UNREAD_DIRS.test(entry.name) && !isCode(path)
      : UNREAD.test(entry.name) && !/^licen[cs]e|^notice|^third/i.test(entry.name);
    if (unread || entry.name === 'test_extension.node') rmSync(path, { recursive: true });
    else if (entry.isDirectory()) pruneFiles(path);
  }
}

/**
 * True for a package whose own name is `test`, or whose code is in `doc` (yaml's dist/doc): it is not documentation.
 */
function isCode(dir: string): boolean {
  const inPackage = dir.slice(dir.lastIndexOf('node_modules'));
  return basename(resolve(dir, '..')) === 'node_modules' || /\/(dist|lib|build|src)\//.test(inPackage);
}

function bytesOf(dir: string): number {
  return readdirSync(dir, { withFileTypes: true })
    .map((entry) => join(dir, entry.name))
    .reduce((sum, path) => {
      const stat = lstatSync(path);
      return sum + (stat.isDirectory() ? bytesOf(path) : stat.size);
    }, 0);
}
