/**
 * Reads frames from the camera on demand, stores recent stills, and reopens a lost stream automatically.
 *
 * `nextGlimpse()` does all the work, and only when called. It reads the pipeline's one sink and returns a glimpse. When
 * the stream has ended, it closes, waits and opens again, indefinitely. `frame()` makes the picture to be analysed from
 * the newest glimpse.
 *
 * INVARIANTS
 * - Media time is monotonic; frame numbers are never used twice.
 * - A still is stored only of an analysed frame.
 * - Frames, the pictures beside them and stills are black under the privacy masks.
 * - Replay: two runs over a clip give the same frames and stills. Live: the newest frame is returned.
 * - Live, a recording restarts at its end; that is not a loss.
 * LIMITS: stills as in still-ring.ts. Retries after 1 to 30 s, with jitter, indefinitely. An opening that gives no
 * frame is abandoned after 30 s.
 */
import { Backoff } from '../../base/backoff.ts';
import { AgentError, assert, rethrowBug } from '../../base/errors.ts';
import { CONNECTED_MAX } from '../../contract/camera-connection.ts';
import type { MaskConfig } from '../../contract/config.ts';
import { type SizePx, sameSize } from '../../contract/geometry.ts';
import type { Frame, Glimpse, LookTerms, Still } from '../../contract/picture.ts';
import type { PipelineError } from '../native/gstreamer.ts';
import { frameRateOf } from './caps.ts';
import type { KeyFrameMode } from './key-frame-mode.ts';
import { PrivacyMasks } from './mask.ts';
import { assembleParts, type Parts, type PartsOptions } from './parts.ts';
import { givenOut } from './still.ts';
import { StillRing } from './still-ring.ts';
import type { Target } from './target.ts';

const RETRY = { firstMs: 1000, maxMs: 30_000 };
/** Minimum time between a failed opening and the next, in ms, however long the opening took. */
const RETRY_GAP_MS = 500;
/** Time without a decoded picture until a source is lost, in ms. With the interval below, a loss shows within 5 s. */
const STALL_MS = 3500;
const CHECK_EVERY_MS = 500;
/** First-frame limit in ms: the longest retry wait. A waking camera answers the pending request at once. */
const FIRST_FRAME_MS = 30_000;
/** Time without a picture, in ms, from a camera that answers and gave pictures before: the decoder may be at fault. */
const STUCK_MS = 10_000;
/** Time without a frame until a clip is abandoned, in ms. No disk or decoder is that slow. */
const REPLAY_STALL_MS = 60_000;
/**
 * Time limit for a clip's first frame, in ms. Examining a file takes a second on a slow card. (decodebin hides errors
 * while it plugs elements, and a demuxer's own error can fall into that window.)
 */
const REPLAY_FIRST_FRAME_MS = 15_000;

export interface CameraOptions extends PartsOptions {
  /** Black in every frame and still that is given out. */
  readonly masks: readonly MaskConfig[];
  /** Called on the first frame (also after each loss) and on a new picture size. `fps` is the source's claim. */
  onOpened(info: {
    source: SizePx;
    decoder: string;
    fps: number | null;
    durationMs: number | null;
    /** Address and port, or real path, of the connection; no login. */
    connected: string;
  }): void;
  /** Called for each failed opening. The camera retries automatically. */
  onLost(info: { reason: string; retryInMs: number }): void;
  /**
   * Called once, live: the camera answers but gave no picture for 10 s, though it did before. The stream is corrupt or
   * a decoder failed; a new process starts without that.
   */
  onStuck?(reason: string): void;
}

export interface CameraCounters {
  readonly framesRead: number;
  /** Frames due for analysis that a newer one replaced. */
  readonly framesDropped: number;
  /** Openings after a loss. */
  readonly reconnects: number;
  /** Openings requested by `rebuild()`. */
  readonly rebuilds: number;
  /** Stills that left the ring buffer early for lack of space. */
  readonly stillsCut: number;
}

export class Camera {
  readonly #options: CameraOptions;
  readonly #live: boolean;
  readonly #stopping = new AbortController();
  readonly #backoff = new Backoff(RETRY);
  readonly #masks: PrivacyMasks;
  readonly #ring = new StillRing();
  #parts: Parts | undefined;
  /** First frame of a recording, read by `start()`. */
  #first: Glimpse | undefined;
  /** Size in the last `onOpened`; undefined while there is no picture. */
  #announced: SizePx | undefined;
  #lossTold = false;
  #openedMs = 0;
  /** Address or path of this opening. */
  #connected = '';
  /** Time since which a frame is awaited. */
  #askedMs: number | undefined;
  #wait: AbortController | undefined;
  #over = false;
  #reading = false;
  #reconnects = 0;
  /** Time when a frame was last returned. */
  #frameMs: number | undefined;
  #rebuilding = false;
  #rebuilds = 0;

  constructor(options: CameraOptions) {
    this.#options = options;
    this.#live = options.mode === 'live';
    this.#masks = new PrivacyMasks(options.masks);
  }

  get counters(): CameraCounters {
    const reader = this.#parts?.reader;
    return {
      framesRead: reader?.read ?? 0,
      framesDropped: reader?.droppedFrames ?? 0,
      reconnects: this.#reconnects,
      rebuilds: this.#rebuilds,
      stillsCut: this.#ring.earlyRemovals,
    };
  }

  /**
   * Opens the source. Resolves on a recording's first frame; at once for a camera, which is awaited.
   *
   * @throws `config` for a source that can never work; `unavailable` for a recording that, live, gave nothing in time
   * (a slow disk or decoder, for which a retry may succeed)
   */
  async start(): Promise<void> {
    const parts = await assembleParts(this.#options, {
      ring: this.#ring,
      masks: this.#masks,
      onReturn: (downMs) => this.#cameBack(downMs),
    });
    this.#parts = parts;
    if (this.#stopping.signal.aborted) return parts.pipeline.dispose();
    void this.#endStalls(parts);
    await this.#open(parts);
    if (!parts.source.recording) return;
    this.#first = await this.#read(parts);
    if (this.#first !== undefined || this.#stopping.signal.aborted) return;
    await parts.pipeline.dispose();
    const slow = this.#live && isStall(parts.pipeline.error);
    throw new AgentError(slow ? 'unavailable' : 'config', `camera.source: ${this.#reasonOf(parts)}`);
  }

  /**
   * Returns the next frame, or null when the clip has ended (replay) or the camera was stopped. Live, frames that are
   * not read in time are dropped and counted. One call at a time.
   * All frames are wanted in time, unless `termsNow` says otherwise when the camera waits.
   * @throws `corrupt` if a clip cannot be read to its end
   */
  async nextGlimpse(termsNow?: () => LookTerms): Promise<Glimpse | null> {
    const parts = this.#parts;
    assert(
      parts !== undefined && !this.#reading,
      'Camera.nextGlimpse() needs start(), and one call at a time',
    );
    this.#reading = true;
    try {
      while (!this.#stopping.signal.aborted && !this.#over) {
        const frame = this.#takeFirst() ?? (await this.#read(parts, termsNow));
        if (frame !== undefined) return frame;
        await this.#afterEnd(parts);
      }
      return null;
    } finally {
      this.#reading = false;
    }
  }

  /** Returns the next frame for a caller that analyses every frame. */
  async next(): Promise<Frame | null> {
    const glimpse = await this.nextGlimpse();
    return glimpse && this.frame(glimpse);
  }

  /** Makes the picture to be analysed from the last glimpse. Call it before the next `nextGlimpse()`. */
  frame(glimpse: Glimpse): Promise<Frame> {
    assert(this.#parts !== undefined, 'Camera.frame() needs start()');
    return this.#parts.reader.frame(glimpse);
  }

  /** Adds a larger picture to 2.5 frames a second from the next one on; see FrameReader.wantFine. Free while 0. */
  wantFine(widthMaxPx: number): void {
    this.#parts?.reader.wantFine(widthMaxPx);
  }

  /** Returns the still nearest to a media time; undefined if none lies within 5 s. */
  stillNear(atMs: number): Still | undefined {
    const still = this.#ring.near(atMs);
    return still && givenOut(still, this.#masks);
  }

  /** Reduces the number of stills while nothing moves in the street. Live only; a replay has all. */
  followStreet(isStill: boolean): void {
    if (this.#live) this.#parts?.reader.followStreet(isStill);
  }

  /** Undefined if not requested, or if the source is not an RTSP camera. */
  get keyFrames(): KeyFrameMode | undefined {
    return this.#parts?.keyFrames;
  }

  /** Reopens the source at once. Reported as a loss only if no picture comes. */
  rebuild(): void {
    if (this.#parts === undefined || this.#stopping.signal.aborted) return;
    this.#rebuilding = true;
    this.#options.log.warn({ source: this.#parts.source.label }, 'the picture is frozen: reopening');
    this.#parts.pipeline.fail({ message: 'the picture is frozen', debug: '' });
  }

  /** Ends a pending `nextGlimpse()` with null and frees the source. Idempotent. The stills stay. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#parts?.returnProbe.stop();
    await this.#parts?.pipeline.dispose();
  }

  #takeFirst(): Glimpse | undefined {
    const glimpse = this.#first;
    this.#first = undefined;
    return glimpse;
  }

  async #open({ source, pipeline, reader, returnProbe, keyFrames }: Parts): Promise<void> {
    this.#openedMs = this.#options.clock.nowMs();
    reader.reopen();
    keyFrames?.reopen();
    if (this.#live) returnProbe.start();
    let target: Target | undefined;
    try {
      target = await source.locate();
      this.#connected = target.connected.slice(0, CONNECTED_MAX);
      if (!this.#stopping.signal.aborted) pipeline.open(target);
    } catch (error) {
      rethrowBug(error);
      pipeline.fail({ message: error.message, debug: '' });
    } finally {
      target?.close?.();
    }
  }

  /** Returns the next frame of this opening; undefined when the opening has ended. */
  async #read(parts: Parts, termsNow?: () => LookTerms): Promise<Glimpse | undefined> {
    this.#askedMs = this.#options.clock.nowMs();
    const frame = await parts.reader.next(termsNow);
    this.#askedMs = undefined;
    if (frame !== undefined) {
      this.#frameMs = this.#options.clock.nowMs();
      // One that was passed over comes too late to tell how late the decoder is.
      if (frame.isHeld) parts.keyFrames?.follow(frame.atMs);
    }
    const announcedSize = this.#announced;
    if (frame !== undefined && !sameSize(announcedSize, frame.source)) {
      await this.#announce(parts, frame.source);
    }
    return frame;
  }

  /**
   * Ends openings that give no frame in time, until the camera is stopped. GStreamer's `watchdog` has only one time
   * limit, but a first key frame may be 10 s away.
   */
  async #endStalls({ pipeline, reader }: Parts): Promise<void> {
    const { clock, fps } = this.#options;
    let decoded = 0;
    let decodedMs = 0;
    for (;;) {
      await clock.sleep(CHECK_EVERY_MS, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      const nowMs = clock.nowMs();
      this.#checkStuck(nowMs);
      const count = Number(pipeline.get('rate', 'in'));
      if (count !== decoded || this.#askedMs === undefined) decodedMs = nowMs;
      decoded = count;
      if (this.#askedMs === undefined) continue;
      const stallMs = this.#live ? STALL_MS : reader.flowing ? REPLAY_STALL_MS : REPLAY_FIRST_FRAME_MS;
      // A running source may still give no frame if its time stamps run backwards. Low frame rates need more time.
      const frameMs = Math.max(stallMs, fps === null ? 0 : 2000 / fps);
      const openMs = nowMs - this.#openedMs;
      const silentMs = nowMs - Math.max(decodedMs, this.#askedMs);
      if (this.#live && !reader.flowing) {
        if (openMs >= FIRST_FRAME_MS) pipeline.fail({ message: noPicture(openMs), debug: '' });
        else if (openMs >= stallMs && !this.#lossTold)
          this.#tellLost(noPicture(openMs), FIRST_FRAME_MS - openMs);
      } else if (silentMs >= stallMs || nowMs - this.#askedMs >= frameMs) {
        // No frame has come since the request, although pictures may have been decoded.
        pipeline.fail({ message: noPicture(nowMs - this.#askedMs), debug: '' });
      }
    }
  }

  #checkStuck(nowMs: number): void {
    if (
      !this.#live ||
      this.#frameMs === undefined ||
      (this.#askedMs === undefined && this.#announced !== undefined)
    )
      return;
    if (nowMs - this.#frameMs < STUCK_MS || this.#parts?.returnProbe.answers !== true) return;
    this.#frameMs = undefined;
    this.#options.onStuck?.(`the camera answers, and gave no picture for ${STUCK_MS / 1000} s`);
  }

  async #announce({ source, decoders, pipeline, returnProbe }: Parts, size: SizePx): Promise<void> {
    const wasAnnounced = this.#announced !== undefined;
    this.#announced = size;
    this.#lossTold = false;
    this.#backoff.reset();
    returnProbe.stop();
    // A fault can end the pipeline, and its caps, at any moment; the last frame then needs no rate.
    const fps =
      source.claimedFps?.(pipeline.get('stream', 'caps')) ?? frameRateOf(pipeline.get('origin', 'caps')) ?? 0;
    const paths = source.decoders?.(decoders);
    const decoderPath = paths?.[Number(pipeline.get('codec', 'current-path'))] ?? (await pipeline.decoder());
    const decoder = decoderPath?.split(' ')[0] ?? 'none (raw video)';
    this.#options.log.info(
      { source: source.label, decoder, ...size, fps },
      wasAnnounced ? 'the picture has changed its size' : 'camera opened',
    );
    const durationMs = source.recording ? pipeline.durationMs() : null;
    const connected = this.#connected;
    this.#options.onOpened({ source: size, decoder, fps: fps === 0 ? null : fps, durationMs, connected });
  }

  async #afterEnd(parts: Parts): Promise<void> {
    const { source, pipeline, reader } = parts;
    await pipeline.close();
    if (this.#stopping.signal.aborted) return;
    if (!this.#live) {
      this.#over = true;
      if (pipeline.error === undefined) return;
      throw new AgentError('corrupt', `camera.source: after ${reader.read} frames: ${this.#reasonOf(parts)}`);
    }
    const clipOver = source.recording && pipeline.error === undefined && reader.flowing;
    if (this.#rebuilding) this.#rebuilds += 1;
    else if (!clipOver) await this.#waitForRetry(parts);
    this.#rebuilding = false;
    if (!this.#stopping.signal.aborted) await this.#open(parts);
  }

  async #waitForRetry(parts: Parts): Promise<void> {
    const { clock } = this.#options;
    const backoffMs = this.#backoff.nextMs();
    // The wait after a failed opening counts from its start, because a long attempt was a wait already.
    const sinceMs = parts.reader.flowing ? 0 : clock.nowMs() - this.#openedMs;
    const retryInMs = Math.round(Math.max(RETRY_GAP_MS, backoffMs - sinceMs));
    this.#tellLost(this.#reasonOf(parts), retryInMs);
    parts.returnProbe.start();
    this.#wait = new AbortController();
    await clock.sleep(retryInMs, AbortSignal.any([this.#wait.signal, this.#stopping.signal]));
    this.#wait = undefined;
    this.#reconnects += 1;
  }

  /** Ends the wait, or an attempt from before `downMs`: the source was unreachable then and answers again. */
  #cameBack(downMs: number): void {
    this.#backoff.reset();
    if (this.#wait !== undefined) this.#wait.abort();
    else if (this.#openedMs < downMs) {
      this.#parts?.pipeline.fail({ message: 'the camera was unavailable and has come back', debug: '' });
    }
  }

  #tellLost(reason: string, retryInMs: number): void {
    const { log, onLost } = this.#options;
    const fields = { source: this.#parts?.source.label, reason, retryInMs };
    if (this.#lossTold) log.debug(fields, 'still no picture');
    else log.warn(fields, 'no picture from the camera');
    this.#lossTold = true;
    this.#announced = undefined;
    onLost({ reason, retryInMs });
  }

  #reasonOf({ source, pipeline, reader }: Parts): string {
    const { error } = pipeline;
    if (error !== undefined) {
      const isOwnStall = isStall(error) && (reader.flowing || !source.recording);
      return isOwnStall ? error.message : source.explain(error);
    }
    if (reader.flowing) return 'the camera ended the stream';
    return source.explain({ message: 'it gave no picture', debug: '' });
  }
}

const NO_PICTURE = 'no picture for';

/** Reports whether this class ended the opening for lack of a frame, rather than GStreamer. */
function isStall(error: PipelineError | undefined): boolean {
  return error?.message.startsWith(NO_PICTURE) ?? false;
}

function noPicture(ms: number): string {
  return `${NO_PICTURE} ${Math.round(ms / 1000)} s`;
}
