/**
 * Tests the rows of the fault matrix that begin at the camera: a real RTSP server makes each fault, and vision runs as
 * in the agent.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { randomOf } from '../lib/random.ts';
import { type RtspOptions, RtspServer, rtspMissing } from '../lib/rtsp-server.ts';
import { FULL } from '../lib/run.ts';
import { WatchedCamera } from '../lib/watched-camera.ts';

const skip = rtspMissing();
const SEEN_MS = 5000;
const BACK_MS = 10_000;
/** A busy machine starts slowly. */
const START_MS = 60_000;

async function serve(t: Test, options: RtspOptions = {}): Promise<RtspServer> {
  const server = await RtspServer.start(options);
  t.teardown(() => server.kill());
  return server;
}

const LOSSES = FULL ? 50 : 3;

t.test(`vision reports and survives ${LOSSES} of ${LOSSES} losses of the stream`, { skip }, async (t) => {
  let server = await serve(t);
  const camera = new WatchedCamera(t, server.url());
  await camera.untilFrame(START_MS);
  const ways: readonly [string, () => Promise<void> | void, () => Promise<void> | void][] = [
    [
      'killed',
      () => server.kill(),
      async () => {
        server = await serve(t, { port: server.port });
      },
    ],
    ['stopped', () => server.freeze(), () => server.thaw()],
    ['muted', () => server.mute(), () => server.unmute()],
  ];
  const [seenMs, backMs]: [number[], number[]] = [[], []];
  for (let i = 0; i < LOSSES; i += 1) {
    const [way, lose, restore] = ways[i % ways.length] as (typeof ways)[number];
    await camera.untilFrame(START_MS);
    const lossSeen = camera.untilLost(SEEN_MS + 5000);
    await lose();
    seenMs.push(await lossSeen);
    await sleep(1000 * (i % 4));
    await restore();
    backMs.push(await camera.untilFrame(BACK_MS + 5000));
    t.ok(
      (seenMs[i] ?? 0) <= SEEN_MS && (backMs[i] ?? 0) <= BACK_MS,
      `${way}: seen after ${seenMs[i]} ms, back after ${backMs[i]} ms`,
    );
  }
  t.comment(
    `seen within ${Math.max(...seenMs)} ms, frames within ${Math.max(...backMs)} ms after the return`,
  );
});

/** Groups of pictures (one key frame each) per second. */
const GOPS_PER_S = 10;
const STREAMS = FULL ? 10_000 : 100;

t.test(`vision survives ${STREAMS} corrupted groups of H.264 pictures`, { skip }, async (t) => {
  const seed = Number(process.env['VIGIE_TEST_SEED'] ?? 1 + (Date.now() % 1_000_000));
  t.comment(`seed ${seed} (VIGIE_TEST_SEED)`);
  const random = randomOf(seed);
  const server = await serve(t, { fps: 30, gop: 30 / GOPS_PER_S, seed });
  const camera = new WatchedCamera(t, server.url());
  await camera.untilFrame(START_MS);
  const took: number[] = [];
  for (let doneCount = 0; doneCount < STREAMS; ) {
    // From one byte in ten thousand to one in thirty; a picture of the scene has 4 kB.
    await server.corrupt(10 ** (-4 + 2.5 * random()));
    const seconds = 2 + Math.floor(4 * random());
    await sleep(seconds * 1000);
    doneCount += seconds * GOPS_PER_S;
    await server.corrupt(0);
    took.push(await camera.untilFrame(BACK_MS));
  }
  const worst = Math.max(...took);
  t.ok(worst <= 2000, `a picture within ${worst} ms of each end of corruption, ${took.length} times`);
  t.same(camera.ends, [], 'vision did not end once');
  t.equal(camera.looping, false);
  const settledMs = await camera.msUntil(() => !camera.conditions.includes('moved'), BACK_MS);
  t.ok(Number.isFinite(settledMs), 'the shape from damaged parameter sets no longer applies');
});

t.test('a stream that stays corrupt for more than 10 s makes vision restart once', { skip }, async (t) => {
  const server = await serve(t);
  const camera = new WatchedCamera(t, server.url());
  await camera.untilFrame(START_MS);
  await server.corrupt(0.5);
  const endedMs = await camera.msUntil(() => camera.ends.length === 1, 40_000);
  t.ok(endedMs > 9000 && endedMs < 25_000, `after ${endedMs} ms`);
  t.match(
    camera.messages.filter(({ kind }) => kind === 'failed'),
    [
      {
        error: 'unavailable',
        message: 'the camera answers, and gave no picture for 10 s: vision restarts',
      },
    ],
  );
  await sleep(13_000);
  t.equal(camera.ends.length, 1, 'the new one waits: it has seen no picture yet');
  await server.corrupt(0);
  const backMs = await camera.untilFrame(BACK_MS + START_MS);
  t.ok(backMs <= BACK_MS, `frames ${backMs} ms after the stream is intact again`);
});

t.test('a frozen picture is reported within 30 s, and the pipeline is rebuilt', { skip }, async (t) => {
  const server = await serve(t, { pattern: 'smpte75' });
  const camera = new WatchedCamera(t, server.url());
  await camera.untilFrame(START_MS);
  const frozenMs = await camera.msUntil(() => camera.conditions === 'frozen', 40_000);
  t.ok(frozenMs <= 30_000, `frozen after ${frozenMs} ms`);
  const rebuilt = (): number => {
    const stats = camera.messages.findLast((message) => message.kind === 'stats');
    return stats?.kind === 'stats' ? stats.stats.rebuilds : 0;
  };
  await camera.msUntil(() => rebuilt() === 1, START_MS);
  t.equal(rebuilt(), 1, 'opened again');
  t.ok((await camera.untilFrame(BACK_MS)) <= BACK_MS, 'frames come');
  t.equal(camera.losses, 0, 'which does not count as a loss');
  await server.pattern('ball');
  t.ok(
    (await camera.msUntil(() => camera.conditions === '', BACK_MS)) <= BACK_MS,
    'over with the first other picture',
  );
  t.same(camera.ends, []);
});

t.test(
  'another size in mid-stream changes nothing, and another shape counts as a moved camera',
  { skip },
  async (t) => {
    const server = await serve(t);
    const camera = new WatchedCamera(t, server.url());
    await camera.untilFrame(START_MS);
    const sizes = (): string[] =>
      camera.messages.flatMap((m) =>
        m.kind === 'opened' ? [`${m.source.widthPx}x${m.source.heightPx}`] : [],
      );
    await server.size(320, 240);
    await camera.msUntil(() => sizes().length === 2, START_MS);
    await camera.untilFrame(BACK_MS);
    t.equal(camera.conditions, '', 'the same shape');
    await server.size(640, 360);
    t.ok(Number.isFinite(await camera.msUntil(() => camera.conditions === 'moved', START_MS)), 'moved');
    t.same(sizes(), ['640x480', '320x240', '640x360'], 'each size is reported');
    camera.vision.send({ kind: 'confirm-view' });
    t.ok(
      Number.isFinite(await camera.msUntil(() => camera.conditions === '', BACK_MS)),
      'until it is confirmed',
    );
    t.same([camera.losses, camera.ends], [0, []]);
  },
);
