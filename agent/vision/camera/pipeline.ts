/**
 * The text of the pipeline. One sink takes everything, in the order of time:
 *
 *   source ─ decode ─▶ rate ─▶ tee ─▶ gauge ───────────────────────────▶ packets ─┐
 *                               ├─▶ sparse ─▶ valve ─▶ square px ─▶ JPEG ▶ packets ┤funnel ─▶ sink
 *                               ├──▶ sparse ─▶ ≤ 1280 px ─▶ planes ─────▶ packets ─┤
 *                               ├──▶ sparse ─▶ valve ─▶ letterbox ─▶ RGB ▶ packets ─┤
 *                               └──▶ count ──▶ letterbox ─▶ RGB ────────▶ packets ─┘
 *
 * The valve of the stills is shut while nothing moves, but for one still in two seconds (still-valve.ts); what is sparse
 * is so before it, or a long pause would be made up for.
 *
 * There is no queue after the tee: one thread serves the branches in the order in which they are
 * written, so a frame is always preceded by its gauge and, if it has them, its still, its planes and its larger picture.
 * Two replays see the same order, and a change of the source's size is known for exactly the frames that it concerns.
 *
 * The valve of the larger picture is shut until the reader opens it (fine-branch.ts), and nothing behind it costs
 * anything then. It lets the notices of the stream pass all the same: the funnel waits for the end of each branch. What
 * is sparse is so before the valve: which frames have a larger picture does not depend on when it was opened.
 *
 * The gauge is a copy of the frame that is one pixel wide: negotiation keeps the height and puts the width
 * into the pixel aspect ratio, so whatever changes the source's size makes itself known in the stream, at next
 * to no cost, just before the first frame that it concerns; gdppay puts its caps there as a packet.
 */
import type { SizePx } from '../../contract/geometry.ts';
import { SNAPSHOT_LONG_SIDE_PX_MAX } from '../../contract/redacted-jpeg.ts';

/** Stills per second: one is never further than 250 ms from a moment, at a tenth of the cost of all. */
const STILLS_FPS = 2;
/** Planes per second: what a place looks like when nobody is there changes no faster than daylight. */
const PLANES_FPS = 1;
/**
 * Larger pictures per second. A track that nobody is sure of is remembered for half a second (track/settings.ts): what
 * only the larger picture shows must be shown again by then, at five frames a second by every second one.
 */
const FINE_FPS = '5/2';
/**
 * A frame rate above all real ones: videorate drops by time stamps alone then, whatever rate the source
 * claims (many cameras claim none, and videorate aborts on an unknown one).
 */
const NOMINAL_FPS = 1000;
/** 4:2:0, as decoders give: where the letterboxed picture lies depends on it (contract/letterbox.ts). */
const FORMATS_420 = 'I420,NV12,YV12,NV21';
/**
 * gdppay, with caps that name the branch and nothing else. Its own caps hold buffers (`streamheader`), which
 * GStreamer changes in place when they are first read; the sink compares caps in its own thread while the
 * binding reads them in Node's, and that corrupted the process in one of some five hundred openings.
 */
function packets(branch: 'gauge' | 'still' | 'planes' | 'fine' | 'frame'): string {
  return `gdppay ! capssetter replace=true caps=application/x-gdp,branch=(string)${branch}`;
}
/**
 * Packets that wait in the sink. Live, where what does not fit is dropped, the notices at an opening (three for each
 * branch) come in one burst and must not be; after them, about ten frames with gauges and stills. In a replay the
 * source waits, and is ahead by three frames of a third of a megabyte.
 */
export const SINK_PACKETS_MAX = { live: 32, replay: 8 };

/** Elements of every pipeline, whatever the source. */
export const COMMON_ELEMENTS = [
  'typefind',
  'capssetter',
  'videorate',
  'valve',
  'tee',
  'videoscale',
  'videoconvert',
  'jpegenc',
  'gdppay',
  'funnel',
  'appsink',
  'capsfilter',
] as const;
export const PACING_ELEMENTS = ['clocksync'] as const;

export interface PipelineOptions {
  /** Launch text that ends in raw video in ordinary memory. */
  readonly sourceText: string;
  /** Analysed frames per second; null for every frame. */
  readonly fps: number | null;
  readonly input: SizePx;
  /** Live: a frame that nobody takes gives way to the next (oldest dropped); replay: the source waits. */
  readonly live: boolean;
  /** Plays a recording at its own pace. */
  readonly paced: boolean;
}

export function pipelineText({ sourceText, fps, input, live, paced }: PipelineOptions): string {
  const rate = fps === null ? `${NOMINAL_FPS}/1` : `${Math.round(fps * 1000)}/1000`;
  const trunk = [
    sourceText,
    'typefind name=origin',
    ...(paced ? ['clocksync'] : []),
    `capssetter caps=video/x-raw,framerate=${NOMINAL_FPS}/1`,
    'videorate name=rate drop-only=true skip-to-first=true',
    `video/x-raw,framerate=${rate}`,
    'videoconvert',
    `video/x-raw,format={${FORMATS_420}}`,
    'tee name=t',
  ];
  const gauge = ['videoscale method=nearest-neighbour', 'video/x-raw,width=1', packets('gauge'), 'f.'];
  // jpegenc stores the YUV samples as they come (4:2:0, the camera's levels): a tenth of the cost of RGB.
  const stills = [
    'videorate drop-only=true skip-to-first=true',
    `video/x-raw,framerate=[0/1,${STILLS_FPS}/1]`,
    'valve name=stills drop-mode=forward-sticky-events',
    'videoscale',
    'video/x-raw,pixel-aspect-ratio=1/1',
    'jpegenc',
    packets('still'),
    'f.',
  ];
  const planes = [
    'videorate drop-only=true skip-to-first=true',
    `video/x-raw,framerate=[0/1,${PLANES_FPS}/1]`,
    'videoscale',
    `video/x-raw,width=[1,${SNAPSHOT_LONG_SIDE_PX_MAX}],height=[1,${SNAPSHOT_LONG_SIDE_PX_MAX}],pixel-aspect-ratio=1/1`,
    'videoconvert',
    'video/x-raw,format=I420',
    packets('planes'),
    'f.',
  ];
  // forward-sticky-events is what lets the end of the stream pass.
  const fine = [
    'videorate drop-only=true skip-to-first=true',
    `video/x-raw,framerate=[0/1,${FINE_FPS}]`,
    'valve name=fine drop=true drop-mode=forward-sticky-events',
    'videoscale add-borders=true',
    `capsfilter name=fine-size caps=${letterboxCaps(input)}`,
    'videoconvert',
    'video/x-raw,format=RGB',
    packets('fine'),
    'f.',
  ];
  // Scaling before conversion: half the cost of the other order. `count` numbers the frames (buffer offset).
  const frames = [
    'videorate name=count drop-only=true skip-to-first=true',
    'videoscale add-borders=true',
    letterboxCaps(input),
    'videoconvert',
    'video/x-raw,format=RGB',
    packets('frame'),
    'f.',
  ];
  const sink = `appsink name=sink sync=false async=false max-buffers=${SINK_PACKETS_MAX[live ? 'live' : 'replay']} drop=${live}`;
  const branches = [gauge, stills, planes, fine, frames].map((branch) => `t. ! ${branch.join(' ! ')}`);
  return [trunk.join(' ! '), ...branches, `funnel name=f ! ${sink}`].join('  ');
}

/** Of a letterboxed picture; pixel-aspect-ratio must be fixed, or the picture is stretched instead. */
export function letterboxCaps({ widthPx, heightPx }: SizePx): string {
  return `video/x-raw,width=${widthPx},height=${heightPx},pixel-aspect-ratio=1/1`;
}
