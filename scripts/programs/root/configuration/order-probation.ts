/**
 * From a look at the room's order to what came of it: each trial is judged once a second by what the agent says of itself
 * and by what systemd says of it.
 *
 * LIMITS: HEALTHY_S of unbroken health; the judge is done SPARE_S before the timer that would put the trial back.
 */
import {
  type AgentHealth,
  Probation,
  type UnitState,
  type Verdict,
} from '../../../../agent/base/probation.ts';
import type { ConfigOrders } from './config-order.ts';

const HEALTHY_S = 20;
const SPARE_S = 3;
/** An agent that does not answer by then does not run. */
const START_S = 30;
const LOOK_EVERY_MS = 1000;

interface Seen {
  readonly unit: UnitState;
  readonly health: AgentHealth | undefined;
}

export interface OrderProbationOptions {
  readonly orders: Pick<ConfigOrders, 'look' | 'trial' | 'leftS' | 'conclude'>;
  seen(): Promise<Seen>;
  /** Nobody else works at the configuration meanwhile. */
  alone<T>(act: () => T): Promise<T>;
  readonly clock: { nowMs(): number; sleep(delayMs: number): Promise<void> };
  readonly healthyS?: number;
  readonly startS?: number;
}

/** Does what is to be done now; returns whether to look again in some minutes. Throws AgentError. */
export async function followOrders(options: OrderProbationOptions): Promise<boolean> {
  const { orders, alone } = options;
  for (let judged = false; ; judged = true) {
    const health = await answering(options);
    const state = await alone(() => orders.look(health));
    // What has come since the last look may have started nobody.
    if (state !== 'probation') return judged || state === 'pending';
    await judge(options);
  }
}

/** At boot, and when it has just begun, the agent takes a while to answer. */
async function answering({ seen, clock, startS = START_S }: OrderProbationOptions) {
  const untilMs = clock.nowMs() + startS * 1000;
  for (;;) {
    const { health } = await seen();
    if (health !== undefined || clock.nowMs() >= untilMs) return health;
    await clock.sleep(LOOK_EVERY_MS);
  }
}

async function judge({ orders, seen, alone, clock, healthyS = HEALTHY_S }: OrderProbationOptions) {
  const { trial } = orders;
  if (trial === undefined) return;
  const before = trial.order?.before ?? undefined;
  // Of a trial that has waited for it: a box that is suspended once more goes on waiting.
  const waited = before?.mode === 'active' && before.camera === '';
  const probation = new Probation({ before, healthyS, withinS: Math.max(0, orders.leftS(trial) - SPARE_S) });
  for (;;) {
    const { unit, health } = await seen();
    const again = waited && health !== undefined && health.mode !== 'active';
    const verdict: Verdict = again ? { state: 'good' } : probation.look(clock.nowMs() / 1000, unit, health);
    if (verdict.state !== 'wait') {
      const why = verdict.state === 'bad' ? verdict.why : undefined;
      await alone(() => orders.conclude(trial.id, why, health));
      return;
    }
    await clock.sleep(LOOK_EVERY_MS);
  }
}
