/**
 * Creates the parts of the vision pipeline. Each gets its inputs by name, so that the compiler finds anything renamed
 * or missing. flow.ts forwards their messages.
 */
import { randomInt } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { GroundPlane } from '../contract/ground-plane.ts';
import type { PlainFromVision, VisionSettings } from '../contract/link.ts';
import { SNAPSHOT_LONG_SIDE_PX_MAX } from '../contract/redacted-jpeg.ts';
import { Camera } from './camera/camera.ts';
import { Detector } from './detect/detector.ts';
import { Observer } from './observe/observer.ts';
import { Evidence } from './redact/evidence.ts';
import { FPS_MAX, Schedule, SECOND_FPS, SLOW_MS, watchedCells } from './schedule/schedule.ts';
import { Tracker } from './track/tracker.ts';

/** Upper bound of the random first track ID. Counting for years from there stays exact in JSON and in a double. */
const FIRST_ID_MAX = 2 ** 40;

export interface VisionFlowOptions {
  readonly settings: VisionSettings;
  /** Public keys to which the unredacted still of an event is sealed. Empty: no still is sealed. */
  readonly sealTo: readonly string[];
  /** Address of the camera's second stream, if it may be opened. Live, it wakes the main stream on a quiet street. */
  readonly substream?: string | undefined;
  /** Vision's own folder for the model that ran last. A replay runs the installed model or none. */
  readonly keptDir?: string | undefined;
  /** Resolves the camera's host name; the system resolver if absent. */
  readonly resolveHost?: ((host: string) => Promise<readonly string[]>) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Puts an encoded message on the link. Returns false if the link refused it. */
  send(encoded: Buffer): boolean;
}

/** Callbacks of the parts to the flow. */
interface Hearers {
  tell(message: PlainFromVision): void;
  /** Reports that vision cannot continue and must restart. */
  giveUp(reason: string): void;
}

export interface Parts {
  readonly camera: Camera;
  /** Second stream of the camera, used while the street may be quiet. */
  readonly second: Camera | undefined;
  readonly schedule: Schedule;
  readonly detector: Detector;
  readonly tracker: Tracker;
  readonly observer: Observer;
  readonly evidence: Evidence;
}

export function makeParts(options: VisionFlowOptions, { tell, giveUp }: Hearers): Parts {
  const { settings, clock, log, send, sealTo, resolveHost } = options;
  const { detector: detectorConfig, groundPlane, masks, mode, modelDir, zones, lines, timeZone } = settings;
  const { source, fps, follows = false } = settings.camera;
  const [widthPx, heightPx] = detectorConfig.input;
  const live = mode === 'live';
  const followsStreet = follows && fps !== null;
  const substream = live && followsStreet ? options.substream : undefined;
  const camera = new Camera({
    source,
    fps: followsStreet ? Math.max(fps, FPS_MAX) : fps,
    input: { widthPx, heightPx },
    masks,
    mode,
    clock,
    log,
    resolveHost,
    cellsOf: followsStreet ? watchedCells({ zones, lines }, 0) : undefined,
    gated: substream !== undefined,
    // Only sealed evidence may leave the box at a larger size.
    stillLongSidePx: sealTo.length > 0 ? undefined : SNAPSHOT_LONG_SIDE_PX_MAX,
    onOpened: (info) => tell({ kind: 'opened', ...info }),
    onLost: (info) => tell({ kind: 'lost', ...info }),
    onStuck: (reason) => giveUp(`${reason}: vision restarts`),
  });
  const second =
    substream === undefined
      ? undefined
      : new Camera({
          source: substream,
          fps: SECOND_FPS,
          input: { widthPx, heightPx },
          masks,
          mode,
          clock,
          log,
          resolveHost,
          cellsOf: watchedCells({ zones: [], lines: [] }, SLOW_MS),
          onOpened: () => undefined,
          onLost: () => undefined,
        });
  const quiet = second && { second, keyFrames: () => camera.keyFrames, clock, log };
  // Replays must number their tracks alike; a live camera starts at a random number.
  const firstId = live ? randomInt(1, FIRST_ID_MAX) : 1;
  return {
    camera,
    second,
    schedule: new Schedule({ fps, follows, live, everyFrame: settings.everyFrame, zones, lines, quiet }),
    detector: new Detector({
      config: detectorConfig,
      modelDir,
      keptDir: live ? options.keptDir : undefined,
      features: settings.regions,
      clock,
      log,
    }),
    tracker: new Tracker(undefined, firstId, groundPlane && new GroundPlane(groundPlane)),
    observer: new Observer(settings),
    evidence: new Evidence({
      stillNear: (atMs) => camera.stillNear(atMs),
      sealTo,
      zones,
      lines,
      timeZone,
      send,
      log,
    }),
  };
}
