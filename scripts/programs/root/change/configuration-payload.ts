/**
 * Configurations as a payload of the change machine: a text that the room has ordered or that a technician tries takes the
 * place of the configuration file, and the agent is restarted with it.
 *
 * INVARIANTS: the former file is on the disk beside the new one before that is installed, and stays until the change is over;
 * what somebody else has written into the file meanwhile is never overwritten.
 */
import { existsSync, lstatSync, readFileSync, renameSync, rmSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { flush, writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError, hasCode, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { formerFile, type ProposalProblem, TRIAL_S } from '../../../../agent/contract/config-trial.ts';
import type { ConfigOrder } from '../../../../agent/contract/update.ts';
import { AGENT_UNIT, JUDGE_UNIT, type Units } from '../units.ts';
import { agentReport } from './agent-report.ts';
import type { FinalVerdict, JudgeTimes, Left, Payload } from './payload.ts';
import type { AgentHealth } from './probation.ts';
import {
  AT_REST,
  type Change,
  FIRST_TRIAL,
  ON_TRIAL,
  type State,
  type Target,
  type Trial,
} from './record.ts';
import type { Installed, Relation } from './step.ts';
import type { Shared } from './store.ts';

const HEALTHY_S_MAX = 20;
const FOREIGN = 'somebody else has changed the configuration on the box meanwhile; it stays as they left it';
const SECRET_MODE = 0o600;

/** Rules for a text that is to be installed. */
export interface ConfigurationJudge {
  /** The text with the camera's login of `former` in it. Throws AgentError `config`. */
  filled(yaml: string, former: string): string;
  /** SHA-256 of what the room may read; undefined where the text is not readable. */
  shownSha256(text: string): string | undefined;
  /** `may`: the rights of the order's key, which are all that it can give to other keys. */
  problems(text: string, former: string, may: readonly string[]): Promise<readonly ProposalProblem[]>;
}

export interface ConfigurationPayloadOptions {
  /** The configuration, root's. */
  readonly file: string;
  /** Where the text of the order is kept. */
  readonly orderedFile: string;
  readonly judge: ConfigurationJudge;
  readonly units: Pick<Units, 'restart'>;
  /** Health that a release must show: a configuration needs no more. */
  healthyS(): number;
  health(): Promise<AgentHealth | undefined>;
  say(line: string): void;
}

export class ConfigurationPayload implements Payload {
  readonly kind = 'configuration';
  /** Zones and rules are judged by frames. */
  readonly needsActive = true;
  readonly #options: ConfigurationPayloadOptions;

  constructor(options: ConfigurationPayloadOptions) {
    this.#options = options;
  }

  /** Keeps the text of an order. Throws AgentError `unavailable` where the disk refuses. */
  take({ revision, yaml, sha256 }: ConfigOrder): { target: Target; fault?: string } {
    const { orderedFile } = this.#options;
    const target = { number: revision, name: this.#nameOf(yaml) };
    if (sha256Of(yaml) !== sha256) return { target, fault: 'its sha256 is not that of its text' };
    onDisk(orderedFile, () => writeAtomically(orderedFile, yaml, SECRET_MODE));
    return { target };
  }

  relation(target: Target): Relation {
    try {
      const former = this.#former().toString('utf8');
      return this.#wanted(target, former) === former ? { is: 'running' } : { is: 'new' };
    } catch (error) {
      rethrowBug(error);
      return { is: 'refused', reason: messageOf(error) };
    }
  }

  installed({ trial }: Change): Installed {
    const is = this.sha256();
    if (is === null) return 'nothing';
    if (is === trial?.files?.tried) return 'target';
    return is === trial?.files?.former ? 'from' : 'other';
  }

  learnt(): Shared {
    return {};
  }

  fetch(): Promise<void> {
    return Promise.resolve();
  }

  async stage({ target, order }: Change): Promise<void> {
    const former = this.#former().toString('utf8');
    const text = this.#wanted(target, former);
    const problems = await this.#options.judge.problems(text, former, order?.may ?? []);
    if (problems.length > 0) throw new AgentError('config', problemsText(problems));
    this.stageText(text);
  }

  /** Puts a text that was judged beside the configuration. Throws AgentError. */
  stageText(text: string): void {
    this.#write(this.#nextFile, text, this.#stat());
  }

  /** It may have waited for days, and others may change the file: it is judged again with what lies there now. */
  async verifyStaged(change: Change): Promise<void> {
    if (change.order !== null) await this.stage(change);
  }

  async trial(): Promise<Trial> {
    const former = this.#former();
    const { health, say } = this.#options;
    return {
      ...FIRST_TRIAL,
      from: { number: 0, name: this.#options.judge.shownSha256(former.toString('utf8')) ?? '' },
      before: await agentReport(health, say),
      started: [AGENT_UNIT],
      files: { former: sha256Of(former), tried: sha256Of(this.#next()) },
    };
  }

  async enter(_change: Change, { files }: Trial): Promise<readonly string[]> {
    const { file, units } = this.#options;
    const is = this.sha256();
    if (files === null) throw new AgentError('bug', 'a configuration without its files');
    if (is !== files.tried) {
      if (is !== files.former) throw new AgentError('denied', FOREIGN);
      const next = this.#next();
      if (sha256Of(next) !== files.tried)
        throw new AgentError('corrupt', 'what was staged is not there any more');
      this.#write(formerFile(file), this.#former(), this.#stat());
      this.#rename(this.#nextFile, file);
    }
    await units.restart(AGENT_UNIT);
    return [JUDGE_UNIT];
  }

  async leave(_change: Change, { files }: Trial, booting: boolean): Promise<Left> {
    const { file, units, say } = this.#options;
    const left = this.#putBack(files);
    if (!booting) {
      try {
        await units.restart(AGENT_UNIT);
      } catch (error) {
        rethrowBug(error);
        say(messageOf(error));
      }
    }
    if (left === 'from') say(`${file} is as it was before the trial`);
    return {
      found: left,
      reason: left === 'nothing' ? 'there is no former configuration; it stays as it is' : FOREIGN,
      starts: [],
    };
  }

  /** systemd counts again from a restart that was ordered. */
  restarts(): Promise<number> {
    return Promise.resolve(0);
  }

  startsAtAll(): Promise<FinalVerdict> {
    return Promise.reject(new AgentError('bug', 'a configuration is judged by the agent'));
  }

  proves(): Promise<FinalVerdict> {
    return Promise.resolve({ state: 'good' });
  }

  confirmed(): Shared {
    return {};
  }

  times(): JudgeTimes {
    return { healthyS: Math.min(HEALTHY_S_MAX, this.#options.healthyS()), withinS: TRIAL_S };
  }

  /** Whoever sees the former file takes it that something is on trial. */
  tidy({ configuration: { phase } }: State): void {
    if (!ON_TRIAL.has(phase)) this.#remove(formerFile(this.#options.file));
    if (AT_REST.has(phase) || phase === 'waiting') this.#remove(this.#nextFile);
  }

  /** SHA-256 of the file as it lies there; null where there is none. Throws AgentError `unavailable`. */
  sha256(): string | null {
    const content = contentOf(this.#options.file);
    return content === undefined ? null : sha256Of(content);
  }

  #putBack(files: Trial['files']): Left['found'] {
    const { file, say } = this.#options;
    const before = formerFile(file);
    const is = this.sha256();
    if (files !== null && is === files.former) return 'from';
    const former = contentOf(before);
    if (files !== null && is !== null && is !== files.tried) {
      if (former !== undefined) this.#rename(before, `${file}.before`);
      say(`${file} was changed by somebody else and stays; the one before the trial is ${file}.before`);
      return 'other';
    }
    if (former === undefined || (files !== null && sha256Of(former) !== files.former)) return 'nothing';
    this.#write(file, former, lstatSync(before));
    return 'from';
  }

  get #nextFile(): string {
    return `${this.#options.file}.next`;
  }

  #next(): Buffer {
    const next = contentOf(this.#nextFile);
    if (next === undefined) throw new AgentError('corrupt', 'what was staged is not there any more');
    return next;
  }

  /** Empty where there is no configuration. */
  #former(): Buffer {
    return contentOf(this.#options.file) ?? Buffer.alloc(0);
  }

  /** The text of the order `target`: a cut may have left that of a later one, which the record does not know. */
  #wanted(target: Target | null, former: string): string {
    const { orderedFile, judge } = this.#options;
    const yaml = contentOf(orderedFile)?.toString('utf8');
    if (yaml === undefined || this.#nameOf(yaml) !== target?.name)
      throw new AgentError('corrupt', 'what was ordered is not there any more; a new order is needed');
    return judge.filled(yaml, former);
  }

  #nameOf(yaml: string): string {
    return this.#options.judge.shownSha256(yaml) ?? sha256Of(yaml);
  }

  /** A file of its own: what a link leads to may be anybody's. */
  #stat(): Stats {
    const { file } = this.#options;
    const stat = lstatSync(file, { throwIfNoEntry: false });
    if (stat === undefined) throw new AgentError('config', `${file}: no such file`);
    if (!stat.isFile())
      throw new AgentError('config', `${file} is not a file of its own; put the file there`);
    return stat;
  }

  /** With owner, group and mode of `like`. */
  #write(file: string, content: string | Uint8Array, like: Stats): void {
    onDisk(file, () => writeAtomically(file, content, like.mode & 0o777, like));
  }

  #rename(from: string, to: string): void {
    onDisk(to, () => {
      renameSync(from, to);
      flush(dirname(to));
    });
  }

  #remove(file: string): void {
    onDisk(file, () => {
      if (!existsSync(file)) return;
      rmSync(file);
      flush(dirname(file));
    });
  }
}

export function problemsText(problems: readonly ProposalProblem[]): string {
  const [first] = problems;
  const text = `${first?.path ?? ''}: ${first?.message ?? ''}`.replace(/^: /, '');
  const more = problems.length - 1;
  return more < 1 ? text : `${text.slice(0, 400)}; and ${more} more`;
}

function contentOf(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw new AgentError('unavailable', `${file} cannot be read: ${messageOf(error)}`, error);
  }
}

function onDisk(file: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
  }
}
