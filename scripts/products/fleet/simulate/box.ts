/**
 * Simulates a box as the broker sees it: it connects with a Last Will and verifies orders with the real code and its
 * commands.keys. It passes through the phases of the real updater in their usual times, and signs its reports with its
 * own journal key.
 */
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { systemClock } from '../../../../agent/base/clock.ts';
import { CommandRefused } from '../../../../agent/contract/command.ts';
import type { CommandKey } from '../../../../agent/contract/config.ts';
import type { StatusReport } from '../../../../agent/contract/health.ts';
import type { Mode } from '../../../../agent/contract/mode.ts';
import type { Board, ReleaseKind } from '../../../../agent/contract/release.ts';
import { topicsOf } from '../../../../agent/contract/topics.ts';
import {
  type ChangePhase,
  UPDATE_REPORT_TYPE,
  type UpdateOrder,
  type UpdateReport,
} from '../../../../agent/contract/update.ts';
import { openSession, type Session } from '../../../../agent/mqtt/session.ts';
import { signEnvelope } from '../../../../agent/orders/dsse.ts';
import { openOrder, orderDates } from '../../../../agent/orders/room-order.ts';
import type { Release } from '../../root/releases.ts';
import { AT_REST } from '../rollout/kinds.ts';
import { opening } from './opening.ts';
import { type Change, changeFrom, JOURNAL_FIRST, reportOf } from './reported.ts';

/** Phases in which a release may take a box off the network. */
export const VANISHING = ['downloading', 'switching', 'probation', 'confirmed'] as const;

/** Faults of a simulated box. */
export interface Fate {
  /** `mute`: connected, but silent after its first report. */
  readonly ends: 'confirmed' | 'rolled-back' | 'failed' | 'mute';
  /** Delay until it returns, ms after the start. Null: it is always connected, or with `startsOffline` never returns. */
  readonly backAfterMs: number | null;
  /** True if it is offline from the start. */
  readonly startsOffline: boolean;
  /** Lost for good, with this delay after it has reported the phase. */
  readonly vanishes?: { readonly at: (typeof VANISHING)[number]; readonly afterMs: number } | undefined;
  /** Hours of the day, UTC, without power. */
  readonly dark?: { readonly fromHour: number; readonly toHour: number } | undefined;
}

export interface SimBoxOptions {
  readonly site: string;
  readonly box: string;
  readonly board: Board;
  /** Release of each program at the start. */
  readonly runs: Readonly<Record<ReleaseKind, Release>>;
  readonly mode: Mode;
  readonly fate: Fate;
  /** Size of the download, and the delay before it begins. */
  readonly bytes: number;
  readonly jitterMs: number;
}

export interface SimSurroundings {
  readonly url: string;
  readonly keys: readonly CommandKey[];
  /** Returns the simulated time, ms since the epoch. */
  nowMs(): number;
  /** Calls back at a simulated time. */
  at(ms: number, action: () => Promise<void>): void;
}

/** Ten Mbit/s on a shared line. */
const BYTES_PER_MS = 1000;
/**
 * Durations measured on booted units, ms: staging and checks, the switch, 60 s of health. A crash at start rolls back
 * 20 s later.
 */
const TIMES_MS: Partial<Record<ChangePhase, number>> = {
  verified: 1000,
  staged: 8000,
  switching: 2000,
  probation: 3000,
  confirmed: 61_000,
  'rolled-back': 20_700,
};
const BEFORE_SWITCH: readonly ChangePhase[] = ['waiting', 'downloading', 'verified', 'staged'];
const TRYING: readonly ChangePhase[] = ['switching', 'probation'];
const CONNECT_TIMEOUT_MS = 60_000;
const KEEPALIVE_S = 600;

export class SimBox {
  readonly options: SimBoxOptions;
  readonly #surroundings: SimSurroundings;
  readonly #key: KeyObject;
  readonly #publicKey: string;
  #session: Session | undefined;
  readonly #changes: Readonly<Record<ReleaseKind, Change>>;
  /** Program with a release under way, or with the last one. */
  #kind: ReleaseKind = 'release';
  #order: UpdateOrder | undefined;
  /** The order that is carried out, or the last one. */
  #obeyed: UpdateOrder | undefined;
  #refusal: string | null = null;
  #journal = JOURNAL_FIRST;
  #generation = 0;
  #isMute = false;
  #isGone = false;
  /** Number of the box's messages at the broker. */
  published = 0;
  /** Hash of the last message on its order topic. */
  lastOrderHash = '';
  #busy: Promise<void> = Promise.resolve();

  constructor(options: SimBoxOptions, surroundings: SimSurroundings) {
    this.options = options;
    this.#surroundings = surroundings;
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.#key = privateKey;
    this.#publicKey = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    const { release, root } = options.runs;
    this.#changes = { release: changeFrom(release), root: changeFrom(root) };
  }

  get online(): boolean {
    return this.#session !== undefined;
  }

  /** Resolves when all received messages have been handled. */
  get settled(): Promise<void> {
    return this.#busy;
  }

  /** The box's actual state, for the program with the latest release. */
  get truth(): { phase: ChangePhase; seq: number; mode: Mode; hasVanished: boolean } {
    const { phase, running } = this.#now;
    return { phase, seq: running.seq, mode: this.options.mode, hasVanished: this.#isGone };
  }

  get #now(): Change {
    return this.#changes[this.#kind];
  }

  /** Connects, reports what it runs, and receives the desired state. */
  async connect(): Promise<void> {
    if (this.#isGone) return;
    const { site, box, fate } = this.options;
    const topics = topicsOf(site, box);
    const message = (state: StatusReport['state']) => ({
      topic: topics.status,
      payload: JSON.stringify({ state, boot: this.#boot, time: this.#time(this.#surroundings.nowMs()) }),
      qos: 1 as const,
      retain: true,
      contentType: 'application/json',
    });
    const session = await openSession(
      {
        config: { url: this.#surroundings.url, ack: 'broker' },
        credentials: { certificate: undefined },
        clientId: box,
        will: message('offline'),
        keepaliveS: KEEPALIVE_S,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        clock: systemClock,
        onMessage: (_topic, payload) => {
          this.lastOrderHash = hashOf(payload);
          this.#busy = this.#busy.then(() => this.#hear(payload));
        },
      },
      new AbortController().signal,
    );
    this.#session = session;
    this.lastOrderHash = '';
    await this.#publish(message('online'));
    await this.#report();
    // From now on the box is connected but sends nothing.
    this.#isMute = fate.ends === 'mute';
    await session.subscribe(topics.updateDesired);
  }

  /** Disconnects like a pulled cable: the broker publishes the Last Will. */
  drop(): void {
    if (this.#session === undefined) return;
    this.#session.destroy();
    this.#session = undefined;
    this.published += 1;
  }

  /** Simulates a power cut, which also cancels the pending work. */
  cutPower(): void {
    this.#generation += 1;
    this.drop();
  }

  /** Simulates the return of power: the box connects and continues like the updater after a boot. */
  async boot(): Promise<void> {
    const [order, generation] = [this.#obeyed, this.#generation];
    const { phase, rollout } = this.#now;
    await this.connect();
    // An order that came with the connection is already being handled.
    if (this.#isGone || order === undefined || rollout === null || generation !== this.#generation) return;
    if (phase === 'switching') this.#then('probation', TIMES_MS.probation ?? 0);
    else if (phase === 'probation') this.#then(...this.#verdict());
    else if (BEFORE_SWITCH.includes(phase)) await this.#begin(order);
  }

  /** Reconnects to a restarted, empty broker: like `drop`, but without a Last Will. */
  async reconnect(): Promise<void> {
    if (this.#session === undefined) return;
    this.#session.destroy();
    this.#session = undefined;
    await this.connect();
  }

  /** Sends a false report, signed with the box's own key; `instead` replaces the true values. */
  async report(overrides: Partial<UpdateReport>): Promise<string> {
    const envelope = this.#envelope(overrides);
    await this.#publishReport(envelope);
    return envelope;
  }

  /** Sends an earlier signed report again. */
  async replay(envelope: string): Promise<void> {
    await this.#publishReport(envelope);
  }

  get #boot(): string {
    return createHash('sha256').update(this.options.box).digest('hex').slice(0, 16);
  }

  async #hear(payload: Buffer): Promise<void> {
    if (payload.length === 0) return;
    const { site, box } = this.options;
    try {
      const { order } = openOrder('update', payload, {
        site,
        box,
        keys: this.#surroundings.keys,
        wallMs: () => Number.POSITIVE_INFINITY,
      });
      if (this.#order !== undefined && order.counter <= this.#order.counter) {
        if (order.counter === this.#order.counter) return;
        throw new CommandRefused(
          'replayed',
          `its counter ${order.counter} is not above ${this.#order.counter}`,
        );
      }
      const dates = orderDates(order, this.#surroundings.nowMs());
      if (dates?.code === 'expired') throw new CommandRefused(dates.code, dates.reason);
      this.#refusal = null;
      this.#order = order;
      if (dates === undefined) return await this.#obey(order);
      // A future order waits, as on a box, unless another one arrives.
      this.#surroundings.at(Date.parse(order.notBefore), async () => {
        if (this.#order === order) await this.#obey(order);
      });
      await this.#report();
    } catch (error) {
      if (!(error instanceof CommandRefused)) throw error;
      this.#refusal = `${error.code}: ${error.message}`;
      await this.#report();
    }
  }

  async #obey(order: UpdateOrder): Promise<void> {
    if (this.options.fate.ends === 'mute') return;
    // A change on probation continues; an order for the other program waits until it ends.
    if (TRYING.includes(this.#now.phase)) return this.#report();
    if (order.what !== this.#kind) {
      await this.#withdraw();
      this.#kind = order.what;
    }
    if (order.action === 'withdraw') return this.#withdraw();
    this.#generation += 1;
    const change = this.#now;
    change.rollout = order.rollout;
    if (order.action === 'pause') return this.#report();
    const { seq, version } = order;
    [this.#obeyed, change.target] = [order, { seq, version }];
    if (seq <= change.running.seq) return this.#enter('failed', `release ${seq} is not newer`);
    await this.#enter('waiting', null);
    await this.#begin(order);
  }

  /** Withdraws a change before its switch. A finished change stays unchanged, as on a real box. */
  async #withdraw(): Promise<void> {
    if (AT_REST.includes(this.#now.phase)) return this.#report();
    this.#generation += 1;
    this.#now.rollout = null;
    await this.#enter('idle', null);
  }

  async #begin(order: UpdateOrder): Promise<void> {
    const nowMs = this.#surroundings.nowMs();
    const openMs = order.window === null ? nowMs : opening(order.window, nowMs);
    // All boxes wait for the same window, and each begins with its own delay.
    if (openMs > nowMs) return this.#next(openMs - nowMs, () => this.#begin(order));
    this.#next(this.options.jitterMs, async () => {
      await this.#enter('downloading', null);
      this.#then('verified', this.options.bytes / BYTES_PER_MS);
    });
  }

  /** Enters the phase after the given time, and continues from there. */
  #then(phase: ChangePhase, afterMs: number): void {
    this.#next(afterMs, async () => {
      const { ends } = this.options.fate;
      const change = this.#now;
      if (phase === 'probation' && change.target !== undefined)
        [change.running, change.previous] = [change.target, change.running];
      if (phase === 'rolled-back' && change.previous !== null)
        [change.running, change.previous] = [change.previous, null];
      const reasons: Partial<Record<ChangePhase, string>> = {
        'rolled-back': 'it crashed: 3 restarts',
        failed: 'the archive is not what was signed',
      };
      await this.#enter(phase, reasons[phase] ?? null);
      const after: Partial<Record<ChangePhase, ChangePhase>> = {
        verified: ends === 'failed' ? 'failed' : 'staged',
        staged: 'switching',
        switching: 'probation',
        probation: this.#verdict()[0],
      };
      const next = after[phase];
      if (next !== undefined) this.#then(next, TIMES_MS[next] ?? 0);
      else if (this.#order !== undefined && this.#order.what !== this.#kind) await this.#obey(this.#order);
    });
  }

  /** Returns the phase after the probation, and its delay. */
  #verdict(): [phase: ChangePhase, afterMs: number] {
    const phase = this.options.fate.ends === 'rolled-back' ? 'rolled-back' : 'confirmed';
    return [phase, TIMES_MS[phase] ?? 0];
  }

  /** Calls back unless another order has arrived in between. */
  #next(afterMs: number, action: () => Promise<void>): void {
    const generation = this.#generation;
    this.#surroundings.at(this.#surroundings.nowMs() + afterMs, async () => {
      if (generation === this.#generation) await action();
    });
  }

  async #enter(phase: ChangePhase, reason: string | null): Promise<void> {
    const sinceMs = this.#surroundings.nowMs();
    Object.assign(this.#now, { phase, sinceMs, reason });
    this.#journal += 1;
    await this.#report();
    const { vanishes } = this.options.fate;
    if (vanishes?.at !== phase) return;
    const vanish = (): void => {
      this.#isGone = true;
      this.cutPower();
    };
    if (vanishes.afterMs === 0) vanish();
    else this.#surroundings.at(sinceMs + vanishes.afterMs, async () => vanish());
  }

  async #report(): Promise<void> {
    if (!this.#isMute) await this.#publishReport(this.#envelope({}));
  }

  async #publishReport(payload: string): Promise<void> {
    const { site, box } = this.options;
    await this.#publish({
      topic: topicsOf(site, box).updateReported,
      payload,
      qos: 1,
      retain: true,
      contentType: 'application/json',
    });
  }

  async #publish(message: Parameters<Session['publish']>[0]): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    const answered = new Promise<Error | undefined>((resolve) => session.publish(message, resolve));
    const error = await Promise.race([answered, session.closed]);
    if (error !== undefined) throw error;
    this.published += 1;
  }

  #time(ms: number): string {
    return new Date(ms).toISOString();
  }

  #envelope(overrides: Partial<UpdateReport>): string {
    const report = reportOf({
      ...this.options,
      ...this.#changes,
      key: this.#publicKey,
      boot: this.#boot,
      atMs: this.#surroundings.nowMs(),
      journal: this.#journal,
      order: this.#order?.counter ?? null,
      refusal: this.#refusal,
    });
    return signEnvelope(UPDATE_REPORT_TYPE, JSON.stringify({ ...report, ...overrides }), this.#key);
  }
}

/** Returns a hash that distinguishes messages; empty for an empty message. */
export function hashOf(payload: Uint8Array): string {
  return payload.length === 0 ? '' : createHash('sha256').update(payload).digest('hex');
}
