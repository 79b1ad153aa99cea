/**
 * Programs of this checkout as one file each. A bundled program starts in a third of the time, and tests start hundreds
 * of them. Root's program is one file in its package too, made by the package's own maker.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from './paths.ts';

const KEPT_DIR = join(ROOT, '.cache', 'bundled');
/** Time after which files of earlier code are deleted, in ms: a day, since a test may be using it. */
const KEPT_MS = 86_400_000;
const MAKER = fileURLToPath(new URL('./bundle-writer.js', import.meta.url));
const ROOTS_MAKER = join(ROOT, 'dist/scripts/workshop/package/bundle.js');

/**
 * Path of the bundled program, `scripts/products/fleet` for its main.js; built unless it exists for this exact code.
 */
export function bundled(folder: string): string {
  const main = join(ROOT, 'dist', folder, 'main.js');
  return bundlePath(folder, 'main.mjs', (dir) => [MAKER, main, join(dir, 'main.mjs')]);
}

/** Path of a bundled test helper, named by the address of its module. */
export function bundledHelper(module: URL): string {
  const main = fileURLToPath(module);
  return bundlePath(`test/lib/${basename(main, '.js')}`, 'main.mjs', (dir) => [
    MAKER,
    main,
    join(dir, 'main.mjs'),
  ]);
}

export function rootProgram(): string {
  const name = 'vigie-root.js';
  return bundlePath('scripts/products/root', name, (dir) => [
    ROOTS_MAKER,
    'root',
    dir,
    join(dir, 'copyright'),
  ]);
}

/** Builds the bundle once; `command` writes it in the given folder. */
function bundlePath(folder: string, name: string, command: (dir: string) => string[]): string {
  hash ??= codeHash();
  const dir = join(KEPT_DIR, hash, folder.replaceAll('/', '-'));
  const program = join(dir, name);
  if (existsSync(program)) return program;
  mkdirSync(join(dir, '..'), { recursive: true });
  removeOld(KEPT_DIR);
  const newDir = mkdtempSync(`${dir}.`);
  execFileSync(process.execPath, command(newDir), { stdio: 'pipe' });
  try {
    renameSync(newDir, dir);
  } catch (error) {
    // Another test has made it in the meantime.
    if (!existsSync(program)) throw error;
    rmSync(newDir, { recursive: true });
  }
  return program;
}

/** Deletes old files and folders of a folder whose names begin with `prefix`. */
export function removeOld(folder: string, prefix = ''): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const madeMs = statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? Date.now();
    if (name.startsWith(prefix) && Date.now() - madeMs > KEPT_MS)
      rmSync(path, { recursive: true, force: true });
  }
}

let hash: string | undefined;

/** Hash of all modules that may be in a bundle. The compiler records the state of each source. */
function codeHash(): string {
  const digest = createHash('sha256');
  for (const file of ['dist/.tsbuildinfo', 'package-lock.json'])
    digest.update(readFileSync(join(ROOT, file)));
  return digest.digest('hex').slice(0, 12);
}
