/**
 * Decides which frames are analysed (street and frame rate control), on which of these the detector runs (motion gate),
 * and which get a high-resolution pass.
 *
 * A frame that is not due is never made. A frame that the gate holds is analysed with the last detections.
 */
import type { QuietReport } from '../../contract/health.ts';
import { EVERY_FRAME, type Frame, type Glimpse, type LookTerms, type Track } from '../../contract/picture.ts';
import { HighResolutionPasses } from './high-resolution-passes.ts';
import { MotionGate } from './motion-gate.ts';
import type { QuietStreetOptions } from './quiet-street.ts';
import { RateControl, type RateControlState } from './rate-control.ts';
import { Street } from './street.ts';
import type { WantedRateOptions } from './wanted-rate.ts';

export { watchedCells } from './motion-cells.ts';
export { SECOND_FPS, SLOW_MS } from './quiet-street.ts';
export { FPS_MAX } from './wanted-rate.ts';

export interface ScheduleOptions {
  /** Configured rate; null means every frame of a recording. */
  readonly fps: number | null;
  /** True if the rate follows the street. */
  readonly follows: boolean;
  readonly live: boolean;
  /** True if the detector runs on every analysed frame. */
  readonly everyFrame: boolean;
  readonly zones: WantedRateOptions['zones'];
  readonly lines: WantedRateOptions['lines'];
  /** Set if the camera has a second stream that may wake. */
  readonly quiet: QuietStreetOptions | undefined;
}

/** State that vision awaits, at a glimpse. */
export interface Awaited {
  /** True if an object is awaited, or an incident is open. */
  readonly awaited: boolean;
  /** True if no condition of the camera is active or has begun. */
  readonly settled: boolean;
}

export class Schedule {
  /** Undefined in a replay at a fixed rate, which analyses every frame. */
  readonly #rateControl: RateControl | undefined;
  /** Undefined if the rate does not follow the street. */
  readonly #street: Street | undefined;
  readonly #gate: MotionGate;
  readonly #highResolutionPasses = new HighResolutionPasses();
  #toldStep: number | undefined;

  constructor({ fps, follows, live, everyFrame, zones, lines, quiet }: ScheduleOptions) {
    if (fps !== null && (live || follows)) this.#rateControl = new RateControl(fps, follows);
    if (fps !== null && follows) this.#street = new Street({ zones, lines, usualFps: fps, quiet });
    this.#gate = new MotionGate({ everyFrame });
  }

  /** Watches the second stream, if there is one, until `stop()`. */
  async run(): Promise<void> {
    await this.#street?.run();
  }

  async stop(): Promise<void> {
    await this.#street?.stop();
  }

  /**
   * Takes each glimpse. `due` states that its frame is to be analysed. `isStill` states that nothing moves and nothing
   * is awaited; undefined if the rate does not follow the street.
   */
  follow(glimpse: Glimpse, state: Awaited): { readonly due: boolean; readonly isStill: boolean | undefined } {
    const { atMs, pictured, isHeld } = glimpse;
    const demand = this.#street?.follow(glimpse, state);
    const due = this.#rateControl?.isDue(atMs, { fps: demand?.fps ?? 0, pictured, isHeld }) ?? true;
    return { due, isStill: demand?.isStill };
  }

  /** Returns which frames after the one at `atMs` can be due. `awaited` states that an object is awaited. */
  termsAfter(atMs: number, awaited: boolean): LookTerms {
    const outlook = this.#street?.outlook(atMs, awaited);
    const rateControl = this.#rateControl;
    if (outlook === undefined || rateControl === undefined) return EVERY_FRAME;
    const fromMs = rateControl.notBeforeMs(outlook.fps, outlook.leastFps);
    return { ...outlook.reasons, fromMs, onPictured: rateControl.state.step === 0 };
  }

  /** Takes the next analysed frame; returns whether larger pictures are needed from now on. */
  wantsFine(frame: Frame): boolean {
    return this.#highResolutionPasses.wants(frame, (this.#rateControl?.state.step ?? 0) > 0);
  }

  /** Reports whether the detector must run on the frame. `awaited` states that an object is awaited. */
  mustDetect(frame: Frame, awaited: boolean): boolean {
    return this.#gate.mustDetect(frame, awaited || this.#highResolutionPasses.isDue(frame));
  }

  /** Records that the detector has run on the frame. */
  noteDetectorRun(frame: Frame): void {
    this.#highResolutionPasses.noteDetectorRun(frame);
  }

  /** True if the picture is dark. */
  get dark(): boolean {
    return this.#highResolutionPasses.dark;
  }

  /** Takes the tracks after an analysed frame. */
  note(frame: Pick<Frame, 'source'>, tracks: readonly Track[]): void {
    this.#street?.note(frame, tracks);
  }

  /**
   * Records that the frame was analysed.
   * @param detectorRan by the detector too
   * @param tookMs CPU time of the thread, if it counts for the frame rate control
   */
  analysed({ fine, atMs }: Frame, detectorRan: boolean, tookMs: number | undefined): void {
    this.#rateControl?.noteAnalysed(
      !detectorRan ? 'held' : fine === undefined ? 'look' : 'closer look',
      atMs,
    );
    if (tookMs !== undefined) this.#rateControl?.noteDuration(tookMs, atMs);
  }

  /** Returns the state of the frame rate control if it has changed since the last call. */
  changedRateControl(): RateControlState | undefined {
    const state = this.#rateControl?.state;
    if (state === undefined || state.step === this.#toldStep) return undefined;
    this.#toldStep = state.step;
    return state;
  }

  /** Sets the number of steps by which to reduce the rate, because the board is too hot. */
  heat(steps: number): void {
    this.#rateControl?.heat(steps);
  }

  /** Frames skipped for heat or load, frames that the budget could not pay, high-resolution passes. */
  get counts(): { readonly shed: number; readonly short: number; readonly fine: number } {
    return {
      shed: this.#rateControl?.shed ?? 0,
      short: this.#rateControl?.short ?? 0,
      fine: this.#highResolutionPasses.count,
    };
  }

  /** Undefined if no second stream may wake. */
  get quiet(): QuietReport | undefined {
    return this.#street?.quiet;
  }
}
