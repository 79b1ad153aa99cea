/**
 * A box as the broker sees one: connects with its Last Will, judges orders by the real code and its commands.keys, goes
 * through the phases of the real updater in their times, and signs what it reports with a journal key of its own.
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
import type { Fate } from './fate.ts';
import { opening } from './opening.ts';
import { type Change, changeFrom, JOURNAL_FIRST, type Release, reportOf } from './reported.ts';

export interface SimBoxOptions {
  readonly site: string;
  readonly box: string;
  readonly board: Board;
  /** What it runs in the beginning. */
  readonly runs: Readonly<Record<ReleaseKind, Release>>;
  readonly mode: Mode;
  readonly fate: Fate;
  /** Of what it would load, and how long it waits before it begins. */
  readonly bytes: number;
  readonly jitterMs: number;
}

export interface SimSurroundings {
  readonly url: string;
  readonly keys: readonly CommandKey[];
  /** Simulated time, ms since the epoch. */
  nowMs(): number;
  /** Calls back at a simulated time. */
  at(ms: number, act: () => Promise<void>): void;
}

/** Ten Mbit/s with others on the line. */
const BYTES_PER_MS = 1000;
/** Seen in booted units: staging and checks, the switch, 60 s of health; a crash at start goes back 20 s after it. */
const TIMES_MS: Partial<Record<ChangePhase, number>> = {
  verified: 1000,
  staged: 8000,
  switching: 2000,
  probation: 3000,
  confirmed: 61_000,
  'rolled-back': 20_700,
};
const AT_REST: readonly ChangePhase[] = ['idle', 'confirmed', 'rolled-back', 'failed'];
const BEFORE_SWITCH: readonly ChangePhase[] = ['waiting', 'downloading', 'verified', 'staged'];
const TRYING: readonly ChangePhase[] = ['switching', 'probation'];
const CONNECT_TIMEOUT_MS = 60_000;
const KEEPALIVE_S = 600;

export class SimBox {
  readonly options: SimBoxOptions;
  readonly #around: SimSurroundings;
  readonly #key: KeyObject;
  readonly #publicKey: string;
  #session: Session | undefined;
  readonly #changes: Readonly<Record<ReleaseKind, Change>>;
  /** Of which a release is under way, or was last. */
  #what: ReleaseKind = 'release';
  #order: UpdateOrder | undefined;
  /** That which is carried out, or was last. */
  #obeyed: UpdateOrder | undefined;
  #refused: string | null = null;
  #journal = JOURNAL_FIRST;
  #generation = 0;
  #muted = false;
  #gone = false;
  /** Messages that the broker has of it. */
  published = 0;
  /** What has come last on its topic of orders, by its hash. */
  heard = '';
  #busy: Promise<void> = Promise.resolve();

  constructor(options: SimBoxOptions, around: SimSurroundings) {
    this.options = options;
    this.#around = around;
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.#key = privateKey;
    this.#publicKey = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    const { release, root } = options.runs;
    this.#changes = { release: changeFrom(release), root: changeFrom(root) };
  }

  get online(): boolean {
    return this.#session !== undefined;
  }

  /** Resolves when all that has come is dealt with. */
  get settled(): Promise<void> {
    return this.#busy;
  }

  /** What it is really like: of the program whose release is under way, or was last. */
  get truth(): { phase: ChangePhase; seq: number; mode: Mode; gone: boolean } {
    const { phase, running } = this.#now;
    return { phase, seq: running.seq, mode: this.options.mode, gone: this.#gone };
  }

  get #now(): Change {
    return this.#changes[this.#what];
  }

  /** Connects, says what it runs, and hears what is desired. */
  async connect(): Promise<void> {
    if (this.#gone) return;
    const { site, box, fate } = this.options;
    const topics = topicsOf(site, box);
    const message = (state: StatusReport['state']) => ({
      topic: topics.status,
      payload: JSON.stringify({ state, boot: this.#boot, time: this.#time(this.#around.nowMs()) }),
      qos: 1 as const,
      retain: true,
      contentType: 'application/json',
    });
    const session = await openSession(
      {
        config: { url: this.#around.url, ack: 'broker' },
        credentials: { certificate: undefined },
        clientId: box,
        will: message('offline'),
        keepaliveS: KEEPALIVE_S,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        clock: systemClock,
        onMessage: (_topic, payload) => {
          this.heard = hashOf(payload);
          this.#busy = this.#busy.then(() => this.#hear(payload));
        },
      },
      new AbortController().signal,
    );
    this.#session = session;
    this.heard = '';
    await this.#publish(message('online'));
    await this.#report();
    // From here on it is there and says nothing.
    this.#muted = fate.ends === 'mute';
    await session.subscribe(topics.updateDesired);
  }

  /** As a cable that is pulled: the broker publishes the Last Will. */
  drop(): void {
    if (this.#session === undefined) return;
    this.#session.destroy();
    this.#session = undefined;
    this.published += 1;
  }

  /** Its power goes, and with it what it was about to do. */
  cut(): void {
    this.#generation += 1;
    this.drop();
  }

  /** Its power is back: it connects, and goes on with what it was at, as the updater does after a boot. */
  async boot(): Promise<void> {
    const [order, generation] = [this.#obeyed, this.#generation];
    const { phase, rollout } = this.#now;
    await this.connect();
    // An order that has come with the connection is at work already.
    if (this.#gone || order === undefined || rollout === null || generation !== this.#generation) return;
    if (phase === 'switching') this.#then('probation', TIMES_MS.probation ?? 0);
    else if (phase === 'probation') this.#then(...this.#verdict());
    else if (BEFORE_SWITCH.includes(phase)) await this.#begin(order);
  }

  /** The broker has come back with nothing: as after `drop`, without a Last Will. */
  async reconnect(): Promise<void> {
    if (this.#session === undefined) return;
    this.#session.destroy();
    this.#session = undefined;
    await this.connect();
  }

  /** One that anybody could send: with the box's own key, and what is given instead of the truth. */
  async report(instead: Partial<UpdateReport>): Promise<string> {
    const envelope = this.#envelope(instead);
    await this.#publishReport(envelope);
    return envelope;
  }

  /** What was signed already, once more. */
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
        keys: this.#around.keys,
        wallMs: () => Number.POSITIVE_INFINITY,
      });
      if (this.#order !== undefined && order.counter <= this.#order.counter) {
        if (order.counter === this.#order.counter) return;
        throw new CommandRefused(
          'replayed',
          `its counter ${order.counter} is not above ${this.#order.counter}`,
        );
      }
      const dates = orderDates(order, this.#around.nowMs());
      if (dates?.code === 'expired') throw new CommandRefused(dates.code, dates.reason);
      this.#refused = null;
      this.#order = order;
      if (dates === undefined) return await this.#obey(order);
      // As on a box: an order of the future waits, unless another one comes.
      this.#around.at(Date.parse(order.notBefore), async () => {
        if (this.#order === order) await this.#obey(order);
      });
      await this.#report();
    } catch (error) {
      if (!(error instanceof CommandRefused)) throw error;
      this.#refused = `${error.code}: ${error.message}`;
      await this.#report();
    }
  }

  async #obey(order: UpdateOrder): Promise<void> {
    if (this.options.fate.ends === 'mute') return;
    // What tries goes on to its end; an order for the other program waits until then.
    if (TRYING.includes(this.#now.phase)) return this.#report();
    if (order.what !== this.#what) {
      await this.#withdraw();
      this.#what = order.what;
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

  /** Takes back what has not switched. What has ended stays as it is, as on the real one. */
  async #withdraw(): Promise<void> {
    if (AT_REST.includes(this.#now.phase)) return this.#report();
    this.#generation += 1;
    this.#now.rollout = null;
    await this.#enter('idle', null);
  }

  async #begin(order: UpdateOrder): Promise<void> {
    const nowMs = this.#around.nowMs();
    const openMs = order.window === null ? nowMs : opening(order.window, nowMs);
    // All look at the same times, and begin at their own.
    if (openMs > nowMs) return this.#next(openMs - nowMs, () => this.#begin(order));
    this.#next(this.options.jitterMs, async () => {
      await this.#enter('downloading', null);
      this.#then('verified', this.options.bytes / BYTES_PER_MS);
    });
  }

  /** The phase after the given time, and what follows it. */
  #then(phase: ChangePhase, afterMs: number): void {
    this.#next(afterMs, async () => {
      const { ends } = this.options.fate;
      const change = this.#now;
      if (phase === 'probation' && change.target !== undefined)
        [change.running, change.previous] = [change.target, change.running];
      if (phase === 'rolled-back' && change.previous !== null)
        [change.running, change.previous] = [change.previous, null];
      const why: Partial<Record<ChangePhase, string>> = {
        'rolled-back': 'it crashed: 3 restarts',
        failed: 'the archive is not what was signed',
      };
      await this.#enter(phase, why[phase] ?? null);
      const after: Partial<Record<ChangePhase, ChangePhase>> = {
        verified: ends === 'failed' ? 'failed' : 'staged',
        staged: 'switching',
        switching: 'probation',
        probation: this.#verdict()[0],
      };
      const next = after[phase];
      if (next !== undefined) this.#then(next, TIMES_MS[next] ?? 0);
      else if (this.#order !== undefined && this.#order.what !== this.#what) await this.#obey(this.#order);
    });
  }

  /** What follows the probation, and when. */
  #verdict(): [phase: ChangePhase, afterMs: number] {
    const phase = this.options.fate.ends === 'rolled-back' ? 'rolled-back' : 'confirmed';
    return [phase, TIMES_MS[phase] ?? 0];
  }

  /** Unless another order has come in between. */
  #next(afterMs: number, act: () => Promise<void>): void {
    const generation = this.#generation;
    this.#around.at(this.#around.nowMs() + afterMs, async () => {
      if (generation === this.#generation) await act();
    });
  }

  async #enter(phase: ChangePhase, reason: string | null): Promise<void> {
    const sinceMs = this.#around.nowMs();
    Object.assign(this.#now, { phase, sinceMs, reason });
    this.#journal += 1;
    await this.#report();
    const { vanishes } = this.options.fate;
    if (vanishes?.at !== phase) return;
    const vanish = (): void => {
      this.#gone = true;
      this.cut();
    };
    if (vanishes.afterMs === 0) vanish();
    else this.#around.at(sinceMs + vanishes.afterMs, async () => vanish());
  }

  async #report(): Promise<void> {
    if (!this.#muted) await this.#publishReport(this.#envelope({}));
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
    const fault = await Promise.race([answered, session.closed]);
    if (fault !== undefined) throw fault;
    this.published += 1;
  }

  #time(ms: number): string {
    return new Date(ms).toISOString();
  }

  #envelope(instead: Partial<UpdateReport>): string {
    const report = reportOf({
      ...this.options,
      ...this.#changes,
      key: this.#publicKey,
      boot: this.#boot,
      atMs: this.#around.nowMs(),
      journal: this.#journal,
      order: this.#order?.counter ?? null,
      refused: this.#refused,
    });
    return signEnvelope(UPDATE_REPORT_TYPE, JSON.stringify({ ...report, ...instead }), this.#key);
  }
}

/** Tells what was sent from what was sent before; nothing of nothing. */
export function hashOf(payload: Uint8Array): string {
  return payload.length === 0 ? '' : createHash('sha256').update(payload).digest('hex');
}
