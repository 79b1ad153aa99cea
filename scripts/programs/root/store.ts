/**
 * The updater's memory: state.json, and the history beside it.
 *
 * INVARIANTS: a phase is on the disk before what it stands for is done; a phase that the journal must know of is in state.json
 * first, with its number, and in the history before the next change. A record that cannot be read is no first start where
 * the history knows better: a switch that had begun goes on, and orders that may have been obeyed before are refused.
 */
import { readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../../../agent/base/atomic-file.ts';
import { AgentError, hasCode, messageOf } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { RECORDED_PHASES, type UpdateRecord } from '../../../agent/contract/update.ts';
import type { BoxClock } from './clock.ts';
import { History } from './history.ts';
import { AT_REST, FIRST_STATE, REASON_CHARS_MAX, State } from './record.ts';
import type { Release } from './releases.ts';

const FILE = 'state.json';
const MODE = 0o644;

export interface StoreOptions {
  say(line: string): void;
  /** Told of each change that is on the disk. */
  changed(state: State): void;
  /** The release that runs. */
  current(): Release | null;
}

export class Store {
  readonly #file: string;
  readonly #history: History;
  readonly #clock: BoxClock;
  readonly #say: (line: string) => void;
  readonly #changed: (state: State) => void;
  readonly #current: () => Release | null;
  #state: State = FIRST_STATE;

  constructor(dir: string, clock: BoxClock, { say, changed, current }: StoreOptions) {
    this.#file = join(dir, FILE);
    this.#history = new History(dir);
    this.#clock = clock;
    this.#say = say;
    this.#changed = changed;
    this.#current = current;
  }

  get state(): State {
    return this.#state;
  }

  /** Without the right to write: as it is. */
  read(): void {
    this.#state = readState(this.#file) ?? FIRST_STATE;
  }

  /** Throws AgentError `unavailable`. */
  load(): void {
    const state = readState(this.#file);
    const last = this.#history.last();
    // A record is written before the line of the history: one that has fewer is of an earlier day.
    const earlier = state !== undefined && (last?.n ?? 0) > (state.last?.n ?? 0);
    if (state !== undefined && !earlier) {
      this.#state = this.#inTime(state);
      if (state.last !== null && (last?.n ?? 0) < state.last.n) this.#append(state.last);
      return;
    }
    const damaged = statSync(this.#file, { throwIfNoEntry: false }) !== undefined;
    if (damaged) {
      renameSync(this.#file, `${this.#file}.damaged`);
      const what = earlier ? 'is older than the history' : 'was damaged';
      this.#say(`${this.#file} ${what} and lies beside as ${FILE}.damaged`);
    }
    // How far back this box may go is not known any more, so not below what it has.
    const lost = {
      ordersFromMs: Math.max(this.#clock.wallMs(), last === undefined ? 0 : Date.parse(last.at)),
      seqMin: this.#current()?.seq ?? 0,
    };
    if (last !== undefined) this.#state = { ...this.#rebuilt(last), ...lost, targetSeqMin: lost.seqMin };
    else this.#state = damaged ? { ...FIRST_STATE, ...lost } : FIRST_STATE;
    if (last !== undefined) this.#say(`${this.#file} is made anew of the history: ${this.#state.phase}`);
    this.#write(this.#state);
  }

  /** Throws AgentError `unavailable` where the disk refuses; the state is then as it was. */
  change(change: Partial<Omit<State, 'last' | 'since'>>): void {
    const nowMs = this.#clock.wallMs();
    const before = this.#state;
    // A clock that the network has set is right, even where it was later once.
    const seenMs = this.#clock.synced() ? nowMs : Math.max(nowMs, before.seenMs);
    const state: State = { ...before, ...change, seenMs };
    if (change.reason !== undefined) state.reason = change.reason?.slice(0, REASON_CHARS_MAX) ?? null;
    const phase = change.phase !== undefined;
    if (phase) {
      state.since = new Date(nowMs).toISOString();
      state.sinceS = this.#clock.boottimeS();
      state.boot = this.#clock.bootId();
    }
    const recorded = RECORDED_PHASES.find((name) => name === state.phase);
    if (phase && recorded !== undefined) state.last = this.#recordOf(state, recorded);
    this.#write(state);
    this.#state = state;
    if (state.last !== null && state.last !== before.last) {
      this.#append(state.last);
      const { phase, reason } = state.last;
      this.#say(`${phase} ${nameOf(state.target)}${reason === null ? '' : `: ${reason}`}`);
    }
    this.#changed(state);
  }

  /** Orders may be given again where the clock that said when the record was lost has proved to be wrong. */
  #inTime(state: State): State {
    const nowMs = this.#clock.wallMs();
    return this.#clock.synced() && state.ordersFromMs > nowMs ? { ...state, ordersFromMs: nowMs } : state;
  }

  /** Since the phase began, s. Over a boot by the wall clock, and never less than nothing. */
  ageS(): number {
    const { boot, sinceS, since } = this.#state;
    if (boot === this.#clock.bootId()) return this.#clock.boottimeS() - sinceS;
    return Math.max(0, (this.#clock.wallMs() - Date.parse(since)) / 1000);
  }

  #recordOf(
    { rollout, switch: begun, target, reason, last, since }: State,
    phase: UpdateRecord['phase'],
  ): UpdateRecord {
    const from = begun === null ? this.#current() : begun.from;
    return {
      n: (last?.n ?? 0) + 1,
      at: since,
      rollout,
      phase,
      from,
      to: target,
      reason,
    };
  }

  #append(record: UpdateRecord): void {
    try {
      this.#history.append(record);
    } catch (error) {
      throw new AgentError('unavailable', `the history cannot be written: ${messageOf(error)}`, error);
    }
  }

  #write(state: State): void {
    try {
      writeAtomically(this.#file, `${JSON.stringify(state)}\n`, MODE);
    } catch (error) {
      throw new AgentError('unavailable', `${this.#file} cannot be written: ${messageOf(error)}`, error);
    }
  }

  #rebuilt(last: UpdateRecord): State {
    const { phase, rollout, from, to: target } = last;
    const begun = phase === 'switching' || phase === 'probation';
    const state: State = {
      ...FIRST_STATE,
      phase: begun ? phase : AT_REST.has(phase) ? phase : 'failed',
      since: last.at,
      boot: this.#clock.bootId(),
      sinceS: this.#clock.boottimeS(),
      reason: 'what the updater knew was lost; a new order is needed',
      rollout,
      target: target as State['target'],
      seenMs: Math.max(0, Date.parse(last.at)),
      rolledBack: this.#history
        .records()
        .flatMap(({ phase, rollout, to }) =>
          phase === 'rolled-back' && to ? [{ rollout, seq: to.seq }] : [],
        )
        .slice(-16),
      last,
    };
    if (!begun) return state;
    const [before, restarts, boots, probationS] = [null, 0, 0, null];
    return {
      ...state,
      switch: {
        from: from as State['target'],
        before,
        started: ['vigie.service'],
        restarts,
        boots,
        probationS,
        returning: null,
      },
    };
  }
}

const nameOf = (target: State['target']): string =>
  target === null ? '' : `${target.version} (${target.seq})`;

function readState(file: string): State | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw new AgentError('unavailable', `${file} cannot be read: ${messageOf(error)}`, error);
  }
  const state = jsonOf(text);
  return Value.Check(State, state) ? state : undefined;
}
