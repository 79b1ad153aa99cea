/**
 * Switches to a staged change, confirms it or rolls it back, and writes each phase to the record first. The caller holds
 * the lock of the record.
 *
 * INVARIANT: no failure on the way back prevents the box from running.
 */
import { messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { Mode } from '../../../../agent/contract/mode.ts';
import { CHANGE_KINDS } from '../../../../agent/contract/update.ts';
import type { BoxClock } from '../clock.ts';
import type { Units } from '../units.ts';
import type { Orders } from './orders.ts';
import { attempt, attemptLater } from './outcome.ts';
import type { Payload } from './payload.ts';
import type { Change, Kind, State, Trial } from './record.ts';
import { type Input, nextAction, step } from './step.ts';
import type { Shared, Store } from './store.ts';

export interface SwitcherOptions {
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
  /** Reports whether root itself can verify that the agent's mode has become `to` (own-record.ts). */
  isLawful(before: Trial['before'], to: Mode): boolean;
  say(line: string): void;
}

export class Switcher {
  protected readonly options: SwitcherOptions;

  constructor(options: SwitcherOptions) {
    this.options = options;
  }

  get state(): State {
    return this.options.store.state;
  }

  /** Runs `act` alone, on the record that is on disk now. */
  async locked<T>(action: () => Promise<T>): Promise<T> {
    const { store, locked } = this.options;
    return await locked(async () => {
      store.refresh();
      return await action();
    });
  }

  /** Removes everything that neither runs nor is stored for a rollback nor is under way. */
  tidy(): void {
    for (const kind of CHANGE_KINDS)
      attempt(this.options.say, () => this.options.payloads[kind].tidy(this.state));
  }

  /** Applies an input; the caller holds the lock. Throws AgentError `unavailable` if the disk refuses. */
  apply(kind: Kind, input: Input, shared: Shared = {}): void {
    this.options.store.put(kind, step(kind, this.change(kind), input), shared);
  }

  /** Switches to the staged change; the caller holds the lock. `id` names a technician's trial. */
  async switchNow(kind: Kind, id: string | null = null): Promise<void> {
    const payload = this.options.payloads[kind];
    const { store, clock, say } = this.options;
    try {
      if (this.change(kind).phase === 'staged')
        this.apply(kind, { on: 'switch', trial: { ...(await payload.trial(this.change(kind))), id } });
      const change = this.change(kind);
      if (change.phase !== 'switching' || change.trial === null) return;
      const starts = await payload.enter(change, change.trial);
      const input = { on: 'switched', restarts: await payload.restarts(), atS: clock.boottimeS() } as const;
      this.apply(kind, input, { starts: [...starts] });
    } catch (error) {
      rethrowBug(error);
      const reason = `the switch failed: ${messageOf(error)}`;
      const change = this.change(kind);
      const started = change.trial?.started ?? [];
      const next = step(kind, change, {
        on: 'switch-failed',
        reason,
        installed: payload.installed(change),
      });
      if (next.phase === change.phase && nextAction(next) !== 'return') throw error;
      say(reason);
      store.putAnyway(kind, next, nextAction(next) === 'return' ? {} : { starts: started });
      if (nextAction(next) === 'return') return await this.return(kind, false);
    }
    await this.startPending();
  }

  /** Rolls back a failed trial; the caller holds the lock. */
  async rollBack(kind: Kind, reason: string): Promise<void> {
    const { store } = this.options;
    store.putAnyway(kind, step(kind, this.change(kind), { on: 'bad', reason }));
    if (nextAction(this.change(kind)) === 'return') await this.return(kind, false);
  }

  /** Confirms a trial; the caller holds the lock. */
  confirm(kind: Kind): void {
    const { store } = this.options;
    const change = this.change(kind);
    const next = step(kind, change, { on: 'good' });
    if (next === change) return;
    store.put(kind, next, this.options.payloads[kind].confirmed(change, this.state));
    this.tidy();
  }

  /** Starts the units that were stopped for a switch, also after a crash in between; the caller holds the lock. */
  async startPending(): Promise<void> {
    const { store, units } = this.options;
    const { starts } = store.state;
    if (starts.length === 0) return;
    await attemptLater(this.options.say, () => units.resetFailed(starts));
    await units.start(starts);
    attempt(this.options.say, () => store.set({ starts: [] }));
  }

  protected change(kind: Kind): Change {
    return this.state[kind];
  }

  protected async return(kind: Kind, booting: boolean): Promise<void> {
    const { store, payloads, units } = this.options;
    const change = this.change(kind);
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
      if (starts.length > 0) await attemptLater(this.options.say, () => units.start(starts));
      throw error;
    }
    if (!booting) await this.startPending();
    this.tidy();
  }
}
