/** Tests places of standing vehicles: when they begin and end, and what keeps them. */
import t from 'tap';
import type { MaskConfig } from '../../agent/contract/config.ts';
import type { XyxyPx } from '../../agent/contract/geometry.ts';
import type { StationaryVehicle } from '../../agent/contract/observation.ts';
import type { Detection, Frame, Track } from '../../agent/contract/picture.ts';
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
    const seen = Array.from({ length: frames }, see);
    t.same(
      seen.filter(([one]) => one?.place !== place || one?.presence !== presence),
      [],
      `${presence} at the same place`,
    );
  };
  const [lost, dark, behind] = ALL ? [200, 100, 150] : [60, 40, 60];
  still(lost, 'held', () => street.parked(false));
  still(dark, 'held', () => street.parked(false, 1, (v) => 0.5 * v + 20));
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
  const hidden = Array.from({ length: behind }, inFront);
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
