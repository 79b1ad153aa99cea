/**
 * Runs the vision pipeline: reads frames, detects, tracks, observes and redacts, and sends the results to the agent.
 *
 *   camera ─Frame─▶ motion gate ─▶ detect ─Detection[]─▶ track ─Track[]─▶ observe ─Observation─▶ link ─▶ agent
 *      │                              └──────────┬──────────┘                │
 *      └─Still─────────────────────────────▶ redact ◀───────────Foreground───┘
 *                                               └─RedactedJpeg, SealedEvidence─▶ link    agent ─ack, requests─▶ here
 *
 * All pictures from the camera are black under the privacy masks.
 *
 * Replay runs in lock-step, so that two runs give the same result. A frame is read only after the agent has
 * acknowledged the previous one and that one's evidence is complete. Live never waits: observations that the agent does
 * not read in time are dropped and counted.
 *
 * LIMITS: 32 unacknowledged observations (live); those of redact/evidence.ts.
 */
import { AgentError } from '../base/errors.ts';
import { processUsage } from '../base/process-usage.ts';
import type { CameraCondition } from '../contract/condition.ts';
import type { XyxyNorm } from '../contract/geometry.ts';
import {
  encodeMessage,
  type FromVision,
  type PlainFromVision,
  type ToVision,
  type VisionStats,
} from '../contract/link.ts';
import type { Detection, Features, Frame, FrameAnalysis, Glimpse, LookTerms } from '../contract/picture.ts';
import { threadCpuMs } from './native/process.ts';
import { makeParts, type Parts, type VisionFlowOptions } from './parts.ts';
import { StageClock } from './schedule/stage-clock.ts';

const UNACKNOWLEDGED_MAX = 32;
/** Interval of the counters sent to the agent, in ms. The agent's own report goes out every 30 s. */
const STATS_EVERY_MS = 2000;
/**
 * Longest wait for an empty street before a restart that retries the element, in ms. A restart loses all tracks, but
 * without a limit a busy street would stay on the CPU indefinitely.
 */
const RESTART_WITHIN_MS = 600_000;
/**
 * Interval of reopening the camera while the picture stays frozen, in ms. An opening takes a second or two, and a fault
 * of the camera may last for hours.
 */
const REBUILD_EVERY_MS = 300_000;

type Ack = Extract<ToVision, { kind: 'ack' }>;
type LinkDetections = Extract<FromVision, { kind: 'frame' }>['detections'];

export class VisionFlow {
  readonly #options: VisionFlowOptions;
  readonly #live: boolean;
  readonly #parts: Parts;
  readonly #stageClock = new StageClock();
  /** Detections of the last detector run. */
  #lastDetections: readonly Detection[] = [];
  #framesAnalysed = 0;
  #framesHeld = 0;
  #detections = 0;
  #observationsDropped = 0;
  #sentFrame = 0;
  #acknowledgedFrame = 0;
  #wakeLockStep: (() => void) | undefined;
  /** Media time when the camera was last reopened because of a frozen picture. */
  #rebuiltMs = Number.NEGATIVE_INFINITY;
  #viewMoved = false;
  #startedMs = 0;
  #statsDueMs = 0;
  #stopped = false;
  #stuck: AgentError | undefined;
  /** Media time from which a restart could bring the element back. */
  #restartFromMs: number | undefined;

  constructor(options: VisionFlowOptions) {
    this.#options = options;
    this.#live = options.settings.mode === 'live';
    this.#parts = makeParts(options, {
      tell: (message) => void this.#tell(message),
      giveUp: (reason) => this.#giveUp(reason),
    });
  }

  /** Analyses frames until the clip ends or `stop()` is called. Rejects if vision cannot continue. */
  async run(): Promise<void> {
    this.#startedMs = this.#options.clock.nowMs();
    await this.#begin();
    void this.#parts.schedule.run();
    let atMs = Number.NEGATIVE_INFINITY;
    const termsNow = (): LookTerms => this.#parts.schedule.termsAfter(atMs, this.#isAwaited(atMs));
    for (;;) {
      const glimpse = await this.#parts.camera.nextGlimpse(termsNow);
      if (glimpse === null) break;
      atMs = glimpse.atMs;
      const frame = this.#isDue(glimpse) ? await this.#parts.camera.frame(glimpse) : undefined;
      this.#stageClock.book('capture');
      if (frame !== undefined) await this.#pacedAnalyse(frame);
      if (!this.#live) await this.#lockStep();
      this.#tellStats();
      if (this.#live && this.#parts.detector.shouldRestart) this.#restart(glimpse.atMs);
    }
    if (this.#stuck !== undefined) throw this.#stuck;
    if (!this.#stopped) this.#tell({ kind: 'ended', stats: this.#stats() });
    await this.stop();
  }

  /** Loads the model and opens the camera: at the same time if live, in a fixed sequence in a replay. */
  async #begin(): Promise<void> {
    const load = async (): Promise<void> => {
      try {
        this.#tell({ kind: 'detector', ...(await this.#parts.detector.start()) });
      } catch (error) {
        await this.#parts.camera.stop();
        throw error;
      }
    };
    const loading = load();
    if (!this.#live) await loading;
    // Both must settle: a process must not exit while a model runs.
    for (const one of await Promise.allSettled([loading, this.#parts.camera.start()])) {
      if (one.status === 'rejected') throw one.reason;
    }
  }

  /** Takes the agent's acknowledgement of all observations through `frame`, and its evidence requests. */
  acknowledge({ frame, evidence }: Ack): void {
    this.#acknowledgedFrame = Math.max(this.#acknowledgedFrame, frame);
    for (const request of evidence) this.#parts.evidence.request(request);
    this.#wakeLockStep?.();
  }

  /** Makes the preview that the technician requested. */
  preview(request: number): void {
    this.#parts.evidence.preview(request);
  }

  #giveUp(reason: string): void {
    this.#stuck = new AgentError('unavailable', reason);
    void this.#parts.camera.stop();
  }

  /** Ends vision for a restart: when no track is followed or awaited, or after `RESTART_WITHIN_MS` in any case. */
  #restart(atMs: number): void {
    if (this.#restartFromMs === undefined) this.#restartFromMs = atMs;
    if (this.#isAwaited(atMs) && atMs - this.#restartFromMs < RESTART_WITHIN_MS) return;
    this.#options.log.info({}, 'vision restarts to run the model as configured');
    void this.stop();
  }

  /** True if the process may fail to exit normally. */
  get hangs(): boolean {
    return this.#parts.detector.failed;
  }

  /** Sets the number of steps by which to reduce the load, because the board is too hot. */
  heat(steps: number): void {
    this.#parts.schedule.heat(steps);
  }

  /** Stores the present view as the correct one. */
  confirmView(): void {
    this.#parts.observer.confirmView();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#wakeLockStep?.();
    await Promise.all([this.#parts.camera.stop(), this.#parts.schedule.stop()]);
    // Final counters: the journal records the number of frames read.
    this.#tell({ kind: 'stats', stats: this.#stats() });
    await this.#parts.evidence.idle();
    await this.#parts.detector.stop();
  }

  #isDue(glimpse: Glimpse): boolean {
    const { camera, observer, schedule } = this.#parts;
    const awaited = this.#isAwaited(glimpse.atMs);
    const { due, isStill } = schedule.follow(glimpse, { awaited, settled: observer.settled });
    if (isStill !== undefined) camera.followStreet(isStill);
    return due;
  }

  async #pacedAnalyse(frame: Frame): Promise<void> {
    const { schedule } = this.#parts;
    const beganMs = threadCpuMs();
    const heldBefore = this.#framesHeld;
    await this.#analyse(frame);
    const detectorRan = heldBefore === this.#framesHeld;
    // A frame without a detector run gives no measure of the time that one takes.
    schedule.analysed(frame, detectorRan, this.#live && detectorRan ? threadCpuMs() - beganMs : undefined);
    const rateControl = schedule.changedRateControl();
    if (rateControl !== undefined) this.#tell({ kind: 'pace', ...rateControl });
  }

  async #analyse(frame: Frame): Promise<void> {
    const analysis = await this.#detectAndTrack(frame);
    const observation = this.#parts.observer.observationOf(frame, analysis);
    this.#parts.schedule.note(frame, analysis.tracks);
    this.#followView(observation.camera ?? [], frame.atMs);
    this.#stageClock.book('observe');
    this.#parts.evidence.remember(frame, analysis, this.#parts.observer.foreground);
    this.#parts.evidence.keep(this.#parts.observer.pinnedMs, frame.atMs);
    this.#stageClock.book('redact');
    this.#parts.evidence.learnPlace(frame);
    this.#stageClock.book('plate');
    this.#framesAnalysed += 1;
    if (analysis.detectorRan) this.#detections += analysis.detections.length;
    else this.#framesHeld += 1;
    this.#tellFrame({ kind: 'frame', observation, detections: this.#linkDetections(frame, analysis) });
    this.#stageClock.book('link');
  }

  /** Runs the detector, or keeps its last detections if nothing has moved since. */
  async #detectAndTrack(frame: Frame): Promise<FrameAnalysis> {
    const { camera, detector, schedule, tracker } = this.#parts;
    camera.wantFine(schedule.wantsFine(frame) ? detector.largerPictureWidthMaxPx : 0);
    const detectorRan = schedule.mustDetect(frame, this.#isAwaited(frame.atMs));
    let features: Features | undefined;
    if (detectorRan) {
      ({ detections: this.#lastDetections, features } = await detector.detectWithFeatures(frame));
      schedule.noteDetectorRun(frame);
    }
    this.#stageClock.book('detect');
    const detections = this.#lastDetections;
    const tracks = detectorRan ? tracker.update(frame, detections, schedule.dark) : tracker.hold(frame);
    this.#stageClock.book('track');
    return { detectorRan, detections, tracks, features };
  }

  #isAwaited(atMs: number): boolean {
    return this.#parts.tracker.waits || this.#parts.observer.waits(atMs);
  }

  /**
   * Sends changes of the view to the agent and reopens the pipeline on a frozen picture, which may be its own fault.
   */
  #followView(conditions: readonly CameraCondition[], atMs: number): void {
    const viewMoved = conditions.includes('moved');
    if (viewMoved && !this.#viewMoved) this.#parts.evidence.forgetPlace();
    this.#viewMoved = viewMoved;
    if (!this.#live) return;
    const view = this.#parts.observer.viewToTell();
    if (view !== undefined) this.#tell({ kind: 'view', view });
    if (!conditions.includes('frozen')) this.#rebuiltMs = Number.NEGATIVE_INFINITY;
    else if (atMs - this.#rebuiltMs >= REBUILD_EVERY_MS) {
      this.#rebuiltMs = atMs;
      this.#parts.camera.rebuild();
    }
  }

  #linkDetections(
    { source: { widthPx, heightPx } }: Frame,
    { detections: frameDetections }: FrameAnalysis,
  ): LinkDetections {
    if (!this.#options.settings.detections) return [];
    const detections: LinkDetections = [];
    for (const { xyxyPx, score, label, group } of frameDetections) {
      const [x1, y1, x2, y2] = xyxyPx;
      const xyxyNorm: XyxyNorm = [x1 / widthPx, y1 / heightPx, x2 / widthPx, y2 / heightPx];
      detections.push({ xyxyNorm, score, label, group });
    }
    return detections;
  }

  #tellFrame(message: Extract<FromVision, { kind: 'frame' }>): void {
    const { frame } = message.observation;
    const unacknowledged = this.#sentFrame - this.#acknowledgedFrame;
    if (unacknowledged < UNACKNOWLEDGED_MAX && this.#tell(message)) this.#sentFrame = frame;
    else this.#observationsDropped += 1;
  }

  /** Waits for the acknowledgement of the last frame, then for the evidence that it requested. */
  async #lockStep(): Promise<void> {
    while (!this.#stopped && this.#acknowledgedFrame < this.#sentFrame) {
      await new Promise<void>((resolve) => {
        this.#wakeLockStep = resolve;
      });
    }
    this.#stageClock.book('link');
    await this.#parts.evidence.idle();
    this.#stageClock.book('redact');
  }

  #tell(message: PlainFromVision): boolean {
    return this.#options.send(encodeMessage(message));
  }

  #tellStats(): void {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs < this.#statsDueMs) return;
    this.#statsDueMs = nowMs + STATS_EVERY_MS;
    this.#tell({ kind: 'stats', stats: this.#stats() });
  }

  #stats(): VisionStats {
    const { framesRead, framesDropped, reconnects, rebuilds, stillsCut } = this.#parts.camera.counters;
    const { shed, short, fine } = this.#parts.schedule.counts;
    return {
      framesRead: framesRead + (this.#parts.second?.counters.framesRead ?? 0),
      packetsWatched: this.#parts.camera.keyFrames?.state.packetsWatched ?? 0,
      quiet: this.#parts.schedule.quiet ?? null,
      framesAnalysed: this.#framesAnalysed,
      framesHeld: this.#framesHeld,
      framesShed: shed,
      framesShort: short,
      looksFine: fine,
      framesDropped,
      observationsDropped: this.#observationsDropped,
      reconnects,
      rebuilds,
      detections: this.#detections,
      impossible: this.#parts.tracker.impossible,
      limits: {
        stills_cut: stillsCut,
        tracks_refused: this.#parts.tracker.refusedTracks,
        redaction_frames_dropped: this.#parts.evidence.forgotten,
        ...this.#parts.observer.limits,
      },
      stages: this.#stageClock.summary(),
      wallMs: this.#options.clock.nowMs() - this.#startedMs,
      ...processUsage(),
    };
  }
}
