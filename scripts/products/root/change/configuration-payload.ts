/**
 * Changes the agent's configuration for the change machine. Replaces the configuration file with a text that the room
 * has ordered or a technician is trying, and restarts the agent.
 *
 * INVARIANTS:
 * - The previous file is on disk beside the new one before the new one is installed, and stays until the change is
 *   over.
 * - Changes that someone else has made to the file meanwhile are never overwritten.
 */
import { existsSync, lstatSync, readFileSync, renameSync, rmSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { flush, writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError, hasCode, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { type ProposalProblem, previousFile, TRIAL_S } from '../../../../agent/contract/config-trial.ts';
import type { ConfigOrder } from '../../../../agent/contract/update.ts';
import { type TrialStartOptions, trialStart } from '../own-record.ts';
import { AGENT_UNIT, JUDGE_UNIT, type Units } from '../units.ts';
import type { FinalVerdict, LeaveResult, Payload, ProbationTimes } from './payload.ts';
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
export const FOREIGN =
  'someone else has changed the configuration on the box meanwhile; it stays as they left it';
const SECRET_MODE = 0o600;

/** Checks a configuration text before it is installed. */
export interface ConfigurationValidator {
  /**
   * Returns the text with the camera's login of `previous` inserted.
   *
   * @throws AgentError config
   */
  filled(yaml: string, previous: string): string;
  /** Returns the SHA-256 of the text as the room may read it; undefined if the text cannot be read. */
  shownSha256(text: string): string | undefined;
  /**
   * Returns the validation errors; `may` are the rights of the order's key, the only ones that it can grant to other
   * keys.
   */
  problems(text: string, previous: string, may: readonly string[]): Promise<readonly ProposalProblem[]>;
}

export interface ConfigurationPayloadOptions extends TrialStartOptions {
  /** The agent's configuration file, owned by root. */
  readonly file: string;
  /** File that stores the text of the order. */
  readonly orderedFile: string;
  readonly validator: ConfigurationValidator;
  readonly units: Pick<Units, 'restart'>;
  /** Returns how long health must last, in s, as for a release. A configuration needs no more. */
  healthyS(): number;
}

export class ConfigurationPayload implements Payload {
  readonly kind = 'configuration';
  /** True, because zones and rules can be tested only on analysed frames. */
  readonly needsActive = true;
  readonly #options: ConfigurationPayloadOptions;

  constructor(options: ConfigurationPayloadOptions) {
    this.#options = options;
  }

  /**
   * Stores the text of an order.
   *
   * @throws AgentError unavailable: the disk refuses the write
   */
  take({ revision, yaml, sha256 }: ConfigOrder): { target: Target; problem?: string } {
    const { orderedFile } = this.#options;
    const target = { number: revision, name: this.#nameOf(yaml) };
    if (sha256Of(yaml) !== sha256) return { target, problem: 'its sha256 is not that of its text' };
    onDisk(orderedFile, () => writeAtomically(orderedFile, yaml, SECRET_MODE));
    return { target };
  }

  relation(target: Target): Relation {
    try {
      const current = this.#current().toString('utf8');
      return this.#orderedText(target, current) === current ? { is: 'running' } : { is: 'new' };
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
    const current = this.#current().toString('utf8');
    const text = this.#orderedText(target, current);
    const problems = await this.#options.validator.problems(text, current, order?.may ?? []);
    if (problems.length > 0) throw new AgentError('config', problemsText(problems));
    this.stageText(text);
  }

  /**
   * Writes a checked text beside the configuration.
   *
   * @throws AgentError
   */
  stageText(text: string): void {
    this.#write(this.#nextFile, text, this.#stat());
  }

  /**
   * Checks the text against the present file again: it may have waited for days, and others may have changed the file.
   */
  async verifyStaged(change: Change): Promise<void> {
    if (change.order !== null) await this.stage(change);
  }

  async trial(): Promise<Trial> {
    const current = this.#current();
    return {
      ...FIRST_TRIAL,
      from: { number: 0, name: this.#options.validator.shownSha256(current.toString('utf8')) ?? '' },
      before: await trialStart(this.#options),
      started: [AGENT_UNIT],
      files: { former: sha256Of(current), tried: sha256Of(this.#next()) },
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
        throw new AgentError('corrupt', 'the staged configuration has disappeared');
      this.#write(previousFile(file), this.#current(), this.#stat());
      this.#rename(this.#nextFile, file);
    }
    await units.restart(AGENT_UNIT);
    return [JUDGE_UNIT];
  }

  async leave(_change: Change, { files }: Trial, booting: boolean): Promise<LeaveResult> {
    const { file, units, say } = this.#options;
    const outcome = this.#putBack(files);
    if (!booting) {
      try {
        await units.restart(AGENT_UNIT);
      } catch (error) {
        rethrowBug(error);
        say(messageOf(error));
      }
    }
    if (outcome === 'from') say(`${file} has the content from before the trial`);
    return {
      outcome,
      reason: outcome === 'nothing' ? 'there is no previous configuration; the present one stays' : FOREIGN,
      starts: [],
    };
  }

  /** Returns 0, since systemd resets its count on an explicit restart. */
  restarts(): Promise<number> {
    return Promise.resolve(0);
  }

  startsAtAll(): Promise<FinalVerdict> {
    return Promise.reject(new AgentError('bug', 'a configuration is checked by the agent'));
  }

  proves(): Promise<FinalVerdict> {
    return Promise.resolve({ state: 'good' });
  }

  confirmed(): Shared {
    return {};
  }

  times(): ProbationTimes {
    return { healthyS: Math.min(HEALTHY_S_MAX, this.#options.healthyS()), withinS: TRIAL_S };
  }

  /**
   * Removes leftover files. The previous file is the sign that a change is on trial, so it goes once the trial is over.
   */
  tidy({ configuration: { phase } }: State): void {
    if (!ON_TRIAL.has(phase)) this.#remove(previousFile(this.#options.file));
    if (AT_REST.has(phase) || phase === 'waiting') this.#remove(this.#nextFile);
  }

  /**
   * Returns the SHA-256 of the present file, or null if there is none.
   *
   * @throws AgentError unavailable
   */
  sha256(): string | null {
    const content = contentOf(this.#options.file);
    return content === undefined ? null : sha256Of(content);
  }

  #putBack(files: Trial['files']): LeaveResult['outcome'] {
    const { file, say } = this.#options;
    const before = previousFile(file);
    const is = this.sha256();
    if (files !== null && is === files.former) return 'from';
    const previous = contentOf(before);
    if (files !== null && is !== null && is !== files.tried) {
      if (previous !== undefined) this.#rename(before, `${file}.before`);
      say(`${file} was changed by someone else and stays; the one before the trial is ${file}.before`);
      return 'other';
    }
    if (previous === undefined || (files !== null && sha256Of(previous) !== files.former)) return 'nothing';
    this.#write(file, previous, lstatSync(before));
    return 'from';
  }

  get #nextFile(): string {
    return `${this.#options.file}.next`;
  }

  #next(): Buffer {
    const next = contentOf(this.#nextFile);
    if (next === undefined) throw new AgentError('corrupt', 'the staged configuration has disappeared');
    return next;
  }

  /** Returns the present configuration; empty if there is none. */
  #current(): Buffer {
    return contentOf(this.#options.file) ?? Buffer.alloc(0);
  }

  /**
   * Returns the ordered text for `target`. After a power cut the file may hold the text of a later order, unknown to
   * the record.
   */
  #orderedText(target: Target | null, current: string): string {
    const { orderedFile, validator } = this.#options;
    const yaml = contentOf(orderedFile)?.toString('utf8');
    if (yaml === undefined || this.#nameOf(yaml) !== target?.name)
      throw new AgentError('corrupt', 'the ordered configuration has disappeared; a new order is needed');
    return validator.filled(yaml, current);
  }

  #nameOf(yaml: string): string {
    return this.#options.validator.shownSha256(yaml) ?? sha256Of(yaml);
  }

  /** Refuses a symbolic link, because its target may belong to anyone. */
  #stat(): Stats {
    const { file } = this.#options;
    const stat = lstatSync(file, { throwIfNoEntry: false });
    if (stat === undefined) throw new AgentError('config', `${file}: no such file`);
    if (!stat.isFile())
      throw new AgentError('config', `${file} is not a file of its own; put the file there`);
    return stat;
  }

  /** Writes the file with the owner, group and mode of `like`. */
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
  const restCount = problems.length - 1;
  return restCount < 1 ? text : `${text.slice(0, 400)}; and ${restCount} more`;
}

function contentOf(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw new AgentError('unavailable', `${file} cannot be read: ${messageOf(error)}`, error);
  }
}

function onDisk(file: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
  }
}
