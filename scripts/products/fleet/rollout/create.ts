/** Makes a rollout in the store: assigns boxes to waves, and stores the known download sizes. Sends nothing. */

import type { KeyObject } from 'node:crypto';
import { AgentError } from '../../../../agent/base/errors.ts';
import { type FleetStore, whoRuns } from '../store.ts';
import { KIND_NAMES, type RolloutKind } from './kinds.ts';
import { endBefore } from './orders.ts';
import type { Plan } from './plan.ts';
import { type NewBox, type RolloutRow, Rollouts } from './rollouts.ts';
import { assignWaves, inParts } from './stratify.ts';
import { boxCount } from './table.ts';

const NAME = /^[a-z0-9.-]{1,64}$/;
const DAY_MS = 86_400_000;

export interface RolloutBoxSpec extends Omit<NewBox, 'wave'> {
  /** Board, for the waves; `generic` if unknown. */
  readonly board: string;
}

export interface RolloutSpec {
  readonly kind: RolloutKind;
  /** New name, for people and records. */
  readonly name: string;
  /** Description for people: the version, or the purpose of the configuration. */
  readonly description: string;
  readonly plan: Plan;
  readonly boxes: readonly RolloutBoxSpec[];
}

/**
 * Returns the name, or the first unused one of name-2, name-3, …, since an aborted rollout may be started again on the
 * same day.
 */
export function freeName(store: FleetStore, name: string): string {
  const rollouts = new Rollouts(store);
  let free = name;
  for (let count = 2; rollouts.get(free) !== undefined; count += 1) free = `${name}-${count}`;
  return free;
}

/**
 * Stores a rollout, which `Controller.run` then sends. Ends a rollout that only waits for its last boxes, and withdraws
 * its orders with `key`.
 *
 * @throws AgentError config if the rollout is invalid, denied if another one is sending
 */
export function createRollout(
  store: FleetStore,
  spec: RolloutSpec,
  { key, nowMs }: { key: KeyObject; nowMs: number },
): RolloutRow {
  const { kind, name, description, boxes } = spec;
  const plan = inParts(spec.plan, boxes.length);
  if (!NAME.test(name))
    throw new AgentError('config', `the name of a rollout is 1 to 64 of a-z, 0-9, . and -; "${name}" is not`);
  if (boxes.length === 0)
    throw new AgentError('config', 'no box would take it: there is nothing to roll out');
  const rollouts = new Rollouts(store);
  const waves = assignWaves(name, boxes, plan);
  return store.transaction(() => {
    if (rollouts.get(name) !== undefined)
      throw new AgentError('config', `there was a rollout ${name} already; name this one otherwise (--name)`);
    const before = rollouts.present();
    if (before !== undefined && before.state !== 'finishing') {
      const message = `the rollout ${before.name} is ${before.state}; let it end (rollout run), or end it (rollout abort)`;
      throw new AgentError('denied', message);
    }
    if (before !== undefined) endBefore(rollouts, before, `replaced by ${name}`, { key, nowMs });
    const not_after = nowMs + plan.notAfterDays * DAY_MS;
    rollouts.add(
      { name, kind, description, plan, created_at: nowMs, created_by: whoRuns(), not_after },
      boxes.map((box, i) => ({ ...box, wave: waves[i] ?? 0 })),
    );
    store.record(
      `rollout ${name} of ${KIND_NAMES[kind]} ${description} made for ${boxCount(boxes.length)}`,
      nowMs,
    );
    const rollout = rollouts.get(name);
    if (rollout === undefined) throw new AgentError('bug', 'a rollout that was made is in the store');
    return rollout;
  });
}
