/**
 * Root's side of a configuration that the room has ordered: judged by root's own keys, installed as a trial, kept when the
 * agent has been well with it, put back otherwise.
 *
 * INVARIANTS: nothing of the agent's is believed but what one of root's own keys has signed for this box; the counter of an
 * order is on disk before anything is done for it. Whenever this process or the power ends, `settle` at boot and the next
 * `look` leave the former configuration, or the new one once it was kept, and say which; a trial whose agent was not
 * started anew is no probation. What somebody else has written into the file is not overwritten.
 * LIMITS: one trial at a time, whose ever it is; an order of CONFIG_ORDER_BYTES_MAX; a trial has TRIAL_S, but for one that
 * waits until the box looks again, however long that takes.
 */

import { join } from 'node:path';
import { rethrowBug } from '../../../../agent/base/errors.ts';
import { readForeign } from '../../../../agent/base/foreign-file.ts';
import type { AgentHealth } from '../../../../agent/base/probation.ts';
import {
  type OpenedOrder,
  type OrderReader,
  openOrder,
  orderDates,
} from '../../../../agent/base/room-order.ts';
import { isOpenAt } from '../../../../agent/base/schedule.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import type { CommandKey } from '../../../../agent/contract/config.ts';
import { type ProposalProblem, TRIAL_S } from '../../../../agent/contract/config-trial.ts';
import {
  CONFIG_ORDER_BYTES_MAX,
  CONFIG_ORDER_FILE,
  type ConfigOrder,
  type ConfigOrderStatus,
  type Window,
} from '../../../../agent/contract/update.ts';
import { OrderStatus } from './config-order-status.ts';
import { TrialInstall, type TrialInstallOptions, type TrialledAgent } from './trial-install.ts';
import type { TrialRecord } from './trial-record.ts';

/** The code of `vigie check`, the order of the authority, and the camera's login (config/secrets.ts). */
export interface OrderJudge {
  /** The text as the box would run it. Throws AgentError `config`. */
  filled(yaml: string, former: string): string;
  /** SHA-256 of what the room may read; undefined where the text is not readable. */
  shownSha256(text: string): string | undefined;
  /** `may`: what the order's key may, which is all that it can let other keys do. */
  problems(text: string, former: string, may: CommandKey['may']): readonly ProposalProblem[];
}

export interface ConfigOrdersOptions extends TrialInstallOptions {
  /** The agent's. */
  readonly stateDir: string;
  /** Root's own configuration, and nothing that the agent has kept. Throws AgentError. */
  reader(): OrderReader;
  readonly judge: OrderJudge;
  readonly agent: TrialledAgent;
  /** The network has set the wall clock since boot. */
  clockSynced?(): boolean;
}

/** `probation`: a trial runs and is to be judged; `pending`: to be looked at again. */
export type OrderState = 'settled' | 'pending' | 'probation';

const FINAL: readonly ConfigOrderStatus['phase'][] = ['idle', 'confirmed', 'rolled-back', 'failed'];
const FOREIGN = 'somebody else has changed the configuration on the box meanwhile; it stays as they left it';
const WITHDRAWN = 'withdrawn by the room';
const WAITS = 'it is tried when the box looks again';

export class ConfigOrders {
  readonly #options: ConfigOrdersOptions;
  readonly #install: TrialInstall;
  readonly #status: OrderStatus;

  constructor(options: ConfigOrdersOptions) {
    this.#options = options;
    this.#install = new TrialInstall(options);
    const { clock, files } = this.#install;
    this.#status = new OrderStatus(options.file, files, () => clock.wallMs());
  }

  /** The trial of an order that runs now; undefined: none does. */
  get trial(): TrialRecord | undefined {
    const { record } = this.#install;
    return record?.order?.waits === false ? record : undefined;
  }

  leftS(record: TrialRecord): number {
    return this.#install.leftS(record);
  }

  /**
   * Puts back a trial whose time is over or that is of another boot: before the agent starts, and when the timer of a trial
   * ends. Returns whether an agent runs with what was put back.
   */
  settle(): boolean {
    const record = this.trial;
    if (record === undefined || this.#install.leftS(record) > 0) return false;
    const sameBoot = this.#install.isOfThisBoot(record);
    this.#back(record, sameBoot ? 'its time was over' : 'the box was started anew while it was on trial');
    return sameBoot;
  }

  /** What is to be done now is done. `health`: of the agent as it runs. Nobody else works at the file meanwhile. */
  look(health: AgentHealth | undefined): OrderState {
    if (this.settle()) this.#options.agent.restart();
    const { record } = this.#install;
    if (record === null) this.#install.end(record);
    if (record?.order?.waits === false) return this.#launch(record);
    if (record?.order !== undefined) return this.#awaiting(record, health);
    // Cut before a trial began, or after one was kept.
    if (record === undefined) this.#install.forget();
    this.#reconcile();
    const opened = this.#opened();
    if (opened === undefined) return this.#status.read().phase === 'waiting' ? 'pending' : 'settled';
    return this.#obey(opened, health, record !== undefined && record !== null);
  }

  /** What came of the trial that runs; the agent is as `health` says. */
  conclude(id: string, why: string | undefined, health: AgentHealth | undefined): void {
    const record = this.trial;
    if (record?.id !== id) {
      // The timer was faster.
      this.#reconcile();
      return;
    }
    const { agent } = this.#options;
    const fault = why ?? (this.#isForeign(record) ? FOREIGN : undefined);
    if (fault !== undefined) {
      this.#back(record, fault);
      agent.restart();
    } else if (health?.mode === 'active') {
      this.#install.keep(record);
      this.#tell('confirmed', null);
    } else {
      this.#install.again(record, { ...orderOf(record), waits: true });
      this.#tell('awaits-resume', WAITS);
    }
    this.#trying(() => agent.stopTimer());
  }

  /** Installed: the agent starts anew with it; where that is known already, it is judged. */
  #launch(record: TrialRecord): OrderState {
    const { phase } = this.#status.read();
    const { agent, trialS = TRIAL_S, say, file } = this.#options;
    if (phase === 'awaits-resume') this.#tell('probation', null);
    if (phase !== 'waiting') return 'probation';
    try {
      this.#install.launch(record, agent);
    } catch (error) {
      rethrowBug(error);
      this.#tell('failed', error.message);
      return 'settled';
    }
    this.#tell('probation', null);
    say(
      `trial ${record.id}: ${file} runs for ${trialS} s, by the room’s order, unless the agent is well with it`,
    );
    return 'probation';
  }

  /** Installed on a box that does not look: tried when it does, back when the room says so. */
  #awaiting(record: TrialRecord, health: AgentHealth | undefined): OrderState {
    const { agent, trialS = TRIAL_S } = this.#options;
    const order = orderOf(record);
    if (this.#isForeign(record)) {
      this.#back(record, FOREIGN);
      return 'pending';
    }
    // A cut between the two.
    this.#tell('awaits-resume', WAITS);
    const opened = this.#opened();
    if (opened !== undefined && this.#isNew(opened) && this.#late(opened) === undefined) {
      const { action } = opened.order;
      if (action === 'pause') {
        this.#count(opened);
        return 'pending';
      }
      this.#back(record, action === 'withdraw' ? WITHDRAWN : 'another order has come');
      agent.restart();
      if (action === 'withdraw') this.#count(opened);
      return this.look(health);
    }
    if (health?.mode !== 'active') return 'pending';
    const running = this.#install.again(record, { waits: false, before: { ...order.before, ...LOOKS } });
    agent.startTimer(trialS);
    return this.#launch(running);
  }

  #obey(opened: OpenedOrder<'configure'>, health: AgentHealth | undefined, busy: boolean): OrderState {
    const { order } = opened;
    const status = this.#status.read();
    if (!this.#isNew(opened)) {
      const newest = status.counters[opened.keyid] ?? 0;
      if (order.counter < newest) return this.#refused(`counter ${order.counter} is not above ${newest}`);
      if (FINAL.includes(status.phase) || order.action !== 'install') return 'settled';
      const same = this.#shown(order.yaml) === status.sha256 && order.revision === status.revision;
      if (!same) return this.#refused(`another order with the counter ${newest} came before`);
    } else if (order.action !== 'install') {
      const late = this.#late(opened);
      if (late !== undefined) {
        this.#refused(late.reason);
        return late.code === 'expired' ? 'settled' : 'pending';
      }
      this.#count(opened);
      if (status.phase !== 'waiting') return 'settled';
      if (order.action === 'withdraw') this.#tell('idle', WITHDRAWN);
      else this.#tell('waiting', 'paused by the room');
      return 'settled';
    }
    return this.#takeUp(opened, health, busy);
  }

  #takeUp(opened: OpenedOrder<'configure'>, health: AgentHealth | undefined, busy: boolean): OrderState {
    const { order } = opened;
    const { rollout, revision } = order;
    const sha256 = this.#shown(order.yaml);
    const former = this.#install.content() ?? Buffer.alloc(0);
    const ordered = { rollout, revision, sha256, former: this.#shown(former.toString('utf8')) };
    const { counters } = this.#status.read();
    const like = this.#install.stat();
    const told = (phase: ConfigOrderStatus['phase'], reason: string | null): void =>
      this.#status.change(
        { ...ordered, phase, reason, counters: { ...counters, [opened.keyid]: order.counter } },
        like,
      );
    const { clock } = this.#install;
    const late = this.#late(opened);
    const never = late?.code === 'expired' ? late.reason : orderFault(order);
    if (never !== undefined) {
      told('failed', never);
      return 'settled';
    }
    const wait = late
      ? late.reason
      : busy
        ? 'a technician tries another one'
        : closed(order.window, clock.wallMs());
    told('waiting', wait ?? null);
    if (wait !== undefined) return 'pending';
    return this.#try(opened, former, health, told);
  }

  #try(
    { order, may }: OpenedOrder<'configure'>,
    former: Buffer,
    health: AgentHealth | undefined,
    told: (phase: ConfigOrderStatus['phase'], reason: string | null) => void,
  ): OrderState {
    const { judge } = this.#options;
    const before = former.toString('utf8');
    let record: TrialRecord;
    try {
      const text = judge.filled(order.yaml, before);
      if (text === before) {
        told('confirmed', 'it lies there already');
        return 'settled';
      }
      const problems = judge.problems(text, before, may);
      if (problems.length > 0) {
        told('failed', problemsText(problems));
        return 'settled';
      }
      const { mode, camera, journalEntries } = health ?? {};
      const was =
        mode === undefined || camera === undefined || journalEntries === undefined
          ? null
          : { mode, camera, journalEntries };
      record = this.#install.begin(former, text, { waits: false, before: was });
    } catch (error) {
      rethrowBug(error);
      told('failed', error.message);
      return 'settled';
    }
    return this.#launch(record);
  }

  /** The former one, said before it is forgotten that there was a trial. */
  #back(record: TrialRecord, why: string): void {
    const found = this.#install.putBack(record);
    this.#trying(() => {
      // One whose agent was never started anew was not tried: it will be.
      if (this.#status.read().phase === 'waiting') return;
      if (found === 'foreign') this.#tell('failed', FOREIGN);
      else this.#tell('rolled-back', why);
    });
    this.#install.forget();
  }

  /** A cut between the end of a trial and its being told. */
  #reconcile(): void {
    const { phase, sha256, former } = this.#status.read();
    if (phase !== 'probation' && phase !== 'awaits-resume') return;
    const is = this.#shown(this.#install.content()?.toString('utf8') ?? '');
    if (is !== null && is === sha256) this.#tell('confirmed', null);
    else if (is !== null && is === former) this.#tell('rolled-back', 'it was put back');
    else this.#tell('failed', FOREIGN);
  }

  /** Undefined where there is none, or none that counts. */
  #opened(): OpenedOrder<'configure'> | undefined {
    const file = join(this.#options.stateDir, CONFIG_ORDER_FILE);
    const bytes = readForeign(file, CONFIG_ORDER_BYTES_MAX);
    if (bytes === undefined) return undefined;
    try {
      return openOrder('configure', bytes, this.#options.reader());
    } catch (error) {
      rethrowBug(error);
      this.#refused(error.message);
      return undefined;
    }
  }

  #isNew({ keyid, order }: OpenedOrder<'configure'>): boolean {
    return order.counter > (this.#status.read().counters[keyid] ?? 0);
  }

  #late({ order }: OpenedOrder<'configure'>) {
    const nowMs = this.#install.clock.wallMs();
    const { at } = this.#status.read();
    // A clock that went back would obey what has long ended; one that the network has set is right.
    if (nowMs < Date.parse(at) && this.#options.clockSynced?.() !== true) {
      const reason = `the clock is not believed: it was ${at} already`;
      return { code: 'not-yet-valid', reason } as const;
    }
    const late = orderDates(order, nowMs);
    // Without the time that it is now: waiting is told once.
    return late?.code === 'not-yet-valid' ? { ...late, reason: `valid from ${order.notBefore}` } : late;
  }

  #count({ keyid, order }: OpenedOrder<'configure'>): void {
    const { counters } = this.#status.read();
    this.#status.change({ counters: { ...counters, [keyid]: order.counter } }, this.#install.stat());
  }

  #tell(phase: ConfigOrderStatus['phase'], reason: string | null): void {
    this.#status.change({ phase, reason }, this.#install.stat());
  }

  #isForeign({ tried }: TrialRecord): boolean {
    return sha256Of(this.#install.content() ?? '') !== tried;
  }

  #shown(text: string): string | null {
    return this.#options.judge.shownSha256(text) ?? null;
  }

  #refused(reason: string): 'settled' {
    this.#options.say(`the room’s order is refused: ${reason}`);
    return 'settled';
  }

  /** What must not keep the former configuration from being put back. */
  #trying(act: () => void): void {
    try {
      act();
    } catch (error) {
      rethrowBug(error);
      this.#options.say(error.message);
    }
  }
}

/** It looks again: from here on frames count, and what the camera was before does not. */
const LOOKS = { mode: 'active', camera: '', journalEntries: 0 } as const;

function orderOf({ order }: TrialRecord) {
  return order ?? { waits: false, before: null };
}

/** Why it can never be obeyed, whatever the time. */
function orderFault({ yaml, sha256, window }: ConfigOrder): string | undefined {
  if (sha256Of(yaml) !== sha256) return 'its sha256 is not that of its text';
  try {
    closed(window, 0);
    return undefined;
  } catch (error) {
    if (error instanceof RangeError) return `there is no time zone ${window?.tz}`;
    throw error;
  }
}

/** Undefined while it is open. */
function closed(window: Window | null, wallMs: number): string | undefined {
  if (window === null) return undefined;
  const { tz, days, from, to } = window;
  return isOpenAt(window, wallMs) ? undefined : `its window is ${days.join(', ')} ${from}–${to} ${tz}`;
}

function problemsText(problems: readonly ProposalProblem[]): string {
  const [first] = problems;
  const text = `${first?.path ?? ''}: ${first?.message ?? ''}`.replace(/^: /, '');
  const more = problems.length - 1;
  return more < 1 ? text : `${text.slice(0, 400)}; and ${more} more`;
}
