/** Tests the ground of a cell, the effect of features, birth and associated tracks on static regions, and objects without a class. */

import { Value } from '@sinclair/typebox/value';
import t from 'tap';
import { Observation } from '../../agent/contract/observation.ts';
import type { Detection, Features, Frame, Track } from '../../agent/contract/picture.ts';
import { makeRule } from '../../agent/rules/registry.ts';
import { Background } from '../../agent/vision/observe/background.ts';
import { CHANGED, GROUND, OCCLUDED } from '../../agent/vision/observe/background-state.ts';
import { FeatureBackground } from '../../agent/vision/observe/feature-background.ts';
import { Observer } from '../../agent/vision/observe/observer.ts';
import { SmallPicture } from '../../agent/vision/observe/small-picture.ts';
import {
  block,
  EVERYWHERE,
  frame,
  INPUT,
  nothing,
  type Paint,
  passer,
  person,
  play,
  SOURCE,
} from '../lib/scene-play.ts';

const EVERY_MS = 200;

/** Levels at a place of the picture, 0..1 across and down. */
type Level = (xNorm: number, yNorm: number) => number;

/**
 * A picture with independent noise of every pixel and channel, as at full gain: uniform, `noise` levels to each side.
 */
function noisyPicture(level: Level, noise: number, seed: number): Frame {
  const { widthPx, heightPx } = INPUT;
  const rgb = new Uint8Array(widthPx * heightPx * 3);
  let state = seed;
  for (let i = 0; i < rgb.length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const pixel = Math.floor(i / 3);
    const at = level((pixel % widthPx) / widthPx, Math.floor(pixel / widthPx) / heightPx);
    rgb[i] = Math.max(0, Math.min(255, Math.round(at + noise * (2 * (state / 2 ** 32) - 1))));
  }
  const atMs = seed * EVERY_MS;
  return { index: seed, ptsNs: 0n, atMs, wallMs: atMs, source: SOURCE, input: INPUT, rgb };
}

function bareStreet(): Background {
  return new Background(new SmallPicture({ source: SOURCE, input: INPUT }, [EVERYWHERE]));
}

function see(background: Background, frame: Frame): void {
  background.picture.read(frame);
  background.update(frame.atMs);
}

const ratioOf = (background: Background, of: Uint8Array, value: number): number => {
  const { usedCells } = background.picture.grid;
  return usedCells.filter((cell) => of[cell] === value).length / usedCells.length;
};

t.test('a noisy sensor at full gain comes to rest within seconds', async (t) => {
  const background = bareStreet();
  for (let k = 1; k <= 25; k += 1)
    see(
      background,
      noisyPicture(() => 100, 60, k),
    );
  t.ok(ratioOf(background, background.resting, 1) > 0.97, 'nearly all of it rests after 5 s');
  t.ok(ratioOf(background, background.state, GROUND) > 0.97, 'and is ground');
});

/** A dark floor, and a wall that is mostly behind a person. */
const FLOOR = 45;
const WALL = 90;
const room: Level = (_x, y) => (y < 0.5 ? WALL : FLOOR);
const inSight = (x: number): boolean => x > 0.8;

function roomWith(...levels: Level[]): Background {
  const background = bareStreet();
  const { columns, usedCells } = background.picture.grid;
  let k = 1;
  for (; k <= 20; k += 1) see(background, noisyPicture(room, 4, k));
  for (const level of levels) {
    for (const cell of usedCells) {
      const [x, y] = [(cell % columns) / columns, cell / columns / background.picture.grid.rows];
      background.occlusion[cell] = y < 0.5 && !inSight(x) ? OCCLUDED : 0;
    }
    for (const to = k + 5; k < to; k += 1) see(background, noisyPicture(level, 4, k));
  }
  return background;
}

function wallOf({ picture: { grid }, ground }: Background): number {
  return ground.green[Math.floor(grid.rows / 4) * grid.columns + Math.floor(grid.columns / 4)] as number;
}

t.test('an undetected person before the rest of a wall does not change the exposure', async (t) => {
  const coat: Level = (x, y) => (y < 0.5 && inSight(x) ? FLOOR : room(x, y));
  t.ok(Math.abs(wallOf(roomWith(coat)) - WALL) < 4, 'the wall keeps its brightness');
});

t.test('the background follows exposure: half of the gain, a higher gain, and up to white', async (t) => {
  for (const [name, after] of [
    ['half', (level: number) => level / 2],
    ['more', (level: number) => 1.4 * level],
  ] as const) {
    const background = roomWith((x, y) => after(room(x, y)));
    t.ok(Math.abs(wallOf(background) - after(WALL)) < 5, `${name}: ${wallOf(background)}`);
  }
  const background = bareStreet();
  const bright: Level = (_x, y) => (y < 0.5 ? 230 : y < 0.75 ? 170 : 60);
  for (let k = 1; k <= 20; k += 1) see(background, noisyPicture(bright, 4, k));
  for (let k = 21; k <= 25; k += 1)
    see(
      background,
      noisyPicture((x, y) => Math.min(255, 1.5 * bright(x, y)), 4, k),
    );
  t.ok(wallOf(background) > 245, 'white');
});

const [COLUMNS, ROWS, CHANNELS, CELL_PX, ZERO_POINT] = [52, 32, 16, 8, 120];

/** Features in which each place has the kind of `kindAt` and the strength `gain`; different kinds are unlike each other. */
function features(kindAt: (column: number, row: number) => number, gain = 1): Features {
  const values = new Uint8Array(ROWS * COLUMNS * CHANNELS);
  for (let i = 0; i < ROWS * COLUMNS; i += 1) {
    let state =
      Math.imul(i + 1, 2_654_435_761) ^ Math.imul(kindAt(i % COLUMNS, Math.floor(i / COLUMNS)) + 1, 40_503);
    for (let c = 0; c < CHANNELS; c += 1) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
      values[i * CHANNELS + c] = ZERO_POINT + Math.round(100 * gain * (state / 2 ** 31));
    }
  }
  return {
    columns: COLUMNS,
    rows: ROWS,
    channels: CHANNELS,
    cellPx: CELL_PX,
    input: INPUT,
    values,
    zeroPoint: ZERO_POINT,
  };
}

const street = () => features(() => 0);
/** Features that differ where `block` is painted. */
const withThing = () => features((x, y) => (x >= 23 && x <= 26 && y >= 20 && y <= 24 ? 7 : 0));
/** Features twice a second, as the detector gives them. */
const everyHalf = (s: number, of: Features): Features | undefined =>
  Math.round(10 * s) % 6 === 0 ? of : undefined;
const dark: Paint = (x, y, level) =>
  x > 0.45 && x < 0.55 && y > 0.68 && y < 0.84
    ? 40 + ((Math.floor(x * 900) * 7 + Math.floor(y * 500) * 3) % 9) * 4
    : level;

t.test('features of places ignore light and gain, show a thing, and never learn a person', async (t) => {
  const background = new Background(new SmallPicture({ source: SOURCE, input: INPUT }, [EVERYWHERE]));
  const { columns, usedCells } = background.picture.grid;
  background.state.fill(GROUND);
  background.resting.fill(1);
  const inside = [...usedCells].filter((cell) => {
    const [x, y] = [(cell % columns) / columns, Math.floor(cell / columns) / background.picture.grid.rows];
    return x > 0.45 && x < 0.51 && y > 0.68 && y < 0.78;
  });
  const watched = new FeatureBackground();
  t.equal(watched.turnOf(inside, 0), undefined, 'before learning');
  const learn = (of: Features, fromMs: number, runs = 12): void => {
    for (let k = 0; k < runs; k += 1) watched.learn(of, background, SOURCE, [inside], fromMs + 500 * k);
  };
  learn(street(), 0);
  t.ok((watched.unrest ?? 1) < 0.01);
  for (const cell of inside) background.state[cell] = CHANGED;
  learn(
    features(() => 0, 0.4),
    6000,
  );
  const lit = watched.turnOf(inside, 6000);
  t.ok(lit !== undefined && lit.distance < 0.01 && lit.cells >= 4, `gain: ${lit?.distance}`);
  learn(withThing(), 12_000);
  const thing = watched.turnOf(inside, 12_000);
  t.ok(thing !== undefined && thing.distance > 0.5, `thing: ${thing?.distance}`);
  t.ok((watched.unrest ?? 1) < 0.01, 'the rest is unchanged');
  // It is ground again: the thing was never learnt while it was not ground.
  for (const cell of inside) background.state[cell] = GROUND;
  learn(street(), 18_000, 1);
  learn(street(), 18_500, 6);
  t.ok((watched.turnOf(inside, 18_000)?.distance ?? 1) < 0.05);
  // A person stays there for a minute, and the ground beside them is not learnt either.
  for (const cell of inside) background.occlusion[cell] = OCCLUDED;
  learn(withThing(), 24_000, 120);
  background.occlusion.fill(0);
  learn(street(), 84_000, 6);
  t.ok((watched.turnOf(inside, 84_000)?.distance ?? 1) < 0.05, 'the person has left no trace');
  learn(
    features(() => 3),
    90_000,
    1,
  );
  t.ok((watched.unrest ?? 0) > 0.3, 'the whole picture is another');
  const other = { widthPx: 640, heightPx: 480 };
  watched.learn(street(), background, other, [], 91_000);
  t.equal(watched.turnOf(inside, 0), undefined, 'another size: all is forgotten');
});

t.test('a change of pixels without a change of features is light', async (t) => {
  const scene = (of: (s: number) => Features) =>
    play({
      seconds: 24,
      paint: (s) => (s >= 8 ? dark : nothing),
      tracks: passer,
      features: (s) => everyHalf(s, of(s)),
    }).seconds;
  t.equal(scene((s) => (s >= 8 ? withThing() : street()))[20]?.length, 1, 'a thing');
  t.same(scene(street)[20], [], 'light');
});

t.test('no region appears while the whole picture differs', async (t) => {
  const smeared: Paint = (x, y, level) => (Math.floor(x * 12 + y * 5) % 4 === 0 ? 0.4 * level : level);
  const { seconds } = play({
    seconds: 34,
    paint: (s) => (s >= 8 && s < 14 ? smeared : nothing),
    tracks: passer,
    features: (s) => everyHalf(s, s >= 8 && s < 14 ? features(() => 5) : street()),
  });
  t.same(seconds.slice(8).flat(), []);
});

t.test('an associated track has moved, was at the place, and left after it', async (t) => {
  const car = (over: Partial<Track>) => (s: number, atMs: number) =>
    s < 1
      ? []
      : [person(9, 0.4, atMs, { group: 'vehicle', label: 'car', xyxyPx: [300, 180, 420, 285], ...over })];
  const early = (s: number, atMs: number): Track[] =>
    s < 3 ? [person(7, 0.45, atMs)] : s < 6 ? [person(7, 0.45 + 0.15 * (s - 3), atMs)] : [];
  // Its box jumps as a neighbour's box is joined to it and taken off.
  const jumping = (s: number, atMs: number): Track[] =>
    car({ xyxyPx: [s % 4 < 2 ? 300 : 270, 180, 420, 285] })(s, atMs);
  for (const [name, tracks] of Object.entries({ 'left before': early, 'parked car': jumping })) {
    const { seconds } = play({ seconds: 24, paint: (s) => (s >= 8.5 ? block : nothing), tracks });
    t.equal(seconds[20]?.length, 1, `${name}: it is seen`);
    t.same(
      seconds.flat().filter(({ associatedTrack }) => associatedTrack !== undefined),
      [],
      name,
    );
  }
});

const SITE = { timeZone: 'Europe/Paris', holidays: [] };
const LINE = { id: 'kerb', from: [0.5, 0.2], to: [0.5, 1] } as const;
/**
 * Time until which the street is learnt. A person walks through it from left to right afterwards, at a fifth of its
 * width a second.
 */
const ENTERS_S = 6;

const isIn = (s: number, x: number, y: number): boolean => {
  const centre = 0.2 * (s - ENTERS_S);
  return s > ENTERS_S && Math.abs(x - centre) < 0.03 && y > 0.45 && y < 0.8;
};
const walkerAt =
  (s: number): Paint =>
  (x, y, level) =>
    isIn(s, x, y) ? 250 - level / 2 : level;

/** Alerts of a rule on the line, by the classes that count for it. */
function crossings(classes: ('person' | 'unknown')[], over: { score?: number; sways?: boolean } = {}) {
  const observer = new Observer({
    zones: [],
    lines: [{ ...LINE, from: [...LINE.from], to: [...LINE.to] }],
    moveTolerances: [],
    regions: false,
  });
  const rule = makeRule(
    { id: 'r', kind: 'line-crossing', line: 'kerb', purpose: 'p', classes, direction: 'both' },
    SITE,
  );
  const times: number[] = [];
  for (let i = 0; i < 70; i += 1) {
    const s = i / 5;
    // To and fro over the line, as a branch: it goes nowhere.
    const at = over.sways ? ENTERS_S + 2.5 + 0.15 * Math.sin(3 * s) : s;
    const image = frame(i + 1, Math.round(1000 * s), s > ENTERS_S ? walkerAt(at) : nothing);
    const centrePx = 0.2 * (s - ENTERS_S) * image.source.widthPx;
    const detections: Detection[] =
      over.score === undefined || s <= ENTERS_S
        ? []
        : [
            {
              xyxyPx: [centrePx - 23, 0.45 * 432, centrePx + 23, 0.8 * 432],
              score: over.score,
              label: 'person',
              group: 'person',
            },
          ];
    const observation = observer.observationOf(image, { detectorRan: true, detections, tracks: [] });
    if (!Value.Check(Observation, observation)) t.fail(`the observation at ${s} s`);
    times.push(...rule.observe(observation).map(() => s));
  }
  return times;
}

t.test('an unclassified object is reported once to a rule that requests it, and not to others', async (t) => {
  const times = crossings(['person', 'unknown']);
  t.equal(times.length, 1);
  t.ok((times[0] ?? 0) > ENTERS_S + 2 && (times[0] ?? 99) < ENTERS_S + 4, `at ${times[0]} s`);
  t.same(crossings(['person']), []);
});

t.test('neither a sure detection nor a swaying branch is an unclassified object', async (t) => {
  t.same(crossings(['unknown'], { score: 0.6 }), []);
  t.equal(crossings(['unknown'], { score: 0.2 }).length, 1, 'a weak box names nothing');
  t.same(crossings(['unknown'], { sways: true }), []);
});
