/**
 * Watches a change on probation from outside it, and confirms it or rolls the box back.
 *
 * INVARIANTS:
 * - This program may be killed at any moment. The healthy time then starts again; the time limit does not, within a
 *   boot. Boots are counted (step.ts).
 * - A technician's trial is confirmed only by the technician.
 * - Rolling back needs no settings, no history, no agent that answers and no clock but the kernel's.
 */
import { rethrowBug } from '../../../../agent/base/errors.ts';
import { TRIAL_S } from '../../../../agent/contract/config-trial.ts';
import { CHANGE_KINDS } from '../../../../agent/contract/update.ts';
import type { BoxClock } from '../clock.ts';
import type { OwnRecord } from '../own-record.ts';
import { AGENT_UNIT } from '../units.ts';
import type { Machine } from './machine.ts';
import type { FinalVerdict, Payload } from './payload.ts';
import { type AgentHealth, Probation, type Reading, type UnitState } from './probation.ts';
import type { Change, Kind, Trial } from './record.ts';
import { type Input, nextAction } from './step.ts';
import type { Store } from './store.ts';

const POLL_EVERY_MS = 1000;
const DOWN: Reading = {
  unit: { active: false, gaveUp: undefined, restarts: 0 },
  health: undefined,
  journalSize: null,
};

export interface AssessmentOptions {
  readonly machine: Machine;
  readonly store: Store;
  readonly payloads: Readonly<Record<Kind, Payload>>;
  readonly clock: BoxClock;
  unit(): Promise<UnitState>;
  health(): Promise<AgentHealth | undefined>;
  readonly own: Pick<OwnRecord, 'journalSize' | 'isLawful'>;
  /** Time that a technician has to keep a trial, s. */
  readonly trialS?: number;
}

/** Returns when no change is on probation. */
export async function assessTrials(options: AssessmentOptions): Promise<void> {
  const { machine, store } = options;
  for (;;) {
    store.refresh();
    const kind = CHANGE_KINDS.find((one) => nextAction(store.state[one]) === 'judge');
    if (kind === undefined) return;
    const { trial } = store.state[kind];
    if (trial === null) return;
    let verdict = await observe(options, kind, trial);
    if (verdict === undefined) continue;
    if (verdict.state === 'good') verdict = await options.payloads[kind].proves(store.state[kind]);
    await machine.locked(async () => {
      if (!isSame(store.state[kind], trial)) return;
      const installed = options.payloads[kind].installed(store.state[kind]);
      if (verdict.state === 'bad') await machine.rollBack(kind, verdict.reason);
      else if (installed !== 'target') await machine.rollBack(kind, CHANGED_TEXT);
      else if (verdict.state === 'parked') machine.apply(kind, { on: 'parked' });
      else machine.confirm(kind);
    });
  }
}

const CHANGED_TEXT = 'someone else has changed it on the box meanwhile';

type Observation = FinalVerdict | { readonly state: 'parked' } | undefined;

/** Reports whether `change` is still the same probation; another request may have ended it. */
const isSame = (change: Change, trial: Trial): boolean =>
  nextAction(change) === 'judge' && change.trial?.id === trial.id && change.trial.beganS === trial.beganS;

/** Watches one probation and returns its verdict; undefined if another request has ended it. */
async function observe(options: AssessmentOptions, kind: Kind, trial: Trial): Promise<Observation> {
  const { payloads, clock, store, trialS = TRIAL_S } = options;
  const payload = payloads[kind];
  if (payload.installed(store.state[kind]) !== 'target') return { state: 'bad', reason: CHANGED_TEXT };
  const { before, started, beganS } = trial;
  // The time counts from the switch, not from the start of this program.
  const fromS = Math.min(beganS ?? clock.boottimeS(), clock.boottimeS());
  if (trial.id !== null) {
    while (clock.boottimeS() - fromS < trialS) {
      await clock.sleep(POLL_EVERY_MS);
      store.refresh();
      if (!isSame(store.state[kind], trial)) return undefined;
    }
    return { state: 'bad', reason: 'its time was over' };
  }
  if (!started.includes(AGENT_UNIT)) return await payload.startsAtAll();
  const { healthyS, withinS } = payload.times();
  const probation = new Probation({ before, healthyS, withinS });
  probation.assess(fromS, DOWN);
  for (let lastReason: string | undefined; ; ) {
    const reading = await takeReading(options, trial.restarts);
    const mode = reading.health?.mode;
    if (before !== null && mode !== undefined && mode !== before.mode && options.own.isLawful(before, mode)) {
      // The probation begins again.
      await applyTo(options, kind, trial, { on: 'mode-changed', mode, atS: clock.boottimeS() });
      return undefined;
    }
    const verdict = probation.assess(clock.boottimeS(), reading);
    if (verdict.state === 'good' && payload.needsActive && mode !== 'active') return { state: 'parked' };
    if (verdict.state !== 'wait') return verdict;
    if (verdict.reason !== lastReason) {
      lastReason = verdict.reason;
      await note(options, kind, trial, lastReason);
    }
    await clock.sleep(POLL_EVERY_MS);
    store.refresh();
    if (!isSame(store.state[kind], trial)) return undefined;
  }
}

/** Stores why the trial is not confirmed yet. A full disk must not end a probation. */
async function note(
  options: AssessmentOptions,
  kind: Kind,
  trial: Trial,
  reason: string | undefined,
): Promise<void> {
  try {
    await applyTo(options, kind, trial, { on: 'doubt', reason: reason ?? null });
  } catch (error) {
    rethrowBug(error);
  }
}

/** Applies an input if the probation is still the same. Throws AgentError `unavailable` if the disk refuses. */
async function applyTo(
  { machine, store }: AssessmentOptions,
  kind: Kind,
  trial: Trial,
  input: Input,
): Promise<void> {
  await machine.locked(() => {
    if (isSame(store.state[kind], trial)) machine.apply(kind, input);
    return Promise.resolve();
  });
}

/** Reads the state of the unit and the agent's health. If they cannot be read, the agent counts as unhealthy. */
async function takeReading(
  { unit, health, own }: AssessmentOptions,
  restartsBefore: number,
): Promise<Reading> {
  try {
    const state = await unit();
    // A manual start resets systemd's count.
    const restarts = state.restarts >= restartsBefore ? state.restarts - restartsBefore : state.restarts;
    return { unit: { ...state, restarts }, health: await health(), journalSize: own.journalSize() };
  } catch (error) {
    rethrowBug(error);
    return DOWN;
  }
}
