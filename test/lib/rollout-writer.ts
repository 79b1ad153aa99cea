/**
 * A controller that is killed: JSON with folder, broker, clock and a number of steps as its only argument. A step is a
 * transaction of the store that is over, or an order that is at the broker; with the last of them it kills itself.
 */
import { createPrivateKey } from 'node:crypto';
import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../agent/base/clock.ts';
import { FleetLink, type Outgoing } from '../../scripts/programs/fleet/broker.ts';
import { Controller } from '../../scripts/programs/fleet/rollout/controller.ts';
import { FleetStore } from '../../scripts/programs/fleet/store.ts';
import { type FastTime, fastClock } from './fast-clock.ts';

export interface Mortal {
  readonly dir: string;
  readonly url: string;
  readonly time: FastTime;
  readonly rollout: string;
  readonly steps: number;
}

const { dir, url, time, rollout, steps } = JSON.parse(process.argv[2] ?? '') as Mortal;
let left = steps;

function stepped(): void {
  left -= 1;
  if (left === 0) process.kill(process.pid, 'SIGKILL');
}

class MortalStore extends FleetStore {
  override transaction<T>(work: () => T): T {
    const done = super.transaction(work);
    stepped();
    return done;
  }
}

class MortalLink extends FleetLink {
  /** One by one: it may die after each. */
  override async publish<O extends Outgoing>(
    messages: readonly O[],
    sent: (messages: readonly O[]) => void,
  ): Promise<void> {
    for (const message of messages) {
      await super.publish([message], () => undefined);
      stepped();
      sent([message]);
    }
  }
}

const store = new MortalStore(dir);
const link = new MortalLink({ config: { url, ack: 'broker' }, clock: systemClock, warn: () => undefined });
const key = createPrivateKey(readFileSync(join(dir, 'ops.key')));
const controller = new Controller({
  store,
  link,
  clock: fastClock(time),
  key,
  lookMs: 60_000,
  say: () => undefined,
});
const { signal } = new AbortController();
await controller.start(signal);
const { state } = await controller.run(rollout, signal);
writeSync(1, `${state}\n`);
process.exit(0);
