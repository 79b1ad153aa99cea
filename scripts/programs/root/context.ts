/** What all parts of the updater work with. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentHealth } from '../../../agent/base/probation.ts';
import { VERSION_FILE } from '../../../agent/contract/release.ts';
import { type BoxClock, builtMs, clockFault } from './clock.ts';
import { downloadsDir, type Places } from './places.ts';
import { type Release, type ReleaseFolder, sameRelease } from './releases.ts';
import type { Store } from './store.ts';
import type { Units } from './units.ts';

export interface Context {
  readonly places: Places;
  readonly clock: BoxClock;
  readonly store: Store;
  readonly releases: ReleaseFolder;
  readonly units: Units;
  /** What the agent says of itself; undefined: nobody answers. */
  health(): Promise<AgentHealth | undefined>;
  say(line: string): void;
}

/** Why the clock is not believed; undefined where it is. */
export function clockDoubt({ clock, store, places }: Context): string | undefined {
  const madeMs = builtMs(join(places.lib, 'current', VERSION_FILE));
  return clockFault(clock, { seenMs: store.state.seenMs, madeMs });
}

/** What was on its way to this box, when the record says so no more; never what runs, or what it would go back to. */
export function dropTarget({ store, releases, places }: Context, target: Release | null): void {
  rmSync(downloadsDir(places), { recursive: true, force: true });
  if (target === null) return;
  if (sameRelease(target, releases.current()) || sameRelease(target, store.state.previous)) return;
  releases.remove(target);
}

/** All but the current and the previous release go; nothing while it is not certain which stays. */
export function removeOthers({ store, releases, say }: Context): void {
  const { previous, phase } = store.state;
  const current = releases.current();
  const certain = phase === 'confirmed' || phase === 'rolled-back' || phase === 'failed' || phase === 'idle';
  if (!certain || current === null) return;
  const keep = (release: Release): boolean => sameRelease(release, current) || sameRelease(release, previous);
  for (const release of releases.list().filter((one) => !keep(one))) {
    say(`release ${release.version} (${release.seq}) is removed`);
    releases.remove(release);
  }
}
