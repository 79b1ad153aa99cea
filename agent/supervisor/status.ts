/** Collects the state of vision from its messages for the health report. No decision depends on it. */

import type { Counters } from '../base/counters.ts';
import { isConnectedAs } from '../contract/camera-connection.ts';
import type {
  CameraReport,
  DetectorReport,
  FramesReport,
  ProcessReport,
  QuietReport,
} from '../contract/health.ts';
import {
  type FromVision,
  NO_LIMITS,
  VISION_LIMITS,
  type VisionLimit,
  type VisionStats,
} from '../contract/link.ts';
import type { ObservedTrack } from '../contract/observation.ts';
import type { ViewReport } from '../contract/view-report.ts';
import { meanInferenceMs } from './inference-time.ts';
import { type Configured, ViewStatistics } from './view-statistics.ts';

const NO_CAMERA: CameraReport = {
  state: 'off',
  reason: null,
  decoder: null,
  widthPx: null,
  heightPx: null,
  fps: null,
  asOrdered: null,
};
/** Limit of the report on a line of text. */
const TEXT_MAX = 500;

export class VisionStatus {
  #messageCount = 0;
  #pid: number | undefined;
  #camera: CameraReport = NO_CAMERA;
  #detector: DetectorReport | null = null;
  /** Counters of the present vision process. `#before` holds the sum of earlier ones. */
  #stats: VisionStats | undefined;
  #before: FramesReport = { read: 0, analysed: 0, dropped: 0, watched: 0 };
  #limitsBefore = NO_LIMITS;
  #tracks: readonly ObservedTrack[] = [];
  #connected: string | null = null;
  readonly #source: string;
  readonly #view: ViewStatistics;

  constructor(configured: Configured & { readonly camera?: { readonly source?: string } | undefined }) {
    this.#source = configured.camera?.source ?? '';
    this.#view = new ViewStatistics(configured);
  }

  /** Messages since the start of the agent, from all vision processes. */
  get messageCount(): number {
    return this.#messageCount;
  }

  /**
   * Process data as vision reports them (in production /proc shows no process of another user); null if there is none.
   */
  get process(): ProcessReport | null {
    if (this.#pid === undefined) return null;
    const { rssMiB = 0, fds = null } = this.#stats ?? {};
    return { pid: this.#pid, rssMiB: Math.round(rssMiB * 10) / 10, fds };
  }

  /**
   * Address to which vision is connected; null while there is no picture. It is not sent to the room: addresses stay on
   * the box.
   */
  get connected(): string | null {
    return this.#connected;
  }

  get camera(): CameraReport {
    return this.#camera;
  }

  /** Tracks of the newest analysed frame. */
  get tracks(): readonly ObservedTrack[] {
    return this.#tracks;
  }

  /** Statistics of the scene since the start of the agent. */
  get view(): ViewReport {
    return this.#view.report;
  }

  get detector(): DetectorReport | null {
    return this.#detector;
  }

  /** Frame counts since the start of the agent, over all vision processes. */
  get frames(): FramesReport {
    const { framesRead = 0, framesAnalysed = 0, framesDropped = 0, packetsWatched = 0 } = this.#stats ?? {};
    const { read, analysed, dropped, watched } = this.#before;
    return {
      read: read + framesRead,
      analysed: analysed + framesAnalysed,
      dropped: dropped + framesDropped,
      watched: watched + packetsWatched,
    };
  }

  /** Report of the present vision process; undefined if no second stream may be used. */
  get quiet(): QuietReport | undefined {
    return this.#stats?.quiet ?? undefined;
  }

  /** Counters of the present vision process. Counts of items dropped at a limit cover all processes. */
  get counters(): Counters {
    const { framesHeld = 0, looksFine = 0, framesShed = 0, framesShort = 0 } = this.#stats ?? {};
    const { observationsDropped = 0 } = this.#stats ?? {};
    const { impossible = 0, reconnects = 0, rebuilds = 0 } = this.#stats ?? {};
    return {
      frames_held: framesHeld,
      looks_fine: looksFine,
      frames_shed: framesShed,
      frames_short: framesShort,
      observations_dropped: observationsDropped,
      detections_impossible: impossible,
      camera_reconnects: reconnects,
      camera_rebuilds: rebuilds,
      ...this.#limits,
    };
  }

  get #limits(): Readonly<Record<VisionLimit, number>> {
    const now = this.#stats?.limits ?? NO_LIMITS;
    const both = VISION_LIMITS.map((name) => [name, this.#limitsBefore[name] + now[name]] as const);
    return Object.fromEntries(both) as Record<VisionLimit, number>;
  }

  /** Durations of each stage in the present process; undefined if there is none. */
  get stages(): VisionStats['stages'] | undefined {
    return this.#stats?.stages;
  }

  /** Mean wall time of a detector run in the present process, ms; null before the first. */
  get inferenceMs(): number | null {
    return meanInferenceMs(this.#stats);
  }

  receive(message: FromVision): void {
    this.#messageCount += 1;
    switch (message.kind) {
      case 'hello':
        this.#pid = message.pid;
        this.#camera = { ...NO_CAMERA, state: 'opening' };
        break;
      case 'detector': {
        const { model, sha256, provider, fallback } = message;
        this.#detector = { model, sha256, provider, fallback: fallback?.slice(0, TEXT_MAX) ?? null };
        break;
      }
      case 'opened': {
        const { source, decoder, fps, connected } = message;
        const isAsConfigured = isConnectedAs(this.#source, connected);
        this.#connected = connected;
        this.#camera = {
          state: 'streaming',
          reason: null,
          decoder,
          ...source,
          fps,
          asOrdered: isAsConfigured,
        };
        break;
      }
      case 'frame':
        this.#tracks = message.observation.tracks;
        this.#view.observe(message.observation);
        break;
      case 'lost':
        this.#tracks = [];
        this.#connected = null;
        this.#camera = {
          ...this.#camera,
          state: 'lost',
          reason: message.reason.slice(0, TEXT_MAX),
          asOrdered: null,
        };
        break;
      case 'stats':
      case 'ended':
        this.#stats = message.stats;
        break;
      default:
        break;
    }
  }

  /** Handles the end of the vision process. */
  onVisionEnd(): void {
    this.#before = this.frames;
    this.#limitsBefore = this.#limits;
    this.#stats = undefined;
    this.#pid = undefined;
    this.#camera = NO_CAMERA;
    this.#connected = null;
    this.#detector = null;
    this.#tracks = [];
  }
}
