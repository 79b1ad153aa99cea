/** Runs the real vision process for a few seconds and stores its messages. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { FromVision, VisionSettings, VisionStats } from '../../contract/link.ts';
import type { CapturePermit } from '../../contract/permit.ts';
import type { ViewReport } from '../../contract/view-report.ts';
import { ViewStatistics } from '../../supervisor/view-statistics.ts';
import { VisionProcess } from '../../supervisor/vision-process.ts';

export interface VisionTrial {
  readonly detector?: Extract<FromVision, { kind: 'detector' }>;
  readonly stream?: Extract<FromVision, { kind: 'opened' }>;
  /** Reason why no stream started, or why it was lost: the last message. */
  readonly lostReason?: string;
  /** Final error of vision. */
  readonly failed?: Extract<FromVision, { kind: 'failed' }>;
  /** Vision crashed, or violated the link's protocol. */
  readonly died?: string;
  /** First counters after the stream had settled, and last ones. */
  readonly firstStats?: VisionStats;
  readonly stats?: VisionStats;
  readonly frames: number;
  /** Frames after the stream had settled, and the time from the first to the last of them. */
  readonly watchedFrames: number;
  readonly watchedMs: number;
  /** Size and speed of the passing objects. */
  readonly view: ViewReport;
}

export interface TrialOptions {
  readonly permit: CapturePermit;
  readonly settings: VisionSettings;
  /** Folder in which vision finds the trusted keys; absent for a generated picture. */
  readonly restraintDir?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Time to watch after the first frame, in ms. */
  readonly watchMs: number;
  /** Called for each frame as reported by vision; with detections only if the settings include them. */
  readonly onFrame?: ((frame: Extract<FromVision, { kind: 'frame' }>) => void) | undefined;
}

/** Time limit in ms. Loading the model and a first run take 0.5 s on a PC; an emulated board needs half a minute. */
const LOAD_MS = 60_000;
/** Time limit in ms. An RTSP camera takes up to 5 s for its first key frame; twice that means no answer. */
const FIRST_FRAME_MS = 12_000;
/**
 * Initial period in ms without measurements: a stream begins with a burst of frames held by the camera and the jitter
 * buffer.
 */
const SETTLE_MS = 1000;
type Notes = { -readonly [K in keyof VisionTrial]: VisionTrial[K] };

export async function tryVision({
  permit,
  settings,
  restraintDir,
  clock,
  log,
  watchMs,
  onFrame,
}: TrialOptions): Promise<VisionTrial> {
  const statistics = new ViewStatistics(settings);
  const notes: Notes = { frames: 0, watchedFrames: 0, watchedMs: 0, view: statistics.report };
  const over = new AbortController();
  const loaded = new AbortController();
  let firstMs: number | undefined;
  const vision = new VisionProcess({
    clock,
    log,
    restraintDir,
    onMessage: ({ message }) => {
      if (message.kind === 'frame') {
        const nowMs = clock.nowMs();
        firstMs ??= nowMs;
        const sinceMs = nowMs - firstMs - SETTLE_MS;
        if (sinceMs >= 0) notes.watchedFrames += 1;
        notes.watchedMs = Math.max(0, sinceMs);
        statistics.observe(message.observation);
        onFrame?.(message);
        vision.send({ kind: 'ack', frame: message.observation.frame, evidence: [] });
      }
      // A repeated reason is final; a camera that is only slow sends none.
      const sure = message.kind === 'lost' && message.reason === notes.lostReason;
      note(notes, message);
      if (message.kind === 'detector') loaded.abort();
      if (sure || notes.watchedMs >= watchMs || message.kind === 'failed' || message.kind === 'ended')
        over.abort();
    },
    onExit: ({ code, signal, isRequested, error, lastLine }) => {
      if (!isRequested && notes.failed === undefined && notes.stats === undefined) {
        const end = error?.message ?? (signal === null ? `exit code ${code}` : `signal ${signal}`);
        notes.died = lastLine === undefined ? end : `${end}: ${lastLine}`;
      }
      over.abort();
    },
  });
  vision.start(permit, settings);
  await clock.sleep(LOAD_MS, AbortSignal.any([over.signal, loaded.signal]));
  await clock.sleep(FIRST_FRAME_MS, over.signal);
  if (!over.signal.aborted && notes.frames > 0) await clock.sleep(SETTLE_MS + watchMs, over.signal);
  await vision.stop();
  return { ...notes, view: statistics.report };
}

function note(notes: Notes, message: FromVision): void {
  switch (message.kind) {
    case 'detector':
      notes.detector = message;
      return;
    case 'opened':
      notes.stream = message;
      return;
    case 'lost':
      notes.lostReason = message.reason;
      return;
    case 'failed':
      notes.failed = message;
      return;
    case 'stats':
    case 'ended':
      if (notes.watchedMs > 0) notes.firstStats ??= message.stats;
      notes.stats = message.stats;
      return;
    case 'frame':
      notes.frames += 1;
      return;
    default:
      return;
  }
}
