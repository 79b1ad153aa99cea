/**
 * Reports the state of the agent to systemd (sd_notify(3)): READY, STATUS, WATCHDOG, STOPPING.
 * Node has no datagram socket in the Unix domain, so each message is one short run of systemd-notify(1); the unit has
 * NotifyAccess=all.
 *
 * INVARIANTS: WATCHDOG=1 is sent only after a sign of life, or if no vision may exist. Signs of life are a frame,
 * vision's message that the camera is unreachable, and an exit of vision that is being handled. A camera that is
 * unreachable for days therefore does not kill the agent; silence does.
 *
 * LIMITS: one run at a time, RUN_WITHIN_MS each; a message that falls due meanwhile waits for the next.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { HealthReport } from '../contract/health.ts';
import { statusLine } from './status-line.ts';

const run = promisify(execFile);

/** Time limit in ms. A run takes some milliseconds; on a board that swaps, seconds. */
const RUN_WITHIN_MS = 5000;
/** Interval of the status line in ms, without a watchdog. */
const STATUS_EVERY_MS = 10_000;
/** Messages per watchdog time; sd_watchdog_enabled(3) recommends two, and the third covers a slow run. */
const BEATS = 3;
/**
 * Maximum silence of vision, in watchdog times. An unreachable camera is retried at least every 30 s
 * (agent/vision/camera), and the unit's watchdog time is 30 s.
 */
const SILENCE_TIMES = 2;

export interface SdNotifyOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Logger;
  report(): HealthReport;
  /** Returns a count that grows with every message and every observed exit of vision. */
  activityCount(): number;
  /** Program for tests; default systemd-notify. */
  readonly program?: string;
}

export class SdNotify {
  readonly #options: SdNotifyOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #signs = -1;
  #signMs = 0;
  #analysed = 0;
  #analysedMs: number;
  #silent = false;
  #complained = false;

  constructor(options: SdNotifyOptions) {
    this.#options = options;
    this.#analysedMs = options.clock.nowMs();
  }

  /**
   * Reports READY: all parts that accept and deliver are running, and vision was requested. Does nothing without
   * systemd.
   */
  start(): void {
    if (this.#options.env['NOTIFY_SOCKET'] === undefined) return;
    this.#signMs = this.#options.clock.nowMs();
    this.#running = this.#beat();
  }

  /** Reports that the agent is about to stop. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    await this.#running;
    if (this.#options.env['NOTIFY_SOCKET'] !== undefined) await this.#tell(['STOPPING=1', 'STATUS=stopping']);
  }

  async #beat(): Promise<void> {
    const { clock } = this.#options;
    await this.#tell(['READY=1', this.#status()]);
    const everyMs = this.#watchdogMs === undefined ? STATUS_EVERY_MS : this.#watchdogMs / BEATS;
    while (!this.#stopping.signal.aborted) {
      await clock.sleep(everyMs, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      await this.#tell([...(this.#alive() ? ['WATCHDOG=1'] : []), this.#status()]);
    }
  }

  /** Watchdog time that systemd passes to the main process of a unit with WatchdogSec=. */
  get #watchdogMs(): number | undefined {
    const us = Number(this.#options.env['WATCHDOG_USEC']);
    return Number.isFinite(us) && us > 0 ? us / 1000 : undefined;
  }

  #alive(): boolean {
    const { clock, log, activityCount } = this.#options;
    const nowMs = clock.nowMs();
    const signs = activityCount();
    const { mode } = this.#report() ?? { mode: 'active' };
    if (signs !== this.#signs || mode !== 'active') this.#signMs = nowMs;
    this.#signs = signs;
    const silentMs = nowMs - this.#signMs;
    const silent = silentMs > (this.#watchdogMs ?? Infinity) * SILENCE_TIMES;
    if (silent && !this.#silent) {
      log.error({ silentMs: Math.round(silentMs) }, 'vision is silent; the watchdog is fed no more');
    }
    this.#silent = silent;
    return !silent;
  }

  /** Returns the report; undefined while a store cannot be read, which the health report logs itself. */
  #report(): HealthReport | undefined {
    try {
      return this.#options.report();
    } catch (error) {
      if (error instanceof AgentError) return undefined;
      throw error;
    }
  }

  #status(): string {
    const nowMs = this.#options.clock.nowMs();
    const report = this.#report();
    if (report === undefined) return 'STATUS=running; no report at the moment (see the log)';
    const seconds = (nowMs - this.#analysedMs) / 1000;
    const fps = seconds > 0 ? (report.frames.analysed - this.#analysed) / seconds : 0;
    this.#analysed = report.frames.analysed;
    this.#analysedMs = nowMs;
    return `STATUS=${statusLine(report, fps)}`;
  }

  async #tell(words: readonly string[]): Promise<void> {
    const { env, log, program = 'systemd-notify' } = this.#options;
    const { PATH, NOTIFY_SOCKET } = env;
    try {
      await run(program, [...words], { env: { PATH, NOTIFY_SOCKET }, timeout: RUN_WITHIN_MS });
    } catch (error) {
      if (this.#complained) return;
      this.#complained = true;
      log.error({ reason: messageOf(error) }, 'systemd cannot be notified; install systemd-notify');
    }
  }
}
