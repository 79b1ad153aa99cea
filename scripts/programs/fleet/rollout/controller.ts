/**
 * Runs a rollout: hears the boxes, works out what comes next (waves.ts), signs and keeps it, and sends it.
 *
 * INVARIANTS: in this order, each durable before the next: what boxes said, what follows from it with the signed orders,
 * the broker's word that it has them. Whoever dies in between goes on where he was: what is worked out again is the same,
 * and an order that goes out twice is the same order by its counter. A wave's orders that the broker has lost go out again.
 * LIMITS: one controller a folder (a lock); another machine's is seen by its orders, and nothing is sent over them.
 */
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../../../agent/base/clock.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { DeliveryError } from '../../../../agent/mqtt/faults.ts';
import type { FleetLink, Outgoing } from '../broker.ts';
import type { FleetStore } from '../store.ts';
import { Knowledge, type Standing } from './knowledge.ts';
import { desiredTopic, layOrder } from './orders.ts';
import { progressOf } from './progress.ts';
import { type OrderRow, type RolloutBoxRow, type RolloutRow, Rollouts } from './rollouts.ts';
import { someOf } from './table.ts';
import { type Action, OPEN, type Rollout, step } from './waves.ts';

const HOUR_MS = 3_600_000;
/** A box may write below its own name, an order of nobody's too; so many boxes are somebody at work. */
const STRANGERS_MIN = 3;
/** What comes at once is looked at together. */
const GATHER_MS = 250;

export interface ControllerOptions {
  readonly store: FleetStore;
  readonly link: FleetLink;
  readonly clock: Clock;
  /** Signs orders. */
  readonly key: KeyObject;
  /** How long it may not look, ms: for what another program has laid into the store. */
  readonly lookMs: number;
  say(line: string): void;
}

export class Controller {
  readonly #options: ControllerOptions;
  readonly #rollouts: Rollouts;
  readonly knowledge: Knowledge;
  #strangersTold = '';
  /** As they are in the store: nobody else writes them while this program holds the lock. */
  readonly #boxes = new Map<string, RolloutBoxRow[]>();
  /** Orders at the broker that are known to be from this store. */
  readonly #ours = new Set<string>();

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#rollouts = new Rollouts(options.store);
    this.knowledge = new Knowledge(options.store, options.key);
  }

  /** Connects and learns what the broker has kept. Throws DeliveryError. */
  async start(signal: AbortSignal): Promise<void> {
    const { link, say } = this.#options;
    await link.reconnect(signal);
    this.hear();
    const missing = this.knowledge.missing().map(({ site, box }) => `${site}/${box}`);
    if (missing.length > 0)
      say(
        `${missing.length} boxes of the inventory are silent, the broker keeps nothing of them: ${someOf(missing)}`,
      );
    this.#restore();
  }

  /** What has come, into memory and store. */
  hear(): void {
    const { link, clock, say } = this.#options;
    for (const line of this.knowledge.take(link.take(), clock.wallMs())) say(line);
  }

  /**
   * Until the rollout is over, or halted with nobody under way; `once`: what is due now. Throws AgentError `denied` where
   * another sends orders to the same boxes.
   */
  async run(name: string, signal: AbortSignal, once = false): Promise<RolloutRow> {
    const { clock, link, lookMs } = this.#options;
    for (;;) {
      if (!link.connected) await this.start(signal);
      const nextMs = await this.#turn(name);
      const row = this.#row(name);
      if (once || signal.aborted || this.#isOver(row)) return row;
      const untilMs = Math.min(nextMs === undefined ? lookMs : nextMs - clock.wallMs(), lookMs);
      await this.#wait(Math.max(untilMs, 0), signal);
    }
  }

  /** Orders of others that lie at the broker and hold. */
  strangers(nowMs: number): Standing[] {
    return this.knowledge.standing.filter(
      ({ kind, site, box, counter, notAfterMs, withdraws }) =>
        !withdraws && notAfterMs > nowMs && !this.#isOurs(kind, site, box, counter),
    );
  }

  async #turn(name: string): Promise<number | undefined> {
    this.hear();
    this.#refuseStrangers(name);
    const nextMs = this.#advance(name);
    try {
      await this.#send();
      await this.#clear();
    } catch (error) {
      // The next turn connects again and sends what is left.
      if (!(error instanceof DeliveryError) || error.kind !== 'unavailable') throw error;
      this.#options.say(error.message);
    }
    return nextMs;
  }

  /** One transaction: states, and the orders that follow, signed. */
  #advance(name: string): number | undefined {
    const { store, clock, key, say } = this.#options;
    const nowMs = clock.wallMs();
    return store.transaction(() => {
      const row = this.#row(name);
      const rows = this.#boxesOf(name);
      const before = rolloutOf(row);
      const said = rows.map(({ site, box, fields }) =>
        progressOf(this.knowledge.report(`${site}/${box}`), {
          kind: row.kind,
          rollout: name,
          seq: 'seq' in fields ? fields.seq : 0,
          sha256: 'sha256' in fields ? fields.sha256 : '',
        }),
      );
      const known = rows.map(({ site, box, wave, state, action }, i) => ({
        id: `${site}/${box}`,
        wave,
        state,
        action,
        progress: said[i]?.progress ?? 'none',
        online: this.knowledge.isOnline(`${site}/${box}`),
      }));
      const { rollout, states, orders, nextMs } = step(before, known, nowMs);
      const actions = new Map<string, Action>(orders.map(({ id, action }) => [id, action]));
      for (const [i, box] of rows.entries()) {
        const action = actions.get(`${box.site}/${box.box}`);
        if (action !== undefined) layOrder(this.#rollouts, row, box, action, { key, nowMs });
        const after = this.#after(box, {
          state: states[i] ?? box.state,
          action: action ?? box.action,
          ...said[i],
          nowMs,
        });
        if (after === undefined) continue;
        this.#rollouts.saveBox(name, after);
        rows[i] = after;
      }
      if (changed(before, rollout)) this.#rollouts.saveRollout(name, before, rollout, nowMs);
      for (const line of linesOf(row, before, rollout, orders)) say(line);
      return nextMs;
    });
  }

  #after(
    box: RolloutBoxRow,
    now: Pick<RolloutBoxRow, 'state' | 'action'> & { phase?: string; reason?: string | null; nowMs: number },
  ): RolloutBoxRow | undefined {
    const { state, action, phase = '', reason = null, nowMs } = now;
    const same = state === box.state && action === box.action && phase === box.phase && reason === box.reason;
    if (same) return undefined;
    return { ...box, state, action, phase, reason, since: state === box.state ? box.since : nowMs };
  }

  async #send(): Promise<void> {
    const { store, link, clock } = this.#options;
    const orders = this.#rollouts
      .unpublished()
      .map((order) => ({ ...outgoingOf(order), payload: order.envelope, order }));
    if (orders.length === 0) return;
    await link.publish(orders, (sent) =>
      store.transaction(() =>
        this.#rollouts.markPublished(
          sent.map(({ order }) => order),
          clock.wallMs(),
        ),
      ),
    );
  }

  /** Nothing is left at the broker of what is over: who has ended, whose time is past, and who knows that it is withdrawn. */
  async #clear(): Promise<void> {
    const { store, link, clock } = this.#options;
    const nowMs = clock.wallMs();
    const rows = new Map(this.#rollouts.all().map((row) => [row.name, row]));
    const standing = this.#rollouts.standing().filter(({ published }) => published !== null);
    const names = new Set(standing.map(({ rollout }) => rollout));
    const states = new Map(
      [...names].flatMap((name) =>
        this.#boxesOf(name).map(({ site, box, state }) => [`${name} ${site}/${box}`, state] as const),
      ),
    );
    const over = standing.filter((order) => {
      const { rollout, site, box, action, counter, kind } = order;
      const row = rows.get(rollout);
      const report = this.knowledge.report(`${site}/${box}`);
      const state = states.get(`${rollout} ${site}/${box}`);
      if (row === undefined || nowMs > row.not_after) return true;
      if (state !== undefined && !OPEN.includes(state) && state !== 'withdrawn') return true;
      const heard = kind === 'release' ? report?.order : report?.config.order;
      return action === 'withdraw' && heard != null && heard >= counter;
    });
    const messages = over.map((order) => ({ ...outgoingOf(order), payload: '', order }));
    await link.publish(messages, (sent) =>
      store.transaction(() =>
        this.#rollouts.markCleared(
          sent.map(({ order }) => order),
          nowMs,
        ),
      ),
    );
  }

  /** The broker may have lost what it held; a wave's orders that it does not hold go out again. */
  #restore(): void {
    const { store, say } = this.#options;
    const held = new Set(
      this.knowledge.standing.map(({ kind, site, box, counter }) => `${kind} ${site}/${box} ${counter}`),
    );
    const lost = this.#rollouts
      .standing()
      .filter(
        ({ kind, site, box, counter, published }) =>
          published !== null && !held.has(`${kind} ${site}/${box} ${counter}`),
      );
    // Another's order in its place stays: that is told by `strangers`.
    const places = new Set(this.knowledge.standing.map(({ kind, site, box }) => `${kind} ${site}/${box}`));
    const free = lost.filter(({ kind, site, box }) => !places.has(`${kind} ${site}/${box}`));
    if (free.length === 0) return;
    say(`the broker does not hold ${free.length} orders any more; they go out again`);
    store.transaction(() => {
      for (const order of free) this.#rollouts.markUnpublished(order);
    });
  }

  #refuseStrangers(name: string): void {
    const { clock, say } = this.#options;
    const mine = new Set(this.#boxesOf(name).map(({ site, box }) => `${site}/${box}`));
    const found = this.strangers(clock.wallMs()).filter(({ site, box }) => mine.has(`${site}/${box}`));
    if (found.length === 0) return;
    const text = strangersText(found);
    if (found.length >= STRANGERS_MIN || found.some(({ byOwnKey }) => byOwnKey)) {
      throw new AgentError(
        'denied',
        `${text}; nothing more is sent. Somebody else runs a rollout: end one of them (rollout abort)`,
      );
    }
    if (text !== this.#strangersTold) say(`${text}; not by this fleet`);
    this.#strangersTold = text;
  }

  #isOver(row: RolloutRow): boolean {
    if (row.state === 'done') return true;
    if (row.state !== 'halted' && row.state !== 'aborted') return false;
    // Who tries now comes to an end by itself, and is waited for while it is there to say so.
    return !this.#boxesOf(row.name).some(
      ({ state, site, box }) => state === 'switched' && this.knowledge.isOnline(`${site}/${box}`),
    );
  }

  #boxesOf(name: string): RolloutBoxRow[] {
    const known = this.#boxes.get(name) ?? this.#rollouts.boxes(name);
    this.#boxes.set(name, known);
    return known;
  }

  #isOurs(kind: Standing['kind'], site: string, box: string, counter: number): boolean {
    const place = `${kind} ${site}/${box} ${counter}`;
    if (this.#ours.has(place)) return true;
    if (!this.#rollouts.isOurs(kind, site, box, counter)) return false;
    this.#ours.add(place);
    return true;
  }

  #row(name: string): RolloutRow {
    const row = this.#rollouts.get(name);
    if (row === undefined) throw new AgentError('config', `there is no rollout ${name}`);
    return row;
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    const { link, clock } = this.#options;
    const wake = new AbortController();
    const stop = (): void => wake.abort();
    signal.addEventListener('abort', stop, { once: true });
    link.onWake(stop);
    await clock.sleep(ms, wake.signal);
    signal.removeEventListener('abort', stop);
    if (wake.signal.aborted && !signal.aborted) await clock.sleep(GATHER_MS, signal);
  }
}

export function rolloutOf({
  plan,
  state,
  wave,
  reached,
  not_after,
  accepted,
  wanted,
  reason,
}: RolloutRow): Rollout {
  const hours = [plan.canary.hours, ...plan.waves.map(({ soakHours }) => soakHours)];
  return {
    state,
    wave,
    reachedMs: reached,
    soakMs: hours.map((hour) => hour * HOUR_MS),
    notAfterMs: not_after,
    thresholds: plan.thresholds,
    accepted,
    wanted,
    reason,
  };
}

export function strangersText(found: readonly Standing[]): string {
  const names = [...new Set(found.map(({ rollout }) => rollout))].join(', ');
  const boxes = someOf(found.map(({ site, box }) => `${site}/${box}`));
  return `orders that this folder has not given lie at the broker: rollout ${names}, for ${boxes}`;
}

function outgoingOf({ kind, site, box }: OrderRow): Pick<Outgoing, 'topic'> {
  return { topic: desiredTopic(kind, site, box) };
}

function changed(before: Rollout, after: Rollout): boolean {
  return JSON.stringify(before) !== JSON.stringify(after);
}

function linesOf(
  { name, plan }: RolloutRow,
  before: Rollout,
  after: Rollout,
  orders: readonly { readonly action: Action }[],
): string[] {
  const lines: string[] = [];
  const waves = `of ${plan.waves.length}`;
  if (after.wave !== before.wave) lines.push(`${name}: wave ${after.wave} ${waves} begins`);
  if (after.reachedMs !== null && before.reachedMs !== after.reachedMs)
    lines.push(`${name}: ${after.wave === 0 ? 'the canaries are' : `wave ${after.wave} is`} confirmed`);
  if (after.state !== before.state)
    lines.push(`${name}: ${after.state}${after.reason === null ? '' : `: ${after.reason}`}`);
  for (const action of ['install', 'pause', 'withdraw'] as const) {
    const count = orders.filter((order) => order.action === action).length;
    if (count > 0) lines.push(`${name}: ${action} for ${count} ${count === 1 ? 'box' : 'boxes'}`);
  }
  return lines;
}
