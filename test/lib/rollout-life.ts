/** A rollout, step by step as the controller stores it, without a broker or a store. */
import { planOf } from '../../scripts/products/fleet/rollout/plan.ts';
import type { Action, Rollout, RolloutBox, Step } from '../../scripts/products/fleet/rollout/states.ts';
import { step } from '../../scripts/products/fleet/rollout/waves.ts';

export const HOUR = 3_600_000;
export const PLAN = planOf({ canary: { boxes: ['b-0', 'b-1', 'b-2'] } }, 'Europe/Paris');
/** A new rollout from time 0, in which a confirmed box has nothing more to prove. */
export const NEW: Rollout = {
  state: 'running',
  sinceMs: 0,
  madeMs: 0,
  window: null,
  wave: 0,
  reachedMs: null,
  soakMs: [24 * HOUR, 4 * HOUR, 0],
  notAfterMs: 720 * HOUR,
  thresholds: { ...PLAN.thresholds, heardMinutes: 0 },
  accepted: { failures: 0, triedCount: 0 },
  request: null,
  reason: null,
};

export const box = (id: number, wave: number, change: Partial<RolloutBox> = {}): RolloutBox => ({
  id: `b-${id}`,
  wave,
  state: 'planned',
  action: null,
  progress: 'none',
  online: true,
  sinceMs: 0,
  heardMs: 0,
  goneMs: 0,
  silenceMs: 0,
  isSkipped: false,
  ...change,
});

export const boxesOf = (count: number, wave: number, from = 0): RolloutBox[] =>
  Array.from({ length: count }, (_, i) => box(from + i, wave));

export class Lifetime {
  rollout: Rollout;
  boxes: RolloutBox[];
  last: Step | undefined;

  constructor(boxes: RolloutBox[], change: Partial<Rollout> = {}) {
    this.boxes = boxes;
    this.rollout = { ...NEW, ...change };
  }

  at(hours: number, wish: Rollout['request'] = null): Step {
    const nowMs = hours * HOUR;
    this.boxes = this.boxes.map((old) => (old.online ? { ...old, heardMs: nowMs, goneMs: nowMs } : old));
    const result = step({ ...this.rollout, request: wish }, this.boxes, nowMs);
    const actions = new Map<string, Action>(result.orders.map(({ id, action }) => [id, action]));
    this.boxes = this.boxes.map((old, i) => {
      const state = result.states[i] ?? old.state;
      const sinceMs = state === old.state ? old.sinceMs : nowMs;
      return { ...old, state, sinceMs, action: actions.get(old.id) ?? old.action };
    });
    this.rollout = result.rollout;
    this.last = result;
    return result;
  }

  say(of: (box: RolloutBox, i: number) => boolean, change: Partial<RolloutBox>): this {
    this.boxes = this.boxes.map((old, i) => (of(old, i) ? { ...old, ...change } : old));
    return this;
  }
}
