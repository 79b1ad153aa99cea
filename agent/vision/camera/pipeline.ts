/**
 * Builds the launch text of the pipeline: source ─ decode ─▶ rate ─▶ sink. The sink holds pictures as decoded. The
 * addon makes other formats from them on demand (frame-reader.ts).
 */

/**
 * Frame rate above all real ones. videorate then drops by time stamps alone, whatever rate the source claims. (Many
 * cameras claim none, and videorate aborts on an unknown one.)
 */
const NOMINAL_FPS = 1000;
/** 4:2:0 formats, as decoders output and the addon reads them. */
const FORMATS_420 = 'I420,NV12,YV12,NV21';
/**
 * Properties of the sink. Live, the newest picture replaces the waiting one. In a replay the source waits and is up to
 * three pictures ahead.
 *
 * The opening must not wait for a source that waits for the sink: both would wait forever, because the sink holds its
 * lock meanwhile. So a live sink never waits, not even at the end of the stream. That of a replay is asynchronous: the
 * opening goes on to PLAYING once the first picture has arrived.
 */
const SINK = {
  live: 'async=false max-buffers=1 drop=true wait-on-eos=false',
  replay: 'max-buffers=3',
} as const;

/** Elements of every pipeline, whatever the source; inference uses appsrc, and stills jpegenc. */
export const COMMON_ELEMENTS = [
  'typefind',
  'capssetter',
  'videorate',
  'videoconvert',
  'capsfilter',
  'appsrc',
  'jpegenc',
] as const;
export const PACING_ELEMENTS = ['clocksync'] as const;

export interface PipelineOptions {
  /** Launch text that ends in raw video in ordinary memory. */
  readonly sourceText: string;
  /** Analysed frames per second; null means all frames. */
  readonly fps: number | null;
  /** Live: an unread frame is replaced by the next (oldest dropped). Replay: the source waits. */
  readonly live: boolean;
  /** Plays a recording at its own speed. */
  readonly paced: boolean;
}

export function pipelineText({ sourceText, fps, live, paced }: PipelineOptions): string {
  const rate = fps === null ? `${NOMINAL_FPS}/1` : `${Math.round(fps * 1000)}/1000`;
  return [
    sourceText,
    'typefind name=origin',
    ...(paced ? ['clocksync'] : []),
    `capssetter caps=video/x-raw,framerate=${NOMINAL_FPS}/1`,
    // videorate also numbers the pictures (buffer offset).
    'videorate name=rate drop-only=true skip-to-first=true',
    `video/x-raw,framerate=${rate}`,
    'videoconvert',
    `video/x-raw,format={${FORMATS_420}}`,
    `picturesink name=sink sync=false enable-last-sample=false ${SINK[live ? 'live' : 'replay']}`,
  ].join(' ! ');
}
