/**
 * Runs a command of root again as the owner of the folder that it writes, because that user may have placed anything
 * there.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';

/**
 * Runs this command again as the owner of `dir` and returns its exit code; undefined if this process is that user, or
 * not root.
 * It uses setpriv(1), because node refuses seteuid(2) if its libuv may use io_uring (CVE-2024-22017). `devices`:
 * existing groups that it gets beside the owner's own.
 */
export function againAsOwner(dir: string, devices: readonly string[] = []): number | undefined {
  if (process.geteuid?.() !== 0 || !existsSync(dir)) return undefined;
  const { uid, gid } = statSync(dir);
  if (uid === 0) return undefined;
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const groups =
    devices.length === 0 ? '--init-groups' : `--groups=${[...groupsOf(uid), ...devices].join(',')}`;
  const as = [`--reuid=${uid}`, `--regid=${gid}`, groups];
  const { status, error } = spawnSync('setpriv', [...as, '--', ...self], { stdio: 'inherit' });
  if (error !== undefined) throw new AgentError('unavailable', `setpriv: ${error.message}`, error);
  return status ?? 1;
}

/** Returns the groups of a login by number; none if the machine does not know the user. */
function groupsOf(uid: number): string[] {
  const { status, stdout } = spawnSync('id', ['-G', String(uid)], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().split(' ') : [];
}
