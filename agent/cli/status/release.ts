/** Which release the box runs and how far it is with another, as root's updater tells everybody on the box. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { printable } from '../../base/printable.ts';
import { type Finding, failed, ok, unknown } from '../../contract/finding.ts';
import { releaseName } from '../../contract/release.ts';
import { STATUS_FILE, UPDATE_DIR, UpdaterStatus } from '../../contract/update.ts';

/** Nothing on a box without the updater. */
export function releaseFindings(env: NodeJS.ProcessEnv): Finding[] {
  const file = join(env['VIGIE_UPDATE_DIR'] ?? UPDATE_DIR, STATUS_FILE);
  if (!existsSync(file)) return [];
  let said: unknown;
  try {
    said = jsonOf(readFileSync(file, 'utf8'));
  } catch (error) {
    return [unknown('release', `${file} cannot be read (${messageOf(error)})`)];
  }
  if (!Value.Check(UpdaterStatus, said))
    return [unknown('release', `${file} is not of its form; is the updater of another version?`)];
  const { release, target, phase, rollout, reason } = said;
  const named = (one: typeof release): string =>
    one === null ? 'none' : printable(releaseName(one.seq, one.version));
  const wanted = target === null ? '' : `, ordered ${named(target)}`;
  const why = [
    rollout === null ? '' : ` (rollout ${rollout})`,
    reason === null ? '' : `: ${printable(reason)}`,
  ];
  const detail = `${named(release)}${wanted}, ${phase}${why.join('')}`;
  if (phase !== 'rolled-back' && phase !== 'failed') return [ok('release', detail)];
  return [failed('release', detail, 'docs/guide/operations.md, update-failed')];
}
