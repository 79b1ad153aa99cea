/**
 * Keeps one vision process alive. It is back within 2 s after a crash, later if crashes repeat, and restarts are never
 * given up.
 *
 * INVARIANTS: at most one vision process exists. After `stop()` there is none until `start()` is called again.
 * LIMITS: 5 ends within 60 s count as a crash loop, which is reported once, until a minute without an end. The delay
 * before a restart grows from 0.1 s to 30 s.
 */
import { Backoff } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { ToVision, VisionSettings } from '../contract/link.ts';
import type { CapturePermit } from '../contract/permit.ts';
import { type ReceivedFromVision, type VisionExit, VisionProcess } from './vision-process.ts';

const CRASH_LOOP = { ends: 5, withinMs: 60_000 } as const;
/** A start takes about a second, so frames return within 2 s even after two quick ends. */
const RESPAWN = { firstMs: 100, maxMs: 30_000 } as const;

export interface KeepAliveOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Called at the start of each process. */
  settings(permit: CapturePermit): VisionSettings;
  readonly socketPath?: string | undefined;
  readonly restraintDir: string | undefined;
  onMessage(received: ReceivedFromVision): void;
  /** Called when vision ended without a request. */
  onEnd(exit: VisionExit): void;
  /** Called when a crash loop begins or ends. */
  onCrashLoop(looping: boolean): void;
}

export class VisionKeepAlive {
  readonly #options: KeepAliveOptions;
  readonly #backoff: Backoff;
  #stopping = new AbortController();
  #current: VisionProcess | undefined;
  #endsMs: number[] = [];
  #looping = false;
  #ends = 0;

  constructor(options: KeepAliveOptions) {
    this.#options = options;
    this.#backoff = new Backoff(RESPAWN);
  }

  /** Unrequested ends since the start. */
  get ends(): number {
    return this.#ends;
  }

  get pid(): number | undefined {
    return this.#current?.pid;
  }

  /** Keeps vision running under this permit. May be called again after `stop`. */
  start(permit: CapturePermit): void {
    this.#stopping = new AbortController();
    this.#run(permit);
  }

  #run(permit: CapturePermit): void {
    const { clock, log, socketPath, restraintDir, onMessage } = this.#options;
    const { signal } = this.#stopping;
    this.#current = new VisionProcess({
      clock,
      log,
      socketPath,
      restraintDir,
      onMessage: (received) => {
        // Only frames prove that vision works, so only they end a crash loop.
        if (received.message.kind === 'frame') this.#alive();
        onMessage(received);
      },
      onExit: (exit) => this.#onExit(exit, permit, signal),
    });
    this.#current.start(permit, this.#options.settings(permit));
  }

  send(message: ToVision): boolean {
    return this.#current?.send(message) ?? false;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#current?.stop();
  }

  #alive(): void {
    const last = this.#endsMs.at(-1);
    if (last === undefined || this.#options.clock.nowMs() - last < CRASH_LOOP.withinMs) return;
    this.#endsMs = [];
    this.#backoff.reset();
    if (!this.#looping) return;
    this.#looping = false;
    this.#options.onCrashLoop(false);
  }

  #onExit(exit: VisionExit, permit: CapturePermit, signal: AbortSignal): void {
    if (exit.isRequested || signal.aborted) return;
    const { clock, log, onEnd, onCrashLoop } = this.#options;
    this.#ends += 1;
    const now = clock.nowMs();
    this.#endsMs = [...this.#endsMs.filter((ms) => now - ms < CRASH_LOOP.withinMs), now];
    onEnd(exit);
    if (this.#endsMs.length >= CRASH_LOOP.ends && !this.#looping) {
      this.#looping = true;
      onCrashLoop(true);
    }
    const delayMs = this.#backoff.nextMs();
    log.warn(
      { code: exit.code, signal: exit.signal, err: exit.error, delayMs: Math.round(delayMs) },
      'vision ended; starting it again',
    );
    void clock.sleep(delayMs, signal).then(() => {
      if (!signal.aborted) this.#run(permit);
    });
  }
}
