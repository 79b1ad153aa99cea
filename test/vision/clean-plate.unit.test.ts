/**
 * Tests the clean plate, the picture of a place without people: what it learns, what it never learns, and when it
 * forgets. People are painted in colours that occur nowhere else, so that a single pixel of them would show.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import type { SizePx, XyxyPx } from '../../agent/contract/geometry.ts';
import type { Label } from '../../agent/contract/label.ts';
import {
  type Detection,
  type Foreground,
  MOVING,
  SETTLED,
  type Track,
  type YuvPlanes,
} from '../../agent/contract/picture.ts';
import { gridOf } from '../../agent/vision/redact/cells.ts';
import { CleanPlate, type LearntScene } from '../../agent/vision/redact/clean-plate.ts';
import { drawCell } from '../../agent/vision/redact/clean-plate-cell.ts';
import { DetectionHistory } from '../../agent/vision/redact/history.ts';
import { detectionOf, trackOf } from '../lib/pictures.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { ALL } from '../lib/run.ts';

const SIZE: SizePx = { widthPx: 320, heightPx: 240 };
const GRID = gridOf(SIZE);
const STEP_MS = 200;
const random = randomOf(SEED);

/** Blue and red difference of painted people: far from any of the street's, which has none beyond 20. */
const PAINT = { u: 240, v: 30 };

interface Painted {
  readonly box: XyxyPx;
  /** Score of the detector; absent if it misses the object. */
  readonly score?: number;
  readonly label?: Label;
  readonly track?: boolean;
  /** Levels of the object; by default PAINT, or a vehicle's own pattern. */
  readonly level?: (x: number, y: number) => number;
}

interface StreetView {
  readonly things?: readonly Painted[];
  readonly light?: number;
  readonly noise?: number;
  /** Pixels by which the camera has turned. */
  readonly turned?: number;
  readonly foreground?: Foreground;
  readonly size?: SizePx;
}

/** Remembers the values of a function of whole numbers, because thousands of pictures are painted from the same. */
function remembered(of: (at: number) => number): (at: number) => number {
  const otherValues = new Map<number, number>();
  const few = new Float64Array(512).map((_, at) => of(at));
  return (at) => {
    const value = at >= 0 && at < few.length ? few[at] : otherValues.get(at);
    if (value !== undefined) return value;
    otherValues.set(at, of(at));
    return of(at);
  };
}

const sine = remembered((x) => Math.sin(x / 9));
const cosine = remembered((y) => Math.cos(y / 13));

/** A street with a pattern of some contrast. */
function street(x: number, y: number): number {
  return 90 + 40 * sine(x) * cosine(y) + (x >= 200 ? 40 : 0);
}

/** Key and planes of the last picture, since most pictures of a long watch are alike. */
let painted: { key: string; planes: YuvPlanes } | undefined;

function planesOf(view: StreetView): YuvPlanes {
  const key = JSON.stringify([view.things?.map(({ box }) => box), view.light, view.turned, view.size]);
  if (view.noise === undefined && painted?.key === key) return painted.planes;
  painted = { key, planes: paint(view) };
  return painted.planes;
}

function paint({ things = [], light = 1, noise = 0, turned = 0, size = SIZE }: StreetView): YuvPlanes {
  const { widthPx, heightPx } = size;
  const y = new Uint8Array(widthPx * heightPx);
  const u = new Uint8Array((widthPx * heightPx) / 4);
  const v = new Uint8Array(u.length);
  for (let row = 0; row < heightPx; row += 1) {
    const inRow = things.filter(({ box: [, top, , bottom] }) => row >= top && row < bottom);
    for (let x = 0; x < widthPx; x += 1) {
      const thing = inRow.length === 0 ? undefined : inRow.findLast(({ box: [l, , r] }) => x >= l && x < r);
      const level = thing === undefined ? street(x + turned, row) : (thing.level?.(x, row) ?? 60);
      const grain = noise === 0 ? 0 : noise * (random() + random() - 1) * 2.45;
      y[row * widthPx + x] = Math.min(255, Math.max(0, level * light + grain));
      const at = (row >> 1) * (widthPx / 2) + (x >> 1);
      u[at] = thing !== undefined && thing.level === undefined ? PAINT.u : 118;
      v[at] = thing !== undefined && thing.level === undefined ? PAINT.v : 136;
    }
  }
  return { size, y, u, v, strideY: widthPx, strideUv: widthPx / 2 };
}

/** A camera at five frames a second, with planes once a second. */
class Street {
  readonly cleanPlate = new CleanPlate();
  readonly #history = new DetectionHistory();
  #atMs = 0;

  get atMs(): number {
    return this.#atMs;
  }

  get learntScene(): LearntScene {
    const { learntScene } = this.cleanPlate;
    if (learntScene === undefined) throw new Error('nothing was seen yet');
    return learntScene;
  }

  /** Lets seconds pass; `look` is called for every frame, with the seconds since the call. */
  watch(seconds: number, viewAt: (s: number) => StreetView = () => ({})): this {
    for (let s = 0; s < seconds; s += STEP_MS / 1000) {
      const view = viewAt(s);
      const visible = (view.things ?? []).filter(({ score }) => score !== undefined);
      const source = view.size ?? SIZE;
      const frame = { atMs: this.#atMs, wallMs: this.#atMs, source };
      const tracks = visible.filter(({ track }) => track === true).map((thing, id) => tracked(thing, id + 1));
      const added = this.#history.add(frame, visible.map(detected), tracks, view.foreground);
      this.cleanPlate.take(added, Math.round(this.#atMs) % 1000 === 0 ? planesOf(view) : undefined);
      this.#atMs += STEP_MS;
    }
    return this;
  }

  knownRatio([left, top, right, bottom]: XyxyPx = [0, 0, SIZE.widthPx, SIZE.heightPx]): number {
    let [cells, knownCount] = [0, 0];
    for (let y = Math.ceil(top / 8); y < Math.floor(bottom / 8); y += 1) {
      for (let x = Math.ceil(left / 8); x < Math.floor(right / 8); x += 1) {
        cells += 1;
        knownCount += this.learntScene.cells[y * GRID.columns + x] ?? 0;
      }
    }
    return knownCount / cells;
  }

  /** Pixels of known cells with the paint's colour. */
  get painted(): number {
    const { planes, cells } = this.learntScene;
    const { u, v, strideUv } = planes;
    return u.filter((level, at) => {
      const [x, y] = [at % strideUv, Math.floor(at / strideUv)];
      const isKnown = cells[(y >> 2) * GRID.columns + (x >> 2)] === 1;
      return isKnown && Math.abs(level - PAINT.u) < 60 && Math.abs((v[at] ?? 0) - PAINT.v) < 60;
    }).length;
  }

  /** Mean difference of brightness between the drawn clean plate, in the current light, and the empty street. */
  errorIn([left, top, right, bottom]: XyxyPx, light = 1, turned = 0): number {
    const { planes, cells, light: correction } = this.learntScene;
    const rgb = new Uint8Array(SIZE.widthPx * SIZE.heightPx * 3);
    for (let cell = 0; cell < cells.length; cell += 1) {
      if (cells[cell] === 1) drawCell(rgb, planes, cell, GRID, correction);
    }
    let [sum, count] = [0, 0];
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) {
        const at = (y * SIZE.widthPx + x) * 3;
        const level = 0.299 * (rgb[at] ?? 0) + 0.587 * (rgb[at + 1] ?? 0) + 0.114 * (rgb[at + 2] ?? 0);
        sum += Math.abs(level - Math.min(255, street(x + turned, y) * light));
        count += 1;
      }
    }
    return sum / count;
  }
}

const detected = ({ box, score = 0, label = 'person' }: Painted): Detection => detectionOf(label, box, score);
const tracked = (thing: Painted, id: number): Track => {
  const { label, group } = detected(thing);
  return trackOf(thing.box, { id, label, group, score: 0.6, bestScore: 0.6 });
};

/** A foreground of 40 × 30 cells. */
function foregroundIn([left, top, right, bottom]: XyxyPx, value: number): Foreground {
  const cells = new Uint8Array(40 * 30);
  for (let y = Math.floor(top / 8); y < bottom / 8; y += 1) {
    cells.fill(value, y * 40 + Math.floor(left / 8), y * 40 + Math.ceil(right / 8));
  }
  return { columns: 40, rows: 30, cellNorm: [1 / 40, 1 / 30], cells };
}

const BOX: XyxyPx = [120, 80, 152, 176];
const EVERYWHERE: XyxyPx = [0, 0, 320, 240];

t.test('an empty place is known unchanged within seconds', async (t) => {
  const watched = new Street().watch(2);
  t.equal(watched.knownRatio(), 0, 'not at once');
  watched.watch(8);
  t.equal(watched.knownRatio(), 1);
  t.ok(watched.errorIn(EVERYWHERE) < 2, `${watched.errorIn(EVERYWHERE)} levels`);
});

t.test('a walker is never learnt, and the place walked over is', async (t) => {
  const walking = (s: number): StreetView => {
    const x = 10 + ((s * 40) % 280);
    return { things: [{ box: [x, 80, x + 32, 176], score: 0.7, track: true }] };
  };
  const watched = new Street().watch(60, walking);
  t.equal(watched.painted, 0);
  t.ok(watched.knownRatio([0, 96, 320, 160]) > 0.9, 'while he walks there');
  watched.watch(60);
  t.equal(watched.painted, 0);
  t.equal(watched.knownRatio(), 1);
});

t.test('a person who stays for a minute is not learnt, however rarely detected', async (t) => {
  const cases: [string, (s: number) => number | undefined][] = [
    ['found for sure', () => 0.7],
    ['found badly all the time', () => 0.2],
    ['found badly every third second', (s) => (Math.floor(s) % 3 === 0 ? 0.2 : undefined)],
    ['found for sure every fifth second', (s) => (Math.floor(s) % 5 === 0 ? 0.6 : undefined)],
    ['found badly for a second in ten', (s) => (Math.floor(s) % 10 === 5 ? 0.3 : undefined)],
  ];
  for (const [name, score] of ALL ? cases : cases.slice(-2)) {
    const viewAt = (s: number): StreetView => {
      const detection = score(s);
      return { things: [{ box: BOX, ...(detection !== undefined && { score: detection }) }] };
    };
    const watched = new Street().watch(60, viewAt);
    t.equal(watched.knownRatio(BOX), 0, name);
    watched.watch(65);
    t.equal(watched.painted, 0, `${name}: he has gone without a trace`);
    t.equal(watched.knownRatio(BOX), 1, `${name}: and the place is known`);
  }
});

t.test('a person who stays for long is not learnt with some sure detections', async (t) => {
  const viewAt = (s: number): StreetView => ({
    things: [{ box: BOX, score: Math.floor(s) % 60 < 5 ? 0.6 : 0.25 }],
  });
  const watched = new Street().watch(ALL ? 3600 : 130, viewAt);
  t.equal(watched.knownRatio([128, 104, 144, 152]), 0, 'his body');
  t.equal(watched.knownRatio([0, 0, 80, 240]), 1, 'beside him the place is known');
});

t.test('a weak but constant detection is a static false positive after a minute', async (t) => {
  const bench = { box: BOX, score: 0.3, level: (x: number) => 70 + (x % 5) * 4 };
  const watched = new Street().watch(58, () => ({ things: [bench] }));
  t.equal(watched.knownRatio(BOX), 0);
  watched.watch(12, () => ({ things: [bench] }));
  t.equal(watched.knownRatio(BOX), 1);
});

t.test('motion is not learnt, nor a put-down object for a minute, even if undetected', async (t) => {
  for (const [value, seconds] of [
    [MOVING, ALL ? 300 : 90],
    [SETTLED, 60],
  ] as const) {
    const viewAt = (): StreetView => ({ things: [{ box: BOX }], foreground: foregroundIn(BOX, value) });
    const watched = new Street().watch(seconds, viewAt);
    t.equal(watched.knownRatio(BOX), 0);
    t.equal(watched.painted, 0);
  }
});

t.test('a left thing is not in the clean plate before it belongs to the place', async (t) => {
  const bag: Painted = { box: BOX };
  const watched = new Street().watch(20);
  watched.watch(60, () => ({ things: [bag], foreground: foregroundIn(BOX, SETTLED) }));
  t.equal(watched.painted, 0, 'while it is new');
  t.equal(watched.knownRatio(BOX), 1, 'the place without it stays known');
  watched.watch(20, () => ({ things: [bag], foreground: foregroundIn(BOX, SETTLED) }));
  t.ok(watched.painted > 500, 'after more than a minute it belongs to the place');
});

t.test('a crowd that never leaves hides the place indefinitely and is never learnt', async (t) => {
  const crowd = (s: number): StreetView => ({
    things: Array.from({ length: 8 }, (_, i) => {
      const x = 10 + i * 36 + 6 * Math.sin(s * 2 + i);
      return { box: [x, 60, x + 34, 200] as const, score: 0.4 + 0.3 * random(), track: i % 2 === 0 };
    }),
  });
  const watched = new Street().watch(ALL ? 180 : 60, crowd);
  t.equal(watched.painted, 0);
  t.equal(watched.knownRatio([0, 80, 320, 176]), 0);
  t.equal(watched.knownRatio([0, 216, 320, 240]), 1, 'at their feet it is known');
});

t.test('a car that parks over night is learnt without its licence plate', async (t) => {
  // Stripes of four pixels: the letters of a licence plate.
  const stripes = (x: number, y: number): number => (x % 8 < 4 && y > 150 ? 220 : 60);
  const car: Painted = {
    box: [80, 60, 240, 180],
    score: 0.8,
    label: 'car',
    track: true,
    level: stripes,
  };
  const watched = new Street().watch(20);
  watched.watch(60, () => ({ things: [car] }));
  t.ok(watched.errorIn([100, 80, 200, 140]) < 3, 'the place without it, in its first minute');
  watched.watch(ALL ? 600 : 150, () => ({ things: [car] }));
  const { planes } = watched.learntScene;
  let finest = 0;
  for (let y = 152; y < 176; y += 1) {
    for (let x = 104; x < 216; x += 1) {
      if (x % 8 === 7) continue;
      finest = Math.max(finest, Math.abs((planes.y[y * 320 + x] ?? 0) - (planes.y[y * 320 + x + 1] ?? 0)));
    }
  }
  // A cell that the car leaves unchanged keeps the street's own pattern, of five levels from pixel to pixel.
  t.ok(finest < 8, `${finest} levels from pixel to pixel within a cell, of 160 between the stripes`);
  watched.watch(75);
  t.ok(watched.errorIn([100, 80, 200, 140]) < 3, 'and the place again when it has gone');
});

t.test('the clean plate follows the light, also where a person hides it', async (t) => {
  const person: Painted = { box: BOX, score: 0.8, track: true };
  const jumps: [string, (s: number) => number][] = [
    ['a third brighter at once', () => 1.33],
    ['a third darker at once', () => 0.67],
    ['half as bright, over five minutes', (s) => Math.max(0.5, 1 - s / 600)],
    ['to a tenth, at dusk', (s) => Math.max(0.1, 1 - s / 300)],
  ];
  const seconds = ALL ? 320 : 100;
  for (const [name, light] of ALL ? jumps : jumps.slice(1, 3)) {
    const watched = new Street().watch(20);
    watched.watch(seconds, (s) => ({ things: [person], light: light(s) }));
    const error = watched.errorIn(BOX, light(seconds));
    t.ok(error <= 6, `${name}: ${error.toFixed(1)} levels where he stands`);
    t.equal(watched.painted, 0);
  }
});

t.test('the place is known in the dark with a noisy sensor too', async (t) => {
  const watched = new Street().watch(30, () => ({ light: 0.15, noise: 8 }));
  t.ok(watched.knownRatio() > 0.95, `${watched.knownRatio()}`);
  t.ok(watched.errorIn(EVERYWHERE, 0.15) < 10, `${watched.errorIn(EVERYWHERE, 0.15)} levels`);
});

t.test('a shaking camera learns the unchanging parts, and no people', async (t) => {
  const watched = new Street().watch(60, (s) => ({
    turned: Math.round(3 * Math.sin(s * 7)),
    things: [{ box: BOX, score: 0.6, track: true }],
  }));
  t.equal(watched.painted, 0);
});

t.test('the clean plate is forgotten immediately when the camera shows another view', async (t) => {
  const watched = new Street().watch(20);
  t.equal(watched.knownRatio(), 1);
  watched.watch(8, () => ({ turned: 1000, light: 1.4 }));
  t.ok(
    watched.errorIn(EVERYWHERE, 1, 0) > 20 && watched.knownRatio() === 0,
    'by what is seen, within a few pictures',
  );
  watched.watch(10, () => ({ turned: 1000, light: 1.4 }));
  t.ok(watched.errorIn(EVERYWHERE, 1.4, 1000) < 3, 'and the new one is learnt');
  watched.cleanPlate.drop();
  t.equal(watched.cleanPlate.learntScene, undefined, 'and when a move is reported');
});

t.test('a picture of another size starts a new clean plate', async (t) => {
  const watched = new Street().watch(20);
  const size = { widthPx: 160, heightPx: 120 };
  watched.watch(2, () => ({ size }));
  t.same(watched.learntScene.planes.size, size);
  t.notOk(watched.learntScene.cells.includes(1));
});

t.test('the clean plate copies its pictures, since the camera uses the memory again', async (t) => {
  const cleanPlate = new CleanPlate();
  const history = new DetectionHistory();
  const planes = paint({});
  for (let s = 0; s < 10; s += 1) {
    cleanPlate.take(history.add({ atMs: s * 1000, wallMs: 0, source: SIZE }, [], []), planes);
    for (const plane of [planes.y, planes.u, planes.v]) plane.fill(255);
    const { y, u, v } = paint({});
    cleanPlate.take(history.add({ atMs: s * 1000 + 500, wallMs: 0, source: SIZE }, [], []), undefined);
    planes.y.set(y);
    planes.u.set(u);
    planes.v.set(v);
  }
  const { learntScene } = cleanPlate;
  t.equal(learntScene?.cells.includes(0), false);
  t.equal(Math.max(...(learntScene?.planes.u ?? [])), 118, 'without any later picture');
});

t.test('the clean plate needs at most 12 MiB for pictures of 1280 × 720', async (t) => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const collect = async (): Promise<void> => {
    for (let i = 0; i < 5; i += 1) {
      gc();
      await turn();
    }
  };
  const size = { widthPx: 1280, heightPx: 720 };
  const [y, u, v] = [1280 * 720, 640 * 360, 640 * 360].map((bytes) => new Uint8Array(bytes).fill(128));
  const planes = { size, y, u, v, strideY: 1280, strideUv: 640 } as YuvPlanes;
  const cleanPlate = new CleanPlate();
  const history = new DetectionHistory();
  await collect();
  const before = process.memoryUsage().arrayBuffers;
  for (let s = 0; s < 30; s += 1) {
    cleanPlate.take(history.add({ atMs: s * 1000, wallMs: 0, source: size }, [], []), planes);
    await turn();
  }
  await collect();
  const mib = (process.memoryUsage().arrayBuffers - before) / 1_048_576;
  t.ok(mib > 4 && mib <= 12, `${mib.toFixed(1)} MiB`);
  t.ok(cleanPlate.learntScene?.cells.includes(1));
});
