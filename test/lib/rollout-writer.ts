/**
 * A controller that is killed while it runs, aborts or adopts a rollout. Its only argument is JSON with folder, broker,
 * clock and a number of steps. A step is a committed transaction of the store, or an order that is at the broker. It
 * kills itself after the last step.
 */
import { createPrivateKey } from 'node:crypto';
import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../agent/base/clock.ts';
import { FleetLink, type Outgoing } from '../../scripts/products/fleet/broker.ts';
import { adoptInto } from '../../scripts/products/fleet/rollout/adopt.ts';
import { Controller } from '../../scripts/products/fleet/rollout/controller.ts';
import { Rollouts } from '../../scripts/products/fleet/rollout/rollouts.ts';
import { readFleet } from '../../scripts/products/fleet/settings.ts';
import { FleetStore } from '../../scripts/products/fleet/store.ts';
import { type FastTime, fastClock } from './fast-clock.ts';

export interface Mortal {
  readonly dir: string;
  readonly url: string;
  readonly time: FastTime;
  readonly rollout: string;
  readonly deed: 'run' | 'abort' | 'adopt';
  readonly steps: number;
}

const { dir, url, time, rollout, deed, steps } = JSON.parse(process.argv[2] ?? '') as Mortal;
let stepsLeft = steps;

function stepped(): void {
  stepsLeft -= 1;
  if (stepsLeft === 0) process.kill(process.pid, 'SIGKILL');
}

class MortalStore extends FleetStore {
  override transaction<T>(work: () => T): T {
    const result = super.transaction(work);
    stepped();
    return result;
  }
}

class MortalLink extends FleetLink {
  /** Publishes one by one, since it may die after each. */
  override async publish<O extends Outgoing>(
    messages: readonly O[],
    onSent: (messages: readonly O[]) => void,
  ): Promise<void> {
    for (const message of messages) {
      await super.publish([message], () => undefined);
      stepped();
      onSent([message]);
    }
  }
}

const store = new MortalStore(dir);
const link = new MortalLink({ config: { url, ack: 'broker' }, clock: systemClock, warn: () => undefined });
const clock = fastClock(time);
const { signal } = new AbortController();

async function performDeed(): Promise<string> {
  if (deed === 'adopt') {
    const parts = { fleet: readFleet(dir), store, link, signal, clock };
    return (await adoptInto(parts, undefined, { yes: true })).join(', ');
  }
  const key = createPrivateKey(readFileSync(join(dir, 'ops.key')));
  const controller = new Controller({ store, link, clock, key, pollMs: 60_000, say: () => undefined });
  await controller.start(signal);
  if (deed === 'run') return (await controller.run(rollout, signal)).state;
  // As the command does it: a started abort continues, otherwise it is requested.
  store.transaction(() => new Rollouts(store).want(rollout, 'abort'));
  return (await controller.run(rollout, signal, true)).state;
}

writeSync(1, `${await performDeed()}\n`);
process.exit(0);
