/** What a person at the box may begin: back to the release that is kept, or to the one that the package has brought. */
import { execFile } from 'node:child_process';
import { existsSync, lstatSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { flush } from '../../../../agent/base/atomic-file.ts';
import { AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { ReleaseVersion } from '../../../../agent/contract/release.ts';
import { verifyTree } from '../../../lib/manifest.ts';
import { diskError } from '../disk-error.ts';
import type { Places } from '../places.ts';
import {
  manifestOf,
  nameOf,
  type Release,
  type ReleaseFolder,
  readVersion,
  sameRelease,
} from '../releases.ts';
import { assertNoUnits } from '../unit-files.ts';
import type { Machine } from './machine.ts';
import { AT_REST, SWITCHED } from './record.ts';
import { releaseOf, targetOf } from './release-payload.ts';

const run = promisify(execFile);

export interface ByHand {
  readonly machine: Machine;
  readonly releases: ReleaseFolder;
  readonly places: Places;
}

/** Goes to the kept previous release, through the same switch and probation. Throws AgentError `denied`. */
export async function back({ machine, releases }: ByHand): Promise<void> {
  assertFree(machine);
  const { previous: kept, seqMin } = machine.state;
  const previous = kept === null ? null : releaseOf(kept);
  if (previous === null || !releases.has(previous))
    throw new AgentError('denied', 'no release is kept to go back to');
  const current = releases.current();
  if (previous.seq < seqMin) {
    const least = `${current === null ? 'the current release' : nameOf(current)} must not be left for one below ${seqMin}`;
    throw new AgentError('denied', `${nameOf(previous)}: ${least}`);
  }
  assertReads(releases, current, releases.versionOf(previous));
  await releases.verify(previous);
  const target = targetOf(previous);
  machine.apply(
    'release',
    { on: 'begin', phase: 'staged', target, reason: 'by hand' },
    { targetSeqMin: seqMin },
  );
  await machine.switchNow('release');
}

/** Goes to the release of the agent's package. Throws AgentError. */
export async function fromPackage({ machine, releases, places }: ByHand): Promise<void> {
  assertFree(machine);
  if (!existsSync(places.firstRelease))
    throw new AgentError('denied', `${places.firstRelease}: no package has brought a release`);
  const brought = readVersion(places.firstRelease);
  const { seq, version } = brought;
  const release = { seq, version };
  const current = releases.current();
  const { seqMin } = machine.state;
  if (sameRelease(current, release)) throw new AgentError('denied', `${nameOf(release)} runs already`);
  if (seq < seqMin)
    throw new AgentError(
      'denied',
      `${nameOf(release)} is below ${seqMin}, the least that may be gone back to`,
    );
  assertReads(releases, current, brought);
  const target = targetOf(release);
  const reason = 'of the package';
  machine.apply('release', { on: 'begin', phase: 'verified', target, reason }, { targetSeqMin: seqMin });
  try {
    await stageCopy(releases, places, release);
  } catch (error) {
    rethrowBug(error);
    machine.apply('release', { on: 'fail', reason: messageOf(error) });
    throw error;
  }
  machine.apply('release', { on: 'staged' });
  await machine.switchNow('release');
}

/** Hard links where the file system is the same: dpkg replaces files, it never writes into them. */
async function stageCopy(releases: ReleaseFolder, { firstRelease }: Places, release: Release): Promise<void> {
  const stage = join(releases.lib, 'releases', '.from-package');
  try {
    const entries = manifestOf(firstRelease);
    assertNoUnits(nameOf(release), entries);
    rmSync(stage, { recursive: true, force: true });
    const isLinked = lstatSync(firstRelease).dev === lstatSync(releases.lib).dev;
    await run('cp', [isLinked ? '-al' : '-a', firstRelease, stage]);
    await verifyTree(stage, entries);
    await run('sync', ['-f', stage]);
    if (releases.has(release)) releases.remove(release);
    renameSync(stage, releases.dirOf(release));
    flush(join(releases.lib, 'releases'));
  } catch (error) {
    throw diskError(stage, error);
  }
}

/** For what a person begins on the box: not in the middle of something else. Throws AgentError `denied`. */
function assertFree({ state: { release, configuration } }: Machine): void {
  if (SWITCHED.has(configuration.phase))
    throw new AgentError('denied', 'a configuration is on trial; wait for its end');
  if (AT_REST.has(release.phase) || release.phase === 'waiting') return;
  const what = release.target === null ? 'an update' : `the update to ${nameOf(releaseOf(release.target))}`;
  throw new AgentError(
    'denied',
    `${what} is under way (${release.phase}); wait for its end, or have the room withdraw it`,
  );
}

function assertReads(releases: ReleaseFolder, current: Release | null, next: ReleaseVersion): void {
  const stateWrites = current === null ? undefined : releases.stateWritesOf(current);
  if (current === null || stateWrites === undefined) return;
  const [oldest, newest] = next.stateReads;
  if (stateWrites >= oldest && stateWrites <= newest) return;
  throw new AgentError(
    'denied',
    `${nameOf(next)} reads state of form ${oldest} to ${newest}; ${nameOf(current)} writes ${stateWrites}`,
  );
}
