/** Debian's own updates, which are not ours to install: how many wait, and whether a restart is asked for. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** A board at 600 MHz takes ten seconds. */
const WITHIN_MS = 120_000;
const OUTPUT_BYTES_MAX = 4_194_304;
const EVERY_MS = 24 * 3_600_000;

export const isDue = (atMs: number | undefined, nowMs: number): boolean =>
  atMs === undefined || nowMs < atMs || nowMs - atMs >= EVERY_MS;

/** Packages that an upgrade would install, of the lists that lie there; undefined where apt cannot say. It writes nothing. */
export function pendingUpdates(aptGet: string): Promise<number | undefined> {
  const args = [
    '-s',
    '-q',
    '-o',
    'Debug::NoLocking=1',
    '-o',
    'Dir::Cache::pkgcache=',
    '-o',
    'Dir::Cache::srcpkgcache=',
  ];
  const options = {
    encoding: 'utf8',
    timeout: WITHIN_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
  } as const;
  return new Promise((resolve) => {
    execFile(aptGet, [...args, 'upgrade'], options, (error, stdout) => {
      resolve(error === null ? (stdout.match(/^Inst /gm) ?? []).length : undefined);
    });
  });
}

/** Packages that need it make the file (Debian Policy, update-notifier). */
export const rebootAsked = (runDir: string): boolean => existsSync(join(runDir, 'reboot-required'));
