/**
 * A Debian with packages of this checkout installed, as a layer over the root file system of all containers. It is made
 * once for these exact files (.cache/installed-…): dpkg takes seconds, and a dozen tests need its result.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { install } from './box-package.ts';
import { removeOld } from './bundled.ts';
import { baseRoot, Container, ownArch } from './nspawn.ts';
import { ROOT } from './paths.ts';

const CACHE = join(ROOT, '.cache');
const NAME = 'installed-';

/** A container in which these packages are installed, of this machine's architecture. */
export async function installedContainer(t: Test, ...debs: readonly string[]): Promise<Container> {
  const base = baseRoot(ownArch());
  const digest = createHash('sha256').update(base);
  for (const deb of debs) digest.update(readFileSync(deb));
  const layer = join(CACHE, `${NAME}${digest.digest('hex').slice(0, 12)}`);
  if (!existsSync(layer)) await underLock(() => makeLayer(t, base, layer, debs));
  return new Container(t, ownArch(), `${layer}:${base}`);
}

/** Installs the packages, and keeps what that has written. An incomplete layer has another name. */
function makeLayer(t: Test, base: string, layer: string, debs: readonly string[]): void {
  // Another test has made it in the meantime.
  if (existsSync(layer)) return;
  removeOld(CACHE, NAME);
  const dir = `${layer}.new`;
  // A test that was killed has left its mount.
  spawnSync('umount', ['-l', join(dir, 'root')]);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir);
  const container = new Container(t, ownArch(), base, dir);
  const { status, err } = install(container, ...debs);
  container.unmount();
  if (status !== 0) throw new Error(`the packages are not installed: ${err}`);
  for (const file of readdirSync(join(dir, 'upper/root'))) rmSync(join(dir, 'upper/root', file));
  renameSync(join(dir, 'upper'), layer);
  rmSync(dir, { recursive: true });
}

/** Runs the action; a second test that needs a layer waits for the first. */
async function underLock(action: () => void): Promise<void> {
  const words = [join(CACHE, `${NAME}lock`), 'sh', '-c', 'echo; exec cat'];
  const lock = spawn('flock', words, { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    await once(lock.stdout, 'data');
    action();
  } finally {
    lock.stdin.end();
  }
}
