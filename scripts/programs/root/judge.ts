/**
 * The probation of what was switched to, from outside of it, and its end: it stays, or the box goes back.
 *
 * INVARIANT: this program may be killed and the box may lose its power at any moment; the healthy time begins anew then, the
 * time within which it must come does not (in a boot), and boots are counted (boot.ts).
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { messageOf, rethrowBug } from '../../../agent/base/errors.ts';
import { type AgentHealth, Probation, type UnitState, type Verdict } from '../../../agent/base/probation.ts';
import { type Context, removeOthers } from './context.ts';
import type { SwitchState } from './record.ts';
import { sameRelease } from './releases.ts';
import { goBack } from './switching.ts';
import { AGENT_UNIT } from './units.ts';

const LOOK_EVERY_MS = 1000;
/** A program on a board that swaps. */
const START_WITHIN_MS = 60_000;

export interface JudgeTimes {
  readonly healthyS: number;
  readonly withinS: number;
}

/** Returns when it is over. */
export async function judge(context: Context, times: JudgeTimes): Promise<void> {
  const { store, releases } = context;
  const { phase, switch: begun, target } = store.state;
  if (phase !== 'probation' || begun === null) return;
  if (begun.returning !== null) return await goBack(context, begun.returning);
  if (!sameRelease(releases.current(), target))
    return await goBack(context, 'the box was put back to another release');
  const verdict = begun.started.includes(AGENT_UNIT)
    ? await observe(context, begun, times)
    : await startsAtAll(context);
  if (verdict.state === 'good') confirm(context, begun);
  else await goBack(context, verdict.why);
}

async function observe(
  { clock, units, health, store }: Context,
  { before, probationS, restarts }: SwitchState,
  times: JudgeTimes,
): Promise<Exclude<Verdict, { state: 'wait' }>> {
  const probation = new Probation({ before: before ?? undefined, ...times });
  // The time counts from the switch, not from the start of this program.
  const beganS = Math.min(probationS ?? clock.boottimeS(), clock.boottimeS());
  probation.look(beganS, { active: false, gaveUp: undefined, restarts: 0 }, undefined);
  let why: string | undefined;
  for (;;) {
    const seen = await look({ units, health }, restarts);
    const verdict = probation.look(clock.boottimeS(), seen.unit, seen.health);
    if (verdict.state !== 'wait') return verdict;
    if (verdict.why !== why) {
      why = verdict.why;
      note(store, why);
    }
    await clock.sleep(LOOK_EVERY_MS);
  }
}

/** A full disk must not end a probation. */
function note(store: Context['store'], why: string | undefined): void {
  try {
    store.change({ reason: why ?? null });
  } catch (error) {
    rethrowBug(error);
  }
}

interface Seen {
  readonly unit: UnitState;
  readonly health: AgentHealth | undefined;
}

/** What cannot be asked is not well. */
async function look(
  { units, health }: Pick<Context, 'units' | 'health'>,
  restartsBefore: number,
): Promise<Seen> {
  try {
    const unit = await units.state(AGENT_UNIT);
    // A start by hand begins the count anew.
    const restarts = unit.restarts >= restartsBefore ? unit.restarts - restartsBefore : unit.restarts;
    return { unit: { ...unit, restarts }, health: await health() };
  } catch (error) {
    rethrowBug(error);
    return { unit: { active: false, gaveUp: undefined, restarts: 0 }, health: undefined };
  }
}

/** Where no agent ran before none runs now: that the program starts is all that can be judged. */
async function startsAtAll({ places }: Context): Promise<Exclude<Verdict, { state: 'wait' }>> {
  const program = join(places.lib, 'current/dist/agent/cli/main.js');
  return await new Promise((resolve) => {
    execFile(process.execPath, [program, '--version'], { timeout: START_WITHIN_MS }, (error) => {
      if (error === null) resolve({ state: 'good' });
      else resolve({ state: 'bad', why: `its program does not start: ${messageOf(error).slice(0, 300)}` });
    });
  });
}

function confirm(context: Context, { from, started }: SwitchState): void {
  const { store } = context;
  const ran = started.includes(AGENT_UNIT);
  const reason = ran ? null : 'the agent did not run before: only that its program starts was judged';
  const { targetSeqMin } = store.state;
  store.change({ phase: 'confirmed', reason, previous: from, seqMin: targetSeqMin, undone: 0 });
  removeOthers(context);
}
