/** Tests failing cameras against a real RTSP server: each loss is seen within 5 s, each return within 10 s. */
import { type AddressInfo, createServer } from 'node:net';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { Frame } from '../../agent/contract/picture.ts';
import type { Camera, CameraOptions } from '../../agent/vision/camera/camera.ts';
import { testCamera } from '../lib/camera.ts';
import { type RtspOptions, RtspServer, rtspMissing } from '../lib/rtsp-server.ts';
import { unlessAll } from '../lib/run.ts';

const skip = rtspMissing();
const SEEN_MS = 5000;
const BACK_MS = 10_000;

type OpenedInfo = Parameters<CameraOptions['onOpened']>[0];
type LossInfo = Parameters<CameraOptions['onLost']>[0];

/** A camera whose frames are taken continuously, as the flow does. */
class Watcher {
  readonly openings: OpenedInfo[] = [];
  readonly losses: LossInfo[] = [];
  readonly camera: Camera;
  frames = 0;
  last: Frame | undefined;
  wentBack = false;
  /** Checks each frame; the frames that it refuses are counted. */
  check: (frame: Frame) => boolean = () => true;
  misfits = 0;
  #run: Promise<void> | undefined;

  constructor(t: Test, source: string, fps = 10) {
    this.camera = testCamera(t, {
      source,
      fps,
      mode: 'live',
      onOpened: (info) => this.openings.push(info),
      onLost: (info) => this.losses.push(info),
    });
    t.teardown(() => this.stop());
  }

  async start(): Promise<this> {
    await this.camera.start();
    this.#run = this.#take();
    return this;
  }

  async stop(): Promise<void> {
    await this.camera.stop();
    await this.#run;
  }

  /** Milliseconds until the condition holds; Infinity when it does not within `limitMs`. */
  async msUntil(condition: () => boolean, limitMs: number): Promise<number> {
    const startMs = systemClock.nowMs();
    while (!condition()) {
      if (systemClock.nowMs() - startMs > limitMs) return Number.POSITIVE_INFINITY;
      await systemClock.sleep(20);
    }
    return Math.round(systemClock.nowMs() - startMs);
  }

  untilFrame(limitMs = BACK_MS): Promise<number> {
    const before = this.frames;
    return this.msUntil(() => this.frames > before, limitMs);
  }

  untilLost(limitMs = SEEN_MS): Promise<number> {
    const before = this.losses.length;
    return this.msUntil(() => this.losses.length > before, limitMs);
  }

  async #take(): Promise<void> {
    for (let frame = await this.camera.next(); frame !== null; frame = await this.camera.next()) {
      if (this.last !== undefined && (frame.atMs <= this.last.atMs || frame.index <= this.last.index)) {
        this.wentBack = true;
      }
      if (!this.check(frame)) this.misfits += 1;
      this.last = frame;
      this.frames += 1;
    }
  }
}

async function serve(t: Test, options: RtspOptions = {}): Promise<RtspServer> {
  const server = await RtspServer.start(options);
  t.teardown(() => server.kill());
  return server;
}

/** Time for which the camera is gone, in ms. */
const GONE_MS = 3000;

async function backInTime(t: Test, label: string, watcher: Watcher): Promise<void> {
  const backMs = await watcher.untilFrame();
  t.ok(backMs < BACK_MS, `${label}: frames ${backMs} ms after its return`);
  t.notOk(watcher.wentBack, `${label}: media time and frame numbers only grow`);
}

/** Loss after 3.5 s without a picture, checked every half second, and seen within SEEN_MS. */
const NO_PICTURE = /^no picture for [45] s$/;

/** Signs of a lost camera over TCP: the end of the stream, or an error where the reset comes first. */
const GONE_REASON = /^(the camera ended the stream|127\.0\.0\.1:\d+ does not answer)$/;

/** The first loss after `lose`; without it, the first of all. */
async function seenInTime(
  t: Test,
  label: string,
  watcher: Watcher,
  reason: RegExp,
  lose?: () => Promise<void> | void,
): Promise<void> {
  const before = lose === undefined ? 0 : watcher.losses.length;
  await lose?.();
  const seenMs = await watcher.msUntil(() => watcher.losses.length > before, SEEN_MS);
  t.ok(seenMs < SEEN_MS, `${label}: seen after ${seenMs} ms`);
  t.match(watcher.losses[before]?.reason, reason, label);
}

async function killed(t: Test): Promise<void> {
  const server = await serve(t, { codec: 'h265', audio: true });
  const watcher = await new Watcher(t, server.url()).start();
  t.ok((await watcher.untilFrame()) < BACK_MS, 'frames come from H.265 with a sound track');
  t.match(watcher.openings, [{ source: { widthPx: 640, heightPx: 480 }, decoder: 'avdec_h265', fps: 10 }]);
  await seenInTime(t, 'killed', watcher, GONE_REASON, () => server.kill());
  await systemClock.sleep(GONE_MS);
  t.match(watcher.losses.at(-1)?.reason, `127.0.0.1:${server.port} does not answer`);
  await serve(t, { codec: 'h265', port: server.port });
  await backInTime(t, 'killed', watcher);
  t.equal(watcher.openings.length, 2, 'opened twice');
  t.ok(watcher.camera.counters.reconnects >= 1, 'counted');
  await watcher.stop();
}

async function streamEnds(t: Test): Promise<void> {
  const server = await serve(t);
  const watcher = await new Watcher(t, server.url()).start();
  // Waits a second: if a stream ends with its first packets, the end may be lost, and is reported as silence.
  await watcher.msUntil(() => watcher.frames >= 10, BACK_MS);
  await seenInTime(t, 'the stream ends', watcher, GONE_REASON, () => server.eos());
  await backInTime(t, 'the stream ends', watcher);
  await watcher.stop();
}

async function resized(t: Test): Promise<void> {
  const server = await serve(t, { pattern: 'white' });
  const watcher = await new Watcher(t, server.url()).start();
  await watcher.untilFrame();
  const stills = new Set<string>();
  watcher.check = ({ atMs, rgb, source }) => {
    const still = watcher.camera.stillNear(atMs)?.source;
    if (still !== undefined) stills.add(`${still.widthPx}×${still.heightPx}`);
    // White fills the letterbox sideways if the source is wider than the input, otherwise up and down.
    const wide = source.widthPx / source.heightPx > 416 / 256;
    const [left, top] = [rgb[128 * 416 * 3] ?? 0, rgb[208 * 3] ?? 0];
    return wide ? left > 200 && top < 50 : left < 50 && top > 200;
  };
  const before = watcher.losses.length;
  await server.size(800, 400);
  await watcher.msUntil(() => watcher.openings.length === 2, BACK_MS);
  await server.size(320, 240);
  await watcher.msUntil(() => watcher.openings.length === 3, BACK_MS);
  await watcher.untilFrame();
  const sizes = watcher.openings.map(({ source }) => `${source.widthPx}×${source.heightPx}`);
  t.same(sizes, ['640×480', '800×400', '320×240'], 'each size is reported');
  t.equal(watcher.misfits, 0, 'each frame says the size that it has');
  t.equal(watcher.losses.length, before, 'and the stream goes on');
  t.ok(stills.size > 0 && [...stills].every((size) => sizes.includes(size)), 'stills say theirs');
  await watcher.stop();
}

async function guarded(t: Test): Promise<void> {
  const server = await serve(t, { user: 'caméra', password: 'p:w@x/%' });
  const secret = `${encodeURIComponent('caméra')}:${encodeURIComponent('p:w@x/%')}`;
  const watcher = await new Watcher(t, server.url(secret)).start();
  t.ok((await watcher.untilFrame()) < BACK_MS, 'user and password let in');
  await watcher.stop();
  const wrongLogin = await new Watcher(t, server.url('camera:s3cret')).start();
  await seenInTime(t, 'wrong password', wrongLogin, /^127\.0\.0\.1:\d+ refuses the user or password$/);
  t.notMatch(JSON.stringify(wrongLogin.losses), 's3cret', 'no secret is reported');
  await wrongLogin.stop();
}

async function useless(t: Test): Promise<void> {
  const server = await serve(t, { codec: 'jpeg' });
  const astray = await new Watcher(t, `${server.url()}/other`).start();
  await seenInTime(t, 'wrong path', astray, /has no stream at \/main\/other$/);
  await astray.stop();
  const motionJpeg = await new Watcher(t, server.url()).start();
  await seenInTime(t, 'Motion JPEG', motionJpeg, /sends no H\.264 or H\.265 video/);
  await motionJpeg.stop();
}

async function silent(t: Test): Promise<void> {
  const listener = createServer((socket) => t.teardown(() => socket.destroy()));
  await new Promise<void>((listening) => listener.listen(0, '127.0.0.1', listening));
  t.teardown(() => listener.close());
  const { port } = listener.address() as AddressInfo;
  const watcher = await new Watcher(t, `rtsp://127.0.0.1:${port}/main`).start();
  await seenInTime(t, 'a server that says nothing', watcher, NO_PICTURE);
  const startMs = systemClock.nowMs();
  await watcher.stop();
  t.ok(systemClock.nowMs() - startMs < 1000, 'stops at once');
}

async function absent(t: Test): Promise<void> {
  for (const [source, reason] of [
    ['rtsp://127.0.0.1:1/main', /^127\.0\.0\.1:1 does not answer$/],
    ['v4l2:/dev/video99', /^there is no device \/dev\/video99/],
    ['v4l2:/dev/null', /^\/dev\/null: /],
  ] as const) {
    const watcher = await new Watcher(t, source).start();
    await seenInTime(t, source, watcher, reason);
    t.ok((await watcher.untilLost()) < SEEN_MS, `${source}: tried again`);
    await watcher.stop();
  }
}

void t.test('a camera that is killed is seen lost, and again when it is back', { skip }, killed);
/** Two at a time: a camera holds two of the four workers of libuv's pool. */
const pairs: [string, (t: Test) => Promise<void>, (t: Test) => Promise<void>][] = [
  ['a stream that ends; another size in mid-stream', streamEnds, resized],
  ['user and password; a missing camera is tried again', guarded, absent],
  ['a server that says nothing; no stream that can be used', silent, useless],
];
for (const [name, one, other] of pairs) {
  void t.test(name, { skip: skip || unlessAll }, (t) => Promise.all([one(t), other(t)]));
}
