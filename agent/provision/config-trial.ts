/**
 * Root's side of a configuration trial: edits root's own file, checks the whole, runs it for a time, and puts the former
 * one back unless it is kept.
 *
 * INVARIANTS: whenever the power goes, the next `settle` leaves exactly the former configuration or, once it was kept,
 * the new one. The former file is on disk before the record of the trial, and that before the new file; what is kept
 * loses its record first. What somebody else has written into the file during a trial is not overwritten.
 * LIMITS: one trial at a time, TRIAL_S; requests one after the other (`exclusive`).
 */
import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, type Stats } from 'node:fs';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf, rethrowBug } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { type ConfigReply, ConfigRequest, type ProposalProblem, TRIAL_S } from '../contract/config-trial.ts';
import type { Proposable, Proposal } from '../contract/proposal.ts';
import { durableFiles, type TrialFiles } from './trial-files.ts';
import {
  type BootClock,
  readTrialRecord,
  sha256Of,
  systemBootClock,
  type TrialPaths,
  type TrialRecord,
  trialPaths,
} from './trial-record.ts';

/** What one runs: systemd's unit, or the agent within this process. Each throws AgentError. */
export interface TrialledAgent {
  /** Something calls `settle` then, however this process ends. */
  startTimer(seconds: number): void;
  stopTimer(): void;
  /** Begins; what comes of it is not waited for. */
  restart(): void;
}

/** The code of `vigie check`, and the order. */
export interface TrialJudge {
  /** Undefined where the text is no configuration. */
  proposable(text: string): Proposable | undefined;
  /** Throws AgentError `config` where it cannot be edited. */
  edited(text: string, proposal: Proposal): string;
  /** `former`: the text that was edited. */
  problems(edited: string, proposal: Proposal, former: string): readonly ProposalProblem[];
}

export interface ConfigTrialsOptions {
  /** The configuration. */
  readonly file: string;
  readonly judge: TrialJudge;
  readonly agent: TrialledAgent;
  /** One line for the log. */
  say(line: string): void;
  /** At most TRIAL_S. */
  readonly trialS?: number;
  readonly clock?: BootClock;
  readonly files?: TrialFiles;
}

/** What was asked is not repeated: it may hold a camera's password. */
const NO_REQUEST = 'not a request of this version, or too long';

type Told = Partial<Pick<ConfigReply, 'refused' | 'problems'>>;

export class ConfigTrials {
  readonly #options: ConfigTrialsOptions;
  readonly #clock: BootClock;
  readonly #files: TrialFiles;
  readonly #paths: TrialPaths;

  constructor(options: ConfigTrialsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemBootClock;
    this.#files = options.files ?? durableFiles;
    this.#paths = trialPaths(options.file);
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
    const record = readTrialRecord(this.#options.file);
    if (record === undefined) {
      // Cut before the trial began, or after it was kept: what is installed holds.
      this.#files.remove(this.#paths.former);
      return 'nothing';
    }
    const sameBoot = record?.boot === this.#clock.bootId();
    if (record !== null && sameBoot && !whatever && this.#leftS(record) > 0) return 'nothing';
    this.#putBack(record);
    return sameBoot ? 'of this boot' : 'of another boot';
  }

  #try(proposal: Proposal): Told {
    this.#settleFirst();
    const running = readTrialRecord(this.#options.file);
    if (running) {
      const left = Math.ceil(this.#leftS(running));
      throw new AgentError('denied', `another configuration is on trial, for ${left} s more`);
    }
    const { former, edited, problems } = this.#judged(proposal);
    if (problems.length > 0) return { problems };
    this.#install(former, edited);
    return {};
  }

  #install(former: Buffer, edited: string): void {
    const { file, agent, trialS = TRIAL_S, say } = this.#options;
    const like = this.#stat();
    const record: TrialRecord = {
      version: 1,
      id: randomBytes(8).toString('hex'),
      began: new Date(this.#clock.wallMs()).toISOString(),
      boot: this.#clock.bootId(),
      endBoottimeS: this.#clock.boottimeS() + trialS,
      former: sha256Of(former),
      tried: sha256Of(edited),
    };
    try {
      this.#files.write(this.#paths.former, former, like);
      this.#files.write(this.#paths.record, `${JSON.stringify(record)}\n`, like);
      this.#files.write(file, edited, like);
      agent.startTimer(trialS);
      agent.restart();
    } catch (error) {
      rethrowBug(error);
      // Without a timer nobody would put it back: then it is not tried.
      this.#putBack(record);
      throw error;
    }
    say(`trial ${record.id}: ${file} runs for ${trialS} s unless it is kept`);
  }

  #keep(id: string): void {
    this.#named(id);
    this.#files.remove(this.#paths.record);
    this.#files.remove(this.#paths.former);
    this.#options.say(`trial ${id}: kept`);
    this.#stopTimer();
  }

  #revert(id: string): void {
    this.#putBack(this.#named(id));
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
    const record = readTrialRecord(this.#options.file);
    if (record?.id === id) return record;
    const why = record ? 'another one runs' : putBack ? 'its time is over, it was put back' : 'none runs';
    throw new AgentError('denied', `no such trial: ${why}`);
  }

  /** A timer may come late. */
  #settleFirst(): boolean {
    const found = this.settle();
    if (found !== 'nothing') this.#options.agent.restart();
    return found !== 'nothing';
  }

  /** The former file, unless somebody has written another one meanwhile. `null`: the record is damaged. */
  #putBack(record: TrialRecord | null): void {
    const { file, say } = this.#options;
    const name = record === null ? 'a trial whose record is damaged' : `trial ${record.id}`;
    const { former, aside } = this.#paths;
    const is = sha256Of(contentOf(file) ?? '');
    const isTried = record === null || is === record.tried;
    if (!existsSync(former)) say(`${name}: there is no former configuration; ${file} stays as it is`);
    else if (is === record?.former) say(`${name}: ${file} is as it was`);
    else if (isTried) {
      this.#files.write(file, contentOf(former) ?? '', lstatSync(former));
      say(`${name}: was not kept; ${file} is as it was`);
    } else {
      this.#files.rename(former, aside);
      say(`${name}: ${file} was changed by somebody else and stays; the one before the trial is ${aside}`);
    }
    this.#files.remove(this.#paths.record);
    this.#files.remove(former);
  }

  #judged(proposal: Proposal): {
    former: Buffer;
    edited: string;
    problems: ProposalProblem[];
  } {
    this.#stat();
    const former = contentOf(this.#options.file) ?? Buffer.alloc(0);
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

  /** A file of its own: what a link leads to may be anybody's. */
  #stat(): Stats {
    const { file } = this.#options;
    const stat = lstatSync(file, { throwIfNoEntry: false });
    if (stat === undefined) throw new AgentError('config', `${file}: no such file`);
    if (!stat.isFile()) throw new AgentError('config', `${file} is no file of its own; put the file there`);
    return stat;
  }

  #leftS({ endBoottimeS }: TrialRecord): number {
    return endBoottimeS - this.#clock.boottimeS();
  }

  #reply({ refused = null, problems = [] }: Told): ConfigReply {
    const { file, judge } = this.#options;
    const text = readable(file);
    const record = readTrialRecord(file);
    const runs = record && record.boot === this.#clock.bootId() && this.#leftS(record) > 0;
    return {
      refused,
      problems,
      installed: text === undefined ? null : (judge.proposable(text.toString('utf8')) ?? null),
      sha256: text === undefined ? null : sha256Of(text),
      trial: runs ? { id: record.id, leftS: Math.min(TRIAL_S, this.#leftS(record)) } : null,
    };
  }
}

/** Undefined where there is no such file. Throws AgentError `unavailable`. */
function contentOf(file: string): Buffer | undefined {
  try {
    return existsSync(file) ? readFileSync(file) : undefined;
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be read: ${messageOf(error)}`, error);
  }
}

function readable(file: string): Buffer | undefined {
  try {
    return contentOf(file);
  } catch (error) {
    rethrowBug(error);
    return undefined;
  }
}
