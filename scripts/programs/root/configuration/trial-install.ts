/**
 * What is done to root's file for a trial, whoever has asked for it: the new one is installed, kept, or the former one is
 * put back.
 *
 * INVARIANTS: the former file is on disk before the record of the trial, and that before the new file; what is kept loses
 * its record first, what goes back loses it when the former file is there. What somebody else has written into the file
 * meanwhile is not overwritten.
 */

import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, type Stats } from 'node:fs';
import { type BootClock, systemBootClock } from '../../../../agent/base/boot-clock.ts';
import { AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { TRIAL_S } from '../../../../agent/contract/config-trial.ts';
import { durableFiles, type TrialFiles } from './trial-files.ts';
import {
  type OrderTrial,
  readTrialRecord,
  type TrialPaths,
  type TrialRecord,
  trialPaths,
} from './trial-record.ts';

/** What one runs: systemd's unit, or the agent within this process. Each throws AgentError. */
export interface TrialledAgent {
  /** Something settles the trial then, however this process ends. */
  startTimer(seconds: number): void;
  stopTimer(): void;
  /** Begins; what comes of it is not waited for. */
  restart(): void;
}

export interface TrialInstallOptions {
  /** The configuration. */
  readonly file: string;
  /** One line for the log. */
  say(line: string): void;
  /** At most TRIAL_S. */
  readonly trialS?: number;
  readonly clock?: BootClock;
  readonly files?: TrialFiles;
}

/** `foreign`: somebody else has changed the file, and it stays as they left it. */
export type PutBack = 'former' | 'foreign';

export class TrialInstall {
  readonly file: string;
  readonly files: TrialFiles;
  readonly clock: BootClock;
  readonly #say: (line: string) => void;
  readonly #trialS: number;
  readonly #paths: TrialPaths;

  constructor({ file, say, trialS = TRIAL_S, clock, files }: TrialInstallOptions) {
    this.file = file;
    this.files = files ?? durableFiles;
    this.clock = clock ?? systemBootClock;
    this.#say = say;
    this.#trialS = trialS;
    this.#paths = trialPaths(file);
  }

  /** As `readTrialRecord`. */
  get record(): TrialRecord | null | undefined {
    return readTrialRecord(this.file);
  }

  /** Seconds that a trial of this boot has left; of another one none. */
  leftS(record: TrialRecord): number {
    return this.isOfThisBoot(record) ? record.endBoottimeS - this.clock.boottimeS() : 0;
  }

  isOfThisBoot({ boot }: TrialRecord): boolean {
    return boot === this.clock.bootId();
  }

  /** The file as it lies there; undefined where there is none. Throws AgentError `unavailable`. */
  content(): Buffer | undefined {
    return contentOf(this.file);
  }

  /** A file of its own: what a link leads to may be anybody's. Throws AgentError `config`. */
  stat(): Stats {
    const stat = lstatSync(this.file, { throwIfNoEntry: false });
    if (stat === undefined) throw new AgentError('config', `${this.file}: no such file`);
    if (!stat.isFile())
      throw new AgentError('config', `${this.file} is no file of its own; put the file there`);
    return stat;
  }

  /** Installs it. Throws AgentError, with the former one in its place. */
  begin(former: Buffer, text: string, order?: OrderTrial): TrialRecord {
    const like = this.stat();
    const record: TrialRecord = {
      version: 1,
      id: randomBytes(8).toString('hex'),
      began: new Date(this.clock.wallMs()).toISOString(),
      boot: this.clock.bootId(),
      endBoottimeS: this.clock.boottimeS() + this.#trialS,
      former: sha256Of(former),
      tried: sha256Of(text),
      ...(order !== undefined && { order }),
    };
    try {
      this.files.write(this.#paths.former, former, like);
      this.#writeRecord(record, like);
      this.files.write(this.file, text, like);
    } catch (error) {
      if (error instanceof AgentError) this.end(record);
      throw error;
    }
    return record;
  }

  /** The agent runs with it for the trial's time. Throws AgentError, with the former one in its place. */
  launch(record: TrialRecord, agent: TrialledAgent): void {
    try {
      agent.startTimer(this.#trialS);
      agent.restart();
    } catch (error) {
      rethrowBug(error);
      // Without a timer nobody would put it back: then it is not tried.
      this.end(record);
      throw error;
    }
  }

  /** The same trial from another point on: its time begins anew, or does not run. */
  again(record: TrialRecord, order: OrderTrial): TrialRecord {
    const endBoottimeS = this.clock.boottimeS() + this.#trialS;
    const next = { ...record, boot: this.clock.bootId(), endBoottimeS, order };
    this.#writeRecord(next, this.stat());
    return next;
  }

  /** What is on trial is the configuration from now on. */
  keep({ id }: TrialRecord): void {
    this.forget();
    this.#say(`trial ${id}: kept`);
  }

  /** `null`: the record is damaged. */
  end(record: TrialRecord | null): PutBack {
    const found = this.putBack(record);
    this.forget();
    return found;
  }

  /** The former file, unless somebody has written another one meanwhile; the record stays. */
  putBack(record: TrialRecord | null): PutBack {
    const name = record === null ? 'a trial whose record is damaged' : `trial ${record.id}`;
    const { former, aside } = this.#paths;
    const is = sha256Of(this.content() ?? '');
    if (!existsSync(former)) {
      this.#say(`${name}: there is no former configuration; ${this.file} stays as it is`);
      return is === record?.former ? 'former' : 'foreign';
    }
    if (is === record?.former) this.#say(`${name}: ${this.file} is as it was`);
    else if (record === null || is === record.tried) {
      this.files.write(this.file, contentOf(former) ?? '', lstatSync(former));
      this.#say(`${name}: was not kept; ${this.file} is as it was`);
    } else {
      this.files.rename(former, aside);
      this.#say(
        `${name}: ${this.file} was changed by somebody else and stays; the one before the trial is ${aside}`,
      );
      return 'foreign';
    }
    return 'former';
  }

  /** The record goes before the file that it speaks of. */
  forget(): void {
    this.files.remove(this.#paths.record);
    this.files.remove(this.#paths.former);
  }

  #writeRecord(record: TrialRecord, like: Stats): void {
    this.files.write(this.#paths.record, `${JSON.stringify(record)}\n`, like);
  }
}

function contentOf(file: string): Buffer | undefined {
  try {
    return existsSync(file) ? readFileSync(file) : undefined;
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be read: ${messageOf(error)}`, error);
  }
}
