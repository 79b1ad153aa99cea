/**
 * Running releases of the agent and of root's program, and the progress of their updates, from root's world-readable
 * status.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import { type Finding, failed, ok, unknown } from '../../contract/finding.ts';
import { type ReleaseKind, releaseName } from '../../contract/release.ts';
import { STATUS_FILE, UPDATE_DIR, type UpdaterStatus } from '../../contract/update.ts';
import { readStatus } from '../../update/root-files.ts';

/** Returns a finding for each program; none on a box without root's program. */
export function releaseFindings(env: NodeJS.ProcessEnv): Finding[] {
  const file = join(env['VIGIE_UPDATE_DIR'] ?? UPDATE_DIR, STATUS_FILE);
  if (!existsSync(file)) return [];
  try {
    const status = readStatus(file);
    return [findingOf('release', status), findingOf('root', status.root)];
  } catch (error) {
    return [unknown('release', `${file} cannot be read: ${messageOf(error)}`)];
  }
}

type Change = Pick<UpdaterStatus, 'release' | 'target' | 'phase' | 'rollout' | 'reason'>;

function findingOf(name: ReleaseKind, { release, target, phase, rollout, reason }: Change): Finding {
  const releaseText = (one: typeof release): string =>
    one === null ? 'none' : printable(releaseName(one.seq, one.version));
  const targetText = target === null ? '' : `, ordered ${releaseText(target)}`;
  const reasons = [
    rollout === null ? '' : ` (rollout ${rollout})`,
    reason === null ? '' : `: ${printable(reason)}`,
  ];
  const detail = `${releaseText(release)}${targetText}, ${phase}${reasons.join('')}`;
  if (phase !== 'rolled-back' && phase !== 'failed') return ok(name, detail);
  return failed(name, detail, 'docs/guide/operations.md, update-failed');
}
