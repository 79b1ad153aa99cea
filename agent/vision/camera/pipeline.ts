/**
 * The text of the pipeline: source ─ decode ─▶ rate ─▶ sink. The sink holds the pictures as the decoder gives them; what
 * is needed of one is made of it by the addon, on demand (frame-reader.ts).
 */

/**
 * A frame rate above all real ones: videorate drops by time stamps alone then, whatever rate the source
 * claims (many cameras claim none, and videorate aborts on an unknown one).
 */
const NOMINAL_FPS = 1000;
/** 4:2:0, as decoders give, and as the addon reads it. */
const FORMATS_420 = 'I420,NV12,YV12,NV21';
/**
 * Pictures that wait in the sink. Live, the newest takes the place of the one that waits; in a replay the source waits,
 * and is ahead by three of them.
 */
const PICTURES_MAX = { live: 1, replay: 3 };

/** Elements of every pipeline, whatever the source; the last two make stills (patches/). */
export const COMMON_ELEMENTS = [
  'typefind',
  'capssetter',
  'videorate',
  'videoconvert',
  'appsink',
  'capsfilter',
  'appsrc',
  'jpegenc',
] as const;
export const PACING_ELEMENTS = ['clocksync'] as const;

export interface PipelineOptions {
  /** Launch text that ends in raw video in ordinary memory. */
  readonly sourceText: string;
  /** Analysed frames per second; null for every frame. */
  readonly fps: number | null;
  /** Live: a frame that nobody takes gives way to the next (oldest dropped); replay: the source waits. */
  readonly live: boolean;
  /** Plays a recording at its own pace. */
  readonly paced: boolean;
}

export function pipelineText({ sourceText, fps, live, paced }: PipelineOptions): string {
  const rate = fps === null ? `${NOMINAL_FPS}/1` : `${Math.round(fps * 1000)}/1000`;
  return [
    sourceText,
    'typefind name=origin',
    ...(paced ? ['clocksync'] : []),
    `capssetter caps=video/x-raw,framerate=${NOMINAL_FPS}/1`,
    // It numbers the pictures too (buffer offset).
    'videorate name=rate drop-only=true skip-to-first=true',
    `video/x-raw,framerate=${rate}`,
    'videoconvert',
    `video/x-raw,format={${FORMATS_420}}`,
    `appsink name=sink sync=false async=false enable-last-sample=false max-buffers=${PICTURES_MAX[live ? 'live' : 'replay']} drop=${live}`,
  ].join(' ! ');
}
