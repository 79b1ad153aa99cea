/** For a command of root's that writes a folder of another user: it runs again as that user, whatever lies there. */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';

/**
 * The exit code of this very command, run as the owner of `dir`; undefined where this is that user, or not root. By
 * setpriv(1), since node refuses seteuid(2) where its libuv may use io_uring (CVE-2024-22017).
 */
export function againAsOwner(dir: string): number | undefined {
  if (process.geteuid?.() !== 0 || !existsSync(dir)) return undefined;
  const { uid, gid } = statSync(dir);
  if (uid === 0) return undefined;
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const as = [`--reuid=${uid}`, `--regid=${gid}`, '--init-groups'];
  const { status, error } = spawnSync('setpriv', [...as, '--', ...self], { stdio: 'inherit' });
  if (error !== undefined) throw new AgentError('unavailable', `setpriv: ${error.message}`, error);
  return status ?? 1;
}
