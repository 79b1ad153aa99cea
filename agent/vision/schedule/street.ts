/** What the street asks of the camera: how many frames are analysed (wanted-rate.ts), and whether key frames suffice (quiet-street.ts). */
import type { QuietReport } from '../../contract/health.ts';
import type { Frame, Glimpse, Track } from '../../contract/picture.ts';
import { QuietStreet, type QuietStreetOptions } from './quiet-street.ts';
import { WantedRate, type WantedRateOptions } from './wanted-rate.ts';

export interface StreetOptions extends WantedRateOptions {
  /** Where the camera has a second stream that may wake. */
  readonly quiet: QuietStreetOptions | undefined;
}

/** What is asked for after a glimpse. */
export interface Asked {
  /** Frames a second to be analysed. */
  readonly fps: number;
  /** Nothing moves, and nothing is waited for. */
  readonly isStill: boolean;
}

export class Street {
  readonly #rate: WantedRate;
  readonly #quiet: QuietStreet | undefined;

  constructor({ zones, lines, usualFps, quiet }: StreetOptions) {
    this.#rate = new WantedRate({ zones, lines, usualFps });
    this.#quiet = quiet && new QuietStreet(quiet);
  }

  /** Undefined where no second stream may wake. */
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
   * Takes each glimpse of the main stream. `awaited`: an object is waited for, or an incident is open; `settled`: no
   * condition of the camera stands or has begun.
   */
  follow(glimpse: Glimpse, { awaited, settled }: { awaited: boolean; settled: boolean }): Asked {
    const { atMs } = glimpse;
    this.#rate.watch(glimpse);
    const isStill = this.#rate.isStill(atMs);
    this.#quiet?.follow(glimpse, isStill, !awaited && settled);
    return { fps: this.#rate.fps(atMs, awaited), isStill: isStill && !awaited };
  }

  /** Takes what is known after an analysed frame. */
  note(frame: Pick<Frame, 'source'>, tracks: readonly Track[]): void {
    this.#rate.note(frame, tracks);
  }
}
