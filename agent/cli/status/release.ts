/** Which releases of the agent and of root's program a box runs, and how far it is with others, as root tells everybody there. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { printable } from '../../base/printable.ts';
import { type Finding, failed, ok, unknown } from '../../contract/finding.ts';
import { type ReleaseKind, releaseName } from '../../contract/release.ts';
import { STATUS_FILE, UPDATE_DIR, UpdaterStatus } from '../../contract/update.ts';

/** A finding for each program; nothing on a box without root's program. */
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
  return [findingOf('release', said), findingOf('root', said.root)];
}

type Change = Pick<UpdaterStatus, 'release' | 'target' | 'phase' | 'rollout' | 'reason'>;

function findingOf(name: ReleaseKind, { release, target, phase, rollout, reason }: Change): Finding {
  const named = (one: typeof release): string =>
    one === null ? 'none' : printable(releaseName(one.seq, one.version));
  const wanted = target === null ? '' : `, ordered ${named(target)}`;
  const why = [
    rollout === null ? '' : ` (rollout ${rollout})`,
    reason === null ? '' : `: ${printable(reason)}`,
  ];
  const detail = `${named(release)}${wanted}, ${phase}${why.join('')}`;
  if (phase !== 'rolled-back' && phase !== 'failed') return ok(name, detail);
  return failed(name, detail, 'docs/guide/operations.md, update-failed');
}
