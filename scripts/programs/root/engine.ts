/**
 * Carries out the room's order, from the order to the switch.
 *
 * INVARIANTS: it begins, and switches, only inside the order's window; what it has fetched is used only as release keys have
 * signed it; nothing that runs is touched before the switch, so that whatever fails until then is told and changes nothing.
 * LIMITS: DOWNLOAD_WITHIN_S, STAGE_WITHIN_S; what cannot be had now is tried again by the timer of the unit.
 */
import { rmSync } from 'node:fs';
import { AgentError, messageOf, rethrowBug } from '../../../agent/base/errors.ts';
import { type OrderReader, orderDates } from '../../../agent/base/room-order.ts';
import { isOpenAt } from '../../../agent/base/schedule.ts';
import type { UpdateOrder, Window } from '../../../agent/contract/update.ts';
import { type Context, clockDoubt, dropTarget } from './context.ts';
import { look, stampOf } from './order.ts';
import { downloadsDir, orderFile } from './places.ts';
import { AT_REST, type State, SWITCHED } from './record.ts';
import { nameOf, type Release, sameRelease } from './releases.ts';
import type { Offered, ReleaseSource } from './source.ts';
import { beginSwitch, carryOn, startPending } from './switching.ts';
import { JUDGE_UNIT } from './units.ts';

const DOWNLOAD_WITHIN_S = 24 * 3600;
const STAGE_WITHIN_S = 600;
/** Looks in one start; whoever lays another order all the time is looked at by the next one. */
const LOOKS_MAX = 5;
/** While it fetches, whether the room has ordered something else. */
const LOOK_EVERY_MS = 2000;

export interface EngineOptions {
  readonly context: Context;
  readonly source: ReleaseSource;
  /** Root's configuration. Throws AgentError. */
  reader(): OrderReader;
  /** Not written to the disk's record: how far it has come. */
  progress(bytes: { done: number; total: number } | null): void;
}

export class Engine {
  readonly #options: EngineOptions;
  readonly #context: Context;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#context = options.context;
  }

  /** As far as it can go now. */
  async run(): Promise<void> {
    const { store, places, units } = this.#context;
    await startPending(this.#context);
    if (store.state.phase === 'switching') return await carryOn(this.#context);
    if (store.state.phase === 'probation') return await units.start([JUDGE_UNIT]);
    // Without what it had found in memory it has to find it again.
    if (store.state.phase === 'verified') store.change({ phase: 'downloading' });
    for (let looks = 0, stamp = ''; looks < LOOKS_MAX; looks += 1) {
      stamp = stampOf(orderFile(places));
      this.#take();
      await this.#advance();
      if (stamp === stampOf(orderFile(places)) || SWITCHED.has(store.state.phase)) return;
    }
  }

  #take(): void {
    const { store, places, say } = this.#context;
    const laid = look(orderFile(places), store.state, () => this.#options.reader());
    if (laid.kind === 'refused') {
      say(`the order is refused: ${laid.reason}`);
      store.change({ refused: { sha256: laid.sha256, reason: laid.reason.slice(0, 400) } });
    }
    if (laid.kind !== 'new') return;
    const { order, sha256, keyid } = laid;
    const counters = { ...store.state.counters, [keyid]: { counter: order.counter, sha256 } };
    const taken = { counters, refused: null };
    if (order.action === 'install') {
      this.#install(order, taken);
      return;
    }
    const { phase, target } = store.state;
    const pending = !AT_REST.has(phase);
    say(`${order.action}, as ${order.rollout} orders`);
    if (order.action === 'pause') {
      store.change(pending ? { ...taken, order, paused: true, reason: 'paused by the room' } : taken);
      return;
    }
    store.change(
      pending
        ? {
            ...taken,
            phase: 'idle',
            target: null,
            rollout: null,
            order: null,
            paused: false,
            reason: 'withdrawn',
          }
        : taken,
    );
    if (pending) dropTarget(this.#context, target);
  }

  #install(order: UpdateOrder, taken: Pick<State, 'counters' | 'refused'>): void {
    const { store, releases } = this.#context;
    const { phase, target: held, rolledBack } = store.state;
    const target = { seq: order.seq, version: order.version };
    const { rollout } = order;
    const next = { ...taken, order, rollout, target, paused: false, undone: 0 };
    if (!AT_REST.has(phase) && sameRelease(held, target)) {
      // Other dates, another window, or on after a pause: what has been done for it stays.
      store.change({ ...next, undone: store.state.undone, reason: null });
      return;
    }
    const current = releases.current();
    const again = rolledBack.some((one) => one.seq === target.seq && one.rollout === rollout);
    const at = { switch: null, reason: null } as const;
    if (again) {
      const reason = `${nameOf(target)} was rolled back in ${rollout} already; another rollout tries it again`;
      store.change({ ...next, ...at, phase: 'failed', reason });
    } else if (sameRelease(current, target)) {
      store.change({ ...next, ...at, phase: 'confirmed', reason: 'it ran already' });
    } else if (current !== null && target.seq <= current.seq) {
      const reason = `${nameOf(target)} is not newer than ${nameOf(current)}, which runs`;
      store.change({ ...next, ...at, phase: 'failed', reason });
    } else store.change({ ...next, ...at, phase: 'waiting' });
    if (!AT_REST.has(phase)) dropTarget(this.#context, held);
  }

  async #advance(): Promise<void> {
    const { store } = this.#context;
    const { phase } = store.state;
    if (AT_REST.has(phase) || SWITCHED.has(phase)) return;
    const gate = gateOf(this.#context);
    if (gate?.fail !== undefined) return this.#fail(gate.fail);
    // A download, once begun, may go on outside of the window.
    const held = phase === 'downloading' && gate?.outsideWindow === true ? undefined : gate;
    if (held !== undefined) return this.#wait(held.wait);
    if (phase === 'staged') {
      const fault = await this.#stagedFault();
      return fault === undefined ? await beginSwitch(this.#context) : this.#fail(fault);
    }
    if (phase === 'waiting') store.change({ phase: 'downloading', reason: null });
    const staged = await this.#fetch();
    if (staged) await this.#advance();
  }

  /** It may have been staged days ago, and shares files with the release that runs: whoever has written into one, wrote into both. */
  async #stagedFault(): Promise<string | undefined> {
    const { store, releases } = this.#context;
    const { target, order } = store.state;
    if (target === null || !releases.has(target)) return 'what was staged is not there any more';
    const current = releases.current();
    // A person may go back; an order never leads to an older one, whatever the record was made of.
    if (order !== null && current !== null && target.seq <= current.seq)
      return `${nameOf(target)} is not newer than ${nameOf(current)}, which runs`;
    try {
      await releases.verify(target);
      return undefined;
    } catch (error) {
      rethrowBug(error);
      return `what was staged is not whole: ${messageOf(error)}`;
    }
  }

  /** True where it lies there, staged. */
  async #fetch(): Promise<boolean> {
    const { store, places } = this.#context;
    const { target, order } = store.state;
    if (target === null) return false;
    if (order === null) {
      this.#fail('it was interrupted; begin it again');
      return false;
    }
    const leftS = DOWNLOAD_WITHIN_S - store.ageS();
    if (leftS <= 0) {
      this.#fail(
        `not fetched within ${DOWNLOAD_WITHIN_S / 3600} h: ${store.state.reason ?? 'it is too slow'}`,
      );
      return false;
    }
    const stamp = stampOf(orderFile(places));
    const aborting = new AbortController();
    const watching = setInterval(() => {
      if (stamp !== stampOf(orderFile(places)) || gateOf(this.#context)?.fail !== undefined) aborting.abort();
    }, LOOK_EVERY_MS);
    const late = setTimeout(() => aborting.abort(), leftS * 1000);
    try {
      const offered = await this.#download(target, aborting.signal);
      return offered !== undefined && (await this.#stage(offered));
    } catch (error) {
      rethrowBug(error);
      // Given up for a new order, which says what is next; or tried again by the timer.
      if (!aborting.signal.aborted) this.#wait(messageOf(error));
      return false;
    } finally {
      clearInterval(watching);
      clearTimeout(late);
      this.#options.progress(null);
    }
  }

  async #download(target: Release, signal: AbortSignal): Promise<Offered | undefined> {
    const { source, progress } = this.#options;
    const { store } = this.#context;
    const offered = await source.find(target, signal);
    store.change({ metadata: source.metadata() });
    if (offered === undefined) {
      this.#wait(
        `no release ${nameOf(target)} is signed for this box’s architecture, as far as the server knows`,
      );
      return undefined;
    }
    if (this.#misfits(offered)) return undefined;
    await offered.download(signal, (done, total) => progress({ done, total }));
    progress(null);
    store.change({ phase: 'verified', reason: null, targetSeqMin: offered.seqMin });
    // Since it was looked at first, the disk may have filled.
    return this.#misfits(offered) ? undefined : offered;
  }

  #misfits(offered: Offered): boolean {
    const reason = offered.misfit();
    if (reason !== undefined) this.#fail(reason);
    return reason !== undefined;
  }

  async #stage(offered: Offered): Promise<boolean> {
    const { store, places } = this.#context;
    try {
      await offered.stage(AbortSignal.timeout(STAGE_WITHIN_S * 1000));
    } catch (error) {
      rethrowBug(error);
      this.#fail(messageOf(error));
      return false;
    }
    store.change({ phase: 'staged', reason: null });
    rmSync(downloadsDir(places), { recursive: true, force: true });
    return true;
  }

  #wait(reason: string | undefined): void {
    const { store, say } = this.#context;
    if (reason === undefined || store.state.reason === reason) return;
    say(`${store.state.phase}: ${reason}`);
    store.change({ reason });
  }

  #fail(reason: string): void {
    const { store } = this.#context;
    store.change({ phase: 'failed', reason, switch: null });
    dropTarget(this.#context, store.state.target);
  }
}

interface Gate {
  /** Why it goes no further now. */
  readonly wait?: string;
  /** Why it never will. */
  readonly fail?: string;
  readonly outsideWindow?: boolean;
}

/** What the order says about now; undefined: go on. What a person has begun has no order. */
function gateOf(context: Context): Gate | undefined {
  const { order, paused } = context.store.state;
  if (order === null) return undefined;
  const nowMs = context.clock.wallMs();
  const doubt = clockDoubt(context);
  if (doubt !== undefined) return { wait: `${doubt}: waiting for the network to set it` };
  const dates = orderDates(order, nowMs);
  if (dates?.code === 'expired') return { fail: `the order has ended: ${dates.reason}` };
  if (paused) return { wait: 'paused by the room' };
  if (dates !== undefined) return { wait: dates.reason };
  return windowGate(order.window, nowMs);
}

function windowGate(window: Window | null, nowMs: number): Gate | undefined {
  if (window === null) return undefined;
  const { tz, days, from, to } = window;
  try {
    if (isOpenAt(window, nowMs)) return undefined;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { fail: `the window’s time zone is none that this box knows: ${tz}` };
  }
  return { wait: `waiting for the window ${days.join(', ')} ${from} to ${to} (${tz})`, outsideWindow: true };
}

/** For what a person begins on the box: not in the middle of something else. Throws AgentError `denied`. */
export function assertFree({ store }: Context): void {
  const { phase, target } = store.state;
  if (AT_REST.has(phase) || phase === 'waiting') return;
  const what = target === null ? 'an update' : `the update to ${nameOf(target)}`;
  throw new AgentError(
    'denied',
    `${what} is under way (${phase}); wait for its end, or have the room withdraw it`,
  );
}
