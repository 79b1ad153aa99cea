/**
 * Decides whether vision looks now: which frames are analysed (street and pace), which of these the detector looks at (motion
 * gate), and which it looks at more closely (fine looks).
 *
 * A frame that is not due is never made; one that the gate holds is analysed with what was found last.
 */
import type { QuietReport } from '../../contract/health.ts';
import type { Frame, Glimpse, Track } from '../../contract/picture.ts';
import { FineLooks } from './fine-looks.ts';
import { MotionGate } from './motion-gate.ts';
import { Pace, type PaceState } from './pace.ts';
import type { QuietStreetOptions } from './quiet-street.ts';
import { Street } from './street.ts';
import type { WantedRateOptions } from './wanted-rate.ts';

export { SECOND_FPS } from './quiet-street.ts';
export { FPS_MAX } from './wanted-rate.ts';

export interface ScheduleOptions {
  /** As configured; null: every frame of a recording. */
  readonly fps: number | null;
  /** More or fewer frames by what the street shows. */
  readonly follows: boolean;
  readonly live: boolean;
  /** The detector looks at every frame that is analysed. */
  readonly everyFrame: boolean;
  readonly zones: WantedRateOptions['zones'];
  readonly lines: WantedRateOptions['lines'];
  /** Where the camera has a second stream that may wake. */
  readonly quiet: QuietStreetOptions | undefined;
}

/** What vision waits for, at a glimpse. */
export interface Awaited {
  /** An object is waited for, or an incident is open. */
  readonly awaited: boolean;
  /** No condition of the camera stands or has begun. */
  readonly settled: boolean;
}

export class Schedule {
  /** Undefined in a replay at a fixed rate: it analyses every frame. */
  readonly #pace: Pace | undefined;
  /** Undefined where the rate does not follow the street. */
  readonly #street: Street | undefined;
  readonly #gate: MotionGate;
  readonly #fineLooks = new FineLooks();
  #toldStep: number | undefined;

  constructor({ fps, follows, live, everyFrame, zones, lines, quiet }: ScheduleOptions) {
    if (fps !== null && (live || follows)) this.#pace = new Pace(fps, follows);
    if (fps !== null && follows) this.#street = new Street({ zones, lines, usualFps: fps, quiet });
    this.#gate = new MotionGate({ everyFrame });
  }

  /** Watches the second stream, where there is one, until `stop()`. */
  async run(): Promise<void> {
    await this.#street?.run();
  }

  async stop(): Promise<void> {
    await this.#street?.stop();
  }

  /**
   * Takes each glimpse. `due`: its frame is to be analysed; `isStill`: nothing moves and nothing is waited for, undefined
   * where nobody follows the street.
   */
  follow(glimpse: Glimpse, state: Awaited): { readonly due: boolean; readonly isStill: boolean | undefined } {
    const { atMs, pictured } = glimpse;
    const asked = this.#street?.follow(glimpse, state);
    const due = this.#pace?.isDue(atMs, { fps: asked?.fps ?? 0, pictured }) ?? true;
    return { due, isStill: asked?.isStill };
  }

  /** Takes the next frame that is analysed; whether larger pictures are wanted from now on. */
  wantsFine(frame: Frame): boolean {
    return this.#fineLooks.wants(frame, (this.#pace?.state.step ?? 0) > 0);
  }

  /** Whether the detector must look at the frame. `awaited`: an object is waited for. */
  mustLook(frame: Frame, awaited: boolean): boolean {
    return this.#gate.mustLook(frame, awaited || this.#fineLooks.isDue(frame));
  }

  /** The detector has looked at the frame. */
  looked(frame: Frame): void {
    this.#fineLooks.looked(frame);
  }

  /** The camera has no light left to take. */
  get dark(): boolean {
    return this.#fineLooks.dark;
  }

  /** Takes what is known after an analysed frame. */
  note(frame: Pick<Frame, 'source'>, tracks: readonly Track[]): void {
    this.#street?.note(frame, tracks);
  }

  /**
   * The frame was analysed.
   * @param looked by the detector too
   * @param tookMs CPU time of the thread, where it counts for the pace
   */
  analysed({ fine, atMs }: Frame, looked: boolean, tookMs: number | undefined): void {
    this.#pace?.noteAnalysed(!looked ? 'held' : fine === undefined ? 'look' : 'closer look', atMs);
    if (tookMs !== undefined) this.#pace?.noteDuration(tookMs, atMs);
  }

  /** The pace where it is another than at the last call. */
  changedPace(): PaceState | undefined {
    const state = this.#pace?.state;
    if (state === undefined || state.step === this.#toldStep) return undefined;
    this.#toldStep = state.step;
    return state;
  }

  /** The board is hot, by so many steps. */
  heat(steps: number): void {
    this.#pace?.heat(steps);
  }

  /** Frames left out for heat or load, frames that the budget did not have, closer looks. */
  get counts(): { readonly shed: number; readonly short: number; readonly fine: number } {
    return { shed: this.#pace?.shed ?? 0, short: this.#pace?.short ?? 0, fine: this.#fineLooks.count };
  }

  /** Undefined where no second stream may wake. */
  get quiet(): QuietReport | undefined {
    return this.#street?.quiet;
  }
}
