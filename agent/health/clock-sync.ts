/**
 * Reports whether the network synchronises the box's clock. Every event states it, because a clock may be wrong for
 * hours.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { type Clock, TIMESYNC_FILE } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

/** Check for other daemons (chrony, ntpsec): timedatectl reads the kernel's own state, adjtimex(2). */
const TIMEDATECTL = 'timedatectl';

const ASK_EVERY_MS = 60_000;
const ASK_WITHIN_MS = 5000;

const run = promisify(execFile);

export interface ClockSyncOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Paths for tests. */
  readonly timesyncFile?: string;
  readonly timedatectl?: string;
}

export class ClockSync {
  readonly #options: ClockSyncOptions;
  #synced = false;
  #complained = false;
  #stopping: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: ClockSyncOptions) {
    this.#options = options;
  }

  /** Result of the last check, at most a minute ago; false before the first one. Reading it costs nothing. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Makes the first check before it returns. */
  async start(): Promise<void> {
    await this.#check();
    this.#stopping = new AbortController();
    this.#running = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping?.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(ASK_EVERY_MS, signal);
      if (!signal.aborted) await this.#check();
    }
  }

  async #check(): Promise<void> {
    const { log, timesyncFile = TIMESYNC_FILE, timedatectl = TIMEDATECTL } = this.#options;
    const before = this.#synced;
    this.#synced = existsSync(timesyncFile) || (await this.#kernelSays(timedatectl));
    if (this.#synced !== before) log.info({ synced: this.#synced }, 'clock');
  }

  async #kernelSays(timedatectl: string): Promise<boolean> {
    try {
      const question = ['show', '--property=NTPSynchronized', '--value'];
      const { stdout } = await run(timedatectl, question, { timeout: ASK_WITHIN_MS });
      return stdout.trim() === 'yes';
    } catch (error) {
      if (!this.#complained) {
        this.#complained = true;
        this.#options.log.warn(
          { reason: messageOf(error) },
          'the state of the clock cannot be asked; taken as not set',
        );
      }
      return false;
    }
  }
}
