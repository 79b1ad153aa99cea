/** Checks of the machine: disk, clock and permissions. */
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { TIMESYNC_FILE } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Problem } from '../../config/load.ts';
import type { Config } from '../../contract/config.ts';
import { type Finding, failed, ok, unknown } from '../../contract/finding.ts';

const execFileAsync = promisify(execFile);
const MIB = 1_048_576;

/**
 * Checks for space for outbox, archive and log of tracks, each with a write-ahead log of the same size in the worst
 * case.
 */
export function diskFinding(stateDir: string, { retention }: Config): Finding {
  const dir = nearestExisting(stateDir);
  const { bavail, bsize } = statfsSync(dir);
  const freeMiB = Math.floor((bavail * bsize) / MIB);
  const neededMiB = 2 * (retention.outboxMiB + retention.archiveMiB + retention.tracksMiB);
  const detail = `${freeMiB} MiB free for ${stateDir}, ${neededMiB} MiB needed`;
  if (freeMiB >= neededMiB) return ok('disk', detail);
  return failed('disk', detail, 'free some space, or lower retention.outboxMiB, archiveMiB and tracksMiB');
}

export function stateFinding(stateDir: string): Finding {
  const user = userInfo().username;
  const dir = nearestExisting(stateDir);
  try {
    if (!statSync(dir).isDirectory())
      return failed('state', `${dir} is not a folder`, 'move it elsewhere, or choose another --state');
    accessSync(dir, constants.W_OK | constants.X_OK);
  } catch (error) {
    const fix = `sudo install -d -o ${user} -m 0750 ${stateDir}`;
    return failed('state', `user ${user} may not write ${stateDir} (${messageOf(error)})`, fix);
  }
  const createdNote = dir === resolve(stateDir) ? '' : ' (made at the first start)';
  return ok('state', `user ${user} may write ${stateDir}${createdNote}`);
}

function nearestExisting(path: string): string {
  let dir = resolve(path);
  while (!existsSync(dir) && dirname(dir) !== dir) dir = dirname(dir);
  return dir;
}

/** Returns the errors of the files that the configuration names, as `vigie check` finds them. */
export function fileFindings({ mqtt, authorisation }: Config, problems: readonly Problem[]): Finding[] {
  const files = [mqtt?.ca, mqtt?.cert, mqtt?.key, authorisation].filter((file) => file !== undefined);
  if (files.length === 0) return [];
  if (problems.length === 0) {
    return [ok('files', `${files.length} files readable; no private key is open to others`)];
  }
  const fixes = { key: /chmod .*/, missing: /no such file/ };
  return problems.map(({ path, message, found: foundValue }) => {
    const fix =
      fixes.key.exec(message)?.[0] ??
      (fixes.missing.test(message)
        ? 'copy it there, or correct the path'
        : `make it readable for ${userInfo().username}`);
    return failed(`files ${path}`, `${foundValue ?? path}: ${message.replace(/; chmod .*/, '')}`, fix);
  });
}

type ClockState = 'synchronised' | 'not synchronised' | 'unknown';

/** Checks the clock. Rules do not need the wall clock but courts do: every event states whether it was synchronised. */
export async function clockFinding(): Promise<Finding> {
  const { state, by } = await clockState();
  if (state === 'synchronised') return ok('clock', `synchronised (${by})`);
  if (state === 'unknown') {
    return unknown(
      'clock',
      'neither systemd-timesyncd nor timedatectl nor chronyc can say whether it is synchronised',
    );
  }
  return failed(
    'clock',
    `not synchronised (${by})`,
    'let UDP port 123 out to a time server: `timedatectl timesync-status`',
  );
}

/** Queries the possible sources, the cheapest first. */
async function clockState(): Promise<{ state: ClockState; by: string }> {
  if (existsSync(TIMESYNC_FILE)) return { state: 'synchronised', by: 'systemd-timesyncd' };
  const kernel = await firstLine('timedatectl', ['show', '--property=NTPSynchronized', '--value']);
  if (kernel === 'yes' || kernel === 'no') {
    return { state: kernel === 'yes' ? 'synchronised' : 'not synchronised', by: 'timedatectl' };
  }
  // Last field of chrony's report: Normal, Insert second, Delete second or Not synchronised (chronyc(1)).
  const leap = (await firstLine('chronyc', ['-c', 'tracking']))?.split(',').at(-1);
  if (leap === undefined) return { state: 'unknown', by: '' };
  return { state: leap === 'Not synchronised' ? 'not synchronised' : 'synchronised', by: 'chrony' };
}

/** Returns the first line, or undefined if the program is missing or fails. */
async function firstLine(program: string, args: string[]): Promise<string | undefined> {
  const answer = await execFileAsync(program, args, { timeout: 3000 }).catch(() => undefined);
  return answer?.stdout.split('\n')[0];
}
