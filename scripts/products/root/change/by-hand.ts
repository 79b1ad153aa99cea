/**
 * Changes that a person starts on the box: roll back to the previous release, or switch to the release of a package.
 */
import { execFile } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { flush } from '../../../../agent/base/atomic-file.ts';
import { AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import { MANIFEST_FILE, type ReleaseKind, type ReleaseVersion } from '../../../../agent/contract/release.ts';
import { verifyTree } from '../../../lib/manifest.ts';
import { diskError } from '../disk-error.ts';
import { formsProblem } from '../fits.ts';
import type { Places } from '../paths.ts';
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
import { AT_REST, otherOnTrial } from './record.ts';
import { releaseOf, targetOf } from './release-payload.ts';

const run = promisify(execFile);

export interface ByHand {
  readonly machine: Machine;
  readonly releases: Readonly<Record<ReleaseKind, ReleaseFolder>>;
  readonly places: Places;
}

/**
 * Rolls back to the stored previous release, with the same switch and probation as an update.
 *
 * @throws AgentError denied
 */
export async function rollBack({ machine, releases: { release: releases } }: ByHand): Promise<void> {
  assertFree(machine, 'release');
  const { previous: previousTarget, seqMin } = machine.state;
  const previous = previousTarget === null ? null : releaseOf(previousTarget);
  if (previous === null || !releases.has(previous))
    throw new AgentError('denied', 'no previous release is stored to roll back to');
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

/**
 * Switches to the release that the package of the agent, or of vigie-root, has installed.
 *
 * @throws AgentError
 */
export async function fromPackage(
  { machine, releases: folders, places }: ByHand,
  kind: ReleaseKind,
): Promise<void> {
  assertFree(machine, kind);
  const releases = folders[kind];
  const first = kind === 'release' ? places.firstRelease : places.firstRoot;
  if (!existsSync(first)) throw new AgentError('denied', `${first}: no package has brought a release`);
  const brought = readVersion(first);
  const { seq, version } = brought;
  const release = { seq, version };
  const current = releases.current();
  // An older vigie-root is refused by its sequence number, as in an update order.
  const seqMin = kind === 'release' ? machine.state.seqMin : (current?.seq ?? 0);
  if (current !== null && sameRelease(current, release)) {
    const isEqual = manifestText(first) === manifestText(releases.dirOf(current));
    const fix = isEqual
      ? ''
      : '; the package has other files under the same number: commit them, and make and install the package again';
    throw new AgentError('denied', `${nameOf(release)} runs already${fix}`);
  }
  if (seq < seqMin)
    throw new AgentError(
      'denied',
      `${nameOf(release)} is below ${seqMin}, the lowest that the box may roll back to`,
    );
  assertReads(releases, current, brought);
  const target = targetOf(release);
  const reason = 'of the package';
  const shared = kind === 'release' ? { targetSeqMin: seqMin } : {};
  machine.apply(kind, { on: 'begin', phase: 'verified', target, reason }, shared);
  try {
    await stageCopy(releases, first, release);
  } catch (error) {
    rethrowBug(error);
    machine.apply(kind, { on: 'fail', reason: messageOf(error) });
    throw error;
  }
  machine.apply(kind, { on: 'staged' });
  await machine.switchNow(kind);
}

function manifestText(dir: string): string {
  return readFileSync(join(dir, MANIFEST_FILE), 'utf8');
}

/**
 * Copies the package's release. Uses hard links on the same file system, since dpkg replaces files and never writes
 * into them.
 */
async function stageCopy(releases: ReleaseFolder, first: string, release: Release): Promise<void> {
  const stage = join(releases.lib, 'releases', '.from-package');
  try {
    const entries = manifestOf(first);
    assertNoUnits(nameOf(release), entries);
    rmSync(stage, { recursive: true, force: true });
    const isLinked = lstatSync(first).dev === lstatSync(releases.lib).dev;
    await run('cp', [isLinked ? '-al' : '-a', first, stage]);
    await verifyTree(stage, entries);
    await run('sync', ['-f', stage]);
    if (releases.has(release)) releases.remove(release);
    renameSync(stage, releases.dirOf(release));
    flush(join(releases.lib, 'releases'));
  } catch (error) {
    throw diskError(stage, error);
  }
}

/**
 * Refuses a manual change while another change is under way.
 *
 * @throws AgentError denied
 */
function assertFree({ state }: Machine, kind: ReleaseKind): void {
  const other = otherOnTrial(state, kind);
  if (other !== undefined) throw new AgentError('denied', `another ${other} is on trial; wait for its end`);
  const { phase, target } = state[kind];
  if (AT_REST.has(phase) || phase === 'waiting') return;
  const update = target === null ? 'an update' : `the update to ${nameOf(releaseOf(target))}`;
  throw new AgentError(
    'denied',
    `${update} is under way (${phase}); wait for its end, or have the room withdraw it`,
  );
}

function assertReads(releases: ReleaseFolder, current: Release | null, next: ReleaseVersion): void {
  const running = current === null ? undefined : releases.formsOf(current);
  const problem = running && formsProblem(next, running);
  if (problem !== undefined) throw new AgentError('denied', `${nameOf(next)} ${problem}`);
}
