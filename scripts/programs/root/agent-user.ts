/** User of the agent, for code of a release that must run to judge it: none of that runs as root. */
import { spawnSync } from 'node:child_process';
import { AgentError } from '../../../agent/base/errors.ts';

/** Options of child_process for a child of that user, with its group and no other. */
export interface ChildUser {
  readonly uid?: number;
  readonly gid?: number;
}

/** Empty where this process is not root, and can be nobody else. Throws AgentError `config` where the user is missing, or is root. */
export function childUser(name: string): ChildUser {
  if (process.geteuid?.() !== 0) return {};
  const { stdout } = spawnSync('getent', ['passwd', '--', name], { encoding: 'utf8' });
  const [, , uid, gid] = (stdout ?? '').split(':').map(Number);
  if (uid !== undefined && gid !== undefined && uid > 0 && gid > 0) return { uid, gid };
  throw new AgentError('config', `user ${name}: must exist, and must not be root`);
}
