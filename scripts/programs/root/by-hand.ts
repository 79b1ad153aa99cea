/** What a person at the box may begin: back to the release that is kept, or to the one that the package has brought. */

import { execFile } from 'node:child_process';
import { existsSync, lstatSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { flush } from '../../../agent/base/atomic-file.ts';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { verifyTree } from '../../lib/manifest.ts';
import type { Context } from './context.ts';
import { diskError } from './disk-error.ts';
import { assertFree } from './engine.ts';
import type { State } from './record.ts';
import { manifestOf, nameOf, type Release, readVersion, sameRelease } from './releases.ts';
import { beginSwitch } from './switching.ts';

const run = promisify(execFile);
/** No order is behind it. */
const NO_ORDER = { rollout: null, order: null, paused: false, switch: null, undone: 0 } as const;

/** To the kept previous release, through the same switch and probation. Throws AgentError `denied`. */
export async function back(context: Context): Promise<void> {
  const { store, releases } = context;
  assertFree(context);
  const { previous, seqMin } = store.state;
  if (previous === null || !releases.has(previous))
    throw new AgentError('denied', 'no release is kept to go back to');
  const current = releases.current();
  if (previous.seq < seqMin) {
    const least = `${current === null ? 'the current release' : nameOf(current)} must not be left for one below ${seqMin}`;
    throw new AgentError('denied', `${nameOf(previous)}: ${least}`);
  }
  assertReads(context, current, previous);
  await releases.verify(previous);
  store.change({ ...NO_ORDER, phase: 'staged', target: previous, reason: 'by hand', targetSeqMin: seqMin });
  await beginSwitch(context);
}

/** To the release of the agent's package. Throws AgentError. */
export async function fromPackage(context: Context): Promise<void> {
  const { store, releases, places } = context;
  assertFree(context);
  if (!existsSync(places.firstRelease))
    throw new AgentError('denied', `${places.firstRelease}: no package has brought a release`);
  const { seq, version } = readVersion(places.firstRelease);
  const target = { seq, version };
  const current = releases.current();
  if (sameRelease(current, target)) throw new AgentError('denied', `${nameOf(target)} runs already`);
  if (seq < store.state.seqMin)
    throw new AgentError(
      'denied',
      `${nameOf(target)} is below ${store.state.seqMin}, the least that may be gone back to`,
    );
  assertReads(context, current, readVersion(places.firstRelease));
  store.change({
    ...NO_ORDER,
    phase: 'verified',
    target,
    reason: 'of the package',
    targetSeqMin: store.state.seqMin,
  });
  try {
    await stageCopy(context, target);
  } catch (error) {
    const reason = messageOf(error);
    store.change({ phase: 'failed', reason });
    throw error;
  }
  store.change({ phase: 'staged', reason: 'of the package' });
  await beginSwitch(context);
}

/** Hard links where the file system is the same: dpkg replaces files, it never writes into them. */
async function stageCopy({ releases, places }: Context, target: Release): Promise<void> {
  const stage = join(releases.lib, 'releases', '.from-package');
  const entries = manifestOf(places.firstRelease);
  try {
    rmSync(stage, { recursive: true, force: true });
    const linked = lstatSync(places.firstRelease).dev === lstatSync(releases.lib).dev;
    await run('cp', [linked ? '-al' : '-a', places.firstRelease, stage]);
    await verifyTree(stage, entries);
    await run('sync', ['-f', stage]);
    if (releases.has(target)) releases.remove(target);
    renameSync(stage, releases.dirOf(target));
    flush(join(releases.lib, 'releases'));
  } catch (error) {
    throw diskError(stage, error);
  }
}

function assertReads({ releases }: Context, current: Release | null, next: Release | State['target']): void {
  if (current === null || next === null) return;
  const stateWrites = releases.stateWritesOf(current);
  if (stateWrites === undefined) return;
  const { stateReads } =
    'stateReads' in next ? (next as ReturnType<typeof readVersion>) : releases.versionOf(next);
  const [oldest, newest] = stateReads;
  if (stateWrites >= oldest && stateWrites <= newest) return;
  throw new AgentError(
    'denied',
    `${nameOf(next)} reads state of form ${oldest} to ${newest}; ${nameOf(current)} writes ${stateWrites}`,
  );
}
