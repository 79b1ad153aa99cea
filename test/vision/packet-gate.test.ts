/**
 * Tests the packet gate: passed packets are decoded as if all had been, and films that it must not touch pass
 * unchanged. Tests also the second stream as its waker: the motion that it shows, and when it is not trusted.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { GlimpseMotion } from '../../agent/contract/picture.ts';
import { NativePipeline } from '../../agent/vision/native/gstreamer.ts';
import { SecondView } from '../../agent/vision/schedule/second-view.ts';
import { scratch } from '../lib/paths.ts';
import { ALL, unlessAll } from '../lib/run.ts';

const SECONDS = 28;
const FPS = 25;
const FRAME_NS = BigInt(1e9 / FPS);
const SIZE = { widthPx: 192, heightPx: 112 };

interface Encoding {
  readonly name: string;
  readonly codec: 'h264' | 'h265';
  readonly args: string;
  /** Reason why it must not rest; undefined where it must rest. */
  readonly reason?: string;
}

const X264 = '-c:v libx264 -threads 1 -preset superfast -tune zerolatency';
const X265 = '-c:v libx265 -preset ultrafast -x265-params log-level=error:pools=1:frame-threads=1';
const ENCODINGS = (
  [
    ['a key frame a second', 'h264', `${X264} -g 25 -bf 0 -crf 28`],
    [
      'constant bit rate, one in two seconds',
      'h264',
      `${X264} -g 50 -bf 0 -b:v 400k -minrate 400k -maxrate 400k -bufsize 400k`,
    ],
    ['four slices', 'h264', `${X264} -g 25 -bf 0 -crf 33 -slices 4`],
    ['two a second', 'h264', `${X264} -g 12 -bf 0 -crf 28`],
    ['H.265', 'h265', `${X265}:keyint=25:min-keyint=25:bframes=0 -tune zerolatency`],
    [
      'H.265 whose key frames are not IDR',
      'h265',
      `${X265}:keyint=25:min-keyint=25:bframes=0:open-gop=1 -tune zerolatency`,
    ],
    ['B-frames', 'h264', '-c:v libx264 -threads 1 -preset veryfast -g 25 -bf 2 -crf 28', 'B-frames'],
    ['a long group', 'h264', `${X264} -g 250 -bf 0 -crf 28`, 'too few key frames yet'],
    ['a key frame in four seconds', 'h264', `${X264} -g 75 -bf 0 -crf 28`, 'key frames more than 2 s apart'],
    [
      'intra refresh',
      'h264',
      `${X264} -g 25 -bf 0 -crf 28 -x264-params intra-refresh=1`,
      'too few key frames yet',
    ],
  ] satisfies [string, Encoding['codec'], string, string?][]
).map(([name, codec, args, reason]): Encoding => ({ name, codec, args, ...(reason && { reason }) }));

/** Film of the default run. */
const DEFAULT = 'a key frame a second';

const films = new Map<string, string>();

/** Path of a film, each made once. */
function film({ name, args }: Encoding): string {
  const before = films.get(name);
  if (before !== undefined) return before;
  const file = join(scratch(t), `${name}.mkv`);
  const picture = `testsrc2=size=${SIZE.widthPx}x${SIZE.heightPx}:rate=${FPS},noise=alls=8:allf=t,format=yuv420p`;
  const to = ['-t', String(SECONDS), ...args.split(' '), '-f', 'matroska', file];
  execFileSync('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', picture, ...to], { stdio: 'inherit' });
  films.set(name, file);
  return file;
}

interface Read {
  readonly pictures: Map<bigint, string>;
  readonly undecoded: number;
  /** Last reported reason. */
  readonly reason: string;
  readonly rested: boolean;
}

/** Reads a film to its end; `isQuiet` decides for the picture at a time whether the street is quiet from then on. */
async function read(
  t: Test,
  file: string,
  codec: Encoding['codec'],
  isQuiet: (atMs: number) => boolean,
): Promise<Read> {
  const text =
    `filesrc location="${file}" ! matroskademux ! ${codec}parse ! ` +
    `video/x-${codec},stream-format=byte-stream,alignment=au ! packetgate name=gate ! ` +
    // A queue of one buffer, so that a change takes effect in time.
    `queue max-size-buffers=1 max-size-time=0 ! avdec_${codec} max-threads=1 ! ` +
    'picturesink name=sink sync=false max-buffers=1';
  const pipeline = new NativePipeline(text, systemClock);
  pipeline.open();
  const pictures = new Map<bigint, string>();
  let [last, rested, reason] = [-1n, false, ''];
  for (let { picture } = await pipeline.look(); picture !== null; { picture } = await pipeline.look()) {
    const ptsNs = picture.ptsNs ?? -1n;
    if (ptsNs <= last) t.fail(`the time decreases from ${last} to ${ptsNs}`);
    last = ptsNs;
    const luma = Buffer.alloc(SIZE.widthPx * SIZE.heightPx);
    picture.grey(luma, SIZE, new Int32Array());
    picture.release();
    pictures.set(ptsNs, createHash('sha256').update(luma).digest('hex'));
    rested ||= pipeline.get('gate', 'resting') === true;
    reason = String(pipeline.get('gate', 'reason'));
    pipeline.set('gate', 'quiet', isQuiet(Number(ptsNs) / 1e6));
  }
  const undecoded = Number(pipeline.get('gate', 'undecoded'));
  t.equal(pipeline.error, undefined);
  await pipeline.dispose();
  return { pictures, undecoded, reason, rested };
}

void t.test('pictures decoded after a rest equal those of full decoding', async (t) => {
  for (const encoding of ALL ? ENCODINGS : ENCODINGS.filter(({ name }) => name === DEFAULT)) {
    const { name, codec, reason } = encoding;
    const file = film(encoding);
    const full = await read(t, file, codec, () => false);
    t.equal(full.pictures.size, SECONDS * FPS, `${name}: all of it`);
    t.equal(full.undecoded, 0);
    // Quiet from the start, and again at the end, by the time of the pictures.
    const rest = await read(t, file, codec, (atMs) => atMs < 6000 || atMs >= 22_000);
    const strange = [...rest.pictures].filter(([ptsNs, hash]) => full.pictures.get(ptsNs) !== hash);
    t.same(strange, [], `${name}: every picture is the one of full decoding`);
    if (reason !== undefined) {
      t.equal(rest.reason, reason, `${name}: told why`);
      t.notOk(rest.rested, `${name}: never rests`);
      t.equal(rest.pictures.size, full.pictures.size, `${name}: all is decoded`);
      continue;
    }
    t.ok(rest.rested, `${name}: rests`);
    t.equal(rest.pictures.size + rest.undecoded, full.pictures.size, `${name}: all is counted`);
    t.ok(rest.undecoded > 100, `${name}: ${rest.undecoded} are not decoded`);
    // It is woken a few key frames later: those that decoder and sink held. From that one on it passes every picture.
    const times = [...rest.pictures.keys()].filter((ns) => ns >= 6_000_000_000n);
    const woken = times.find((ns) => rest.pictures.has(ns + FRAME_NS)) ?? 0n;
    t.ok(woken > 0n && woken < 20_000_000_000n, `${name}: awake from ${woken} ns on`);
    const missing = [...full.pictures.keys()].filter((ns) => ns > woken && ns <= 22_000_000_000n);
    t.same(
      missing.filter((ns) => !rest.pictures.has(ns)),
      [],
      `${name}: once awake it misses nothing`,
    );
  }
});

void t.test(
  'stored packets are dropped with the opening, and the next begins with full decoding',
  async (t) => {
    const encoding = ENCODINGS[0] as Encoding;
    const file = film(encoding);
    const text =
      `filesrc location="${file}" ! matroskademux : capsfilter caps=video/x-h264 ! h264parse ! ` +
      'video/x-h264,stream-format=byte-stream,alignment=au ! packetgate name=gate quiet=true ! ' +
      'queue max-size-buffers=1 ! avdec_h264 max-threads=1 ! picturesink name=sink sync=false max-buffers=1';
    const pipeline = new NativePipeline(text, systemClock);
    pipeline.open();
    for (let { picture } = await pipeline.look(); picture !== null; { picture } = await pipeline.look())
      if (pipeline.get('gate', 'undecoded') !== '0') break;
    t.equal(pipeline.get('gate', 'resting'), true, 'it rests before the end');
    await pipeline.close();
    const undecoded = Number(pipeline.get('gate', 'undecoded'));
    t.ok(undecoded > 0, `${undecoded} were kept or dropped`);
    t.equal(pipeline.get('gate', 'resting'), false);
    pipeline.set('gate', 'quiet', false);
    pipeline.open();
    const times: (bigint | null)[] = [];
    for (let { picture } = await pipeline.look(); picture !== null; { picture } = await pipeline.look())
      times.push(picture.ptsNs);
    t.equal(times.length, SECONDS * FPS, 'all of the film, from its first picture');
    t.equal(times[0], 0n);
    t.equal(Number(pipeline.get('gate', 'undecoded')), undecoded, 'the counter goes on');
    await pipeline.dispose();
  },
);

void t.test('damaged packets crash nothing and are never counted twice', { skip: unlessAll }, async (t) => {
  for (const encoding of ENCODINGS.filter(
    ({ name }) => name === 'a key frame a second' || name === 'H.265',
  )) {
    const { codec } = encoding;
    const file = film(encoding);
    for (const probability of [0.0005, 0.01, 0.3]) {
      const text =
        `filesrc location="${file}" ! matroskademux ! ${codec}parse ! ` +
        `video/x-${codec},stream-format=byte-stream,alignment=au ! breakmydata seed=7 probability=${probability} ! ` +
        'packetgate name=gate quiet=true ! queue max-size-buffers=1 ! ' +
        `avdec_${codec} max-threads=1 ! picturesink name=sink sync=false max-buffers=1`;
      const pipeline = new NativePipeline(text, systemClock);
      pipeline.open();
      let pictures = 0;
      for (let { picture } = await pipeline.look(); picture !== null; { picture } = await pipeline.look()) {
        pictures += 1;
        pipeline.set('gate', 'quiet', pictures % 40 > 4);
      }
      const undecoded = Number(pipeline.get('gate', 'undecoded'));
      await pipeline.dispose();
      if (probability < 0.001) t.ok(undecoded > 100, `${codec}: it rests all the same`);
      t.ok(pictures + undecoded <= SECONDS * FPS, `${codec}, ${probability}: ${pictures} and ${undecoded}`);
    }
  }
});

const SMALL_SIZE = { widthPx: 208, heightPx: 117 };

/** Motion that a camera reports. */
function motionIn(any: boolean, size = SMALL_SIZE): GlimpseMotion {
  return { any, unknown: false, size };
}

class Street {
  readonly view = new SecondView();
  atMs = 0;

  /** Shows stillness in both streams for this time, at ten and one pictures a second. */
  still(seconds: number): this {
    for (let n = 0; n < seconds * 10; n += 1) {
      this.atMs += 100;
      this.view.watchSecond({ atMs: this.atMs, motion: motionIn(false) });
      this.view.watchMain({ atMs: this.atMs, motion: motionIn(false) }, true);
    }
    return this;
  }

  /** Begins motion. In the second stream it begins `laterMs` after the main one, or not at all. */
  begin(laterMs: number | undefined): this {
    for (let n = 0; n < 30; n += 1) {
      this.atMs += 100;
      const isShown = laterMs !== undefined && n * 100 >= laterMs;
      this.view.watchSecond({ atMs: this.atMs, motion: motionIn(isShown) });
      this.view.watchMain({ atMs: this.atMs, motion: motionIn(false) }, false);
    }
    return this;
  }

  get problem(): string | undefined {
    return this.view.problem(this.atMs);
  }
}

void t.test('the second stream is trusted after nineteen of twenty beginnings of motion', (t) => {
  const street = new Street().still(5);
  t.match(street.problem, /0 of 20 beginnings of motion are compared/);
  for (let n = 0; n < 19; n += 1) street.begin(n % 2 === 0 ? 0 : 800).still(5);
  t.match(street.problem, /19 of 20/);
  street.begin(undefined).still(5);
  t.equal(street.problem, undefined, 'one of twenty may be noise of the main stream');
  t.ok(street.view.isStill(street.atMs));
  street.begin(1500).still(5);
  t.match(street.problem, /showed 18 of 20/, 'a second later is too late');
  for (let n = 0; n < 18; n += 1) street.begin(0).still(5);
  t.match(street.problem, /showed 18 of 20/);
  street.begin(0).still(5);
  t.equal(street.problem, undefined, 'the first of the two is forgotten');
  t.end();
});

void t.test('beginnings that the main stream reports late still count', (t) => {
  const street = new Street().still(5);
  for (let n = 0; n < 20; n += 1) {
    const beganMs = street.atMs + 100;
    for (let k = 0; k < 30; k += 1) {
      street.atMs += 100;
      street.view.watchSecond({ atMs: street.atMs, motion: motionIn(true) });
    }
    street.view.watchMain({ atMs: beganMs, motion: motionIn(false) }, false);
    street.still(5);
  }
  t.equal(street.problem, undefined);
  t.end();
});

void t.test('silence, a gap and another shape do not count as stillness', (t) => {
  const street = new Street().still(5);
  for (let n = 0; n < 20; n += 1) street.begin(0).still(5);
  t.equal(street.problem, undefined);
  t.match(street.view.problem(street.atMs + 1001), /gives no pictures/);
  street.atMs += 5000;
  t.ok(street.view.watchSecond({ atMs: street.atMs, motion: motionIn(false) }), 'after a gap it is unknown');
  t.notOk(street.view.isStill(street.atMs + 1900));
  street.still(3);
  t.equal(street.problem, undefined);
  const tall = { widthPx: 156, heightPx: 117 };
  t.ok(
    street.view.watchSecond({ atMs: street.atMs + 100, motion: motionIn(true, tall) }),
    'nor of another size',
  );
  t.match(street.problem, /another shape/);
  t.end();
});
