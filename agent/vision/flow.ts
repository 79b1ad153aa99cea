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
import { randomInt } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { processUsage } from '../base/process-usage.ts';
import { StageClock } from '../base/stage-clock.ts';
import { threadCpuMs } from '../base/thread-cpu.ts';
import type { XyxyNorm } from '../contract/geometry.ts';
import { GroundPlane } from '../contract/ground-plane.ts';
import {
  encodeMessage,
  type FromVision,
  type PlainFromVision,
  type ToVision,
  type VisionSettings,
  type VisionStats,
} from '../contract/link.ts';
import type { CameraCondition } from '../contract/observation.ts';
import type { Detection, Features, Frame, Glimpse, Look } from '../contract/picture.ts';
import { SNAPSHOT_LONG_SIDE_PX_MAX } from '../contract/redacted-jpeg.ts';
import { Camera } from './camera/camera.ts';
import { Pace } from './camera/pace.ts';
import { Detector } from './detect/detector.ts';
import { FineLooks } from './detect/fine-looks.ts';
import { MotionGate } from './observe/motion-gate.ts';
import { Observer } from './observe/observer.ts';
import { FPS_MAX, SECOND_FPS, Street } from './observe/street.ts';
import { Evidence } from './redact/evidence.ts';
import { Tracker } from './track/tracker.ts';

const UNACKNOWLEDGED_MAX = 32;
/** Leaves room to count for years in what JSON and a double hold exactly. */
const FIRST_ID_MAX = 2 ** 40;
/** Counters reach the agent this often; the agent's own report goes out every 30 s. */
const STATS_EVERY_MS = 2000;
/** What is followed is lost with a new start; longer than that, a busy street would keep the CPU for ever. */
const ANEW_WITHIN_MS = 600_000;
/** While the picture stays frozen: an opening takes a second or two, and a camera's own fault may last for hours. */
const REBUILD_EVERY_MS = 300_000;

type Ack = Extract<ToVision, { kind: 'ack' }>;
type LinkDetections = Extract<FromVision, { kind: 'frame' }>['detections'];

export interface VisionFlowOptions {
  readonly settings: VisionSettings;
  /** Public keys to which the unredacted still of an event is sealed; none: nothing is sealed. */
  readonly sealTo: readonly string[];
  /** The camera's second stream, as far as it may be looked at: live, it wakes on a quiet street. */
  readonly substream?: string | undefined;
  /** Vision's own folder for the model that ran last; a replay runs the installed one or none. */
  readonly keptDir?: string | undefined;
  /** Where the camera is; by the system's own look-up where absent. */
  readonly resolveHost?: ((host: string) => Promise<readonly string[]>) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Puts an encoded message on the link; false when it was refused. */
  send(encoded: Buffer): boolean;
}

export class VisionFlow {
  readonly #options: VisionFlowOptions;
  readonly #live: boolean;
  readonly #camera: Camera;
  readonly #second: Camera | undefined;
  /** Not in a replay at a fixed rate: it analyses every frame. */
  readonly #pace: Pace | undefined;
  readonly #street: Street | undefined;
  readonly #gate: MotionGate;
  readonly #detector: Detector;
  readonly #fineLooks = new FineLooks();
  readonly #tracker: Tracker;
  readonly #observer: Observer;
  readonly #evidence: Evidence;
  readonly #stageClock = new StageClock();
  /** What the detector said when it last looked. */
  #found: readonly Detection[] = [];
  #toldStep: number | undefined;
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
    const { settings, clock, log, send, sealTo } = options;
    const { detector, groundPlane, masks, mode, modelDir, zones, lines, timeZone } = settings;
    const { source, fps, follows = false } = settings.camera;
    const [widthPx, heightPx] = detector.input;
    this.#live = mode === 'live';
    const either = {
      input: { widthPx, heightPx },
      masks,
      mode,
      clock,
      log,
      resolveHost: options.resolveHost,
    };
    const substream = this.#live && follows && fps !== null ? options.substream : undefined;
    this.#camera = new Camera({
      ...either,
      source,
      fps: follows && fps !== null ? Math.max(fps, FPS_MAX) : fps,
      small: follows && fps !== null,
      gated: substream !== undefined,
      // No picture that leaves the box is larger, but what is sealed.
      stillLongSidePx: sealTo.length > 0 ? undefined : SNAPSHOT_LONG_SIDE_PX_MAX,
      onOpened: (info) => this.#tell({ kind: 'opened', ...info }),
      onLost: (info) => this.#tell({ kind: 'lost', ...info }),
      onStuck: (reason) => this.#giveUp(`${reason}: vision starts anew`),
    });
    if (substream !== undefined) {
      const silent = { onOpened: () => undefined, onLost: () => undefined };
      this.#second = new Camera({ ...either, ...silent, source: substream, fps: SECOND_FPS, small: true });
    }
    if (fps !== null && (this.#live || follows)) this.#pace = new Pace(fps, follows);
    if (fps !== null && follows) {
      const second = this.#second;
      const quiet = second && { second, keyFrames: () => this.#camera.keyFrames, clock, log };
      this.#street = new Street({ zones, lines, usualFps: fps, quiet });
    }
    this.#gate = new MotionGate(settings);
    const keptDir = this.#live ? options.keptDir : undefined;
    this.#detector = new Detector({
      config: detector,
      modelDir,
      keptDir,
      features: settings.regions,
      clock,
      log,
    });
    // Two replays number their tracks alike; a live camera's begin anywhere.
    const firstId = this.#live ? randomInt(1, FIRST_ID_MAX) : 1;
    this.#tracker = new Tracker(undefined, firstId, groundPlane && new GroundPlane(groundPlane));
    this.#observer = new Observer(settings);
    this.#evidence = new Evidence({
      stillNear: (atMs) => this.#camera.stillNear(atMs),
      sealTo,
      zones,
      lines,
      timeZone,
      send,
      log,
    });
  }

  /** Analyses frames until the clip is over or `stop()`; rejects when vision cannot go on. */
  async run(): Promise<void> {
    this.#startedMs = this.#options.clock.nowMs();
    await this.#begin();
    void this.#street?.run();
    for (;;) {
      const glimpse = await this.#camera.nextGlimpse();
      if (glimpse === null) break;
      const frame = this.#isDue(glimpse) ? await this.#camera.frame(glimpse) : undefined;
      this.#stageClock.book('capture');
      if (frame !== undefined) await this.#pacedAnalyse(frame);
      if (!this.#live) await this.#lockStep();
      this.#tellStats();
      if (this.#live && this.#detector.startsBetterAnew) this.#startAnew(glimpse.atMs);
    }
    if (this.#stuck !== undefined) throw this.#stuck;
    if (!this.#stopped) this.#tell({ kind: 'ended', stats: this.#stats() });
    await this.stop();
  }

  /** Live, the camera is opened while the model is loaded; a replay has one order. */
  async #begin(): Promise<void> {
    const load = async (): Promise<void> => {
      try {
        this.#tell({ kind: 'detector', ...(await this.#detector.start()) });
      } catch (error) {
        await this.#camera.stop();
        throw error;
      }
    };
    const loading = load();
    if (!this.#live) await loading;
    // Both to the end: a process must not leave while a model runs.
    for (const one of await Promise.allSettled([loading, this.#camera.start()])) {
      if (one.status === 'rejected') throw one.reason;
    }
  }

  /** The agent has taken in all observations through `frame` and asks for evidence. */
  acknowledge({ frame, evidence }: Ack): void {
    this.#acknowledgedFrame = Math.max(this.#acknowledgedFrame, frame);
    for (const request of evidence) this.#evidence.request(request);
    this.#wakeLockStep?.();
  }

  /** The technician wants to see how the camera looks. */
  preview(request: number): void {
    this.#evidence.preview(request);
  }

  #giveUp(reason: string): void {
    this.#stuck = new AgentError('unavailable', reason);
    void this.#camera.stop();
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
    return this.#detector.failed;
  }

  /** The board is hot, by so many steps. */
  heat(steps: number): void {
    this.#pace?.heat(steps);
  }

  /** The camera's view is the right one as it is now. */
  confirmView(): void {
    this.#observer.confirmView();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#wakeLockStep?.();
    await Promise.all([this.#camera.stop(), this.#street?.stop()]);
    // The last word on how many frames were read: the journal has it.
    this.#tell({ kind: 'stats', stats: this.#stats() });
    await this.#evidence.idle();
    await this.#detector.stop();
  }

  #isDue(glimpse: Glimpse): boolean {
    const { atMs, pictured } = glimpse;
    const state = { awaited: this.#isAwaited(atMs), settled: this.#observer.settled };
    const asked = this.#street?.follow(glimpse, state);
    if (asked !== undefined) this.#camera.followStreet(asked.isStill);
    return this.#pace?.isDue(atMs, { fps: asked?.fps ?? 0, pictured }) ?? true;
  }

  async #pacedAnalyse(frame: Frame): Promise<void> {
    const pace = this.#pace;
    const beganMs = threadCpuMs();
    const held = this.#framesHeld;
    await this.#analyse(frame);
    if (pace === undefined) return;
    const looked = held === this.#framesHeld;
    pace.noteAnalysed(!looked ? 'held' : frame.fine === undefined ? 'look' : 'closer look', frame.atMs);
    // A frame that was not looked at says nothing of how long a look takes.
    if (this.#live && looked) pace.noteDuration(threadCpuMs() - beganMs, frame.atMs);
    const { step, fps, reason } = pace.state;
    if (step === this.#toldStep) return;
    this.#toldStep = step;
    this.#tell({ kind: 'pace', step, fps, reason });
  }

  async #analyse(frame: Frame): Promise<void> {
    const look = await this.#look(frame);
    const observation = this.#observer.observationOf(frame, look);
    this.#street?.note(frame, look.tracks);
    this.#followView(observation.camera ?? [], frame.atMs);
    this.#stageClock.book('observe');
    this.#evidence.remember(frame, look, this.#observer.foreground);
    this.#evidence.keep(this.#observer.pinnedMs, frame.atMs);
    this.#stageClock.book('redact');
    this.#evidence.learnPlace(frame);
    this.#stageClock.book('plate');
    this.#framesAnalysed += 1;
    if (look.looked) this.#detections += look.found.length;
    else this.#framesHeld += 1;
    this.#tellFrame({ kind: 'frame', observation, detections: this.#linkDetections(frame, look) });
    this.#stageClock.book('link');
  }

  /** By a look of the detector, or as it was found last where nothing has moved since. */
  async #look(frame: Frame): Promise<Look> {
    const slowed = (this.#pace?.state.step ?? 0) > 0;
    this.#camera.wantFine(this.#fineLooks.wants(frame, slowed) && this.#detector.looksCloser);
    const looked = this.#gate.mustLook(frame, this.#isAwaited(frame.atMs) || this.#fineLooks.isDue(frame));
    let features: Features | undefined;
    if (looked) {
      ({ found: this.#found, features } = await this.#detector.look(frame));
      this.#fineLooks.looked(frame);
    }
    this.#stageClock.book('detect');
    const found = this.#found;
    const { dark } = this.#fineLooks;
    const tracks = looked ? this.#tracker.update(frame, found, dark) : this.#tracker.hold(frame);
    this.#stageClock.book('track');
    return { looked, found, tracks, features };
  }

  #isAwaited(atMs: number): boolean {
    return this.#tracker.waits || this.#observer.waits(atMs);
  }

  /** A frozen picture may be the pipeline's own fault: it is built anew. What is known of the view goes to the agent. */
  #followView(conditions: readonly CameraCondition[], atMs: number): void {
    const moved = conditions.includes('moved');
    if (moved && !this.#moved) this.#evidence.forgetPlace();
    this.#moved = moved;
    if (!this.#live) return;
    const view = this.#observer.viewToTell();
    if (view !== undefined) this.#tell({ kind: 'view', view });
    if (!conditions.includes('frozen')) this.#rebuiltMs = Number.NEGATIVE_INFINITY;
    else if (atMs - this.#rebuiltMs >= REBUILD_EVERY_MS) {
      this.#rebuiltMs = atMs;
      this.#camera.rebuild();
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
    await this.#evidence.idle();
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
    const { framesRead, framesDropped, reconnects, rebuilds, stillsCut } = this.#camera.counters;
    return {
      framesRead: framesRead + (this.#second?.counters.framesRead ?? 0),
      packetsWatched: this.#camera.keyFrames?.state.packetsWatched ?? 0,
      quiet: this.#street?.quiet ?? null,
      framesAnalysed: this.#framesAnalysed,
      framesHeld: this.#framesHeld,
      framesShed: this.#pace?.shed ?? 0,
      framesShort: this.#pace?.short ?? 0,
      looksFine: this.#fineLooks.count,
      framesDropped,
      observationsDropped: this.#observationsDropped,
      reconnects,
      rebuilds,
      detections: this.#detections,
      impossible: this.#tracker.impossible,
      limits: {
        stills_cut: stillsCut,
        tracks_refused: this.#tracker.refused,
        redaction_frames_dropped: this.#evidence.forgotten,
        ...this.#observer.limits,
      },
      stages: this.#stageClock.summary(),
      wallMs: this.#options.clock.nowMs() - this.#startedMs,
      ...processUsage(),
    };
  }
}
