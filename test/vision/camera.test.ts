/** Tests recordings and the test pattern through the real pipeline. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { AgentError } from '../../agent/base/errors.ts';
import type { SizePx } from '../../agent/contract/geometry.ts';
import { placementOf } from '../../agent/contract/letterbox.ts';
import type { Frame } from '../../agent/contract/picture.ts';
import type { CameraOptions } from '../../agent/vision/camera/camera.ts';
import { installedElements } from '../../agent/vision/camera/presets.ts';
import { testCamera } from '../lib/camera.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { unlessAll } from '../lib/run.ts';

const noClip = existsSync(STREET_CLIP) ? false : 'no .cache/vtest.avi: run scripts/setup';
const INPUT = { widthPx: 416, heightPx: 256 };

type OpenedInfo = Parameters<CameraOptions['onOpened']>[0];
type LossInfo = Parameters<CameraOptions['onLost']>[0];

function camera(t: Test, options: Partial<CameraOptions>) {
  const openings: OpenedInfo[] = [];
  const losses: LossInfo[] = [];
  const instance = testCamera(t, {
    source: `file:${STREET_CLIP}`,
    fps: null,
    onOpened: (info) => openings.push(info),
    onLost: (info) => losses.push(info),
    ...options,
  });
  return { camera: instance, openings, losses };
}

/** A clip of moving pictures made by GStreamer; `chain` goes from raw video to the muxer. */
function makeClip(file: string, chain: string, pictures = 'pattern=ball num-buffers=20'): void {
  const text = `videotestsrc ${pictures} ! ${chain} ! filesink location=${file}`;
  execFileSync('gst-launch-1.0', ['-q', ...text.split(' ')], { stdio: 'ignore' });
}

/** The street's first seconds, with unchanged packets; ten frames each. */
function shortStreet(t: Test, seconds: number): string {
  const clip = join(scratch(t), 'street.avi');
  const copied = ['-frames:v', String(10 * seconds), '-c', 'copy', clip];
  execFileSync('ffmpeg', ['-v', 'error', '-i', STREET_CLIP, ...copied], { stdio: 'inherit' });
  return `file:${clip}`;
}

async function replayed(t: Test, options: Partial<CameraOptions> = {}) {
  const { camera: source, openings } = camera(t, options);
  await source.start();
  const frames: Omit<Frame, 'rgb'>[] = [];
  const pixels = createHash('sha256');
  const stills = createHash('sha256');
  let matched = 0;
  for (let frame = await source.next(); frame !== null; frame = await source.next()) {
    const { rgb, ...rest } = frame;
    frames.push(rest);
    pixels.update(rgb);
    const still = source.stillNear(frame.atMs);
    stills.update(`${still?.ptsNs} `);
    if (still?.ptsNs !== frame.ptsNs) continue;
    matched += 1;
    stills.update((await still.pixels(still.source)).rgb);
  }
  await source.stop();
  return {
    frames,
    pixels: pixels.digest('hex'),
    stills: stills.digest('hex'),
    matched,
    replayCamera: source,
    opened: openings,
  };
}

void t.test(
  'a replay gives every frame of the clip, and twice the same frames',
  { skip: noClip },
  async (t) => {
    const source = shortStreet(t, 8);
    const [one, two] = [await replayed(t, { source }), await replayed(t, { source })];
    t.equal(one.frames.length, 80);
    for (const [i, frame] of one.frames.entries()) {
      if (frame.ptsNs !== BigInt(i) * 100_000_000n || frame.atMs !== i * 100 || frame.index !== i + 1) {
        t.fail(`frame ${i}: ${JSON.stringify({ ...frame, ptsNs: String(frame.ptsNs) })}`);
      }
    }
    t.match(one.frames.at(-1), { wallMs: 7900, source: { widthPx: 768, heightPx: 576 }, input: INPUT });
    t.equal(one.pixels, two.pixels, 'the same pixels');
    t.equal(one.stills, two.stills, 'the same stills at every frame');
    t.equal(one.matched, 16, 'two stills a second, each on an analysed frame');
    t.match(one.replayCamera.counters, { framesRead: 80, framesDropped: 0, reconnects: 0, stillsCut: 0 });
    t.match(one.opened, [{ source: { widthPx: 768, heightPx: 576 }, decoder: 'avdec_msmpeg4', fps: 10 }]);
    t.equal(await one.replayCamera.next(), null, 'and nothing after the end');
  },
);

void t.test('the still is the frame at full size', { skip: noClip }, async (t) => {
  const { camera: source } = camera(t, {});
  await source.start();
  let frame = await source.next();
  while (frame !== null && frame.atMs < 1000) frame = await source.next();
  if (frame === null) throw new Error('the clip is over');
  const still = source.stillNear(frame.atMs);
  t.match(still, { ptsNs: frame.ptsNs, atMs: 1000, source: { widthPx: 768, heightPx: 576 } });
  const { leftPx, widthPx } = placementOf(frame.source, INPUT);
  const { rgb = new Uint8Array(0) } = (await still?.pixels({ widthPx, heightPx: 256 })) ?? {};
  let difference = 0;
  for (let y = 0; y < 256; y += 1) {
    for (let x = 0; x < widthPx * 3; x += 1) {
      difference += Math.abs((rgb[y * widthPx * 3 + x] ?? 0) - (frame.rgb[(y * 416 + leftPx) * 3 + x] ?? 0));
    }
  }
  // Two ways of scaling, the JPEG's loss and its levels; another frame differs by more than 40.
  t.ok(difference / rgb.length < 12, `mean difference ${difference / rgb.length} of 255`);
  const borders = [0, leftPx - 1, leftPx + widthPx + 1, 415].map((x) =>
    frame.rgb.subarray((128 * 416 + x) * 3, (128 * 416 + x) * 3 + 3),
  );
  t.ok(
    borders.every((pixel) => pixel.every((value) => value === 0)),
    'black beside the picture',
  );
});

void t.test(
  'the rate is lowered by dropping frames, and time stamps stay',
  { skip: noClip || unlessAll },
  async (t) => {
    const source = shortStreet(t, 20);
    const { frames, matched, replayCamera } = await replayed(t, { source, fps: 5 });
    t.equal(frames.length, 100);
    t.same(
      frames.slice(0, 3).map((frame) => frame.atMs),
      [0, 200, 400],
    );
    t.ok(matched >= 33, `${matched} stills on analysed frames`);
    t.match(replayCamera.counters, { framesRead: 200, framesDropped: 0 });
    t.equal((await replayed(t, { source, fps: 0.2 })).frames.length, 4, 'one frame in 5 s');
  },
);

void t.test(
  'a larger picture comes with the frame of its moment while it is wanted',
  { skip: noClip || unlessAll },
  async (t) => {
    const pass = async (): Promise<string[]> => {
      const { camera: instance } = camera(t, { fps: 5 });
      await instance.start();
      const sizes: string[] = [];
      for (
        let frame = await instance.next();
        frame !== null && frame.index <= 60;
        frame = await instance.next()
      ) {
        const { index, rgb, fine, source } = frame;
        instance.wantFine(index <= 20 || index > 40 ? Number.POSITIVE_INFINITY : 0);
        if (fine === undefined) continue;
        const at = (size: SizePx, pixels: Uint8Array, x: number, y: number): number => {
          const { leftPx, topPx, widthPx, heightPx } = placementOf(source, size);
          const row = topPx + Math.floor(y * heightPx);
          return pixels[(row * size.widthPx + leftPx + Math.floor(x * widthPx)) * 3 + 1] as number;
        };
        let off = 0;
        for (let k = 0; k < 1000; k += 1) {
          const [x, y] = [(k % 40) / 40 + 0.012, Math.floor(k / 40) / 25 + 0.02] as const;
          off += Math.abs(at(fine.size, fine.rgb, x, y) - at(INPUT, rgb, x, y)) / 1000;
        }
        // In neighbouring frames people have moved on a step, which differs by more than twice that.
        t.ok(off < 6, `frame ${index}: the same picture, ${off.toFixed(1)} levels off`);
        sizes.push(`${index} ${fine.size.widthPx}x${fine.size.heightPx}`);
      }
      await instance.stop();
      return sizes;
    };
    const firstSizes = await pass();
    const odd = (from: number, to: number): string[] =>
      Array.from({ length: (to - from) / 2 + 1 }, (_, k) => `${from + 2 * k} 832x512`);
    t.same(firstSizes, [...odd(3, 21), ...odd(43, 59)], 'from the next frame on, every second one');
    t.same(await pass(), firstSizes, 'and twice the same');
  },
);

void t.test('containers, codecs and pixel shapes are decoded', { skip: unlessAll }, async (t) => {
  const dir = scratch(t);
  const clips: [string, string, { widthPx: number; heightPx: number }][] = [
    [
      'h264.mp4',
      'video/x-raw,format=I420,width=320,height=240 ! x264enc speed-preset=ultrafast ! mp4mux',
      { widthPx: 320, heightPx: 240 },
    ],
    [
      'h265.mkv',
      'video/x-raw,format=I420,width=320,height=240 ! x265enc speed-preset=ultrafast ! h265parse ! matroskamux',
      { widthPx: 320, heightPx: 240 },
    ],
    // PAL widescreen: 1024 square pixels wide.
    [
      'pal.mp4',
      'video/x-raw,format=I420,width=720,height=576,pixel-aspect-ratio=64/45 ! x264enc speed-preset=ultrafast ! mp4mux',
      { widthPx: 1024, heightPx: 576 },
    ],
    [
      'odd.avi',
      'video/x-raw,format=I420,width=322,height=242 ! jpegenc ! avimux',
      { widthPx: 322, heightPx: 242 },
    ],
  ];
  for (const [name, chain, size] of clips) {
    makeClip(join(dir, name), chain);
    const {
      frames,
      replayCamera,
      opened: openings,
    } = await replayed(t, { source: `file:${join(dir, name)}` });
    t.equal(frames.length, 20, name);
    t.same(openings[0]?.source, size, `${name}: size in square pixels`);
    const still = replayCamera.stillNear(frames[0]?.atMs ?? 0);
    t.same(still?.source, size, `${name}: the still has the same size`);
    t.equal(
      (await still?.pixels(size))?.rgb.length,
      size.widthPx * size.heightPx * 3,
      `${name}: its JPEG too`,
    );
  }
});

void t.test('a recording played live keeps its rate and begins again', { skip: unlessAll }, async (t) => {
  const file = join(scratch(t), 'short.mkv');
  makeClip(
    file,
    'video/x-raw,format=I420,width=320,height=240,framerate=20/1 ! x264enc speed-preset=ultrafast ! matroskamux',
  );
  const { camera: source, openings, losses } = camera(t, { source: `file:${file}`, mode: 'live', fps: 10 });
  const startedMs = systemClock.nowMs();
  await source.start();
  let lastMs = 0;
  let frames = 0;
  const offsMs: number[] = [];
  while (systemClock.nowMs() - startedMs < 3500) {
    const frame = await source.next();
    if (frame === null) throw new Error('a live recording never ends');
    if (frame.atMs <= lastMs) t.fail(`media time went from ${lastMs} to ${frame.atMs}`);
    offsMs.push(Math.max(Math.abs(frame.atMs - systemClock.nowMs()), Math.abs(frame.wallMs - Date.now())));
    lastMs = frame.atMs;
    frames += 1;
  }
  t.ok(frames >= 24 && frames <= 40, `${frames} frames in 3.5 s, three turns of one second`);
  // A clock that drifts is off in most frames; one late frame is the machine's doing.
  const offMs = offsMs.sort((a, b) => a - b)[Math.floor(offsMs.length / 2)] ?? 0;
  t.ok(offMs < 700, `media and wall time keep with the clock (${Math.round(offMs)} ms)`);
  t.equal(openings.length, 1, 'opened once');
  t.same(losses, []);
});

void t.test(
  'a slow reader of the test pattern gets the newest frame each time',
  { skip: unlessAll },
  async (t) => {
    const { camera: source, openings } = camera(t, { source: 'test:pattern', mode: 'live', fps: 25 });
    await source.start();
    const ages: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      const frame = await source.next();
      if (frame === null) throw new Error('the pattern never ends');
      ages.push(systemClock.nowMs() - frame.atMs);
      // An inference blocks the thread, and so the callbacks of the binding.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    }
    // A reader of old pictures falls back by 460 ms each time, to 1,400 ms at the fourth; a busy machine catches up.
    t.ok(Math.min(...ages.slice(3)) < 700, `age at hand-over, ms: ${ages.map(Math.round).join(' ')}`);
    t.ok(source.counters.framesDropped >= 20, `${source.counters.framesDropped} dropped and counted`);
    t.match(openings, [{ source: { widthPx: 1280, heightPx: 720 }, decoder: 'none (raw video)', fps: 25 }]);
    const pending = source.next();
    await Promise.all([source.stop(), source.stop()]);
    await pending;
    t.equal(await source.next(), null, 'null after stop');
  },
);

void t.test('sources that can never work are refused with one clear line', async (t) => {
  const dir = scratch(t);
  const file = (name: string, content: string | Buffer): string => {
    writeFileSync(join(dir, name), content);
    return join(dir, name);
  };
  const sound = join(dir, 'sound.mkv');
  execFileSync(
    'gst-launch-1.0',
    `-q audiotestsrc num-buffers=50 ! opusenc ! matroskamux ! filesink location=${sound}`.split(' '),
  );
  const cases: [string, RegExp][] = [
    [`file:${dir}/none.mp4`, /file not found: \S+none\.mp4; give the path/],
    [`file:${dir}`, /is not a file/],
    [`file:${file('empty.mp4', '')}`, /is empty/],
    [
      `file:${file('notes.mp4', 'These are notes, not a film.\n'.repeat(50))}`,
      /notes\.mp4: not a video .*; give an AVI/,
    ],
    [`file:${file('noise.avi', createHash('sha512').update('x').digest())}`, /noise\.avi: not a video/],
    [`file:${sound}`, /sound\.mkv: not a video/],
    ['ftp://me:secret@host/clip', /camera\.source: must be rtsp:\/\//],
    ['rtsp://', /must name a host, as rtsp:\/\//],
    ['/clip.mp4', /must be rtsp:\/\//],
    ['v4l2:video0', /must name a device .*as v4l2:\/dev\/video0/],
    ['test:pattern', /cannot be replayed/],
    ['rtsp://user:secret@127.0.0.1/main', /rtsp:\/\/127\.0\.0\.1\/main cannot be replayed/],
  ];
  for (const [source, message] of cases) {
    const { camera: instance } = camera(t, { source });
    const error: unknown = await instance.start().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    t.ok(error instanceof AgentError && error.kind === 'config', `${source}: refused`);
    const text = error instanceof Error ? error.message : '';
    t.match(text, message);
    t.notMatch(text, /\n|secret/, 'one line, no secret');
  }
});

void t.test('a live clip without a picture in time is unavailable', { skip: noClip }, async (t) => {
  // To this clock the opening takes hours, and the camera looks at it before the event loop can take a picture.
  const nowMs = (): number => systemClock.nowMs() * 1e6;
  const clock = { ...systemClock, nowMs, sleep: () => nextTurn() };
  const { camera: source } = camera(t, { mode: 'live', clock });
  await t.rejects(source.start(), { kind: 'unavailable', message: /no picture for \d+ s/ });
});

void t.test('a missing gst-inspect is a configuration error, and a failing one is not', async (t) => {
  const dir = scratch(t);
  const path = process.env['PATH'];
  t.teardown(() => {
    process.env['PATH'] = path;
  });
  process.env['PATH'] = dir;
  await t.rejects(installedElements(), { kind: 'config', message: /is not installed: apt-get install/ });
  writeFileSync(join(dir, 'gst-inspect-1.0'), '#!/bin/sh\necho no memory >&2\nexit 1\n', { mode: 0o755 });
  await t.rejects(installedElements(), { kind: 'unavailable', message: /no memory/ });
});

void t.test(
  'a truncated clip gives its whole frames and then ends',
  { skip: noClip || unlessAll },
  async (t) => {
    const file = join(scratch(t), 'cut.avi');
    copyFileSync(STREET_CLIP, file);
    truncateSync(file, 2_000_000);
    const { frames } = await replayed(t, { source: `file:${file}` });
    t.ok(frames.length > 150 && frames.length < 795, `${frames.length} whole frames, then the end`);
  },
);
