/** Tests when the detector need not run: moving parts, expected objects, and tracks held in the meantime. */
import t from 'tap';
import type { Detection, Frame } from '../../agent/contract/picture.ts';
import { StationaryVehicles } from '../../agent/vision/observe/stationary-vehicles.ts';
import { Motion } from '../../agent/vision/schedule/motion.ts';
import { MotionGate } from '../../agent/vision/schedule/motion-gate.ts';
import { Tracker } from '../../agent/vision/track/tracker.ts';
import { cpuMsOfRuns } from '../lib/cpu-time.ts';
import { detectionOf, masking } from '../lib/pictures.ts';
import { randomOf } from '../lib/random.ts';
import { unlessAll } from '../lib/run.ts';
import { rectangle } from '../lib/shapes.ts';

const SOURCE = { widthPx: 832, heightPx: 512 };
const INPUT = { widthPx: 416, heightPx: 256 };
const EVERY_MS = 200;

interface Thing {
  /** Left upper corner and size in pixels of the detector's input. */
  readonly box: readonly [number, number, number, number];
  readonly levels: number;
}

function filming(noise: number, gain = 1): (atMs: number, things: readonly Thing[]) => Frame {
  const random = randomOf(3);
  const grain = Float32Array.from({ length: 65_536 }, () => random() + random() + random() + random() - 2);
  const { widthPx, heightPx } = INPUT;
  const ground = Float32Array.from({ length: widthPx * heightPx }, (_, k) => {
    const [x, y] = [k % widthPx, Math.floor(k / widthPx)];
    return 90 + 30 * Math.sin(x / 9) * Math.cos(y / 7);
  });
  return (atMs, things) => {
    const scene = Float32Array.from(ground);
    for (const { box, levels } of things) {
      for (let y = box[1]; y < box[1] + box[3]; y += 1) {
        for (let x = box[0]; x < box[0] + box[2]; x += 1) {
          scene[y * widthPx + x] = (scene[y * widthPx + x] as number) + levels;
        }
      }
    }
    const rgb = new Uint8Array(scene.length * 3);
    const start = Math.floor(random() * 65_536);
    for (let k = 0; k < scene.length; k += 1) {
      const level =
        gain * (scene[k] as number) + (noise / 0.58) * (grain[(start + k * 31) & 65_535] as number);
      const value = Math.max(0, Math.min(255, level));
      rgb[3 * k] = value;
      rgb[3 * k + 1] = value;
      rgb[3 * k + 2] = value;
    }
    return { index: 1, ptsNs: 0n, atMs, wallMs: atMs, source: SOURCE, input: INPUT, rgb };
  };
}

/** Frames in which motion was found; the detector runs on those and every 2 s. */
function movedIn(frames: readonly Frame[]): number[] {
  const motion = new Motion();
  let lastRunMs = Number.NEGATIVE_INFINITY;
  return frames.flatMap((frame, i) => {
    const hasMoved = motion.update(frame);
    if (hasMoved || frame.atMs - lastRunMs >= 2000) {
      lastRunMs = frame.atMs;
      motion.noteDetectorRun();
    }
    return hasMoved && i > 0 ? [i] : [];
  });
}

const still = (count: number, noise: number, gain = 1, things: readonly Thing[] = []): Frame[] => {
  const film = filming(noise, gain);
  return Array.from({ length: count }, (_, i) => film(i * EVERY_MS, things));
};

t.test('neither noise nor a change of light everywhere is motion', async (t) => {
  t.same(movedIn(still(75, 3)), []);
  const night = movedIn(still(75, 6, 0.2)).filter((i) => i >= 25);
  t.same(night, [], 'a dark picture with the noise of a night, once it is known');
  const film = filming(3);
  const brighter = Array.from({ length: 100 }, (_, i) => {
    const frame = film(i * EVERY_MS, []);
    frame.rgb.forEach((level, k) => {
      frame.rgb[k] = Math.min(255, level + i * 0.5);
    });
    return frame;
  });
  t.same(movedIn(brighter), [], 'half a level a frame');
});

t.test('a far small person, a slow one and one at night are seen to move', async (t) => {
  const walk = (noise: number, gain: number, levels: number, pxPerS: number): number[] => {
    const film = filming(noise, gain);
    const frames = Array.from({ length: 120 }, (_, i) => {
      const at = Math.max(0, i * EVERY_MS - 4000) / 1000;
      return film(i * EVERY_MS, [{ box: [100 + Math.round(at * pxPerS), 60, 4, 10], levels }]);
    });
    return movedIn(frames).filter((i) => i >= 20);
  };
  const far = walk(3, 1, -40, 4);
  t.ok(far.length >= 40, `10 pixels tall, 4 pixels a second: ${far.length} of 100 frames`);
  const slow = walk(3, 1, -40, 1);
  t.ok(slow.length >= 5, `a pixel a second: ${slow.length}`);
  const night = walk(5, 0.3, 90, 8);
  t.ok(night.length >= 40, `at night: ${night.length}`);
});

t.test('motion under a privacy mask is ignored', async (t) => {
  const polygon = rectangle(0, 0, 0.5, 1);
  const motion = new Motion();
  const bare = filming(2);
  const mask = masking([{ id: 'window', polygon }]);
  const film = (atMs: number, things: readonly Thing[]): Frame => mask(bare(atMs, things));
  motion.update(film(0, []));
  motion.noteDetectorRun();
  t.equal(motion.update(film(200, [{ box: [50, 50, 60, 60], levels: 80 }])), false);
  t.equal(motion.update(film(400, [{ box: [250, 50, 60, 60], levels: 80 }])), true);
});

t.test('the gate runs every two seconds, and on every frame with motion or a wait', async (t) => {
  let moving = false;
  const gate = new MotionGate({ everyFrame: false });
  const film = filming(0);
  const things: Thing[] = [{ box: [100, 60, 20, 20], levels: 60 }];
  const frames = [film(0, []), film(0, things)] as const;
  let frameNo = 0;
  const detectorRunTimes = (fromMs: number, toMs: number, awaited = false): number[] => {
    const out: number[] = [];
    for (let atMs = fromMs; atMs < toMs; atMs += EVERY_MS) {
      if (moving) frameNo = 1 - frameNo;
      if (gate.mustDetect({ ...(frames[frameNo] as Frame), atMs }, awaited)) out.push(atMs);
    }
    return out;
  };
  t.same(detectorRunTimes(0, 6200), [0, 2000, 4000, 6000]);
  t.equal(detectorRunTimes(6200, 7200, true).length, 5, 'an open incident');
  moving = true;
  t.equal(detectorRunTimes(7200, 8200).length, 5);
  moving = false;
  t.same(detectorRunTimes(8200, 10_600), [8200, 8400, 10_400], 'settles, then rests');
  const free = new MotionGate({ everyFrame: true });
  t.ok(
    [0, 1, 2].every((atMs) => free.mustDetect({ ...frames[0], atMs }, false)),
    'switched off',
  );
});

const car = (): Detection => detectionOf('car', [300, 200, 460, 290], 0.35);

t.test('a held track lives for minutes without being missed, and keeps its number', async (t) => {
  const film = filming(0);
  const frame = film(0, []);
  const tracker = new Tracker();
  let atMs = 0;
  for (; atMs < 3000; atMs += EVERY_MS) tracker.update({ ...frame, atMs }, [car()]);
  const [first] = tracker.update({ ...frame, atMs }, [car()]);
  t.equal(tracker.waits, false, 'it stands');
  for (let i = 0; i < 600; i += 1) {
    atMs += EVERY_MS;
    const tracks = tracker.hold({ atMs });
    if (tracks[0]?.id !== first?.id || tracks[0]?.seen !== true || tracks[0]?.lastMs !== atMs)
      t.fail(`lost at ${atMs} ms`);
  }
  const [after] = tracker.update({ ...frame, atMs: atMs + EVERY_MS }, [car()]);
  t.equal(after?.id, first?.id);
  t.equal(after?.firstMs, 0, 'its time counts');
  const [missed] = tracker.update({ ...frame, atMs: atMs + 400 }, []);
  t.equal(missed?.seen, false);
  t.equal(tracker.waits, true, 'out of sight: it is waited for');
  const [heldTrack] = tracker.hold({ atMs: atMs + 5400 });
  t.equal(heldTrack?.id, first?.id, 'time without detector runs is not time out of sight');
  t.equal(heldTrack?.seen, false, 'and does not bring it back either');
  for (let ms = 5600; ms <= 8000; ms += EVERY_MS) tracker.update({ ...frame, atMs: atMs + ms }, []);
  t.same(tracker.update({ ...frame, atMs: atMs + 8200 }, []), [], 'two seconds of looking forget it');
});

t.test('a car that stops is waited for until it is sure, and then held', async (t) => {
  const film = filming(1);
  const stationaryVehicles = new StationaryVehicles({ zones: [], moveTolerance: 0.25, nextPlace: () => 1 });
  const tracker = new Tracker();
  const body: Thing[] = [
    { box: [150, 100, 80, 45], levels: 70 },
    { box: [165, 105, 20, 15], levels: -110 },
    { box: [195, 105, 20, 15], levels: -120 },
    { box: [150, 135, 80, 10], levels: -90 },
  ];
  let atMs = 0;
  for (; atMs < 8000; atMs += EVERY_MS) {
    const frame = film(atMs, []);
    stationaryVehicles.update(frame, tracker.update(frame, []), []);
  }
  for (const endMs = atMs + 1000; atMs < endMs; atMs += EVERY_MS) {
    const frame = film(atMs, body);
    stationaryVehicles.update(frame, tracker.update(frame, [car()]), [car()]);
    if (atMs < endMs - EVERY_MS) t.equal(stationaryVehicles.waits(atMs), true);
  }
  for (const endMs = atMs + 400; atMs < endMs; atMs += EVERY_MS) {
    const frame = film(atMs, body);
    stationaryVehicles.update(frame, tracker.update(frame, [car()]), [car()]);
  }
  t.equal(stationaryVehicles.waits(atMs), false, 'found for a second: the rest is its picture');
  let last: unknown[] = [];
  for (const endMs = atMs + 60_000; atMs < endMs; atMs += EVERY_MS) {
    const frame = film(atMs, body);
    last = stationaryVehicles.update(frame, tracker.hold(frame), [car()], false);
  }
  t.match(
    last,
    [{ presence: 'held', vehicle: { firstMs: 8000, label: 'car' } }],
    'stands since it came, a minute later',
  );
});

const CHEAP = 'finding motion costs less than one and a half passes over the frame in CPU time';

t.test(CHEAP, { skip: unlessAll }, async (t) => {
  const frames = still(2, 3);
  const motion = new Motion();
  motion.update(frames[0] as Frame);
  motion.noteDetectorRun();
  const { ms, pass } = cpuMsOfRuns(2000, (i) => motion.update(frames[i % 2] as Frame));
  t.comment(`${ms.toFixed(3)} CPU-ms a frame, a pass over it ${pass.toFixed(3)}`);
  // Twice what it takes; an inference takes some sixty.
  t.ok(ms < 1.5 * pass, `${(ms / pass).toFixed(2)} passes`);
});
