/**
 * Reports the progress of the enrolment in three places: the log, /run for every user of the box, and result.txt. The
 * last is on the boot partition, for a card that is read elsewhere.
 *
 * LIMITS: a repeated message is reported once; result.txt keeps one line of ours, to limit wear of the card.
 */
import { chmodSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { messageOf } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';
import { ENROL_STATUS_FILE, type EnrolStatus } from '../../../../agent/contract/enrolment.ts';
import { RESULT_NAME } from '../card/found-files.ts';

const REASON_CHARS_MAX = 500;
const RESULT_BYTES_MAX = 256 * 1024;
const LINE = 'enrolment: ';

export interface ReportOptions {
  /** Folder on the boot partition; undefined if no result is written there. */
  readonly from?: string | undefined;
  readonly statusFile?: string;
  say(line: string): void;
}

export class EnrolReport {
  readonly #options: ReportOptions;
  #lastLine = '';
  #lastProblem = '';

  constructor(options: ReportOptions) {
    this.#options = options;
  }

  tell(state: EnrolStatus['state'], reason: string | null, notAfter: Date | null = null): void {
    const status: EnrolStatus = {
      state,
      reason: reason === null ? null : printable(reason, REASON_CHARS_MAX - 1),
      notAfter: notAfter?.toISOString() ?? null,
      time: new Date().toISOString(),
    };
    this.#writeStatus(status);
    const expiryText = notAfter === null ? '' : `, until ${notAfter.toISOString()}`;
    const line = `${state}${expiryText}${status.reason === null ? '' : `: ${status.reason}`}`;
    if (line === this.#lastLine) return;
    this.#lastLine = line;
    this.#options.say(`${LINE}${line}`);
    this.#writeResult(`${LINE}${line} (${status.time})`);
  }

  #writeStatus(status: EnrolStatus): void {
    const { statusFile = ENROL_STATUS_FILE } = this.#options;
    this.#try(statusFile, () => {
      mkdirSync(dirname(statusFile), { recursive: true, mode: 0o755 });
      writeAtomically(statusFile, `${JSON.stringify(status)}\n`, 0o644);
      chmodSync(statusFile, 0o644);
    });
  }

  /** Keeps the other lines, which describe the installation. */
  #writeResult(line: string): void {
    const { from } = this.#options;
    if (from === undefined) return;
    const file = join(from, RESULT_NAME);
    this.#try(file, () => {
      const stat = statSync(file, { throwIfNoEntry: false });
      const old = stat !== undefined && stat.size <= RESULT_BYTES_MAX ? readFileSync(file, 'utf8') : '';
      const otherLines = old.split(/\r?\n/).filter((one) => one !== '' && !one.startsWith(LINE));
      writeAtomically(file, [...otherLines, line, ''].join('\r\n'));
    });
  }

  /** Writes; a card that is read-only or has been removed stops nothing. */
  #try(file: string, write: () => void): void {
    try {
      write();
    } catch (error) {
      const problem = `${file} cannot be written (${messageOf(error)}); it is reported here only`;
      if (problem !== this.#lastProblem) this.#options.say(problem);
      this.#lastProblem = problem;
    }
  }
}
