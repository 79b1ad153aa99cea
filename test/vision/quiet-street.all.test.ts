/**
 * Tests a quiet street over real RTSP: only key frames are decoded, the second stream wakes in time, and each opening
 * begins with full decoding. With `--full` it tests more encodings, each against full decoding of the same
 * film.
 */
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { Camera, CameraOptions } from '../../agent/vision/camera/camera.ts';
import { watchedCells } from '../../agent/vision/schedule/motion-cells.ts';
import { QuietStreet, SECOND_FPS, SLOW_MS } from '../../agent/vision/schedule/quiet-street.ts';
import { SecondView } from '../../agent/vision/schedule/second-view.ts';
import { FPS_MAX, WantedRate } from '../../agent/vision/schedule/wanted-rate.ts';
import { FilmCamera } from '../../scripts/workshop/bench/film-camera.ts';
import { cameraOf } from '../lib/camera.ts';
import { encodedClip } from '../lib/encoded-clip.ts';
import { SILENT } from '../lib/outbox.ts';
import { rtspMissing } from '../lib/rtsp-server.ts';
import { FULL } from '../lib/run.ts';

const skip = rtspMissing();
t.setTimeout(FULL ? 3_600_000 : 150_000);

const FPS = 25;
/** Start times of motion, s: a box crosses the picture in .76 s between two key frames, and later a person walks. */
const DASH_S = [14.16, 14.92] as const;
const WALK_S = [21, 24] as const;
const FILM_S = 30;

interface Encoding {
  readonly name: string;
  readonly args: string;
  /** Standard deviation of the sensor's noise, of 255 levels, as ffmpeg's `noise` counts it. */
  readonly noise: number;
}

const X264 = '-c:v libx264 -threads 1 -tune zerolatency -bf 0';
const constant = (kbps: number): string =>
  `-b:v ${kbps}k -minrate ${kbps}k -maxrate ${kbps}k -bufsize ${kbps}k`;
const NORMAL: Encoding = { name: 'cbr', args: `${X264} -preset superfast -g 25 ${constant(2000)}`, noise: 6 };
const X265 =
  '-c:v libx265 -tune zerolatency -preset ultrafast -x265-params log-level=error:pools=1:bframes=0';
const EXTRA_ENCODINGS: readonly Encoding[] = [
  { name: 'two-seconds-cbr', args: `${X264} -preset superfast -g 50 ${constant(4000)}`, noise: 12 },
  { name: 'slices', args: `${X264} -preset superfast -g 25 -crf 28 -slices 4`, noise: 8 },
  { name: 'without-noise', args: `${X264} -preset veryfast -g 50 -crf 23`, noise: 0 },
  { name: 'h265', args: `${X265}:keyint=25:min-keyint=25 -crf 28`, noise: 4 },
];

/** A still street with noise and moving objects, and the same as a camera's second stream sends it. */
function films({ args, noise }: Encoding): [string, string] {
  const street = `mandelbrot=size=1280x720:rate=${FPS}:maxiter=200:end_scale=0.3:start_scale=0.3`;
  const between = ([from, to]: readonly [number, number]): string => `between(t,${from},${to})`;
  const moving =
    `[0:v]trim=end_frame=1,loop=-1:1,setpts=N/${FPS}/TB[street];` +
    `[street][1:v]overlay=x='if(${between(DASH_S)},1280*(t-${DASH_S[0]})/.76-100,-300)':y=380[dashed];` +
    `[dashed][2:v]overlay=x='if(${between(WALK_S)},600+60*(t-${WALK_S[0]}),-300)':y=420:shortest=0,` +
    `trim=duration=${FILM_S},fps=${FPS},noise=alls=${noise}:allf=t,format=yuv420p`;
  const box = (size: string, colour: string): string[] => [
    '-f',
    'lavfi',
    '-i',
    `color=${colour}:s=${size}:r=${FPS}`,
  ];
  const inputs = ['-f', 'lavfi', '-i', street, ...box('200x90', 'white'), ...box('24x64', 'black')];
  const film = (chain: string, coding: string): string =>
    encodedClip([
      ...inputs,
      ...['-filter_complex', `${moving}${chain}[out]`, '-map', '[out]', '-t', String(FILM_S)],
      ...coding.split(' '),
    ]);
  const secondCoding = `${X264} -preset superfast -g ${SECOND_FPS} -b:v 512k -maxrate 512k -bufsize 512k`;
  return [film('', args), film(`,scale=640:360,fps=${SECOND_FPS}`, secondCoding)];
}

/** A second stream that has shown every start of motion in the main one, before the test. */
function trusted(): SecondView {
  const view = new SecondView();
  const motion = { any: false, unknown: false, size: { widthPx: 208, heightPx: 117 } };
  for (let n = 0; n < 20; n += 1) {
    const atMs = -1e6 + n * 10_000;
    view.watchMain({ atMs, motion }, true);
    // After a gap its picture says that something may have moved.
    view.watchSecond({ atMs: atMs + 5000, motion });
    view.watchMain({ atMs: atMs + 5000, motion }, false);
  }
  return view;
}

interface FrameRecord {
  /** s since the film's first frame. */
  readonly atS: number;
  readonly index: number;
  /** Time at which it was read, s by the test's clock. */
  readonly readS: number;
  readonly isStill: boolean;
  readonly resting: boolean;
}

function quietCamera(source: string, options: Partial<CameraOptions>): Camera {
  return cameraOf({
    mode: 'live',
    cellsOf: watchedCells({ zones: [], lines: [] }, SLOW_MS),
    source,
    fps: FPS_MAX,
    ...options,
  });
}

/** All frames of a camera, as the flow takes them; `each` is called for each. */
async function watch(
  camera: Camera,
  quiet?: QuietStreet,
  each?: (record: FrameRecord) => boolean,
): Promise<FrameRecord[]> {
  const rate = new WantedRate({ zones: [], lines: [], usualFps: 5 });
  const all: FrameRecord[] = [];
  let firstMs: number | undefined;
  for (let glimpse = await camera.nextGlimpse(); glimpse !== null; glimpse = await camera.nextGlimpse()) {
    firstMs ??= glimpse.atMs;
    rate.watch(glimpse);
    const isStill = rate.isStill(glimpse.atMs);
    quiet?.follow(glimpse, isStill, true);
    const resting = camera.keyFrames?.state.resting ?? false;
    const record = {
      atS: (glimpse.atMs - firstMs) / 1000,
      index: glimpse.index,
      isStill,
      resting,
      readS: systemClock.nowMs() / 1000,
    };
    all.push(record);
    if (each?.(record) === true) break;
  }
  return all;
}

/** Start times of motion, after two seconds without. */
function startsOf(all: readonly FrameRecord[]): number[] {
  return all.filter(({ isStill }, n) => !isStill && all[n - 1]?.isStill === true).map(({ atS }) => atS);
}

/** Watches a film to its end by RTSP, with both streams. */
async function live(t: Test, filmPair: readonly [string, string]) {
  const server = await FilmCamera.start(...filmPair);
  t.teardown(() => server.stop());
  const camera = quietCamera(server.url, { gated: true });
  const second = quietCamera(server.substreamUrl, { fps: SECOND_FPS });
  const quiet = new QuietStreet({
    second,
    keyFrames: () => camera.keyFrames,
    view: trusted(),
    clock: systemClock,
    log: SILENT,
  });
  await camera.start();
  void quiet.run();
  let watched = 0;
  const all = await watch(camera, quiet, ({ atS }) => {
    watched = camera.keyFrames?.state.packetsWatched ?? 0;
    return atS >= FILM_S - 2;
  });
  const report = quiet.report;
  await Promise.all([camera.stop(), quiet.stop()]);
  await server.stop();
  return { all, report, watched, droppedFrames: camera.counters.framesDropped };
}

for (const encoding of [NORMAL, ...(FULL ? EXTRA_ENCODINGS : [])]) {
  void t.test(`${encoding.name}: what moves is seen as by full decoding`, { skip }, async (t) => {
    const filmPair = films(encoding);
    const replay = quietCamera(`file:${filmPair[0]}`, { mode: 'replay' });
    await replay.start();
    const truth = startsOf(await watch(replay));
    await replay.stop();
    t.ok(truth.length >= 2, `full decoding sees motion begin at ${truth.join(', ')} s`);

    const { all, report, watched, droppedFrames } = await live(t, filmPair);
    const starts = startsOf(all);
    for (const atS of truth.filter((one) => one < FILM_S - 4)) {
      const near = starts.find((one) => Math.abs(one - atS) <= 1);
      t.ok(near !== undefined, `${atS} s is seen at ${near} s (of ${starts.join(', ')})`);
    }
    t.ok(report.rests >= 2, `${report.rests} rests, ${report.idleWakings} for nothing; ${report.reason}`);
    t.ok(droppedFrames < 50, `${droppedFrames} frames gave way`);
    t.ok(watched > 150, `${watched} pictures were not decoded`);
    const rested = all.filter(({ resting, atS }) => resting && atS > 8 && atS < 13);
    t.ok(rested.length >= 2, `it rests before anything moves: ${rested.length} frames`);
    t.ok(rested.length <= 12, 'with key frames alone');
    // The box is gone after .76 s, and the key frames lie before and behind it.
    const dashed = all.filter(({ atS }) => atS > DASH_S[0] && atS < DASH_S[1]);
    t.ok(dashed.length >= 9, `${dashed.length} frames of what crossed in .76 s`);
    const decreasing = all.filter(({ atS }, n) => n > 0 && atS <= (all[n - 1]?.atS ?? 0));
    t.same(decreasing, [], 'the time never decreases');
  });
}

void t.test(
  'each opening begins with full decoding, without packets of the one before',
  { skip },
  async (t) => {
    const filmPair = films(NORMAL);
    const server = await FilmCamera.start(filmPair[0]);
    t.teardown(() => server.stop());
    const camera = quietCamera(server.url, { gated: true });
    await camera.start();
    const rest = await watch(camera, undefined, ({ atS, resting }) => {
      camera.keyFrames?.want(true);
      return resting && atS > 6;
    });
    t.ok(rest.length < 120, 'it rests');
    const before = camera.keyFrames?.state;
    t.equal(before?.resting, true);
    camera.rebuild();
    let count = 0;
    await watch(camera, undefined, () => {
      count += 1;
      return count > 20;
    });
    const after = camera.keyFrames?.state;
    t.match(after, { resting: false, reason: 'too few key frames yet' });
    const newlyDropped = (after?.packetsWatched ?? 0) - (before?.packetsWatched ?? 0);
    t.ok(newlyDropped > 0 && newlyDropped < 3 * FPS, `the ${newlyDropped} that were kept are counted`);
    await camera.stop();
    await server.stop();
  },
);
