/** Tests when the detector need not run, and how often it does: moving parts, held tracks, and objects in zones and at lines. */
import t, { type Test } from 'tap';
import { type Detection, EVERY_FRAME, type Frame, type Track } from '../../agent/contract/picture.ts';
import { StationaryVehicles } from '../../agent/vision/observe/stationary-vehicles.ts';
import { Motion } from '../../agent/vision/schedule/motion.ts';
import { watchedCells } from '../../agent/vision/schedule/motion-cells.ts';
import { MotionGate } from '../../agent/vision/schedule/motion-gate.ts';
import { RateControl } from '../../agent/vision/schedule/rate-control.ts';
import { FPS_MAX, WantedRate, type WatchedPlaces } from '../../agent/vision/schedule/wanted-rate.ts';
import { Tracker } from '../../agent/vision/track/tracker.ts';
import { cpuMsOfRuns } from '../lib/cpu-time.ts';
import { GreyCamera } from '../lib/grey-camera.ts';
import { detectionOf, masking } from '../lib/pictures.ts';
import { randomOf } from '../lib/random.ts';
import { ALL, unlessAll } from '../lib/run.ts';
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

const FRAME_MS = 1000 / 15;
const LINE = { id: 'line', from: [0.5, 0] as [number, number], to: [0.5, 1] as [number, number] };

interface Square {
  readonly leftPx: number;
  readonly sidePx: number;
}

/** A grey picture with things in the middle, in pixels of the detector's input. */
function greyOf(things: readonly Square[]): Uint8Array {
  const { widthPx, heightPx } = INPUT;
  const grey = new Uint8Array(widthPx * heightPx).fill(90);
  for (const { leftPx, sidePx } of things) {
    for (let y = 120; y < 120 + sidePx; y += 1) {
      const from = y * widthPx + 2 * Math.round(leftPx / 2);
      grey.fill(200, from, from + sidePx);
    }
  }
  return grey;
}

/** A camera, and the rate that its street demands. */
class WatchedStreet {
  readonly rate: WantedRate;
  readonly #camera: GreyCamera;
  #index = 0;

  constructor(t: Test, places: WatchedPlaces) {
    this.rate = new WantedRate({ ...places, usualFps: 5 });
    this.#camera = new GreyCamera(t, INPUT, watchedCells(places, 0));
  }

  /** Shows the next picture, 15 a second; returns its media time. */
  async show(things: readonly Square[]): Promise<number> {
    this.#camera.show(greyOf(things), this.#index * FRAME_MS);
    this.#index += 1;
    const every = { ...EVERY_FRAME, ...this.rate.reasons(0) };
    const glimpse = await this.#camera.next(() => every);
    this.rate.watch(glimpse);
    return glimpse.atMs;
  }

  /**
   * A thing goes through the picture and is tracked from the third frame on; returns the rate wanted at each frame.
   */
  async passingRates(sidePx: number, pxPerS: number, id = 1): Promise<number[]> {
    const rates: number[] = [];
    let firstMs = 0;
    for (let i = 0; (i / 15) * pxPerS + sidePx < INPUT.widthPx; i += 1) {
      const thing = { leftPx: (i / 15) * pxPerS, sidePx };
      const atMs = await this.show([thing]);
      if (i === 2) firstMs = atMs;
      rates.push(this.rate.fps(atMs, false));
      this.rate.note({ source: SOURCE }, i < 2 ? [] : [track(id, thing, pxPerS, firstMs, atMs)]);
    }
    this.rate.note({ source: SOURCE }, []);
    return rates;
  }
}

/** A track in source pixels, which are twice those of the input. */
function track(
  id: number,
  { leftPx, sidePx }: Square,
  pxPerS: number,
  firstMs: number,
  lastMs: number,
): Track {
  const xyxyPx = [2 * leftPx, 240, 2 * (leftPx + sidePx), 240 + 2 * sidePx] as const;
  const velocityPxPerS = [2 * pxPerS, 0] as const;
  const about = { group: 'vehicle', label: 'car', score: 0.8, bestScore: 0.8, seen: true } as const;
  return { id, ...about, xyxyPx, velocityPxPerS, firstMs, lastMs };
}

const AT_LINE = { zones: [], lines: [LINE] };

t.test('a still street is analysed once a second, and motion at the usual rate at least', async (t) => {
  const street = new WatchedStreet(t, AT_LINE);
  for (let i = 0; i < 60; i += 1) await street.show([]);
  t.equal(street.rate.fps(59 * FRAME_MS, false), 1);
  t.equal(street.rate.fps(59 * FRAME_MS, true), 5, 'an object is expected');
  t.equal(
    street.rate.fps(await street.show([{ leftPx: 10, sidePx: 20 }]), false),
    5,
    'in the very frame, far from the line',
  );
  t.equal(
    street.rate.fps(await street.show([{ leftPx: 190, sidePx: 20 }]), false),
    FPS_MAX,
    'near the line, at an unknown speed',
  );
});

t.test('fast objects at a line raise the rate; walkers and objects off the line do not', async (t) => {
  const fast = await new WatchedStreet(t, AT_LINE).passingRates(20, 90);
  t.equal(
    Math.round(10 * Math.max(...fast.slice(15, 40))) / 10,
    12.9,
    'four and a half sizes a second, 0.35 of its size between two looks',
  );
  const street = new WatchedStreet(t, AT_LINE);
  for (let n = 0; n < 30; n += 1) await street.passingRates(40, 30, n + 1);
  for (let n = 0; n < 30; n += 1) await street.show([]);
  t.ok(
    Math.max(...(await street.passingRates(40, 30, 99))) <= 6,
    'nine of ten here walked, so the next one is not expected to be fast',
  );
  const off = new WatchedStreet(t, { zones: [], lines: [{ ...LINE, from: [0.5, 0], to: [0.5, 0.1] }] });
  t.equal(Math.max(...(await off.passingRates(20, 90))), 5);
});

t.test('a fast object in a zone gets three detector runs where the rate allows it', async (t) => {
  const zones = [{ id: 'zone', polygon: rectangle(0.5, 0, 0.62, 1) }];
  const wide = await new WatchedStreet(t, { zones, lines: [] }).passingRates(120, 130);
  t.ok(Math.max(...wide.slice(20)) >= 7 && Math.max(...wide.slice(20)) <= 10, 'through it in .4 s');
});

/** Number of analysed frames, of 15 a second for the given time. */
function analysedCount(rateControl: RateControl, fromS: number, seconds: number, fps: number): number {
  let count = 0;
  for (let i = 0; i < seconds * 15; i += 1) {
    const atMs = fromS * 1000 + i * FRAME_MS;
    if (!rateControl.isDue(atMs, { fps, pictured: false, isHeld: true })) continue;
    rateControl.noteAnalysed('look', atMs);
    count += 1;
  }
  return count;
}

t.test('the rate follows the street within its mean, and is never below the usual', async (t) => {
  const rateControl = new RateControl(5, true);
  t.equal(analysedCount(rateControl, 0, 10, 15), 150, 'ten seconds at fifteen');
  const minute = analysedCount(rateControl, 10, 60, 15);
  t.ok(minute >= 300 && minute <= 360, `a minute more: ${minute}`);
  const later = analysedCount(rateControl, 70, 600, 15) / 600;
  t.ok(later >= 4.9 && later <= 5.1, `the mean: ${later}`);
  t.ok(rateControl.short > 1000, 'and what was left out is counted');
  t.ok(Math.abs(analysedCount(rateControl, 670, 120, 1) - 120) <= 1, 'once a second where nothing moves');
  t.equal(analysedCount(rateControl, 790, 10, 15), 150, 'which pays for the next');
  t.equal(rateControl.shed, 0);
});

t.test('any rate is kept on average with frames that come at another', async (t) => {
  for (const [fps, comes] of [
    [5, 15],
    [8, 15],
    [11, 15],
    [15, 12.5],
    [6, 12.5],
  ] as const) {
    const rateControl = new RateControl(5, true);
    let count = 0;
    for (let i = 0; i < 10 * comes; i += 1) {
      if (rateControl.isDue((i * 1000) / comes, { fps, pictured: false, isHeld: true })) count += 1;
    }
    t.ok(Math.abs(count / 10 - Math.min(fps, comes)) <= 0.06 * fps, `${fps} of ${comes}: ${count / 10}`);
  }
});

t.test('a frame with a picture is analysed, unless the board is hot', async (t) => {
  const rateControl = new RateControl(5, true);
  rateControl.isDue(0, { fps: 1, pictured: false, isHeld: true });
  t.equal(rateControl.isDue(67, { fps: 1, pictured: false, isHeld: true }), false);
  t.equal(rateControl.isDue(133, { fps: 1, pictured: true, isHeld: true }), true);
  rateControl.heat(2);
  t.equal(rateControl.isDue(200, { fps: 15, pictured: true, isHeld: true }), false);
  t.equal(rateControl.shed, 1);
  t.equal(rateControl.isDue(533, { fps: 15, pictured: false, isHeld: true }), true);
});

t.test('a board with slow detector runs gets no higher rate than it can do', async (t) => {
  const rateControl = new RateControl(5, true);
  for (let i = 0; i < 50; i += 1) rateControl.noteDuration(100, i * 200);
  const rate = analysedCount(rateControl, 10, 10, 15) / 10;
  t.ok(rate > 6 && rate <= 7.5, `looks of 100 ms, 0.7 of the time: ${rate}`);
});

t.test('no frame that the terms pass over is due, whatever moves and is tracked', async (t) => {
  let passed = 0;
  let waits = 0;
  for (let seed = 1; seed <= (ALL ? 2000 : 200); seed += 1) {
    const random = randomOf(seed);
    const usualFps = [2, 5, 8][seed % 3] as number;
    const rate = new WantedRate({ ...AT_LINE, usualFps });
    const rateControl = new RateControl(usualFps, seed % 11 !== 0);
    if (seed % 7 === 0) rateControl.heat(1 + (seed % 3));
    let [atMs, moves, isAwaited, speed] = [0, false, false, 0];
    let terms = { fromMs: Number.NEGATIVE_INFINITY, onMotion: true };
    for (let n = 0; n < 600; n += 1) {
      atMs += FRAME_MS * (0.6 + 0.8 * random()) * (random() < 0.02 ? 5 : 1);
      if (random() < 0.02) moves = !moves;
      const any = moves && random() < 0.8;
      const unknown = any && random() < 0.1;
      rate.watch({ atMs, motion: { any, unknown, size: INPUT } });
      const due = rateControl.isDue(atMs, { fps: rate.fps(atMs, isAwaited), pictured: false, isHeld: true });
      const isWanted = atMs >= terms.fromMs || unknown || (any && terms.onMotion);
      if (!isWanted) passed += 1;
      if (due && !isWanted) t.fail(`seed ${seed}, ${atMs} ms: due before ${terms.fromMs} ms`);
      if (!isWanted) continue;
      waits += 1;
      if (due) {
        if (random() < 0.1) speed = 300 * random();
        if (random() < 0.1) isAwaited = !isAwaited;
        rateControl.noteAnalysed(random() < 0.2 ? 'closer look' : random() < 0.3 ? 'held' : 'look', atMs);
        rateControl.noteDuration(150 * random(), atMs);
        const thing = { leftPx: 200, sidePx: 20 };
        rate.note({ source: SOURCE }, speed < 50 ? [] : [track(1, thing, speed, atMs - 2000, atMs)]);
      }
      const outlook = [rate.fps(atMs, isAwaited), rate.leastFps(atMs)] as const;
      terms = { fromMs: rateControl.notBeforeMs(...outlook), onMotion: rate.reasons(atMs).onMotion };
    }
  }
  t.ok(passed > waits, `${passed} are passed over, ${waits} not`);
});
