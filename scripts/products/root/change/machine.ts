/**
 * Root's change machine: carries out orders for releases and configurations by one transition function (step.ts).
 *
 * INVARIANTS:
 * - One change of any kind is on trial at a time.
 * - The record is read and written under one lock, which is not held during a download or while a probation waits.
 *
 * LIMITS: FETCH_WITHIN_S for a download, ORDERS_MAX orders of a kind per start. The unit's timer starts it again.
 */
import { rethrowBug } from '../../../../agent/base/errors.ts';
import { CHANGE_KINDS } from '../../../../agent/contract/update.ts';
import { JUDGE_UNIT } from '../units.ts';
import { type GateTime, gateOf } from './gate.ts';
import { actionFor, readOrder, stampOf } from './orders.ts';
import { attempt, fetchInput, inputOf, passed } from './outcome.ts';
import type { Progress } from './payload.ts';
import { type Change, type Kind, otherOnTrial, SWITCHED } from './record.ts';
import { type Input, nextAction, step } from './step.ts';
import type { Shared } from './store.ts';
import { Switcher } from './switcher.ts';

const FETCH_WITHIN_S = 24 * 3600;
/** Maximum number of orders handled in one start. If new orders keep coming, the next start handles the rest. */
const ORDERS_MAX = 5;
/** Interval at which a download checks for another order, ms. */
const POLL_EVERY_MS = 2000;
/** Interval at which a waiting configuration is checked during a download, s. */
const AGAIN_EVERY_S = 30;
/**
 * Multiple of the time of a probation after which a judge counts as hanging. The rehearsal of vigie-root takes six
 * (root-payload.ts).
 */
const JUDGED_WITHIN = 10;
const GATE_OPEN: Input = { on: 'gate', gate: undefined };

export class Machine extends Switcher {
  /** Finishes or undoes what a power cut or a killed program has left. `booting`: the agent has not started yet. */
  async recover(booting: boolean): Promise<void> {
    await this.locked(async () => {
      const { store, clock } = this.options;
      const isNewBoot = store.state.boot !== clock.bootId();
      // A boot starts the enabled units anyway.
      if (isNewBoot) attempt(this.options.say, () => store.set({ boot: clock.bootId(), starts: [] }));
      for (const kind of CHANGE_KINDS) {
        this.#recover(kind, isNewBoot);
        if (nextAction(this.change(kind)) === 'return') await this.return(kind, booting);
      }
      if (!booting) await this.startPending();
      this.tidy();
    });
  }

  /** Carries out the room's orders as far as possible now. */
  async run(progress: Progress): Promise<void> {
    await this.#wakeJudge();
    // systemd's path unit misses an order that arrives while this program is ending; the timer would come minutes later.
    const stamps = this.#stamps();
    await this.#pass(progress, ORDERS_MAX - 1);
    if (this.#stamps() !== stamps) await this.#pass(progress, 1);
  }

  /** Starts the judge again if it was killed, or if systemd has stopped restarting it, and restarts one that hangs. */
  async #wakeJudge(): Promise<void> {
    const { units, payloads, clock, say } = this.options;
    const kind = CHANGE_KINDS.find((one) => nextAction(this.change(one)) === 'judge');
    if (kind === undefined) return;
    const nowS = clock.boottimeS();
    const judgedS = nowS - (this.change(kind).trial?.beganS ?? nowS);
    if (judgedS <= JUDGED_WITHIN * payloads[kind].times().withinS) return await units.start([JUDGE_UNIT]);
    say(`the ${kind} has been judged for ${Math.floor(judgedS)} s; the judge is restarted`);
    await units.restart(JUDGE_UNIT);
  }

  /** Identifies the orders of both files. */
  #stamps(): string {
    const { orders } = this.options;
    return CHANGE_KINDS.map((kind) => stampOf(orders.file(kind))).join();
  }

  async #pass(progress: Progress, ordersMax: number): Promise<void> {
    // An order is either for the agent or for vigie-root.
    const release = this.advance('release', progress, ordersMax).then(() =>
      this.advance('root', progress, ordersMax),
    );
    // A download may take a day; a configuration order does not wait for it.
    const results = await Promise.allSettled([release, this.#advanceUntil(release, progress, ordersMax)]);
    for (const one of results) if (one.status === 'rejected') throw one.reason;
    await this.locked(() => Promise.resolve(this.tidy()));
  }

  async #advanceUntil(release: Promise<void>, progress: Progress, ordersMax: number): Promise<void> {
    const { clock, orders } = this.options;
    let isOver = false;
    const note = (): void => {
      isOver = true;
    };
    const over = release.then(note, note);
    for (let stamp = '', againS = 0; ; ) {
      const newest = stampOf(orders.file('configuration'));
      if (newest !== stamp || clock.boottimeS() >= againS) {
        stamp = newest;
        againS = clock.boottimeS() + AGAIN_EVERY_S;
        await this.advance('configuration', progress, ordersMax);
      }
      if (isOver) return;
      await passed(POLL_EVERY_MS, over);
    }
  }

  #time(): GateTime {
    const { clock, clockDoubt } = this.options;
    return { nowMs: clock.wallMs(), isSynced: clock.synced(), doubt: clockDoubt() };
  }

  #recover(kind: Kind, isNewBoot: boolean): void {
    const { store, clock, payloads } = this.options;
    const change = this.change(kind);
    const boot = () =>
      ({ on: 'boot', installed: payloads[kind].installed(change), atS: clock.boottimeS() }) as const;
    const next = step(kind, change, isNewBoot ? boot() : { on: 'recover' });
    if (JSON.stringify(next) !== JSON.stringify(change)) store.putAnyway(kind, next);
  }

  /** Carries out the order of one kind as far as possible now. */
  async advance(kind: Kind, progress: Progress, ordersMax = ORDERS_MAX): Promise<void> {
    await this.locked(() => Promise.resolve(this.#put(kind, { on: 'restart' })));
    let stamp = '';
    for (let count = 0, before = ''; ; ) {
      // Also handles an order that arrives meanwhile.
      const newest = stampOf(this.options.orders.file(kind));
      const now = `${newest} ${JSON.stringify(this.change(kind))}`;
      if (now === before || (newest !== stamp && count >= ordersMax)) return;
      if (newest !== stamp) count += 1;
      stamp = newest;
      before = now;
      const wants = await this.locked(() => Promise.resolve(this.#nextWork(kind)));
      if (wants === 'fetch') await this.#fetch(kind, progress);
      else if (wants === 'stage') await this.#stage(kind);
      else if (wants === 'again') await this.locked(() => this.#work(kind));
    }
  }

  /** Takes a new order, checks the gate, and returns the next action. */
  #nextWork(kind: Kind): 'none' | 'fetch' | 'stage' | 'again' {
    const { clock } = this.options;
    // A parked change takes no order either while another kind is on trial: going back would disturb that trial.
    const isParked = this.change(kind).phase === 'awaits-resume';
    if (isParked && otherOnTrial(this.state, kind) !== undefined) return 'none';
    if (!SWITCHED.has(this.change(kind).phase)) this.#take(kind);
    const change = this.change(kind);
    const action = nextAction(change);
    if (action === 'none' || action === 'judge') return 'none';
    if (action === 'return' || action === 'switch' || action === 'await') return 'again';
    const gate = gateOf(change, this.#time());
    this.#put(kind, { on: 'gate', gate });
    const after = this.change(kind);
    if (after.phase === 'staged') return gate === undefined ? 'again' : 'none';
    if (nextAction(after) === 'fetch') return after.rotten.untilS > clock.boottimeS() ? 'none' : 'fetch';
    return nextAction(after) === 'stage' ? 'stage' : 'none';
  }

  async #work(kind: Kind): Promise<void> {
    const change = this.change(kind);
    switch (nextAction(change)) {
      case 'return':
        return await this.return(kind, false);
      case 'switch':
        return await this.switchNow(kind);
      case 'await':
        return await this.#await(kind, change);
      case 'gate':
        return await this.#begin(kind, change);
      default:
        return;
    }
  }

  /** Switches once staged, unless another kind is on trial; then this change waits. */
  async #begin(kind: Kind, change: Change): Promise<void> {
    if (change.phase !== 'staged') return;
    const other = otherOnTrial(this.state, kind);
    if (other !== undefined)
      return this.#put(kind, { on: 'gate', gate: { wait: `another ${other} is on trial` } });
    const verify = (): Promise<void> => this.options.payloads[kind].verifyStaged(change);
    const later = (reason: string): Input => ({ on: 'gate', gate: { wait: reason } });
    const input = await inputOf(verify, GATE_OPEN, later);
    this.#put(kind, input);
    if (input !== GATE_OPEN) return;
    if (this.change(kind).phase === 'staged') await this.switchNow(kind);
  }

  async #await(kind: Kind, { trial }: Change): Promise<void> {
    const { payloads, mode, clock } = this.options;
    if (payloads[kind].installed(this.change(kind)) === 'other')
      return await this.rollBack(kind, 'it was changed on the box meanwhile');
    if (trial === null || (await mode()) !== 'active' || !this.options.isLawful(trial.before, 'active'))
      return;
    this.apply(
      kind,
      { on: 'resumed', atS: clock.boottimeS() },
      { starts: [...this.state.starts, JUDGE_UNIT] },
    );
    await this.startPending();
  }

  /** Stages a change: a release without the lock (hundreds of files), a configuration under it, as technicians do. */
  async #stage(kind: Kind): Promise<void> {
    const { clock, payloads } = this.options;
    const stage = (): Promise<Input> =>
      inputOf(
        () => payloads[kind].stage(this.change(kind)),
        { on: 'staged' },
        (reason) => ({
          on: 'stage-later',
          reason,
          atS: clock.boottimeS(),
        }),
      );
    if (kind !== 'configuration') {
      const input = await stage();
      return await this.locked(() => Promise.resolve(this.#put(kind, input)));
    }
    await this.locked(async () => {
      if (nextAction(this.change(kind)) === 'stage') this.#put(kind, await stage());
    });
  }

  #take(kind: Kind): void {
    const { orders, store, payloads, say } = this.options;
    const { ordersFromMs } = store.state;
    const entry = readOrder(kind, orders.file(kind), this.change(kind), ordersFromMs, () => orders.reader());
    // A refused update order is reported once, under the release.
    if (entry.is === 'refused' && kind !== 'root') {
      say(`the order for the ${kind} is refused: ${entry.reason}`);
      this.#put(kind, { on: 'order-refused', sha256: entry.sha256, reason: entry.reason });
    }
    if (entry.is !== 'new') return;
    const { order, keyid, may } = entry.openedOrder;
    const { rollout, counter, notBefore, notAfter, window } = order;
    const { action, isOwn } = actionFor(kind, order);
    if (isOwn) say(`the order for the ${kind}: ${action}, as ${rollout} wants it`);
    const { target, problem } = orders.take(kind, order, entry.bytes);
    const refusal = problem === undefined ? undefined : ({ is: 'refused', reason: problem } as const);
    this.#put(kind, {
      on: 'order',
      action,
      keyid,
      sha256: entry.sha256,
      order: { rollout, keyid, counter, notBefore, notAfter, window, may: [...may] },
      target,
      relation: action === 'install' ? (refusal ?? payloads[kind].relation(target)) : { is: 'new' },
    });
  }

  /** Downloads without the lock, since it may take a day. */
  async #fetch(kind: Kind, progress: Progress): Promise<void> {
    const { store, payloads, orders, clock } = this.options;
    const { target, order } = this.change(kind);
    if (target === null) return;
    const leftS = FETCH_WITHIN_S - store.ageS(kind);
    const aborting = new AbortController();
    const stamp = stampOf(orders.file(kind));
    const watching = setInterval(() => {
      const gate = gateOf({ order, paused: false }, this.#time());
      if (stamp !== stampOf(orders.file(kind)) || gate?.fail !== undefined) aborting.abort();
    }, POLL_EVERY_MS);
    const late = setTimeout(() => aborting.abort(), Math.max(0, leftS) * 1000);
    let input: Input = { on: 'fetched' };
    try {
      if (leftS <= 0) {
        const cause = this.change(kind).reason ?? 'it is too slow';
        input = { on: 'fail', reason: `not fetched within ${FETCH_WITHIN_S / 3600} h: ${cause}` };
      } else await payloads[kind].fetch(target, aborting.signal, progress);
    } catch (error) {
      rethrowBug(error);
      // Aborted for a new order, which decides what comes next.
      input = aborting.signal.aborted
        ? { on: 'gate', gate: undefined }
        : fetchInput(error, clock.boottimeS());
    } finally {
      clearInterval(watching);
      clearTimeout(late);
      progress(null);
    }
    await this.locked(() => {
      const now = this.change(kind);
      if (now.phase === 'downloading' && now.target?.number === target.number)
        this.#put(kind, input, payloads[kind].learnt());
      return Promise.resolve();
    });
  }

  /** Applies an input; writes nothing if nothing changes, and logs each new reason once. */
  #put(kind: Kind, input: Input, shared: Shared = {}): void {
    const { store, say } = this.options;
    const before = this.change(kind);
    const next = step(kind, before, input);
    const isSame = JSON.stringify(next) === JSON.stringify(before);
    if (isSame && Object.keys(shared).length === 0) return;
    if (next.phase === before.phase && next.reason !== null && next.reason !== before.reason)
      say(`${kind}: ${next.phase}: ${next.reason}`);
    store.put(kind, next, shared);
  }
}
