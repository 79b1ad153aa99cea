/**
 * Looks up the agent's user, under which a release's own code runs while it is checked. None of that code runs as root.
 */
import { spawnSync } from 'node:child_process';
import { AgentError } from '../../../agent/base/errors.ts';

/** Options of child_process that give a child the user's uid and primary group, and no other group. */
export interface ChildUser {
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Returns an empty object if this process is not root and therefore cannot change user.
 *
 * @throws AgentError config: the user is missing, or is root
 */
export function childUser(name: string): ChildUser {
  if (process.geteuid?.() !== 0) return {};
  const { stdout } = spawnSync('getent', ['passwd', '--', name], { encoding: 'utf8' });
  const [, , uid, gid] = (stdout ?? '').split(':').map(Number);
  if (uid !== undefined && gid !== undefined && uid > 0 && gid > 0) return { uid, gid };
  throw new AgentError('config', `user ${name}: must exist, and must not be root`);
}
