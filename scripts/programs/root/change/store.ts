/**
 * The record of the change machine on the disk: state.json, and the history beside it.
 *
 * INVARIANTS: a phase is on the disk before its work begins; a phase that the journal must know of is in state.json first, with
 * its number, and in the history before the next change. A record in any other form (missing, empty, half, a folder,
 * unreadable, of a later version, older than the history) is set aside and rebuilt from the history and from what is
 * installed: a release on trial is judged on, a configuration on trial is rolled back, and orders that may have been obeyed
 * before are refused.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError, hasCode, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import type { ReleaseKind } from '../../../../agent/contract/release.ts';
import { CHANGE_KINDS, type ChangeRecord, RECORDED_PHASES } from '../../../../agent/contract/update.ts';
import type { BoxClock } from '../clock.ts';
import { History } from './history.ts';
import { stampOf } from './orders.ts';
import {
  AT_REST,
  type Change,
  FIRST_CHANGE,
  FIRST_STATE,
  FIRST_TRIAL,
  type Kind,
  REASON_CHARS_MAX,
  State,
  SWITCHED,
  type Target,
} from './record.ts';
import { setAside } from './set-aside.ts';

const FILE = 'state.json';
const MODE = 0o644;
const LOST = 'what root knew of it was lost';
const UNKNOWN: Target = { number: 0, name: 'unknown' };

/** What can be learnt of a box whose record is lost. */
export interface Remains {
  /** The release of a kind that runs. */
  current(what: ReleaseKind): Target | null;
  /** A former configuration lies beside the one that is installed: a trial of it had begun. */
  isConfigurationOnTrial(): boolean;
}

export interface StoreOptions {
  say(line: string): void;
  /** Called after each change that is on the disk. */
  changed(state: State): void;
  readonly remains: Remains;
}

export type Shared = Partial<Omit<State, Kind | 'version' | 'last' | 'seenMs'>>;

export class Store {
  readonly #file: string;
  readonly #history: History;
  readonly #clock: BoxClock;
  readonly #options: StoreOptions;
  #state: State = FIRST_STATE;
  #stamp = '';

  constructor(dir: string, clock: BoxClock, options: StoreOptions) {
    this.#file = join(dir, FILE);
    this.#history = new History(dir, options.say);
    this.#clock = clock;
    this.#options = options;
  }

  get state(): State {
    return this.#state;
  }

  /** Reads the record without repairing it: for who may not write. */
  read(): void {
    const found = readState(this.#file);
    this.#state = typeof found === 'object' ? found : FIRST_STATE;
  }

  /** Reads the record, or rebuilds it. Never throws for what lies there. */
  load(): void {
    this.#stamp = stampOf(this.#file);
    const found = readState(this.#file);
    const records = this.#history.records();
    const last = records.at(-1);
    // A record is written before the line of the history: one that has fewer is of an earlier day.
    const isEarlier = typeof found === 'object' && (last?.n ?? 0) > (found.last?.n ?? 0);
    if (typeof found === 'object' && !isEarlier) {
      this.#state = this.#inTime(found);
      if (found.last !== null && (last?.n ?? 0) < found.last.n) this.#append(found.last);
      return;
    }
    if (found !== undefined)
      setAside(this.#file, isEarlier ? 'it is older than the history' : String(found), this.#options.say);
    if (found === undefined && last === undefined && !this.#options.remains.isConfigurationOnTrial()) {
      this.#state = FIRST_STATE;
      return;
    }
    this.#state = this.#rebuilt(records);
    this.#options.say(`${this.#file} is rebuilt from the history and from what is installed`);
    this.#anyway(() => this.#write(this.#state));
  }

  /** Takes what another program of root's has changed since. Whoever calls holds the lock, or only reads. */
  refresh(): void {
    const stamp = stampOf(this.#file);
    if (stamp === this.#stamp) return;
    const found = readState(this.#file);
    if (typeof found === 'object') this.#state = found;
    this.#stamp = stamp;
  }

  /** Durable on return. Throws AgentError `unavailable` where the disk refuses; the record is then as it was. */
  put(kind: Kind, next: Change, shared: Shared = {}): void {
    this.#commit(this.#with(kind, next, shared));
  }

  /** As `put`, on the way back: a disk that refuses keeps no box from it, and the record is kept in memory. */
  putAnyway(kind: Kind, next: Change, shared: Shared = {}): void {
    const state = this.#with(kind, next, shared);
    try {
      this.#commit(state);
    } catch (error) {
      rethrowBug(error);
      this.#options.say(error.message);
      this.#state = state;
    }
  }

  /** As `put`, for what belongs to no kind. */
  set(shared: Shared): void {
    this.#commit({ ...this.#state, ...shared });
  }

  /** Age of the phase, s. Over a boot by the wall clock, and never less than nothing. */
  ageS(kind: Kind): number {
    const { boot, sinceS, since } = this.#state[kind];
    if (boot === this.#clock.bootId()) return this.#clock.boottimeS() - sinceS;
    return Math.max(0, (this.#clock.wallMs() - Date.parse(since)) / 1000);
  }

  #with(kind: Kind, next: Change, shared: Shared): State {
    const before = this.#state;
    const nowMs = this.#clock.wallMs();
    const reason = next.reason?.slice(0, REASON_CHARS_MAX) ?? null;
    let change: Change = { ...next, reason };
    let { last } = before;
    if (next.phase !== before[kind].phase) {
      const since = new Date(nowMs).toISOString();
      change = { ...change, since, sinceS: this.#clock.boottimeS(), boot: this.#clock.bootId() };
      const phase = RECORDED_PHASES.find((name) => name === next.phase);
      if (phase !== undefined) last = this.#recordOf(kind, change, phase);
    }
    return { ...before, ...shared, [kind]: change, last, seenMs: this.#seenMs(change) };
  }

  /**
   * A clock that the network has set is right, even where it was later once. One that nobody has set counts up to the end of
   * the order: a box that was once decades ahead waits for no longer than that.
   */
  #seenMs({ order }: Change): number {
    const nowMs = this.#clock.wallMs();
    const { seenMs } = this.#state;
    if (order === null) return seenMs;
    return this.#clock.synced() ? nowMs : Math.max(seenMs, Math.min(nowMs, Date.parse(order.notAfter)));
  }

  #recordOf(
    what: Kind,
    { rollout, trial, target, reason, since }: Change,
    phase: ChangeRecord['phase'],
  ): ChangeRecord {
    const from = trial?.from ?? (what === 'configuration' ? null : this.#options.remains.current(what));
    const n = (this.#state.last?.n ?? 0) + 1;
    return { n, at: since, what, rollout, phase, from, to: target, reason };
  }

  #commit(state: State): void {
    const before = this.#state;
    this.#write(state);
    this.#state = state;
    const { last } = state;
    if (last !== null && last !== before.last) {
      this.#append(last);
      const { what, phase, to, reason } = last;
      const name = to === null ? '' : ` ${to.name.slice(0, 12)} (${to.number})`;
      this.#options.say(`${what}${name}: ${phase}${reason === null ? '' : `: ${reason}`}`);
    }
    this.#options.changed(state);
  }

  /** Orders may be given again where the clock that said when the record was lost has proved to be wrong. */
  #inTime(state: State): State {
    const nowMs = this.#clock.wallMs();
    return this.#clock.synced() && state.ordersFromMs > nowMs ? { ...state, ordersFromMs: nowMs } : state;
  }

  /** The record has the number already: the line that is missing is appended by the next start. */
  #append(record: ChangeRecord): void {
    this.#anyway(() => this.#history.append(record));
  }

  #anyway(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (error instanceof AgentError) rethrowBug(error);
      this.#options.say(`the record is kept in memory: ${messageOf(error)}`);
    }
  }

  #write(state: State): void {
    try {
      writeAtomically(this.#file, `${JSON.stringify(state)}\n`, MODE);
      this.#stamp = stampOf(this.#file);
    } catch (error) {
      throw new AgentError('unavailable', `${this.#file} cannot be written: ${messageOf(error)}`, error);
    }
  }

  #rebuilt(records: readonly ChangeRecord[]): State {
    const { remains } = this.#options;
    const last = records.at(-1);
    const current = remains.current('release');
    // How far back this box may go is not known any more, so not below what it has.
    const seqMin = current?.number ?? 0;
    const ordersFromMs = Math.max(this.#clock.wallMs(), last === undefined ? 0 : Date.parse(last.at));
    const changes = CHANGE_KINDS.map((kind) => {
      const of = records.filter(({ what }) => what === kind);
      return [kind, this.#rebuiltChange(kind, of)] as const;
    });
    const proven =
      records.findLast(({ what, phase }) => what === 'release' && phase === 'confirmed')?.to ?? null;
    return {
      ...FIRST_STATE,
      boot: this.#clock.bootId(),
      ...(Object.fromEntries(changes) as Record<Kind, Change>),
      proven,
      seqMin,
      targetSeqMin: seqMin,
      ordersFromMs,
      last: last ?? null,
    };
  }

  #rebuiltChange(kind: Kind, records: readonly ChangeRecord[]): Change {
    const last = records.at(-1);
    const isRelease = kind !== 'configuration';
    const begun = isRelease
      ? last !== undefined && SWITCHED.has(last.phase)
      : this.#options.remains.isConfigurationOnTrial();
    if (last === undefined && !begun) return FIRST_CHANGE;
    const rolledBack = records
      .flatMap(({ phase, rollout, to }) =>
        phase === 'rolled-back' && to !== null ? [{ rollout, number: to.number }] : [],
      )
      .slice(-16);
    const { rollout = null, to: target = null, from = null } = last ?? {};
    const at = {
      since: last?.at ?? FIRST_CHANGE.since,
      boot: this.#clock.bootId(),
      sinceS: this.#clock.boottimeS(),
    };
    const change: Change = { ...FIRST_CHANGE, ...at, rollout, target, rolledBack };
    if (!begun) {
      if (last !== undefined && AT_REST.has(last.phase))
        return { ...change, phase: last.phase, reason: last.reason };
      return { ...change, phase: 'failed', reason: `${LOST}; a new order is needed` };
    }
    const trial = {
      ...FIRST_TRIAL,
      from,
      started: ['vigie.service'],
      // Whose trial it was, and for how long, is not known: the former configuration is the safe one.
      returning: isRelease ? null : LOST,
    };
    const phase = isRelease && last !== undefined ? last.phase : 'probation';
    return { ...change, phase, reason: LOST, trial, target: target ?? UNKNOWN };
  }
}

/** Undefined: there is none. A text: why it is no record. */
function readState(file: string): State | string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return hasCode(error, 'ENOENT') ? undefined : messageOf(error);
  }
  const state = jsonOf(text);
  return Value.Check(State, state) ? state : 'it is no record of this version';
}
