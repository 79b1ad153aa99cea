/**
 * Reports Debian's own updates, which vigie-root does not install: how many are pending, and whether a restart is
 * needed.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Timeout of apt, ms; a board at 600 MHz takes ten seconds. */
const WITHIN_MS = 120_000;
const OUTPUT_BYTES_MAX = 4_194_304;
const EVERY_MS = 24 * 3_600_000;

export const isDue = (atMs: number | undefined, nowMs: number): boolean =>
  atMs === undefined || nowMs < atMs || nowMs - atMs >= EVERY_MS;

/**
 * Returns the number of packages that an upgrade would install, from the lists on disk; undefined if apt fails. Writes
 * nothing.
 */
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

/** Reports whether a package has made the file that asks for a restart (Debian Policy, update-notifier). */
export const rebootAsked = (runDir: string): boolean => existsSync(join(runDir, 'reboot-required'));
