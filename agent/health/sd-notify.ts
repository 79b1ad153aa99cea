/**
 * Tells systemd how the agent is (sd_notify(3)): READY, STATUS, WATCHDOG, STOPPING. Node has no datagram socket in
 * the Unix domain, so each word is one short run of systemd-notify(1); the unit says NotifyAccess=all.
 *
 * INVARIANTS: WATCHDOG=1 is sent only while the box sees or says why it does not: there was a sign of life (a
 * frame, vision's word that the camera is away, an end of vision that is being mended), or no vision may exist.
 * A camera that is away for days is therefore no reason to kill the agent; silence is.
 * LIMITS: one run at a time, RUN_WITHIN_MS each; a beat that falls due meanwhile waits for the next.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { HealthReport } from '../contract/health.ts';
import { statusLine } from './status-line.ts';

const run = promisify(execFile);

/** A run takes some milliseconds; on a board that swaps, seconds. */
const RUN_WITHIN_MS = 5000;
/** Without a watchdog the status line is all there is to tell. */
const STATUS_EVERY_MS = 10_000;
/** Beats in one watchdog time; sd_watchdog_enabled(3) asks for two, the third is for a slow run. */
const BEATS = 3;
/**
 * Vision's silence may last so many watchdog times: a camera that is away is tried anew every 30 s at the latest
 * (agent/vision/camera), and the unit's watchdog time is 30 s.
 */
const SILENCE_TIMES = 2;

export interface SdNotifyOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Logger;
  report(): HealthReport;
  /** Grows with everything that vision says and with every end of it that was seen. */
  signsOfLife(): number;
  /** For tests; default systemd-notify. */
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

  /** Ready: everything that accepts and delivers is up, and vision has been asked for. Nothing without systemd. */
  start(): void {
    if (this.#options.env['NOTIFY_SOCKET'] === undefined) return;
    this.#signMs = this.#options.clock.nowMs();
    this.#running = this.#beat();
  }

  /** Says that the agent stops, before it does. */
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

  /** As systemd gives it to the main process of a unit with WatchdogSec=. */
  get #watchdogMs(): number | undefined {
    const us = Number(this.#options.env['WATCHDOG_USEC']);
    return Number.isFinite(us) && us > 0 ? us / 1000 : undefined;
  }

  #alive(): boolean {
    const { clock, log, signsOfLife } = this.#options;
    const nowMs = clock.nowMs();
    const signs = signsOfLife();
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

  /** Undefined while a store cannot be read; that is told by the health report's own log line. */
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
      log.error({ reason: messageOf(error) }, 'systemd cannot be told: systemd-notify must be installed');
    }
  }
}
