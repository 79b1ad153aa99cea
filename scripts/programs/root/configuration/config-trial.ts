/**
 * Root's side of a configuration trial: edits root's own file, checks the whole, runs it for a time, and puts the former
 * one back unless it is kept.
 *
 * INVARIANTS: whenever the power goes, the next `settle` leaves exactly the former configuration or, once it was kept,
 * the new one. The former file is on disk before the record of the trial, and that before the new file; what is kept
 * loses its record first. What somebody else has written into the file during a trial is not overwritten.
 * LIMITS: one trial at a time, TRIAL_S; requests one after the other (`exclusive`).
 */

import { Value } from '@sinclair/typebox/value';
import { AgentError, rethrowBug } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import {
  type ConfigReply,
  ConfigRequest,
  type ProposalProblem,
  TRIAL_S,
} from '../../../../agent/contract/config-trial.ts';
import type { Proposable, Proposal } from '../../../../agent/contract/proposal.ts';
import { TrialInstall, type TrialInstallOptions, type TrialledAgent } from './trial-install.ts';
import type { TrialRecord } from './trial-record.ts';

/** The code of `vigie check`, and the order. */
export interface TrialJudge {
  /** Undefined where the text is no configuration. */
  proposable(text: string): Proposable | undefined;
  /** Throws AgentError `config` where it cannot be edited. */
  edited(text: string, proposal: Proposal): string;
  /** `former`: the text that was edited. */
  problems(edited: string, proposal: Proposal, former: string): readonly ProposalProblem[];
}

export interface ConfigTrialsOptions extends TrialInstallOptions {
  readonly judge: TrialJudge;
  readonly agent: TrialledAgent;
}

/** What was asked is not repeated: it may hold a camera's password. */
const NO_REQUEST = 'not a request of this version, or too long';

type Told = Partial<Pick<ConfigReply, 'refused' | 'problems'>>;

export class ConfigTrials {
  readonly #options: ConfigTrialsOptions;
  readonly #install: TrialInstall;

  constructor(options: ConfigTrialsOptions) {
    this.#options = options;
    this.#install = new TrialInstall(options);
  }

  /** One request, a line of JSON. Whoever calls sees to it that no other runs meanwhile. */
  answer(line: string): ConfigReply {
    const request = jsonOf(line);
    if (!Value.Check(ConfigRequest, request)) return this.#reply({ refused: NO_REQUEST });
    try {
      if (request.op === 'check') return this.#reply({ problems: this.#judged(request.proposal).problems });
      if (request.op === 'try') return this.#reply(this.#try(request.proposal));
      if (request.op === 'keep') this.#keep(request.trial);
      if (request.op === 'revert') this.#revert(request.trial);
      return this.#reply({});
    } catch (error) {
      rethrowBug(error);
      return this.#reply({ refused: error.message.slice(0, 1000) });
    }
  }

  /** Why nothing was done, without having looked at a request. */
  refuse(reason: string): ConfigReply {
    return this.#reply({ refused: reason });
  }

  /**
   * Puts back what is over, of another boot, or whatever there is (`whatever`: who ran it has ended), and tidies up what a
   * power cut has left. Returns what has been put back: of this boot, so that an agent runs with it, or of another.
   */
  settle(whatever = false): 'nothing' | 'of this boot' | 'of another boot' {
    const { record } = this.#install;
    if (record === undefined) {
      // Cut before the trial began, or after it was kept: what is installed holds.
      this.#install.forget();
      return 'nothing';
    }
    // What the room has ordered is settled by who tells the room of it.
    if (record?.order !== undefined && !whatever) return 'nothing';
    const sameBoot = record !== null && this.#install.isOfThisBoot(record);
    if (record !== null && !whatever && this.#install.leftS(record) > 0) return 'nothing';
    this.#install.end(record);
    return sameBoot ? 'of this boot' : 'of another boot';
  }

  #try(proposal: Proposal): Told {
    this.#settleFirst();
    const { record } = this.#install;
    if (record) throw new AgentError('denied', `another configuration is on trial, ${this.#until(record)}`);
    const { former, edited, problems } = this.#judged(proposal);
    if (problems.length > 0) return { problems };
    this.#begin(former, edited);
    return {};
  }

  #until(record: TrialRecord): string {
    if (record.order?.waits === true)
      return 'the room’s, until the box looks again; the room can withdraw it';
    return `for ${Math.ceil(this.#install.leftS(record))} s more`;
  }

  #begin(former: Buffer, edited: string): void {
    const { file, agent, trialS = TRIAL_S, say } = this.#options;
    const record = this.#install.begin(former, edited);
    this.#install.launch(record, agent);
    say(`trial ${record.id}: ${file} runs for ${trialS} s unless it is kept`);
  }

  #keep(id: string): void {
    this.#install.keep(this.#named(id));
    this.#stopTimer();
  }

  #revert(id: string): void {
    this.#install.end(this.#named(id));
    this.#options.agent.restart();
    this.#stopTimer();
  }

  /** One that goes on finds nothing to put back. */
  #stopTimer(): void {
    try {
      this.#options.agent.stopTimer();
    } catch (error) {
      rethrowBug(error);
      this.#options.say(error.message);
    }
  }

  /** The trial that runs; throws AgentError `denied` where it is not this one. */
  #named(id: string): TrialRecord {
    const putBack = this.#settleFirst();
    const { record } = this.#install;
    if (record?.id === id && record.order === undefined) return record;
    const why = record ? 'another one runs' : putBack ? 'its time is over, it was put back' : 'none runs';
    throw new AgentError('denied', `no such trial: ${why}`);
  }

  /** A timer may come late. */
  #settleFirst(): boolean {
    const found = this.settle();
    if (found !== 'nothing') this.#options.agent.restart();
    return found !== 'nothing';
  }

  #judged(proposal: Proposal): {
    former: Buffer;
    edited: string;
    problems: ProposalProblem[];
  } {
    this.#install.stat();
    const former = this.#install.content() ?? Buffer.alloc(0);
    try {
      const { judge } = this.#options;
      const text = former.toString('utf8');
      const edited = judge.edited(text, proposal);
      return { former, edited, problems: [...judge.problems(edited, proposal, text)] };
    } catch (error) {
      rethrowBug(error);
      return { former, edited: '', problems: [{ path: '', message: error.message, order: false }] };
    }
  }

  #reply({ refused = null, problems = [] }: Told): ConfigReply {
    const text = this.#readable();
    const { record } = this.#install;
    const leftS = record && record.order === undefined ? this.#install.leftS(record) : 0;
    return {
      refused,
      problems,
      installed: text === undefined ? null : (this.#options.judge.proposable(text.toString('utf8')) ?? null),
      sha256: text === undefined ? null : sha256Of(text),
      trial: record && leftS > 0 ? { id: record.id, leftS: Math.min(TRIAL_S, leftS) } : null,
    };
  }

  #readable(): Buffer | undefined {
    try {
      return this.#install.content();
    } catch (error) {
      rethrowBug(error);
      return undefined;
    }
  }
}
