/**
 * What feeds what in vision:
 *
 *   camera ─Frame─▶ motion gate ─▶ detect ─Detection[]─▶ track ─Track[]─▶ observe ─Observation─▶ link ─▶ agent
 *      │                              └──────────┬──────────┘                │
 *      └─Still─────────────────────────────▶ redact ◀───────────Foreground───┘
 *                                               └─RedactedJpeg, SealedEvidence─▶ link    agent ─ack, requests─▶ here
 *
 * What the camera gives out is black under the privacy masks.
 *
 * Replay goes in lock-step: a frame is taken only after the agent has acknowledged the one before, and
 * its evidence is made before the next, so that two runs say the same. Live never waits: observations
 * that the agent does not take in are dropped and counted.
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
import type { Detection, Features, Frame, Glimpse, Look } from '../contract/picture.ts';
import { makeParts, type Parts, type VisionFlowOptions } from './parts.ts';
import { StageClock } from './schedule/stage-clock.ts';
import { threadCpuMs } from './schedule/thread-cpu.ts';

const UNACKNOWLEDGED_MAX = 32;
/** Counters reach the agent this often; the agent's own report goes out every 30 s. */
const STATS_EVERY_MS = 2000;
/** What is followed is lost with a new start; longer than that, a busy street would keep the CPU for ever. */
const ANEW_WITHIN_MS = 600_000;
/** While the picture stays frozen: an opening takes a second or two, and a camera's own fault may last for hours. */
const REBUILD_EVERY_MS = 300_000;

type Ack = Extract<ToVision, { kind: 'ack' }>;
type LinkDetections = Extract<FromVision, { kind: 'frame' }>['detections'];

export class VisionFlow {
  readonly #options: VisionFlowOptions;
  readonly #live: boolean;
  readonly #parts: Parts;
  readonly #stageClock = new StageClock();
  /** What the detector said when it last looked. */
  #found: readonly Detection[] = [];
  #framesAnalysed = 0;
  #framesHeld = 0;
  #detections = 0;
  #observationsDropped = 0;
  #sentFrame = 0;
  #acknowledgedFrame = 0;
  #wakeLockStep: (() => void) | undefined;
  /** When the camera was last opened anew for a picture that stands still. */
  #rebuiltMs = Number.NEGATIVE_INFINITY;
  #moved = false;
  #startedMs = 0;
  #statsDueMs = 0;
  #stopped = false;
  #stuck: AgentError | undefined;
  /** Since when a new start would bring the element back. */
  #anewFromMs: number | undefined;

  constructor(options: VisionFlowOptions) {
    this.#options = options;
    this.#live = options.settings.mode === 'live';
    this.#parts = makeParts(options, {
      tell: (message) => void this.#tell(message),
      giveUp: (reason) => this.#giveUp(reason),
    });
  }

  /** Analyses frames until the clip is over or `stop()`; rejects when vision cannot go on. */
  async run(): Promise<void> {
    this.#startedMs = this.#options.clock.nowMs();
    await this.#begin();
    void this.#parts.schedule.run();
    for (;;) {
      const glimpse = await this.#parts.camera.nextGlimpse();
      if (glimpse === null) break;
      const frame = this.#isDue(glimpse) ? await this.#parts.camera.frame(glimpse) : undefined;
      this.#stageClock.book('capture');
      if (frame !== undefined) await this.#pacedAnalyse(frame);
      if (!this.#live) await this.#lockStep();
      this.#tellStats();
      if (this.#live && this.#parts.detector.startsBetterAnew) this.#startAnew(glimpse.atMs);
    }
    if (this.#stuck !== undefined) throw this.#stuck;
    if (!this.#stopped) this.#tell({ kind: 'ended', stats: this.#stats() });
    await this.stop();
  }

  /** Live, the camera is opened while the model is loaded; a replay has one order. */
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
    // Both to the end: a process must not leave while a model runs.
    for (const one of await Promise.allSettled([loading, this.#parts.camera.start()])) {
      if (one.status === 'rejected') throw one.reason;
    }
  }

  /** The agent has taken in all observations through `frame` and asks for evidence. */
  acknowledge({ frame, evidence }: Ack): void {
    this.#acknowledgedFrame = Math.max(this.#acknowledgedFrame, frame);
    for (const request of evidence) this.#parts.evidence.request(request);
    this.#wakeLockStep?.();
  }

  /** The technician wants to see how the camera looks. */
  preview(request: number): void {
    this.#parts.evidence.preview(request);
  }

  #giveUp(reason: string): void {
    this.#stuck = new AgentError('unavailable', reason);
    void this.#parts.camera.stop();
  }

  /** When nobody is followed or waited for; on a street that is never empty, in the end all the same. */
  #startAnew(atMs: number): void {
    if (this.#anewFromMs === undefined) this.#anewFromMs = atMs;
    if (this.#isAwaited(atMs) && atMs - this.#anewFromMs < ANEW_WITHIN_MS) return;
    this.#options.log.info({}, 'vision starts anew, to try its element again');
    void this.stop();
  }

  /** The process cannot be trusted to leave by itself. */
  get hangs(): boolean {
    return this.#parts.detector.failed;
  }

  /** The board is hot, by so many steps. */
  heat(steps: number): void {
    this.#parts.schedule.heat(steps);
  }

  /** The camera's view is the right one as it is now. */
  confirmView(): void {
    this.#parts.observer.confirmView();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#wakeLockStep?.();
    await Promise.all([this.#parts.camera.stop(), this.#parts.schedule.stop()]);
    // The last word on how many frames were read: the journal has it.
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
    const held = this.#framesHeld;
    await this.#analyse(frame);
    const looked = held === this.#framesHeld;
    // A frame that was not looked at says nothing of how long a look takes.
    schedule.analysed(frame, looked, this.#live && looked ? threadCpuMs() - beganMs : undefined);
    const pace = schedule.changedPace();
    if (pace !== undefined) this.#tell({ kind: 'pace', ...pace });
  }

  async #analyse(frame: Frame): Promise<void> {
    const look = await this.#look(frame);
    const observation = this.#parts.observer.observationOf(frame, look);
    this.#parts.schedule.note(frame, look.tracks);
    this.#followView(observation.camera ?? [], frame.atMs);
    this.#stageClock.book('observe');
    this.#parts.evidence.remember(frame, look, this.#parts.observer.foreground);
    this.#parts.evidence.keep(this.#parts.observer.pinnedMs, frame.atMs);
    this.#stageClock.book('redact');
    this.#parts.evidence.learnPlace(frame);
    this.#stageClock.book('plate');
    this.#framesAnalysed += 1;
    if (look.looked) this.#detections += look.found.length;
    else this.#framesHeld += 1;
    this.#tellFrame({ kind: 'frame', observation, detections: this.#linkDetections(frame, look) });
    this.#stageClock.book('link');
  }

  /** By a look of the detector, or as it was found last where nothing has moved since. */
  async #look(frame: Frame): Promise<Look> {
    const { camera, detector, schedule, tracker } = this.#parts;
    camera.wantFine(schedule.wantsFine(frame) && detector.looksCloser);
    const looked = schedule.mustLook(frame, this.#isAwaited(frame.atMs));
    let features: Features | undefined;
    if (looked) {
      ({ found: this.#found, features } = await detector.look(frame));
      schedule.looked(frame);
    }
    this.#stageClock.book('detect');
    const found = this.#found;
    const tracks = looked ? tracker.update(frame, found, schedule.dark) : tracker.hold(frame);
    this.#stageClock.book('track');
    return { looked, found, tracks, features };
  }

  #isAwaited(atMs: number): boolean {
    return this.#parts.tracker.waits || this.#parts.observer.waits(atMs);
  }

  /** A frozen picture may be the pipeline's own fault: it is built anew. What is known of the view goes to the agent. */
  #followView(conditions: readonly CameraCondition[], atMs: number): void {
    const moved = conditions.includes('moved');
    if (moved && !this.#moved) this.#parts.evidence.forgetPlace();
    this.#moved = moved;
    if (!this.#live) return;
    const view = this.#parts.observer.viewToTell();
    if (view !== undefined) this.#tell({ kind: 'view', view });
    if (!conditions.includes('frozen')) this.#rebuiltMs = Number.NEGATIVE_INFINITY;
    else if (atMs - this.#rebuiltMs >= REBUILD_EVERY_MS) {
      this.#rebuiltMs = atMs;
      this.#parts.camera.rebuild();
    }
  }

  #linkDetections({ source: { widthPx, heightPx } }: Frame, { found }: Look): LinkDetections {
    if (!this.#options.settings.detections) return [];
    const detections: LinkDetections = [];
    for (const { xyxyPx, score, label, group } of found) {
      const [x1, y1, x2, y2] = xyxyPx;
      const xyxyNorm: XyxyNorm = [x1 / widthPx, y1 / heightPx, x2 / widthPx, y2 / heightPx];
      detections.push({ xyxyNorm, score, label, group });
    }
    return detections;
  }

  #tellFrame(message: Extract<FromVision, { kind: 'frame' }>): void {
    const { frame } = message.observation;
    const behind = this.#sentFrame - this.#acknowledgedFrame;
    if (behind < UNACKNOWLEDGED_MAX && this.#tell(message)) this.#sentFrame = frame;
    else this.#observationsDropped += 1;
  }

  /** Waits for the ack of the last frame, then for the evidence that it asked for. */
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
        tracks_refused: this.#parts.tracker.refused,
        redaction_frames_dropped: this.#parts.evidence.forgotten,
        ...this.#parts.observer.limits,
      },
      stages: this.#stageClock.summary(),
      wallMs: this.#options.clock.nowMs() - this.#startedMs,
      ...processUsage(),
    };
  }
}
