/** Tests places of standing vehicles, whether the content of a box moves with it, and static false positives. */
import t from 'tap';
import type { MaskConfig } from '../../agent/contract/config.ts';
import type { XyxyPx } from '../../agent/contract/geometry.ts';
import type { StationaryVehicle } from '../../agent/contract/observation.ts';
import type { Detection, Frame, Track } from '../../agent/contract/picture.ts';
import { PixelMotion } from '../../agent/vision/observe/pixel-motion.ts';
import { StaticFalsePositives } from '../../agent/vision/observe/static-false-positives.ts';
import { StationaryVehicles } from '../../agent/vision/observe/stationary-vehicles.ts';
import { detectionOf, masking, paintGrey, trackOf } from '../lib/pictures.ts';
import { ALL } from '../lib/run.ts';
import { rectangle } from '../lib/shapes.ts';

const SOURCE = { widthPx: 416, heightPx: 256 };
const PARKED: XyxyPx = [200, 120, 260, 160];
const ZONES = [{ id: 'yard', polygon: rectangle(0, 0.3, 1, 1) }];

interface DrawnThing {
  readonly box: XyxyPx;
  /** Seed of the texture. */
  readonly seed: number;
}

/**
 * Grey street with noise and a house front behind it; things are drawn as coarse checkers, so that each seed looks
 * different.
 */
function frameAt(
  index: number,
  things: readonly DrawnThing[],
  light: (luma: number) => number = (v) => v,
): Frame {
  const { widthPx, heightPx } = SOURCE;
  const rgb = new Uint8Array(widthPx * heightPx * 3);
  for (let y = 0; y < heightPx; y++) {
    for (let x = 0; x < widthPx; x++) {
      const ground = y < 40 ? 170 : 110;
      let luma = ground + (((x * 7919 + y * 104_729 + index * 31) >>> 3) % 7) - 3;
      for (const { box, seed } of things) {
        if (x < box[0] || x >= box[2] || y < box[1] || y >= box[3]) continue;
        const cell = Math.floor((x - box[0]) / 10) * 5 + Math.floor((y - box[1]) / 8);
        luma = 30 + ((cell * cell * 37 + seed * 59 + cell * seed * 13) % 180);
      }
      paintGrey(rgb, y * widthPx + x, light(luma));
    }
  }
  const atMs = (index - 1) * 200;
  return { index, ptsNs: BigInt(atMs) * 1_000_000n, atMs, wallMs: atMs, source: SOURCE, input: SOURCE, rgb };
}

const car = (xyxyPx: XyxyPx, score = 0.2): Detection => detectionOf('car', xyxyPx, score);

const carTrack = (id: number, xyxyPx: XyxyPx, over: Partial<Track> = {}): Track =>
  trackOf(xyxyPx, { id, group: 'vehicle', label: 'car', score: 0.3, bestScore: 0.3, ...over });

/** One street, five frames a second; each step gives the detections. */
class Street {
  readonly #stationaryVehicles: StationaryVehicles;
  readonly #mask: (frame: Frame) => Frame;
  #index = 0;

  #places = 0;

  constructor(masks: readonly MaskConfig[] = []) {
    this.#mask = masking(masks);
    const nextPlace = (): number => ++this.#places;
    this.#stationaryVehicles = new StationaryVehicles({ zones: ZONES, moveTolerance: 0.25, nextPlace });
  }

  step(
    things: readonly DrawnThing[],
    detections: Detection[],
    tracks: Track[],
    light?: (v: number) => number,
  ): StationaryVehicle[] {
    this.#index += 1;
    const frame = this.#mask(frameAt(this.#index, things, light));
    return this.#stationaryVehicles.update(frame, tracks, detections);
  }

  /** A car comes in from the left and stops at PARKED. */
  arrive(seed = 1): StationaryVehicle[] {
    for (let i = 0; i < 30; i++) this.empty();
    for (let i = 10; i > 0; i--) {
      const box: XyxyPx = [PARKED[0] - 18 * i, PARKED[1], PARKED[2] - 18 * i, PARKED[3]];
      this.step([{ box, seed }], [car(box, 0.35)], [carTrack(5, box)]);
    }
    let last: StationaryVehicle[] = [];
    for (let i = 0; i < 20; i++) last = this.parked(true, seed);
    return last;
  }

  parked(isDetected: boolean, seed = 1, light?: (v: number) => number): StationaryVehicle[] {
    return this.step(
      [{ box: PARKED, seed }],
      isDetected ? [car(PARKED)] : [],
      isDetected ? [carTrack(5, PARKED)] : [],
      light,
    );
  }

  empty(): StationaryVehicle[] {
    return this.step([], [], []);
  }
}

t.test('a car that arrives and stops is one place in its zone since its stop', async (t) => {
  const vehicles = new Street().arrive();
  t.match(vehicles, [
    {
      place: Number,
      arrival: 'followed',
      presence: 'seen',
      vehicle: { label: 'car', zones: [{ zone: 'yard' }] },
    },
  ]);
  t.equal(vehicles.length, 1);
  const sinceMs = vehicles[0]?.vehicle.firstMs ?? 0;
  t.ok(sinceMs >= 7800 && sinceMs <= 8000, `stands since ${sinceMs} ms`);
});

t.test('a place lasts through lost detections, light, occlusion and flicker', async (t) => {
  const street = new Street();
  const place = street.arrive()[0]?.place;
  /** Checks that each of these frames shows the one place, and how. */
  const still = (frames: number, presence: string, see: () => StationaryVehicle[]): void => {
    const reports = Array.from({ length: frames }, see);
    t.same(
      reports.filter(([one]) => one?.place !== place || one?.presence !== presence),
      [],
      `${presence} at the same place`,
    );
  };
  const [lostFrames, darkFrames, hiddenFrames] = ALL ? [200, 100, 150] : [60, 40, 60];
  still(lostFrames, 'held', () => street.parked(false));
  still(darkFrames, 'held', () => street.parked(false, 1, (v) => 0.5 * v + 20));
  const bus: XyxyPx = [150, 80, 320, 200];
  const inFront = () =>
    street.step(
      [
        { box: PARKED, seed: 1 },
        { box: bus, seed: 9 },
      ],
      [car(bus, 0.5)],
      [carTrack(8, bus, { label: 'bus' })],
    );
  const hidden = Array.from({ length: hiddenFrames }, inFront);
  t.ok(
    hidden.every((vehicles) => vehicles.some((one) => one.place === place)),
    'behind a bus',
  );
  still(1, 'seen', () => street.parked(true));
});

t.test('a place ends when it is empty, and the next car is another place', async (t) => {
  const street = new Street();
  const first = street.arrive()[0]?.place;
  let framesUntilGone = 0;
  while (street.empty().length > 0 && framesUntilGone < 100) framesUntilGone += 1;
  t.ok(framesUntilGone >= 20 && framesUntilGone <= 26, `gone after ${framesUntilGone / 5} s`);
  const second = street.arrive(2);
  t.equal(second.length, 1);
  t.not(second[0]?.place, first);
});

t.test('a car half under a privacy mask comes and goes as any other', async (t) => {
  const polygon = rectangle(0, 0, 232 / 416, 1);
  const street = new Street([{ id: 'forecourt', polygon }]);
  t.equal(street.arrive().length, 1, 'it has come');
  for (let i = 0; i < 49; i += 1) street.parked(false);
  t.match(street.parked(false), [{ presence: 'held' }], 'ten seconds later');
  let framesUntilGone = 0;
  while (street.empty().length > 0 && framesUntilGone < 100) framesUntilGone += 1;
  t.ok(framesUntilGone >= 20 && framesUntilGone <= 26, `gone after ${framesUntilGone / 5} s`);
});

t.test('its own track moving away ends a place immediately', async (t) => {
  const street = new Street();
  street.arrive();
  const newBox: XyxyPx = [PARKED[0] + 90, PARKED[1], PARKED[2] + 90, PARKED[3]];
  t.same(street.step([{ box: newBox, seed: 1 }], [car(newBox)], [carTrack(5, newBox)]), []);
});

t.test('a flicker, a weak false box and a driving car are not standing', async (t) => {
  const flicker = new Street();
  const ghost = new Street();
  const drive = new Street();
  let raised = 0;
  for (let i = 0; i < (ALL ? 300 : 100); i++) {
    raised += flicker.step([], i % 20 === 0 ? [car(PARKED, 0.5)] : [], []).length;
    raised += ghost.step([{ box: PARKED, seed: 3 }], [car(PARKED, 0.2)], []).length;
    const x = (i * 8) % 350;
    const box: XyxyPx = [x, 120, x + 60, 160];
    raised += drive.step([{ box, seed: 1 }], [car(box, 0.5)], [carTrack(7, box)]).length;
  }
  t.equal(raised, 0, 'a rare ghost, a weak one that never arrived, one that drives');
});

t.test('a vehicle from before the start counts as unseen arrival, whenever it is found', async (t) => {
  const things = [{ box: PARKED, seed: 3 }] as const;
  for (const foundFromS of ALL ? [0, 1, 4, 9, 20] : [0, 4]) {
    const street = new Street();
    let last: StationaryVehicle[] = [];
    for (let i = 0; i < 5 * (foundFromS + 8); i++) {
      const isFound = i >= 5 * foundFromS;
      last = street.step(things, isFound ? [car(PARKED, 0.6)] : [], isFound ? [carTrack(4, PARKED)] : []);
    }
    t.match(last, [{ arrival: 'unseen' }], `found from ${foundFromS} s on`);
  }
});

t.test('a vehicle in the first picture counts as unseen arrival, even if a track jumps to it', async (t) => {
  const things = [{ box: PARKED, seed: 3 }] as const;
  const neighbour: XyxyPx = [PARKED[0] - 60, PARKED[1], PARKED[2] - 60, PARKED[3]];
  for (const jumpsAtS of ALL ? [0.4, 1, 3] : [1]) {
    const street = new Street();
    let last: StationaryVehicle[] = [];
    for (let i = 0; i < 60; i++) {
      const box = i < 5 * jumpsAtS ? neighbour : PARKED;
      last = street.step(things, [car(box, 0.6)], [carTrack(4, box)]);
    }
    t.match(last, [{ arrival: 'unseen' }], `upon it after ${jumpsAtS} s`);
  }
});

t.test('a vehicle that arrives within the first seconds was followed', async (t) => {
  const street = new Street();
  let last: StationaryVehicle[] = [];
  for (let i = 0; i < 40; i++) {
    const left = PARKED[0] - 18 * Math.max(0, 8 - i);
    const box: XyxyPx = [left, PARKED[1], left + 60, PARKED[3]];
    last = street.step([{ box, seed: 1 }], [car(box, 0.6)], [carTrack(4, box)]);
  }
  t.match(last, [{ arrival: 'followed' }]);
});

t.test('a part of a vehicle is not a second one, but a vehicle before it is', async (t) => {
  const street = new Street();
  for (let i = 0; i < 30; i++) street.empty();
  const part: XyxyPx = [206, 120, 256, 136];
  let last: StationaryVehicle[] = [];
  for (let i = 0; i < 40; i++) {
    last = street.step(
      [{ box: PARKED, seed: 1 }],
      [car(PARKED), car(part)],
      [carTrack(5, PARKED), carTrack(8, part)],
    );
  }
  t.equal(last.length, 1);
  const before: XyxyPx = [210, 134, 250, 166];
  for (let i = 0; i < 40; i++) {
    last = street.step(
      [
        { box: PARKED, seed: 1 },
        { box: before, seed: 7 },
      ],
      [car(PARKED), car(before, 0.4)],
      [carTrack(5, PARKED), carTrack(9, before)],
    );
  }
  t.equal(last.length, 2);
});

t.test('a briefly detected vehicle stands only when it is detected again', async (t) => {
  const street = new Street();
  for (let i = 0; i < 30; i++) street.empty();
  let last: StationaryVehicle[] = [];
  for (let i = 0; i < 30; i++) last = street.parked(i < 4);
  t.equal(last.length, 0, 'its picture alone is not enough');
  last = street.parked(true);
  t.equal(last.length, 1);
  t.equal(last[0]?.vehicle.firstMs, 6000, 'since it came');
});

const SIZE = { widthPx: 416, heightPx: 256 };
const STEP_MS = 200;
/** Shared buffer, as in the camera: each frame takes the place of the previous one. */
const CAMERA = Buffer.alloc(SIZE.widthPx * SIZE.heightPx * 3);

/** A texture without period: smooth over 6 px, distinct at each place. */
function textureAt(x: number, y: number, seed: number): number {
  const at = (i: number, j: number): number =>
    Math.abs(Math.sin(i * 12.9898 + j * 78.233 + seed * 37.7) * 43758.5453) % 1;
  const [i, j] = [Math.floor(x / 6), Math.floor(y / 6)];
  const [u, v] = [x / 6 - i, y / 6 - j];
  const rowValue = (row: number): number => at(i, row) * (1 - u) + at(i + 1, row) * u;
  return 40 + 140 * (rowValue(j) * (1 - v) + rowValue(j + 1) * v);
}

/** The textures of the street and of a thing, each computed once. */
const [GROUND_TEXTURE, THING_TEXTURE] = [textureOf(1), textureOf(2)];

function textureOf(seed: number): Float64Array {
  return Float64Array.from({ length: SIZE.widthPx * SIZE.heightPx }, (_, pixel) =>
    textureAt(pixel % SIZE.widthPx, Math.floor(pixel / SIZE.widthPx), seed),
  );
}

/** A street, something of another texture in `box`, and the effects of light and lens. */
function pictureAt(
  atMs: number,
  box: XyxyPx | undefined,
  light: (level: number, x: number, y: number) => number = (level) => level,
): Frame {
  const rgb = CAMERA;
  for (let y = 0; y < SIZE.heightPx; y += 1) {
    for (let x = 0; x < SIZE.widthPx; x += 1) {
      const inBox = box !== undefined && x >= box[0] && x < box[2] && y >= box[1] && y < box[3];
      const pixel = y * SIZE.widthPx + x;
      const level = inBox ? THING_TEXTURE[pixel - box[1] * SIZE.widthPx - box[0]] : GROUND_TEXTURE[pixel];
      paintGrey(rgb, pixel, light(level as number, x, y));
    }
  }
  return { index: 1, ptsNs: 0n, atMs, wallMs: atMs, source: SIZE, input: SIZE, rgb };
}

const vehicle = (xyxyPx: XyxyPx, over: Partial<Track> = {}): Track =>
  trackOf(xyxyPx, { group: 'vehicle', label: 'car', score: 0.4, bestScore: 0.4, ...over });

const boxAt = (x: number): XyxyPx => [x, 100, x + 48, 136];

/** Ratio of the detector runs after the first at which the pixels are reported to move. */
function movingRatio(steps: number, at: (k: number) => { frame: Frame; track: Track }): number {
  const pixels = new PixelMotion();
  let moving = 0;
  for (let k = 0; k < steps; k += 1) {
    const { frame, track } = at(k);
    if (pixels.update(frame, [track]).has(track.id) && k > 0) moving += 1;
  }
  return moving / (steps - 1);
}

t.test('a driving vehicle moves its pixels, also in changing light', async (t) => {
  const drive = (k: number) => boxAt(60 + 16 * k);
  const drives = (light?: (level: number) => number) =>
    movingRatio(8, (k) => ({ frame: pictureAt(k * STEP_MS, drive(k), light), track: vehicle(drive(k)) }));
  t.equal(drives(), 1);
  let gain = 1;
  const dimming = movingRatio(8, (k) => {
    gain = 1 - 0.07 * k;
    return { frame: pictureAt(k * STEP_MS, drive(k), (level) => level * gain), track: vehicle(drive(k)) };
  });
  t.equal(dimming, 1, 'while the exposure goes down');
});

t.test('a box that moves over a still picture moves no pixels', async (t) => {
  const wander = (k: number) => boxAt(120 + (k % 2 === 0 ? 0 : 20));
  const over = (light: (k: number) => (level: number, x: number, y: number) => number) =>
    movingRatio(10, (k) => ({
      frame: pictureAt(k * STEP_MS, boxAt(120), light(k)),
      track: vehicle(wander(k)),
    }));
  t.equal(
    over(() => (level) => level),
    0,
    'to and fro',
  );
  t.equal(
    over((k) => (level) => level * (1 - 0.06 * k) + 4),
    0,
    'in light that fades',
  );
  t.equal(
    over((k) => (level) => 110 + (level - 110) * (k % 4 < 2 ? 1 : 0.4)),
    0,
    'while the focus hunts',
  );
  const edge = movingRatio(10, (k) => ({
    frame: pictureAt(k * STEP_MS, undefined, (level, x) => (x < 100 + 16 * k ? level * 0.55 : level)),
    track: vehicle(boxAt(80 + 16 * k)),
  }));
  t.ok(edge <= 0.2, `under the edge of a shadow that travels: ${edge}`);
});

t.test('a newly confirmed track is compared with its earlier places', async (t) => {
  const pixels = new PixelMotion();
  const before = [0, 1].map((k) => ({ atMs: k * STEP_MS, xyxyPx: boxAt(60 + 40 * k) }));
  for (const { atMs, xyxyPx } of before) pixels.update(pictureAt(atMs, xyxyPx), []);
  const now = boxAt(140);
  t.ok(pixels.update(pictureAt(400, now), [vehicle(now, { before })]).has(1));
});

t.test('a weak box that returns over the same picture becomes a static false positive', async (t) => {
  const staticFalsePositives = new StaticFalsePositives();
  const box = boxAt(200);
  let atMs = 0;
  let id = 0;
  /**
   * Appears for three seconds and is absent for fifteen; returns whether its first and last run marked it as a static
   * false positive.
   */
  const visit = (picture: XyxyPx | undefined, over: Partial<Track> = {}, moves = false): boolean[] => {
    id += 1;
    const marked: boolean[] = [];
    for (let k = 0; k < 4; k += 1, atMs += 1000) {
      const tracks = [vehicle(box, { id, ...over })];
      marked.push(
        staticFalsePositives
          .update(pictureAt(atMs, picture), tracks, new Set(moves && k > 0 ? [id] : []))
          .has(id),
      );
    }
    staticFalsePositives.update(pictureAt(atMs, picture), [], new Set());
    atMs += 15_000;
    return [marked[0] as boolean, marked[3] as boolean];
  };
  for (let k = 0; k < 3; k += 1) t.same(visit(undefined), [false, false], `not known yet, ${k + 1}`);
  t.same(visit(undefined), [true, true], 'the fourth time');
  t.same(visit(box), [false, false], 'another object there: another picture');
  t.same(visit(undefined, { bestScore: 0.6 }), [false, false], 'a sure detection');
  t.same(visit(undefined, {}, true), [true, false], 'until it moves');
  t.same(visit(undefined, { group: 'person', label: 'person' }), [false, false], 'another group');
  t.equal(staticFalsePositives.droppedPlaces, 0);
});
