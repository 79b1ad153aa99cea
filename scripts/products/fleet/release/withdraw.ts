/** Makes targets without new content: without some releases, or unchanged for another 90 days. */
import type { Metadata, Targets } from '@tufjs/models';
import { AgentError } from '../../../../agent/base/errors.ts';
import { targetsOf } from './metadata.ts';
import { offered, type Repository } from './repository.ts';
import { filesOf, PROGRAM_NAMES } from './words.ts';

/** Returns the targets without these releases; unchanged if none is named. Throws AgentError `config`. */
export function targetsWithout(
  repository: Repository,
  seqs: readonly number[],
  nowMs: number,
): Metadata<Targets> {
  const now = repository.targets()?.signed;
  if (now === undefined) throw new AgentError('config', `${repository.dir}: no release is published yet`);
  const all = offered(now);
  const unknown = seqs.find((seq) => !all.some(({ custom }) => custom.seq === seq));
  if (unknown !== undefined) {
    const offers = [
      ...new Set(all.map(({ custom: { seq, what: kind } }) => `${seq} (${PROGRAM_NAMES[kind]})`)),
    ].join(', ');
    throw new AgentError(
      'config',
      `release ${unknown} is not on offer; there are ${offers === '' ? 'none' : offers}`,
    );
  }
  const keptPaths = all.filter(({ custom }) => !seqs.includes(custom.seq)).flatMap(filesOf);
  const keptTargets = keptPaths.flatMap((path) => now.targets[path] ?? []);
  return targetsOf(keptTargets, repository.nextVersion('targets'), nowMs);
}
