/**
 * What a power cut has left is finished or undone, before the agent starts; once in each boot, by whichever of our programs comes
 * first.
 */
import type { Context } from './context.ts';
import { sameRelease } from './releases.ts';
import { goBack } from './switching.ts';

/** A release that takes the box down with it has had its chances. */
const BOOTS_MAX = 3;
const UNDONE_MAX = 3;

/** `booting`: nothing of ours runs yet. */
export async function repair(context: Context, booting: boolean): Promise<void> {
  const { store, clock, releases } = context;
  releases.sweep();
  heal(context);
  const { boot, phase, starts } = store.state;
  if (boot === clock.bootId()) return;
  // A boot starts what is enabled.
  if (starts.length > 0) store.change({ starts: [] });
  if (phase === 'switching') return await settleSwitch(context, booting);
  if (phase === 'probation') return await countBoot(context, booting);
}

async function settleSwitch(context: Context, booting: boolean): Promise<void> {
  const { store, releases } = context;
  const { target, undone } = store.state;
  if (sameRelease(releases.current(), target)) return await countBoot(context, booting);
  if (undone >= UNDONE_MAX) {
    store.change({ phase: 'failed', reason: `power was lost in ${undone + 1} switches` });
    return;
  }
  store.change({ phase: 'staged', reason: 'power was lost before the switch', undone: undone + 1 });
}

async function countBoot(context: Context, booting: boolean): Promise<void> {
  const { store, clock } = context;
  const { switch: begun, phase } = store.state;
  if (begun === null) return;
  const boots = begun.boots + 1;
  if (begun.returning !== null) return await goBack(context, begun.returning, booting);
  if (boots > BOOTS_MAX)
    return await goBack(context, `started ${boots} times without having proved itself`, booting);
  const now = { boot: clock.bootId(), sinceS: clock.boottimeS() };
  const counted = { ...begun, boots, probationS: now.sinceS, restarts: 0 };
  // The journal has been told of a probation once.
  store.change({
    ...(phase === 'probation' ? {} : { phase: 'probation' as const }),
    ...now,
    switch: counted,
  });
}

/** A box without `current` starts nothing: the one that it came from, or the newest that is whole. */
function heal({ store, releases, say }: Context): void {
  if (releases.current() !== null) return;
  const { switch: begun, previous } = store.state;
  const candidates = [begun?.from ?? null, previous, ...releases.list().reverse()];
  const chosen = candidates.find((release) => release !== null && releases.has(release));
  if (chosen === undefined || chosen === null) return;
  say(`current led to no release; it leads to ${chosen.version} (${chosen.seq}) now`);
  releases.point(chosen);
}
