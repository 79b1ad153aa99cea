/**
 * Key-frame mode: while a street is quiet only key frames are decoded, a second late; what came since the last of them is
 * kept compressed, and decoded when something moves (the element `packetgate` of the addon: patches/, PacketGate.cpp).
 *
 * INVARIANTS: each opening begins in full decoding with nothing kept; no frame gives way to a newer one while the mode is on
 * and until what was kept has been read.
 * LIMITS: after CATCH_UP_MS frames give way again, whatever is left.
 */
import type { Clock } from '../../base/clock.ts';
import type { NativePipeline } from '../native/gstreamer.ts';
import type { Codec, Decoders } from './presets.ts';

/** Codecs by path of the element `codec` of an RTSP source. */
export const CODECS: readonly Codec[] = ['h264', 'h265'];
/** What is kept is three seconds at most: so long does a board take that looks at each of its frames in time. */
const CATCH_UP_MS = 5000;
/** As PacketGate.cpp has it: a key frame is decoded when it is so old. */
const MARGIN_MS = 1000;
/** A decoder that holds no picture back gives it out within a few milliseconds; half an interval of key frames is more. */
const HELD_BACK_MS = 500;
/** Such frames in a row: one may have waited for a look. */
const HELD_BACK_MIN = 2;
/** Room for what was kept and what comes while that is decoded; compressed, and allocated as it comes. */
const QUEUE_BYTES = 16_777_216;

/** Launch text between depayloader and decoder; empty for a decoder that may hold pictures back. */
export function gateText(codec: Codec, decoder: string): string {
  if (!isLibav(decoder)) return '';
  return (
    `packetgate name=gate-${codec} ! ` +
    `queue name=kept-${codec} max-size-buffers=0 max-size-time=0 max-size-bytes=${QUEUE_BYTES} ! `
  );
}

export interface KeyFrameState {
  /** Key frames alone are decoded now. */
  readonly resting: boolean;
  /** Why that is not possible; undefined where it is. */
  readonly reason: string | undefined;
  /** Compressed pictures that were received and dropped without being decoded. */
  readonly packetsWatched: number;
}

export class KeyFrameMode {
  readonly #pipeline: Pick<NativePipeline, 'get' | 'set'>;
  /** Codecs whose path has a gate. */
  readonly #gated: readonly Codec[];
  readonly #clock: Clock;
  #wanted = false;
  #lossless = false;
  /** Since when what was kept is being read. */
  #catchUpFromMs: number | undefined;
  /** How late frames are in full decoding. */
  #usualLagMs = 0;
  #heldBack = 0;

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

  /** Key frames alone are decoded now. */
  get resting(): boolean {
    return this.#isResting(this.#gate);
  }

  /** The next pictures come from a new opening: in full. */
  reopen(): void {
    for (const codec of this.#gated) this.#set(codec, false);
    this.#wanted = false;
    this.#heldBack = 0;
    this.#catchUpFromMs = undefined;
    this.#keepAll(false);
  }

  /** Whether key frames suffice from now on. What was kept is decoded at the next packet after it is false again. */
  want(quiet: boolean): void {
    if (quiet === this.#wanted) return;
    const gate = this.#gate;
    if (gate === undefined || (quiet && this.#heldBack >= HELD_BACK_MIN)) return;
    this.#wanted = quiet;
    if (!quiet && this.#isResting(gate)) this.#keepAll(true);
    this.#set(gate, quiet);
  }

  /** Takes each frame that is read. */
  follow(atMs: number): void {
    if (!this.#wanted && !this.#lossless) {
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
    const left = Number(this.#pipeline.get(`kept-${gate}`, 'current-level-buffers'));
    if (left > 1 && nowMs - this.#catchUpFromMs < CATCH_UP_MS) return;
    this.#catchUpFromMs = undefined;
    this.#keepAll(false);
  }

  #noteLag(lagMs: number): void {
    const heldBack = lagMs - this.#usualLagMs > MARGIN_MS + HELD_BACK_MS;
    this.#heldBack = heldBack ? this.#heldBack + 1 : 0;
    if (this.#heldBack >= HELD_BACK_MIN) this.want(false);
  }

  /** No frame gives way to a newer one; the rate is that of the last second, so that a pause is not made up for. */
  #keepAll(lossless: boolean): void {
    if (lossless === this.#lossless) return;
    this.#lossless = lossless;
    this.#pipeline.set('sink', 'drop', !lossless);
    this.#pipeline.set('rate', 'average-period', lossless ? 1 : 0);
  }

  /** Of the stream's codec; undefined while none is known, and where its decoder has none. */
  get #gate(): Codec | undefined {
    const codec = CODECS[Number(this.#pipeline.get('codec', 'current-path'))];
    return codec !== undefined && this.#gated.includes(codec) ? codec : undefined;
  }

  #isResting(gate: Codec | undefined): boolean {
    return gate !== undefined && this.#pipeline.get(`gate-${gate}`, 'resting') === true;
  }

  #reasonOf(gate: Codec | undefined): string | undefined {
    if (gate === undefined) return 'no stream of H.264 or H.265 for libav';
    if (this.#heldBack >= HELD_BACK_MIN) return 'the decoder holds pictures back';
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
