/**
 * Executes the room's signed commands for diagnosis: log lines, doctor findings, the configuration, and certificate
 * renewal.
 *
 * INVARIANTS:
 * - Nothing here accesses the camera; findings about it come from the running agent.
 * - Every text is redacted before it leaves the box.
 *
 * LIMITS: one request of each kind at a time. CHECKS_WITHIN_MS and LOGS_WITHIN_MS for a reply, none after the stop.
 */
import { Value } from '@sinclair/typebox/value';
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { exchangeLine } from '../base/line-exchange.ts';
import { printable } from '../base/printable.ts';
import { redactedText } from '../base/redacted-text.ts';
import { CommandRefused } from '../contract/command.ts';
import type { CheckedCommand } from '../contract/commands.ts';
import {
  CHECKS_MAX,
  type DoctorResult,
  LOGS_PACKED_CHARS_MAX,
  LogsAnswer,
  type LogsArgs,
  type LogsResult,
  RENEW_FILE,
  type RenewResult,
} from '../contract/diagnosis.ts';
import { type Finding, failed, OF_THE_AGENT } from '../contract/finding.ts';
import type { ConfigCopy } from '../contract/update.ts';
import { writeForRoot } from '../orders/for-root.ts';

/** Time limit in ms. The helper unit gives the journal 20 s, and is a program that must start first. */
const LOGS_WITHIN_MS = 40_000;
/** Time limit in ms. The broker has 10 s, each program for the clock 3. */
const CHECKS_WITHIN_MS = 60_000;
const TEXT_MAX = 500;

/** Sources that only an installed box has. */
export interface DiagnosisSources {
  /** Socket of the helper that may read the system's log. */
  readonly logsSocket: string | undefined;
  /** Runs the doctor's checks except those of camera and detector. */
  readonly checks: (() => Promise<readonly Finding[]>) | undefined;
  /**
   * Returns the configuration on disk in the form for the room.
   * @throws CommandRefused
   */
  readonly configCopy: (() => ConfigCopy) | undefined;
}

export interface DiagnosisOptions extends DiagnosisSources {
  readonly stateDir: string;
  readonly clock: Clock;
  /** Findings of the agent about itself. */
  readonly view: { findings(): readonly Finding[] };
}

export class Diagnosis {
  readonly #options: DiagnosisOptions;
  readonly #stopping = new AbortController();
  readonly #busy = new Set<string>();
  #answered = 0;
  #refusals = 0;

  constructor(options: DiagnosisOptions) {
    this.#options = options;
  }

  get counters(): Counters {
    return { diagnoses_answered: this.#answered, diagnoses_refused: this.#refusals };
  }

  /** Ends the waiting requests immediately. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Executes the command `logs`. Rejects with CommandRefused. */
  logs({ args }: CheckedCommand<'logs'>): Promise<LogsResult> {
    return this.#one('logs', LOGS_WITHIN_MS, async () => {
      const { logsSocket } = this.#options;
      if (logsSocket === undefined)
        throw noLogs('this agent was started by hand; its log is on its own terminal');
      const answer = await this.#requestLogs(logsSocket, args);
      if ('refused' in answer) throw noLogs(answer.refused);
      return answer;
    });
  }

  /** Executes the command `doctor`. Rejects with CommandRefused. */
  doctor(): Promise<DoctorResult> {
    return this.#one('doctor', CHECKS_WITHIN_MS, async () => {
      const { checks, view } = this.#options;
      if (checks === undefined)
        throw new CommandRefused('unavailable', 'this agent was started without its doctor');
      const own = view.findings().filter(({ name }) => OF_THE_AGENT.includes(name));
      const findings = [...(await checked(checks)), ...own];
      return { checks: findings.slice(0, CHECKS_MAX).map(checkOf) };
    });
  }

  /**
   * Executes the command `renew-certificate`.
   * @throws CommandRefused
   */
  renew({ envelope }: CheckedCommand<'renew-certificate'>): RenewResult {
    writeForRoot(this.#options.stateDir, RENEW_FILE, envelope);
    return { given: true };
  }

  /**
   * Executes the command `read-configuration`.
   * @throws CommandRefused
   */
  readConfiguration(): ConfigCopy {
    const { configCopy } = this.#options;
    if (configCopy !== undefined) return configCopy();
    throw new CommandRefused('unavailable', 'this agent was started without a file');
  }

  async #requestLogs(socket: string, args: LogsArgs): Promise<LogsAnswer> {
    const limits = { withinMs: LOGS_WITHIN_MS, bytesMax: LOGS_PACKED_CHARS_MAX + 1000 };
    let text: string;
    try {
      text = await exchangeLine(socket, JSON.stringify(args), limits);
    } catch (error) {
      throw noLogs(`${socket}: ${messageOf(error)}; systemctl status vigie-logs.socket`);
    }
    const answer = jsonOf(text);
    if (Value.Check(LogsAnswer, answer)) return answer;
    throw noLogs(`${socket}: ${text === '' ? 'no answer' : 'an answer of another form'}; ask again`);
  }

  async #one<T>(operation: string, withinMs: number, answer: () => Promise<T>): Promise<T> {
    try {
      return await this.#alone(operation, withinMs, answer);
    } catch (error) {
      this.#refusals += 1;
      throw error;
    }
  }

  async #alone<T>(operation: string, withinMs: number, answer: () => Promise<T>): Promise<T> {
    if (this.#busy.has(operation)) {
      const message = `${operation} is being answered; one at a time`;
      throw new CommandRefused('rate-limited', message, { retryAfterS: 10 });
    }
    this.#busy.add(operation);
    const late = new AbortController();
    const enough = AbortSignal.any([late.signal, this.#stopping.signal]);
    const pending = answer().finally(() => this.#busy.delete(operation));
    const tooLate = this.#options.clock.sleep(withinMs, enough).then(() => undefined);
    try {
      const outcome = await Promise.race([pending.then((result) => ({ result })), tooLate]);
      if (outcome === undefined) {
        // No caller waits for the late result.
        pending.catch(() => undefined);
        throw new CommandRefused(
          'unavailable',
          `${operation}: no answer in time, or the agent stops; ask again`,
        );
      }
      this.#answered += 1;
      return outcome.result;
    } finally {
      late.abort();
    }
  }
}

/** Runs the checks. A check that the machine refuses becomes a finding. */
async function checked(checks: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await checks();
  } catch (error) {
    if (error instanceof AgentError && error.kind === 'bug') throw error;
    const reason = printable(redactedText(messageOf(error)), TEXT_MAX);
    return [failed('doctor', reason, 'sudo vigie doctor, on the box')];
  }
}

function noLogs(reason: string): CommandRefused {
  return new CommandRefused('unavailable', `no log can be read: ${reason}`.slice(0, TEXT_MAX));
}

function checkOf({ name, state, detail, fix }: Finding): DoctorResult['checks'][number] {
  const fit = (text: string, charsMax: number): string =>
    printable(redactedText(text), charsMax).slice(0, charsMax);
  return {
    name: fit(name, 64),
    state,
    detail: fit(detail, TEXT_MAX),
    remedy: fix === undefined ? null : fit(fix, TEXT_MAX),
  };
}
