/**
 * From one release to another, and back.
 *
 * INVARIANTS: everything that runs is stopped before `current` moves, so that no process starts from one release while its other
 * half is of the other; which phase it is is on the disk before each step, and each step can be done twice. On the way back
 * nothing that fails but the link itself keeps it from going on.
 */
import { rmSync } from 'node:fs';
import { AgentError, messageOf, rethrowBug } from '../../../agent/base/errors.ts';
import type { Context } from './context.ts';
import { downloadsDir } from './places.ts';
import { ROLLED_BACK_MAX, type SwitchState } from './record.ts';
import { nameOf, sameRelease } from './releases.ts';
import { AGENT_UNIT, JUDGE_UNIT, PAGE_SOCKET, PAGE_UNIT, VISION_SOCKET, VISION_UNIT } from './units.ts';

/**
 * The sockets with them: what has knocked at one and was not let in would start its program again as soon as that is stopped,
 * before `current` has moved, and the new agent would talk to the old release's vision.
 */
const SOCKETS = [VISION_SOCKET, PAGE_SOCKET];
const STOPPED = [...SOCKETS, AGENT_UNIT, VISION_UNIT, PAGE_UNIT];
/** Vision is started by the agent. */
const STARTED = [...SOCKETS, AGENT_UNIT, PAGE_UNIT];
const SWITCH_WITHIN_S = 60;

/** From a staged target on. */
export async function beginSwitch(context: Context): Promise<void> {
  const { store, units, releases } = context;
  const started = await units.wereStarted(STARTED);
  const said = started.includes(AGENT_UNIT) ? await healthOf(context) : undefined;
  const before =
    said === undefined ? null : { mode: said.mode, camera: said.camera, journalEntries: said.journalEntries };
  const begun: SwitchState = {
    from: releases.current(),
    before,
    started,
    restarts: 0,
    boots: 0,
    probationS: null,
    returning: null,
  };
  store.change({ phase: 'switching', reason: null, switch: begun });
  await carryOn(context);
}

/** What has begun, once more from its first step: a program that was killed has left it anywhere. */
export async function carryOn(context: Context): Promise<void> {
  const { store, units, releases, clock } = context;
  const { target, switch: begun } = store.state;
  if (target === null || begun === null) throw new AgentError('bug', 'a switch without a target');
  try {
    const current = releases.current();
    if (current !== null && !sameRelease(current, begun.from) && !sameRelease(current, target))
      throw new AgentError('denied', `${nameOf(current)} runs, which it did not begin from`);
    if (!releases.has(target)) throw new AgentError('corrupt', `${nameOf(target)} is not there any more`);
    await units.stop(STOPPED);
    inTime(context);
    releases.point(target);
    await units.reload();
    const { restarts } = await units.state(AGENT_UNIT);
    inTime(context);
    store.change({
      phase: 'probation',
      switch: { ...begun, restarts, probationS: clock.boottimeS() },
      starts: [...begun.started, JUDGE_UNIT],
    });
  } catch (error) {
    rethrowBug(error);
    await giveUp(context, error);
    return;
  }
  await startPending(context);
}

async function giveUp(context: Context, error: AgentError): Promise<void> {
  const { store, releases } = context;
  const reason = `the switch failed: ${messageOf(error)}`;
  if (sameRelease(releases.current(), store.state.target)) return goBack(context, reason);
  const started = store.state.switch?.started ?? [];
  try {
    store.change({ phase: 'failed', reason, starts: started });
  } catch (again) {
    // A full disk is no reason to leave the agent stopped.
    await context.units.start(started);
    throw again;
  }
  await startPending(context);
}

function inTime({ store }: Context): void {
  if (store.ageS() > SWITCH_WITHIN_S)
    throw new AgentError('unavailable', `it took longer than ${SWITCH_WITHIN_S} s`);
}

/** To the release before. `booting`: nothing runs yet, and what is enabled starts after us. */
export async function goBack(context: Context, reason: string, booting = false): Promise<void> {
  const { store, units, releases, say } = context;
  const { switch: begun, target, rollout } = store.state;
  const from = begun?.from ?? null;
  if (begun === null || from === null || !releases.has(from)) {
    // It is all that there is.
    store.change({ phase: 'failed', reason: `no release to go back to; ${reason}` });
    return;
  }
  const current = releases.current();
  if (current !== null && !sameRelease(current, from) && !sameRelease(current, target)) {
    // A record of an earlier day, or somebody's hand: what runs is none of the two, and is left alone.
    store.change({
      phase: 'failed',
      reason: `${nameOf(current)} runs, which it did not switch to; ${reason}`,
    });
    return;
  }
  const anyway = async (what: string, act: () => void | Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      rethrowBug(error);
      say(`on the way back: ${what}: ${messageOf(error)}`);
    }
  };
  await anyway('not noted', () => {
    if (begun.returning === null) store.change({ switch: { ...begun, returning: reason } });
  });
  if (!booting) await anyway('not stopped', () => units.stop(STOPPED));
  if (!sameRelease(current, from)) {
    // What was fetched is of no use any more, and a full disk has no room for a link.
    rmSync(downloadsDir(context.places), { recursive: true, force: true });
    releases.point(from);
  }
  await anyway('units not read anew', () => units.reload());
  const starts = booting ? [] : begun.started;
  try {
    const rolledBack = [...store.state.rolledBack, { rollout, seq: target?.seq ?? 0 }].slice(
      -ROLLED_BACK_MAX,
    );
    store.change({ phase: 'rolled-back', reason, rolledBack, starts });
  } catch (error) {
    if (starts.length > 0) await anyway('not started', () => units.start(starts));
    throw error;
  }
  await startPending(context);
}

/** What was stopped for a switch runs again, whoever was killed in between. */
export async function startPending({ store, units, say }: Context): Promise<void> {
  const { starts } = store.state;
  if (starts.length === 0) return;
  try {
    await units.resetFailed(starts);
  } catch (error) {
    rethrowBug(error);
    say(messageOf(error));
  }
  await units.start(starts);
  store.change({ starts: [] });
}

async function healthOf({ health, say }: Context): ReturnType<Context['health']> {
  try {
    return await health();
  } catch (error) {
    rethrowBug(error);
    say(messageOf(error));
    return undefined;
  }
}
