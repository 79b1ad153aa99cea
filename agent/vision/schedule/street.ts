/**
 * Derives the camera's load from the street: the frame rate of the analysis (wanted-rate.ts), and whether key frames
 * suffice (quiet-street.ts).
 */
import type { QuietReport } from '../../contract/health.ts';
import type { Frame, Glimpse, LookTerms, Track } from '../../contract/picture.ts';
import { QuietStreet, type QuietStreetOptions } from './quiet-street.ts';
import { WantedRate, type WantedRateOptions } from './wanted-rate.ts';

export interface StreetOptions extends WantedRateOptions {
  /** Set if the camera has a second stream that may wake. */
  readonly quiet: QuietStreetOptions | undefined;
}

/** Demand after a glimpse. */
export interface RateDemand {
  /** Frames a second to be analysed. */
  readonly fps: number;
  /** True if neither motion is seen nor an object awaited. */
  readonly isStill: boolean;
}

/** Demand in the next second, unless one of the reasons comes. */
export interface Outlook {
  readonly fps: number;
  readonly leastFps: number;
  readonly reasons: Pick<LookTerms, 'onMotion' | 'knownBoxes'>;
}

export class Street {
  readonly #rate: WantedRate;
  readonly #quiet: QuietStreet | undefined;

  constructor({ zones, lines, usualFps, quiet }: StreetOptions) {
    this.#rate = new WantedRate({ zones, lines, usualFps });
    this.#quiet = quiet && new QuietStreet(quiet);
  }

  /** Undefined if no second stream may wake. */
  get quiet(): QuietReport | undefined {
    return this.#quiet?.report;
  }

  /** Watches the second stream until `stop()`. */
  async run(): Promise<void> {
    await this.#quiet?.run();
  }

  async stop(): Promise<void> {
    await this.#quiet?.stop();
  }

  /**
   * Takes each glimpse of the main stream. `awaited` states that an object is awaited, or an incident is open.
   * `settled` states that no condition of the camera is active or has begun.
   */
  follow(glimpse: Glimpse, { awaited, settled }: { awaited: boolean; settled: boolean }): RateDemand {
    const { atMs } = glimpse;
    this.#rate.watch(glimpse);
    const isStill = this.#rate.isStill(atMs);
    this.#quiet?.follow(glimpse, isStill, !awaited && settled);
    return { fps: this.#rate.fps(atMs, awaited), isStill: isStill && !awaited };
  }

  /** Demand after the last glimpse, and the motion without which it cannot rise. */
  outlook(atMs: number, awaited: boolean): Outlook {
    return {
      fps: this.#rate.fps(atMs, awaited),
      leastFps: this.#rate.leastFps(atMs),
      reasons: this.#rate.reasons(atMs),
    };
  }

  /** Takes the tracks after an analysed frame. */
  note(frame: Pick<Frame, 'source'>, tracks: readonly Track[]): void {
    this.#rate.note(frame, tracks);
  }
}
