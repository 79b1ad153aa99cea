/** What the agent knows of vision, from vision's own messages: for the health report, no decision hangs on it. */

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
/** The report's limit on a line of text. */
const TEXT_MAX = 500;

export class VisionStatus {
  #heard = 0;
  #pid: number | undefined;
  #camera: CameraReport = NO_CAMERA;
  #detector: DetectorReport | null = null;
  /** Of this life of vision; those of earlier lives are summed up in `#before`. */
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

  /** Messages since the start of the agent, over all lives of vision. */
  get heard(): number {
    return this.#heard;
  }

  /** By its own account (in production /proc shows no process of another user); null while there is none. */
  get process(): ProcessReport | null {
    if (this.#pid === undefined) return null;
    const { rssMiB = 0, fds = null } = this.#stats ?? {};
    return { pid: this.#pid, rssMiB: Math.round(rssMiB * 10) / 10, fds };
  }

  /** What vision is connected to; null while there is no picture. Not for the room: addresses stay at the box. */
  get connected(): string | null {
    return this.#connected;
  }

  get camera(): CameraReport {
    return this.#camera;
  }

  /** Of the newest frame that was analysed. */
  get tracks(): readonly ObservedTrack[] {
    return this.#tracks;
  }

  /** Of what passes, since the start of the agent. */
  get view(): ViewReport {
    return this.#view.report;
  }

  get detector(): DetectorReport | null {
    return this.#detector;
  }

  /** Since the start of the agent, over all lives of vision. */
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

  /** Of this life of vision; undefined where no second stream may be watched. */
  get quiet(): QuietReport | undefined {
    return this.#stats?.quiet ?? undefined;
  }

  /** Of this life of vision; what a limit left out, of all its lives. */
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

  /** How long each stage takes, of this life; undefined while there is none. */
  get stages(): VisionStats['stages'] | undefined {
    return this.#stats?.stages;
  }

  hear(message: FromVision): void {
    this.#heard += 1;
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
        const asOrdered = isConnectedAs(this.#source, connected);
        this.#connected = connected;
        this.#camera = { state: 'streaming', reason: null, decoder, ...source, fps, asOrdered };
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

  /** The vision process has gone. */
  gone(): void {
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
