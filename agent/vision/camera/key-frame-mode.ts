/**
 * Controls key-frame mode. While a street is quiet, only key frames are decoded, one second late. Later packets stay
 * compressed in memory and are decoded when something moves (element `packetgate`, vision/native/gst).
 *
 * INVARIANTS:
 * - Each opening starts in full decoding with no stored packets.
 * - No frame replaces another while the mode is on and until the stored packets have been read.
 * LIMITS: after CATCH_UP_MS newer frames replace older ones again, whatever is left.
 */
import type { Clock } from '../../base/clock.ts';
import type { NativePipeline } from '../native/gstreamer.ts';
import type { Codec, Decoders } from './presets.ts';

/** Codecs by path of the element `codec` of an RTSP source. */
export const CODECS: readonly Codec[] = ['h264', 'h265'];
/**
 * Time limit for reading stored packets, in ms. At most three seconds of them are stored, which a board that analyses
 * each frame in time reads in about that long.
 */
const CATCH_UP_MS = 5000;
/** Age at which a key frame is decoded, in ms; same as in PacketGate.cpp. */
const MARGIN_MS = 1000;
/**
 * Additional lag from which a decoder counts as holding pictures back, in ms. Other decoders output a picture within a
 * few milliseconds; half a key-frame interval is clearly more.
 */
const LATE_LAG_MS = 500;
/** Late frames in a row that are needed; a single one may have waited for the detector. */
const LATE_FRAMES_MIN = 2;
/** Bytes for stored packets and those that arrive while they are decoded; compressed, allocated on demand. */
const QUEUE_BYTES = 16_777_216;

/** Returns the launch text between depayloader and decoder; empty if the decoder may hold pictures back. */
export function gateText(codec: Codec, decoder: string): string {
  if (!isLibav(decoder)) return '';
  return (
    `packetgate name=gate-${codec} ! ` +
    `queue name=kept-${codec} max-size-buffers=0 max-size-time=0 max-size-bytes=${QUEUE_BYTES} ! `
  );
}

export interface KeyFrameState {
  /** True while only key frames are decoded. */
  readonly resting: boolean;
  /** Reason why that is not possible; undefined if it is. */
  readonly reason: string | undefined;
  /** Compressed pictures received and dropped without decoding. */
  readonly packetsWatched: number;
}

export class KeyFrameMode {
  readonly #pipeline: Pick<NativePipeline, 'get' | 'set'>;
  /** Codecs whose path has a gate. */
  readonly #gated: readonly Codec[];
  readonly #clock: Clock;
  #isWanted = false;
  #lossless = false;
  /** Time since which stored packets are being read. */
  #catchUpFromMs: number | undefined;
  /** Lag of frames in full decoding, in ms. */
  #usualLagMs = 0;
  #lateFrames = 0;

  constructor(pipeline: Pick<NativePipeline, 'get' | 'set'>, decoders: Decoders, clock: Clock) {
    this.#pipeline = pipeline;
    this.#gated = CODECS.filter((codec) => isLibav(decoders[codec]));
    this.#clock = clock;
  }

  get state(): KeyFrameState {
    const gate = this.#gate;
    let packetsWatched = 0;
    for (const codec of this.#gated)
      packetsWatched += Number(this.#pipeline.get(`gate-${codec}`, 'undecoded'));
    return { resting: this.#isResting(gate), reason: this.#reasonOf(gate), packetsWatched };
  }

  /** True while only key frames are decoded. */
  get resting(): boolean {
    return this.#isResting(this.#gate);
  }

  /** Prepares for pictures of a new opening, in full decoding. */
  reopen(): void {
    for (const codec of this.#gated) this.#set(codec, false);
    this.#isWanted = false;
    this.#lateFrames = 0;
    this.#catchUpFromMs = undefined;
    this.#keepAll(false);
  }

  /**
   * Sets whether key frames suffice from now on. Stored packets are decoded at the next packet after it becomes false.
   */
  want(quiet: boolean): void {
    if (quiet === this.#isWanted) return;
    const gate = this.#gate;
    if (gate === undefined || (quiet && this.#lateFrames >= LATE_FRAMES_MIN)) return;
    this.#isWanted = quiet;
    if (!quiet && this.#isResting(gate)) this.#keepAll(true);
    this.#set(gate, quiet);
  }

  /** Follows the mode; to be called for each frame read. */
  follow(atMs: number): void {
    if (!this.#isWanted && !this.#lossless) {
      this.#usualLagMs = this.#clock.nowMs() - atMs;
      return;
    }
    const gate = this.#gate;
    if (gate === undefined) return;
    if (this.#isResting(gate)) {
      this.#keepAll(true);
      this.#catchUpFromMs = undefined;
      this.#noteLag(this.#clock.nowMs() - atMs);
    } else if (this.#lossless) this.#catchUp(gate);
  }

  #catchUp(gate: Codec): void {
    const nowMs = this.#clock.nowMs();
    this.#catchUpFromMs ??= nowMs;
    const remaining = Number(this.#pipeline.get(`kept-${gate}`, 'current-level-buffers'));
    if (remaining > 1 && nowMs - this.#catchUpFromMs < CATCH_UP_MS) return;
    this.#catchUpFromMs = undefined;
    this.#keepAll(false);
  }

  #noteLag(lagMs: number): void {
    const isLate = lagMs - this.#usualLagMs > MARGIN_MS + LATE_LAG_MS;
    this.#lateFrames = isLate ? this.#lateFrames + 1 : 0;
    if (this.#lateFrames >= LATE_FRAMES_MIN) this.want(false);
  }

  /**
   * Makes the sink keep every frame. The rate is then measured over the last second, so that videorate does not
   * compensate for a pause.
   */
  #keepAll(lossless: boolean): void {
    if (lossless === this.#lossless) return;
    this.#lossless = lossless;
    this.#pipeline.set('sink', 'drop', !lossless);
    this.#pipeline.set('rate', 'average-period', lossless ? 1 : 0);
  }

  /** Gate of the stream's codec; undefined while the codec is unknown, or if its decoder has no gate. */
  get #gate(): Codec | undefined {
    const codec = CODECS[Number(this.#pipeline.get('codec', 'current-path'))];
    return codec !== undefined && this.#gated.includes(codec) ? codec : undefined;
  }

  #isResting(gate: Codec | undefined): boolean {
    return gate !== undefined && this.#pipeline.get(`gate-${gate}`, 'resting') === true;
  }

  #reasonOf(gate: Codec | undefined): string | undefined {
    if (gate === undefined) return 'no stream of H.264 or H.265 for libav';
    if (this.#lateFrames >= LATE_FRAMES_MIN) return 'the decoder holds pictures back';
    const reason = this.#pipeline.get(`gate-${gate}`, 'reason');
    return typeof reason === 'string' && reason !== '' ? reason : undefined;
  }

  #set(gate: Codec, quiet: boolean): void {
    this.#pipeline.set(`gate-${gate}`, 'quiet', quiet);
  }
}

function isLibav(decoder: string): boolean {
  return decoder.startsWith('avdec_');
}
