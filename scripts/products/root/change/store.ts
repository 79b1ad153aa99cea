/**
 * Stores the record of the change machine: state.json, and the history beside it.
 *
 * INVARIANTS:
 * - A phase is on disk before its work begins.
 * - A phase for the journal is first in state.json, with its number, and in the history before the next change.
 * - Any other record (missing, empty, half, a folder, unreadable, of a later version, older than the history) is set
 *   aside. It is rebuilt from the history and from what is installed.
 * - After a rebuild, a trial is rolled back: who began it is unknown, so nothing could prove it. Orders that may have been
 *   obeyed before are refused.
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
const LOST_TEXT = 'what root knew of it was lost';
const UNKNOWN: Target = { number: 0, name: 'unknown' };

/** Facts that can be read from a box whose record is lost. */
export interface Remains {
  /** Returns the running release of a kind. */
  current(kind: ReleaseKind): Target | null;
  /**
   * Returns what ran before a trial that had begun, as the box still shows it: null if only the trial can be seen,
   * undefined if no trial can.
   */
  beforeTrial(kind: Kind): Target | null | undefined;
}

export interface StoreOptions {
  say(line: string): void;
  /** Called after each change, once it is on disk. */
  onChange(state: State): void;
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

  /** Reads the record without repairing it, for callers that may not write. */
  read(): void {
    const stored = readState(this.#file);
    this.#state = typeof stored === 'object' ? stored : FIRST_STATE;
  }

  /** Reads the record, or rebuilds it. Never throws for invalid content. */
  load(): void {
    this.#stamp = stampOf(this.#file);
    const stored = readState(this.#file);
    const records = this.#history.records();
    const last = records.at(-1);
    // The record is written before the history, so a record with a lower number is out of date.
    const isEarlier = typeof stored === 'object' && (last?.n ?? 0) > (stored.last?.n ?? 0);
    if (typeof stored === 'object' && !isEarlier) {
      this.#state = this.#inTime(stored);
      if (stored.last !== null && (last?.n ?? 0) < stored.last.n) this.#append(stored.last);
      return;
    }
    if (stored !== undefined)
      setAside(this.#file, isEarlier ? 'it is older than the history' : String(stored), this.#options.say);
    const { remains } = this.#options;
    const isOnTrial = (kind: Kind): boolean => remains.beforeTrial(kind) !== undefined;
    if (stored === undefined && last === undefined && !CHANGE_KINDS.some(isOnTrial)) {
      this.#state = FIRST_STATE;
      return;
    }
    this.#state = this.#rebuilt(records);
    this.#options.say(`${this.#file} is rebuilt from the history and from what is installed`);
    this.#anyway(() => this.#write(this.#state));
  }

  /**
   * Reads what another vigie-root process has changed. A record that was damaged since is rebuilt: the memory of this
   * process is older. The caller holds the lock, or only reads.
   */
  refresh(): void {
    const stamp = stampOf(this.#file);
    if (stamp === this.#stamp) return;
    const stored = readState(this.#file);
    if (typeof stored === 'object') {
      this.#state = stored;
      this.#stamp = stamp;
    } else this.load();
  }

  /**
   * Writes a change; durable on return. Throws AgentError `unavailable` if the disk refuses, and the record is then
   * unchanged.
   */
  put(kind: Kind, next: Change, shared: Shared = {}): void {
    this.#commit(this.#with(kind, next, shared));
  }

  /**
   * Does the same as `put` on the way back. If the disk refuses, the record stays in memory and the rollback continues.
   */
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

  /** Does the same as `put` for fields that belong to no kind. */
  set(shared: Shared): void {
    this.#commit({ ...this.#state, ...shared });
  }

  /** Returns the age of the phase in s, at least 0. After a boot it comes from the wall clock. */
  ageS(kind: Kind): number {
    const { boot, phaseStartedS, phaseStartedAt } = this.#state[kind];
    if (boot === this.#clock.bootId()) return this.#clock.boottimeS() - phaseStartedS;
    return Math.max(0, (this.#clock.wallMs() - Date.parse(phaseStartedAt)) / 1000);
  }

  #with(kind: Kind, next: Change, shared: Shared): State {
    const before = this.#state;
    const nowMs = this.#clock.wallMs();
    const reason = next.reason?.slice(0, REASON_CHARS_MAX) ?? null;
    let change: Change = { ...next, reason };
    let { last } = before;
    if (next.phase !== before[kind].phase) {
      change = {
        ...change,
        phaseStartedAt: new Date(nowMs).toISOString(),
        phaseStartedS: this.#clock.boottimeS(),
        boot: this.#clock.bootId(),
      };
      const phase = RECORDED_PHASES.find((name) => name === next.phase);
      if (phase !== undefined) last = this.#recordOf(kind, change, phase);
    }
    return { ...before, ...shared, [kind]: change, last, seenMs: this.#seenMs(change) };
  }

  /**
   * Returns the latest time seen. A clock set by the network is right, even if it was later once. An unset clock counts
   * only up to the beginning of the order, which is signed: decades ahead, it must not block later orders.
   */
  #seenMs({ order }: Change): number {
    const nowMs = this.#clock.wallMs();
    const { seenMs } = this.#state;
    if (order === null) return seenMs;
    return this.#clock.synced() ? nowMs : Math.max(seenMs, Math.min(nowMs, Date.parse(order.notBefore)));
  }

  #recordOf(
    kind: Kind,
    { rollout, trial, target, reason, phaseStartedAt }: Change,
    phase: ChangeRecord['phase'],
  ): ChangeRecord {
    const from = trial?.from ?? (kind === 'configuration' ? null : this.#options.remains.current(kind));
    const n = (this.#state.last?.n ?? 0) + 1;
    return { n, at: phaseStartedAt, what: kind, rollout, phase, from, to: target, reason };
  }

  #commit(state: State): void {
    const before = this.#state;
    this.#write(state);
    this.#state = state;
    const { last } = state;
    if (last !== null && last !== before.last) {
      this.#append(last);
      const { what: kind, phase, to, reason } = last;
      const name = to === null ? '' : ` ${to.name.slice(0, 12)} (${to.number})`;
      this.#options.say(`${kind}${name}: ${phase}${reason === null ? '' : `: ${reason}`}`);
    }
    this.#options.onChange(state);
  }

  /** Accepts orders again if the network's clock shows that the recorded time of the loss was in the future. */
  #inTime(state: State): State {
    const nowMs = this.#clock.wallMs();
    return this.#clock.synced() && state.ordersFromMs > nowMs ? { ...state, ordersFromMs: nowMs } : state;
  }

  /** Appends to the history. On failure the next start appends the line, since the record already has its number. */
  #append(record: ChangeRecord): void {
    this.#anyway(() => this.#history.append(record));
  }

  #anyway(action: () => void): void {
    try {
      action();
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
    // The rollback limit is lost, so the box accepts nothing below its present release.
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
    const { remains } = this.#options;
    const last = records.at(-1);
    const before = remains.beforeTrial(kind);
    // A configuration leaves the file from before its trial; without it, nothing was installed.
    const isLastOnTrial = kind !== 'configuration' && last !== undefined && SWITCHED.has(last.phase);
    const hasBegun = before !== undefined || isLastOnTrial;
    if (last === undefined && !hasBegun) return FIRST_CHANGE;
    const rolledBack = records
      .flatMap(({ phase, rollout, to }) =>
        phase === 'rolled-back' && to !== null ? [{ rollout, number: to.number }] : [],
      )
      .slice(-16);
    const { rollout = null, to: target = null, from = null } = last ?? {};
    const change: Change = {
      ...FIRST_CHANGE,
      phaseStartedAt: last?.at ?? FIRST_CHANGE.phaseStartedAt,
      boot: this.#clock.bootId(),
      phaseStartedS: this.#clock.boottimeS(),
      rollout,
      target,
      rolledBack,
    };
    if (!hasBegun) {
      if (last !== undefined && AT_REST.has(last.phase))
        return { ...change, phase: last.phase, reason: last.reason };
      return { ...change, phase: 'failed', reason: `${LOST_TEXT}; a new order is needed` };
    }
    const installed = isLastOnTrial || kind === 'configuration' ? target : remains.current(kind);
    return {
      ...change,
      phase: 'probation',
      reason: LOST_TEXT,
      target: installed ?? UNKNOWN,
      trial: {
        ...FIRST_TRIAL,
        from: before ?? from,
        started: ['vigie.service'],
        returning: LOST_TEXT,
      },
    };
  }
}

/** Returns undefined if there is no record, or a text that says why it is invalid. */
function readState(file: string): State | string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return hasCode(error, 'ENOENT') ? undefined : messageOf(error);
  }
  const state = jsonOf(text);
  return Value.Check(State, state) ? state : 'it is not a record of this version';
}
