/** For a command of root's that writes a folder of another user: it runs again as that user, whatever lies there. */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';

/**
 * The exit code of this very command, run as the owner of `dir`; undefined where this is that user, or not root. By
 * setpriv(1), since node refuses seteuid(2) where its libuv may use io_uring (CVE-2024-22017). `devices`: groups, each of
 * which exists, that it has beside the owner's own.
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

/** By number, as a login would have them; none where the machine does not know the user. */
function groupsOf(uid: number): string[] {
  const { status, stdout } = spawnSync('id', ['-G', String(uid)], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().split(' ') : [];
}
