/**
 * Root's change machine: carries out orders for releases and configurations by one transition function (step.ts).
 *
 * INVARIANTS:
 * - One change of any kind is on trial at a time.
 * - The record is read and written under one lock, which is not held during a download or while a probation waits.
 * - No failure on the way back prevents the box from running.
 *
 * LIMITS: FETCH_WITHIN_S for a download, ORDERS_MAX orders of a kind per start. The unit's timer starts it again.
 */
import { messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { Mode } from '../../../../agent/contract/mode.ts';
import { CHANGE_KINDS } from '../../../../agent/contract/update.ts';
import type { BoxClock } from '../clock.ts';
import { JUDGE_UNIT, type Units } from '../units.ts';
import { type GateTime, gateOf } from './gate.ts';
import { actionFor, type Orders, readOrder, stampOf } from './orders.ts';
import { attempt, attemptLater, fetchInput, inputOf, passed } from './outcome.ts';
import type { Payload, Progress } from './payload.ts';
import { type Change, type Kind, otherOnTrial, type State, SWITCHED, type Trial } from './record.ts';
import { type Input, nextAction, step } from './step.ts';
import type { Shared, Store } from './store.ts';

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

export interface MachineOptions {
  readonly store: Store;
  readonly payloads: Readonly<Record<Kind, Payload>>;
  readonly orders: Orders;
  readonly clock: BoxClock;
  /** Returns why the wall clock is not trusted; undefined if it is. */
  clockDoubt(): string | undefined;
  readonly units: Pick<Units, 'start' | 'restart' | 'resetFailed'>;
  /** Runs `action` under the lock of the record. */
  locked<T>(action: () => Promise<T>): Promise<T>;
  /** Returns the agent's mode; undefined if it does not answer. */
  mode(): Promise<string | undefined>;
  /** Reports whether root itself can verify that the agent's mode has become `to` (lawful-mode.ts). */
  isLawful(before: Trial['before'], to: Mode): boolean;
  say(line: string): void;
}

export class Machine {
  readonly #options: MachineOptions;

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  get state(): State {
    return this.#options.store.state;
  }

  /** Runs `act` alone, on the record that is on disk now. */
  async locked<T>(action: () => Promise<T>): Promise<T> {
    const { store, locked } = this.#options;
    return await locked(async () => {
      store.refresh();
      return await action();
    });
  }

  /** Finishes or undoes what a power cut or a killed program has left. `booting`: the agent has not started yet. */
  async recover(booting: boolean): Promise<void> {
    await this.locked(async () => {
      const { store, clock } = this.#options;
      const isNewBoot = store.state.boot !== clock.bootId();
      // A boot starts the enabled units anyway.
      if (isNewBoot) attempt(this.#options.say, () => store.set({ boot: clock.bootId(), starts: [] }));
      for (const kind of CHANGE_KINDS) {
        this.#recover(kind, isNewBoot);
        if (nextAction(this.#change(kind)) === 'return') await this.#return(kind, booting);
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
    const { units, payloads, clock, say } = this.#options;
    const kind = CHANGE_KINDS.find((one) => nextAction(this.#change(one)) === 'judge');
    if (kind === undefined) return;
    const nowS = clock.boottimeS();
    const judgedS = nowS - (this.#change(kind).trial?.beganS ?? nowS);
    if (judgedS <= JUDGED_WITHIN * payloads[kind].times().withinS) return await units.start([JUDGE_UNIT]);
    say(`the ${kind} has been judged for ${Math.floor(judgedS)} s; the judge is restarted`);
    await units.restart(JUDGE_UNIT);
  }

  /** Identifies the orders of both files. */
  #stamps(): string {
    const { orders } = this.#options;
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
    const { clock, orders } = this.#options;
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

  /** Removes everything that neither runs nor is stored for a rollback nor is under way. */
  tidy(): void {
    for (const kind of CHANGE_KINDS)
      attempt(this.#options.say, () => this.#options.payloads[kind].tidy(this.state));
  }

  /** Applies an input; the caller holds the lock. Throws AgentError `unavailable` if the disk refuses. */
  apply(kind: Kind, input: Input, shared: Shared = {}): void {
    this.#options.store.put(kind, step(kind, this.#change(kind), input), shared);
  }

  /** Switches to the staged change; the caller holds the lock. `id` names a technician's trial. */
  async switchNow(kind: Kind, id: string | null = null): Promise<void> {
    const payload = this.#options.payloads[kind];
    const { store, clock, say } = this.#options;
    try {
      if (this.#change(kind).phase === 'staged')
        this.apply(kind, { on: 'switch', trial: { ...(await payload.trial(this.#change(kind))), id } });
      const change = this.#change(kind);
      if (change.phase !== 'switching' || change.trial === null) return;
      const starts = await payload.enter(change, change.trial);
      const input = { on: 'switched', restarts: await payload.restarts(), atS: clock.boottimeS() } as const;
      this.apply(kind, input, { starts: [...starts] });
    } catch (error) {
      rethrowBug(error);
      const reason = `the switch failed: ${messageOf(error)}`;
      const change = this.#change(kind);
      const started = change.trial?.started ?? [];
      const next = step(kind, change, {
        on: 'switch-failed',
        reason,
        installed: payload.installed(change),
      });
      if (next.phase === change.phase && nextAction(next) !== 'return') throw error;
      say(reason);
      store.putAnyway(kind, next, nextAction(next) === 'return' ? {} : { starts: started });
      if (nextAction(next) === 'return') return await this.#return(kind, false);
    }
    await this.startPending();
  }

  /** Rolls back a failed trial; the caller holds the lock. */
  async rollBack(kind: Kind, reason: string): Promise<void> {
    const { store } = this.#options;
    store.putAnyway(kind, step(kind, this.#change(kind), { on: 'bad', reason }));
    if (nextAction(this.#change(kind)) === 'return') await this.#return(kind, false);
  }

  /** Confirms a trial; the caller holds the lock. */
  confirm(kind: Kind): void {
    const { store } = this.#options;
    const change = this.#change(kind);
    const next = step(kind, change, { on: 'good' });
    if (next === change) return;
    store.put(kind, next, this.#options.payloads[kind].confirmed(change, this.state));
    this.tidy();
  }

  /** Starts the units that were stopped for a switch, also after a crash in between; the caller holds the lock. */
  async startPending(): Promise<void> {
    const { store, units } = this.#options;
    const { starts } = store.state;
    if (starts.length === 0) return;
    await attemptLater(this.#options.say, () => units.resetFailed(starts));
    await units.start(starts);
    attempt(this.#options.say, () => store.set({ starts: [] }));
  }

  #change(kind: Kind): Change {
    return this.state[kind];
  }

  #time(): GateTime {
    const { clock, clockDoubt } = this.#options;
    return { nowMs: clock.wallMs(), isSynced: clock.synced(), doubt: clockDoubt() };
  }

  #recover(kind: Kind, isNewBoot: boolean): void {
    const { store, clock, payloads } = this.#options;
    const change = this.#change(kind);
    const boot = () =>
      ({ on: 'boot', installed: payloads[kind].installed(change), atS: clock.boottimeS() }) as const;
    const next = step(kind, change, isNewBoot ? boot() : { on: 'recover' });
    if (JSON.stringify(next) !== JSON.stringify(change)) store.putAnyway(kind, next);
  }

  async #return(kind: Kind, booting: boolean): Promise<void> {
    const { store, payloads, units } = this.#options;
    const change = this.#change(kind);
    const { trial } = change;
    if (trial?.returning == null) return;
    let starts = booting ? [] : trial.started;
    try {
      const end = await payloads[kind].leave(change, trial, booting);
      starts = [...end.starts];
      const reason = end.outcome === 'from' ? trial.returning : `${end.reason}; ${trial.returning}`;
      store.putAnyway(kind, step(kind, change, { on: 'returned', outcome: end.outcome, reason }), { starts });
    } catch (error) {
      // Starts what is there, so that the box keeps running. The next start of this program tries again.
      rethrowBug(error);
      if (starts.length > 0) await attemptLater(this.#options.say, () => units.start(starts));
      throw error;
    }
    if (!booting) await this.startPending();
    this.tidy();
  }

  /** Carries out the order of one kind as far as possible now. */
  async advance(kind: Kind, progress: Progress, ordersMax = ORDERS_MAX): Promise<void> {
    await this.locked(() => Promise.resolve(this.#put(kind, { on: 'restart' })));
    let stamp = '';
    for (let count = 0, before = ''; ; ) {
      // Also handles an order that arrives meanwhile.
      const newest = stampOf(this.#options.orders.file(kind));
      const now = `${newest} ${JSON.stringify(this.#change(kind))}`;
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
    const { clock } = this.#options;
    // A parked change takes no order either while another kind is on trial: going back would disturb that trial.
    const isParked = this.#change(kind).phase === 'awaits-resume';
    if (isParked && otherOnTrial(this.state, kind) !== undefined) return 'none';
    if (!SWITCHED.has(this.#change(kind).phase)) this.#take(kind);
    const change = this.#change(kind);
    const action = nextAction(change);
    if (action === 'none' || action === 'judge') return 'none';
    if (action === 'return' || action === 'switch' || action === 'await') return 'again';
    const gate = gateOf(change, this.#time());
    this.#put(kind, { on: 'gate', gate });
    const after = this.#change(kind);
    if (after.phase === 'staged') return gate === undefined ? 'again' : 'none';
    if (nextAction(after) === 'fetch') return after.rotten.untilS > clock.boottimeS() ? 'none' : 'fetch';
    return nextAction(after) === 'stage' ? 'stage' : 'none';
  }

  async #work(kind: Kind): Promise<void> {
    const change = this.#change(kind);
    switch (nextAction(change)) {
      case 'return':
        return await this.#return(kind, false);
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
    const verify = (): Promise<void> => this.#options.payloads[kind].verifyStaged(change);
    const later = (reason: string): Input => ({ on: 'gate', gate: { wait: reason } });
    const input = await inputOf(verify, GATE_OPEN, later);
    this.#put(kind, input);
    if (input !== GATE_OPEN) return;
    if (this.#change(kind).phase === 'staged') await this.switchNow(kind);
  }

  async #await(kind: Kind, { trial }: Change): Promise<void> {
    const { payloads, mode, clock } = this.#options;
    if (payloads[kind].installed(this.#change(kind)) === 'other')
      return await this.rollBack(kind, 'it was changed on the box meanwhile');
    if (trial === null || (await mode()) !== 'active' || !this.#options.isLawful(trial.before, 'active')) return;
    this.apply(
      kind,
      { on: 'resumed', atS: clock.boottimeS() },
      { starts: [...this.state.starts, JUDGE_UNIT] },
    );
    await this.startPending();
  }

  /** Stages a change: a release without the lock (hundreds of files), a configuration under it, as technicians do. */
  async #stage(kind: Kind): Promise<void> {
    const { clock, payloads } = this.#options;
    const stage = (): Promise<Input> =>
      inputOf(() => payloads[kind].stage(this.#change(kind)), { on: 'staged' }, (reason) => ({
        on: 'stage-later',
        reason,
        atS: clock.boottimeS(),
      }));
    if (kind !== 'configuration') {
      const input = await stage();
      return await this.locked(() => Promise.resolve(this.#put(kind, input)));
    }
    await this.locked(async () => {
      if (nextAction(this.#change(kind)) === 'stage') this.#put(kind, await stage());
    });
  }

  #take(kind: Kind): void {
    const { orders, store, payloads, say } = this.#options;
    const { ordersFromMs } = store.state;
    const entry = readOrder(kind, orders.file(kind), this.#change(kind), ordersFromMs, () => orders.reader());
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
    const { store, payloads, orders, clock } = this.#options;
    const { target, order } = this.#change(kind);
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
        const cause = this.#change(kind).reason ?? 'it is too slow';
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
      const now = this.#change(kind);
      if (now.phase === 'downloading' && now.target?.number === target.number)
        this.#put(kind, input, payloads[kind].learnt());
      return Promise.resolve();
    });
  }

  /** Applies an input; writes nothing if nothing changes, and logs each new reason once. */
  #put(kind: Kind, input: Input, shared: Shared = {}): void {
    const { store, say } = this.#options;
    const before = this.#change(kind);
    const next = step(kind, before, input);
    const isSame = JSON.stringify(next) === JSON.stringify(before);
    if (isSame && Object.keys(shared).length === 0) return;
    if (next.phase === before.phase && next.reason !== null && next.reason !== before.reason)
      say(`${kind}: ${next.phase}: ${next.reason}`);
    store.put(kind, next, shared);
  }
}
