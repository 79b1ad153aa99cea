/** Tests the camera's parts that need no GStreamer. */
import t from 'tap';
import type { Picture } from 'vigie-native';
import type { Clock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import { fineSize } from '../../agent/vision/camera/fine-size.ts';
import { FrameReader, type FrameReaderOptions } from '../../agent/vision/camera/frame-reader.ts';
import { PrivacyMasks } from '../../agent/vision/camera/mask.ts';
import { PictureTimes } from '../../agent/vision/camera/picture-times.ts';
import { pipelineText } from '../../agent/vision/camera/pipeline.ts';
import { chooseDecoders } from '../../agent/vision/camera/presets.ts';
import { ReturnProbe } from '../../agent/vision/camera/return-probe.ts';
import { sourceOf } from '../../agent/vision/camera/source.ts';
import type { StoredStill } from '../../agent/vision/camera/still.ts';
import { StillRing } from '../../agent/vision/camera/still-ring.ts';
import { Timeline } from '../../agent/vision/camera/timeline.ts';

const SMALL = { widthPx: 1, heightPx: 1 };

/** A clock on which sleeping takes no time: it moves the clock. */
class QuickClock implements Clock {
  ms = 1000;
  nowMs = (): number => this.ms;
  wallMs = (): number => 1_700_000_000_000 + this.ms;
  sleep = async (delayMs: number): Promise<void> => {
    await new Promise(setImmediate);
    this.ms += delayMs;
  };
}

void t.test('the larger picture shows the scene up to a width', async (t) => {
  const source = { widthPx: 1920, heightPx: 1080 };
  const sizeOf = (widthPx: number, heightPx: number, widthMaxPx: number): string => {
    const size = fineSize(source, { widthPx, heightPx }, widthMaxPx);
    return size === undefined ? 'none' : `${size.widthPx}x${size.heightPx}`;
  };
  t.equal(sizeOf(416, 256, Number.POSITIVE_INFINITY), '832x512');
  t.equal(sizeOf(640, 384, Number.POSITIVE_INFINITY), '1280x768', 'twice each side on the CPU');
  t.equal(sizeOf(416, 416, 832), '832x832');
  t.equal(sizeOf(640, 384, 832), '832x480');
  t.equal(sizeOf(672, 384, 832), 'none', 'the frame itself shows nearly as much');
});

void t.test('decoders are chosen from the installed elements', async (t) => {
  const software = ['avdec_h264', 'avdec_h265'];
  const choose = (...elements: string[]) => chooseDecoders(new Set([...software, ...elements]));
  t.same(choose(), {
    h264: 'avdec_h264 output-corrupt=false direct-rendering=false max-threads=2',
    h265: 'avdec_h265 output-corrupt=false direct-rendering=false max-threads=2',
    older: [],
    download: '',
  });
  t.same(choose('avdec_mpeg4').older, [
    {
      caps: 'video/mpeg,mpegversion=4',
      decoder: 'avdec_mpeg4 output-corrupt=false direct-rendering=false max-threads=2',
    },
  ]);
  t.same(choose('v4l2h264dec'), { ...choose(), h264: 'v4l2h264dec' }, 'Pi: one codec in hardware');
  t.match(choose('v4l2slh264dec', 'v4l2h264dec', 'v4l2slh265dec'), {
    h264: 'v4l2slh264dec',
    h265: 'v4l2slh265dec',
  });
  t.same(choose('nvv4l2decoder', 'nvvidconv'), {
    h264: 'nvv4l2decoder',
    h265: 'nvv4l2decoder',
    older: [],
    download: 'nvvidconv ! ',
  });
  t.match(choose('mppvideodec'), { h264: 'mppvideodec', h265: 'mppvideodec', download: '' });
  t.throws(() => chooseDecoders(new Set()), { kind: 'config', message: /avdec_h264.*gstreamer1\.0-libav/ });
});

function at(...addresses: string[]): () => Promise<readonly string[]> {
  return () => Promise.resolve(addresses);
}

void t.test('an RTSP address gives its secret to the properties alone', async (t) => {
  const source = sourceOf('rtsp://us%40er:p%3Aw%25@cam.example:8554/main?channel=1', at('10.0.0.7'));
  t.same((await source.locate()).properties, {
    location: 'rtsp://10.0.0.7:8554/main?channel=1',
    'user-id': 'us@er',
    'user-pw': 'p:w%',
  });
  const text = pipelineText({
    sourceText: source.text(chooseDecoders(new Set(['avdec_h264', 'avdec_h265'])), true),
    fps: 5,
    live: true,
    paced: false,
  });
  t.notMatch(`${text} ${source.label}`, /p:w|p%3Aw|us@er/);
  t.throws(() => sourceOf('rtsp://u:100%25%@h/', at('10.0.0.7')), {
    kind: 'config',
    message: /write .*%25 for %/,
  });
  const local = await sourceOf('rtsp://[::1]/x', at('::1')).locate();
  t.same(local.properties, { location: 'rtsp://[::1]/x' });
  t.equal(local.connected, 'rtsp://[::1]:554');
  t.match(
    source.explain({ message: 'Service Unavailable', debug: '(503)' }),
    /cam\.example:8554 cannot serve/,
  );
});

void t.test('a camera with several addresses is tried at each in turn, below its own URL only', async (t) => {
  const source = sourceOf('rtsp://cam.lan/a?channel=2', at('10.0.0.7', '10.0.0.8'));
  const [first, second] = [await source.locate(), await source.locate()];
  t.same([first.connected, second.connected], ['rtsp://10.0.0.7:554', 'rtsp://10.0.0.8:554']);
  const { urls = '', base } = first.requests ?? {};
  t.equal(base, 'rtsp://10.0.0.7/a?channel=2/');
  const isAsked = (url: string): boolean => new RegExp(`^(?:${urls})$`).test(url);
  for (const rest of ['/a?channel=2', '/a?channel=2/', '/a?channel=2/trackID=1', '/a/trackID=1?channel=2'])
    for (const host of ['10.0.0.7', '10.0.0.7:554', 'cam.lan']) t.ok(isAsked(`rtsp://${host}${rest}`), rest);
  for (const url of [
    'rtsp://10.0.0.8/a?channel=2',
    'rtsp://10.0.0.7:8554/a?channel=2',
    'rtsp://10.0.0.7/a',
    'rtsp://10.0.0.7/a?channel=21',
    'rtsp://10.0.0.7/a?channel=2&channel=1',
    'rtsp://10.0.0.7/a?channel=2/../b',
    'rtsp://10.0.0.7/ab?channel=2',
    'rtsp://cam.lan.example/a?channel=2',
    'rtsp://camxlan/a?channel=2',
    'rtsp://user@10.0.0.7/a?channel=2',
    'rtsps://10.0.0.7/a?channel=2',
  ])
    t.notOk(isAsked(url), url);
});

/** A sink that holds pictures of these time stamps in sequence, all of them wanted; it discards writes. */
function sinkOf(
  pictures: readonly bigint[],
  counts: number[] = [],
  size = { widthPx: 64, heightPx: 48 },
  makeJpeg = async (): Promise<Buffer> => Buffer.from('jpeg'),
) {
  const remainingPictures = [...pictures];
  const calls: string[] = [];
  const failures: string[] = [];
  const output = {
    letterbox: () => void calls.push('letterbox'),
    planes: () => void calls.push('planes'),
    release: () => undefined,
  };
  const pipeline: FrameReaderOptions['pipeline'] = {
    fail: ({ message }) => void failures.push(message),
    look: async () => {
      const ptsNs = remainingPictures.shift();
      if (ptsNs === undefined) return { picture: null, records: [] };
      const still = async () => {
        calls.push('still');
        return { ptsNs, jpeg: await makeJpeg() };
      };
      return {
        picture: { ptsNs, source: size, coded: size, still, ...output } as unknown as Picture,
        records: [],
      };
    },
    beginScene: () => ({ any: true, unknown: false }),
    get: () => counts.shift() ?? 0,
  };
  return { pipeline, calls, faults: failures };
}

function readerOf(
  pipeline: FrameReaderOptions['pipeline'],
  over: Partial<FrameReaderOptions> = {},
): FrameReader {
  return new FrameReader({
    pipeline,
    ring: new StillRing(),
    masks: new PrivacyMasks([]),
    input: { widthPx: 32, heightPx: 32 },
    timeline: new Timeline(new QuickClock(), true),
    fps: null,
    stillLongSidePx: 1280,
    ...over,
  });
}

void t.test('the count of read frames survives the end of a pipeline with a frame on its way', async (t) => {
  // Counts again from the second frame on, as videorate does when it is stopped.
  const { pipeline } = sinkOf([5n, 9n], [8, 0]);
  const reader = readerOf(pipeline);
  t.ok(await reader.next());
  t.equal(reader.read, 8);
  t.ok(await reader.next());
  t.equal(reader.read, 8);
  t.equal(await reader.next(), undefined);
  reader.reopen();
  t.equal(reader.read, 8);
});

void t.test(
  'a frame that is not analysed has no pictures, and due pictures come with the next',
  async (t) => {
    const everyFifth = Array.from({ length: 20 }, (_, k) => BigInt(k) * 66_666_667n);
    const { pipeline, calls } = sinkOf(everyFifth);
    const reader = readerOf(pipeline);
    for (let k = 0; k < 20; k += 1) {
      const glimpse = await reader.next();
      if (glimpse !== undefined && k % 10 === 3) {
        t.equal(glimpse.pictured, true);
        t.match(await reader.frame(glimpse), {
          still: true,
          planes: k === 3 ? {} : undefined,
          fine: undefined,
        });
      }
    }
    t.same(calls, ['still', 'letterbox', 'planes', 'still', 'letterbox']);
  },
);

void t.test('only the newest picture becomes a frame, and a failed still is reported', async (t) => {
  const { pipeline } = sinkOf([0n, 200_000_000n]);
  const reader = readerOf(pipeline);
  const first = await reader.next();
  await reader.next();
  if (first === undefined) throw new Error('no picture');
  await t.rejects(reader.frame(first), { kind: 'bug', message: /newest/ });
  const noStill = () => Promise.reject(new AgentError('unavailable', 'no JPEG'));
  const second = readerOf(sinkOf([0n], [], undefined, noStill).pipeline);
  const glimpse = await second.next();
  if (glimpse === undefined) throw new Error('no picture');
  await t.rejects(second.frame(glimpse), { kind: 'unavailable', message: /no JPEG/ });
});

void t.test('pictures of an unusable size end the opening with a reason', async (t) => {
  for (const [widthPx, heightPx] of [
    [8, 8],
    [0, 1080],
    [16_000, 40],
    [40, 16_000],
    [20_000, 10_000],
  ] as const) {
    const { pipeline, faults: failures } = sinkOf([0n], [], { widthPx, heightPx });
    t.equal(await readerOf(pipeline, { input: { widthPx: 416, heightPx: 256 } }).next(), undefined);
    t.match(failures, [`pictures of ${widthPx}×${heightPx} square pixels`]);
  }
});

void t.test('stills, planes and larger pictures lie next to their marks', async (t) => {
  /** Seconds of the frames that have this picture. */
  const having = (kind: 'still' | 'planes' | 'fine', everyMs: number, isStill: (atMs: number) => boolean) => {
    const times = new PictureTimes();
    const at: number[] = [];
    for (let ms = 0; ms <= 6000; ms += everyMs) {
      const ptsNs = BigInt(ms + 777) * 1_000_000n;
      const due = times.due(ptsNs, isStill(ms));
      times.noteMade(due, ptsNs);
      if (due[kind]) at.push(ms / 1000);
    }
    return at;
  };
  const never = (): boolean => false;
  t.same(having('still', 100, never).slice(0, 5), [0, 0.5, 1, 1.5, 2]);
  t.same(having('still', 200, never).slice(0, 5), [0, 0.4, 1, 1.4, 2], 'the nearest, the earlier of two');
  t.same(having('planes', 200, never), [0, 1, 2, 3, 4, 5, 6]);
  t.same(having('fine', 200, never).slice(0, 4), [0, 0.4, 0.8, 1.2]);
  t.same(
    having('still', 100, () => true),
    [0, 2, 4, 6],
    'a still street',
  );
  t.same(
    having('still', 100, (ms) => ms < 2600),
    [0, 2, 3, 3.5, 4, 4.5, 5, 5.5, 6],
    'from the next mark on where something moves',
  );
  t.same(having('still', 3000, never), [0, 3, 6], 'each once, where frames are rarer than marks');
});

void t.test('the ring of stills is bounded and ordered, and finds the nearest', async (t) => {
  const ring = new StillRing();
  const at = (atMs: number, bytes = 1): StoredStill => ({
    ptsNs: BigInt(atMs),
    atMs,
    source: SMALL,
    size: SMALL,
    spreadPx: 0,
    jpeg: new Uint8Array(bytes),
  });
  for (let ms = 0; ms <= 20_000; ms += 500) ring.add(at(ms));
  t.equal(ring.all().length, 31, '15 s at two a second');
  t.equal(ring.earlyRemovals, 0);
  t.equal(ring.near(10_250)?.atMs, 10_000, 'the earlier of two');
  t.equal(ring.near(0)?.atMs, 5000);
  t.equal(ring.near(-1), undefined, 'not one of another moment');
  for (let ms = 20_500; ms < 22_000; ms += 500) ring.add(at(ms, 10_000_000));
  t.ok(ring.earlyRemovals > 0, 'only two fit: the rest was cut, and counted');
});

void t.test('media time never decreases, also over openings', async (t) => {
  const clock = new QuickClock();
  const live = new Timeline(clock, true);
  t.equal(live.atMs(700_000_000n), 1000, 'anchored on the clock');
  t.equal(live.atMs(900_000_000n), 1200, 'then by the differences');
  t.equal(live.atMs(800_000_000n), 1200, 'never back');
  clock.ms = 1100;
  t.equal(live.wallMs(1200), 1_700_000_001_200, 'wall time of the capture');
  live.reopen();
  t.equal(live.atMs(5n), 1201, 'a new opening goes on where the last one was ahead of the clock');
  clock.ms = 9000;
  live.reopen();
  t.equal(live.atMs(5n), 9000);
  const replay = new Timeline(clock, false);
  t.same(
    [replay.atMs(80_000_000n), replay.atMs(120_000_000n), replay.wallMs(40)],
    [0, 40, 40],
    'from the first frame',
  );
});

void t.test('a return is reported when an answer follows a failed probe', async (t) => {
  const clock = new QuickClock();
  const answers = [true, true, false, false, true, true, false, true];
  const returns: number[] = [];
  const probe = new ReturnProbe(
    async () => {
      if (answers.length === 1) probe.stop();
      return answers.shift() ?? true;
    },
    clock,
    (downMs) => returns.push((downMs - 1000) / 2000),
  );
  probe.start();
  probe.start();
  while (answers.length > 0) await new Promise(setImmediate);
  await new Promise(setImmediate);
  t.same(returns, [4], 'told once, with the time of the last failed probe; not after stop');
});
