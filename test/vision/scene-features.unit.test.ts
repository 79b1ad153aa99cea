/** Tests the effect of the detector's features, birth and associated tracks on static regions. */
import t from 'tap';
import type { Features, Track } from '../../agent/contract/picture.ts';
import { Background } from '../../agent/vision/observe/background.ts';
import { CHANGED, GROUND, OCCLUDED } from '../../agent/vision/observe/background-state.ts';
import { FeatureBackground } from '../../agent/vision/observe/feature-background.ts';
import { SmallPicture } from '../../agent/vision/observe/small-picture.ts';
import {
  block,
  EVERYWHERE,
  INPUT,
  nothing,
  type Paint,
  passer,
  person,
  play,
  SOURCE,
} from '../lib/scene-play.ts';

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
