/**
 * Uses the camera's second stream to wake the main one. While nothing moves in either, only key frames of the main
 * stream are decoded (docs/design/015-load.md).
 *
 * The second stream only wakes: no detection, picture or condition is ever made from it.
 *
 * INVARIANT: if the second stream is missing or faulty, the main one is decoded in full.
 */
import type { Clock } from '../../base/clock.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { QuietReport } from '../../contract/health.ts';
import { EVERY_FRAME, type Glimpse, type LookTerms } from '../../contract/picture.ts';
import { SecondView, SILENT_MS } from './second-view.ts';

export { SLOW_MS } from './second-view.ts';

/**
 * Frame rate of the second stream: a start is seen within a tenth of a second. A higher rate costs little more; five a
 * second miss an object that crosses the picture in 0.8 s.
 */
export const SECOND_FPS = 10;

/** Key-frame mode of the main stream. */
interface KeyFrames {
  readonly resting: boolean;
  readonly state: { readonly resting: boolean; readonly reason: string | undefined };
  want(quiet: boolean): void;
}

export interface QuietStreetOptions {
  readonly second: {
    start(): Promise<void>;
    nextGlimpse(termsNow?: () => LookTerms): Promise<Glimpse | null>;
    stop(): Promise<void>;
  };
  /** Undefined if the main stream has none. */
  keyFrames(): KeyFrames | undefined;
  /** State of the second stream. */
  readonly view?: SecondView | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export class QuietStreet {
  readonly #options: QuietStreetOptions;
  readonly #view: SecondView;
  readonly #stopping = new AbortController();
  #failed: string | undefined;
  #rested = false;
  #rests = 0;
  /** True if the main stream has seen no motion since the last rest. */
  #idle = false;
  #idleWakings = 0;

  constructor(options: QuietStreetOptions) {
    this.#options = options;
    this.#view = options.view ?? new SecondView();
  }

  get report(): QuietReport {
    const { state } = this.#options.keyFrames() ?? {};
    const { starts } = this.#view;
    return {
      resting: state?.resting ?? false,
      reason: this.#problem() ?? state?.reason ?? null,
      rests: this.#rests,
      idleWakings: this.#idleWakings,
      startsCompared: starts.length,
      startsShown: starts.filter(Boolean).length,
    };
  }

  /** Watches the second stream until `stop()`. */
  async run(): Promise<void> {
    const { second, log } = this.#options;
    try {
      await second.start();
      void this.#endSilence();
      // Motion ends the wait. The others only show that the stream is not silent.
      const termsNow = (): LookTerms => ({ ...EVERY_FRAME, fromMs: atMs + SILENT_MS / 4, onPictured: false });
      let atMs = Number.NEGATIVE_INFINITY;
      for (;;) {
        const glimpse = await second.nextGlimpse(termsNow);
        if (glimpse === null) break;
        atMs = glimpse.atMs;
        if (this.#view.watchSecond(glimpse)) this.#decodeAll();
      }
    } catch (error) {
      this.#failed = messageOf(error);
      if (!(error instanceof AgentError)) log.error({ err: error }, 'the second stream cannot be watched');
    }
    this.#decodeAll();
  }

  /** Takes each picture of the main stream, whether it has been still for a while, and whether it may rest then. */
  follow(glimpse: Glimpse, isStill: boolean, mayRest: boolean): void {
    this.#view.watchMain(glimpse, isStill);
    this.#countRests(isStill);
    const nowMs = this.#options.clock.nowMs();
    const isQuiet = isStill && mayRest && this.#view.isStill(nowMs);
    this.#options.keyFrames()?.want(isQuiet && this.#problem() === undefined);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#options.second.stop();
  }

  #problem(): string | undefined {
    return this.#failed ?? this.#view.problem(this.#options.clock.nowMs());
  }

  #decodeAll(): void {
    this.#options.keyFrames()?.want(false);
  }

  /** Ends key-frame mode when the second stream is silent, because there is then no picture that could show it. */
  async #endSilence(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await clock.sleep(SILENT_MS / 4, signal);
      if (this.#problem() !== undefined) this.#decodeAll();
    }
  }

  #countRests(isStill: boolean): void {
    const resting = this.#options.keyFrames()?.resting ?? false;
    if (resting && !this.#rested) {
      if (this.#idle) this.#idleWakings += 1;
      this.#rests += 1;
      this.#idle = true;
    }
    if (!isStill) this.#idle = false;
    this.#rested = resting;
  }
}
