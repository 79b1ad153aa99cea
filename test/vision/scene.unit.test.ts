/** Tests the observer of static regions and its rules: things left behind, graffiti, stills and limits. */
import fc from 'fast-check';
import t from 'tap';
import type { StaticRegion } from '../../agent/contract/observation.ts';
import { GraffitiRule } from '../../agent/rules/graffiti.ts';
import { IllegalDumpingRule } from '../../agent/rules/illegal-dumping.ts';
import { SmallPicture } from '../../agent/vision/observe/small-picture.ts';
import { masking } from '../lib/pictures.ts';
import { ALL } from '../lib/run.ts';
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
import { observation } from '../lib/street.ts';

t.test('the small picture consists of means, within its bound on cells', async (t) => {
  const picture = new SmallPicture({ source: SOURCE, input: INPUT }, [EVERYWHERE]);
  picture.read(frame(1, 0, () => 100));
  const { usedCells } = picture.grid;
  t.equal(usedCells.length, picture.grid.columns * picture.grid.rows);
  for (const cell of usedCells) {
    if (Math.abs((picture.green[cell] as number) - 100) > 4) t.fail(`cell ${cell}: ${picture.green[cell]}`);
  }
  const side = fc.integer({ min: 1, max: 60 }).map((n) => n * 32);
  const sourceSide = fc.integer({ min: 64, max: 4096 });
  fc.assert(
    fc.property(side, side, sourceSide, sourceSide, (widthPx, heightPx, w, h) => {
      const [source, input] = [
        { widthPx: w, heightPx: h },
        { widthPx, heightPx },
      ];
      const { grid } = new SmallPicture({ source, input }, [EVERYWHERE]);
      return grid.columns * grid.rows <= 12_000 && grid.columns * grid.cellPx <= widthPx;
    }),
    { numRuns: 50 },
  );
  const polygon = EVERYWHERE.map(([x, y]): [number, number] => [x / 2, y]);
  const masked = masking([{ id: 'left', polygon }])(frame(1, 0, () => 100));
  const half = new SmallPicture(masked, [EVERYWHERE]);
  t.ok(half.grid.usedCells.length < 0.51 * usedCells.length, 'what a mask covers is not looked at');
});

t.test('a thing left behind is found with its associated track, and ends when taken away', async (t) => {
  for (const fps of ALL ? [3, 12] : [3]) {
    const { seconds } = play({
      seconds: 34,
      fps,
      paint: (s) => (s >= 6 && s < 26 ? block : nothing),
      tracks: passer,
    });
    const [region, ...rest] = seconds[16] ?? [];
    t.same(rest, [], `${fps} fps: one region`);
    t.match(region, {
      kind: 'appeared',
      attended: false,
      seen: true,
      associatedTrack: { track: 7, label: 'person' },
    });
    if (region === undefined) return;
    t.ok(
      Math.abs(region.firstMs - 8000) <= 2500,
      `deposit at ${region.firstMs} ms: seen when he steps aside`,
    );
    t.ok(region.beforeMs < 6000);
    t.ok(Math.abs(region.areaNorm - 0.05 * 0.08) < 0.0015, `area ${region.areaNorm}`);
    t.equal(seconds[25]?.[0]?.id, region.id);
    t.same(seconds[33], []);
  }
});

t.test('the removal of an original object is not an appearance', async (t) => {
  const { seconds } = play({ seconds: 20, paint: (s) => (s < 6 ? block : nothing), tracks: passer });
  t.same(
    seconds.flat().filter(({ kind }) => kind === 'appeared'),
    [],
  );
});

t.test('a change of light is not a thing', async (t) => {
  const scenes: Record<string, (s: number) => Paint> = {
    'exposure step': (s) => (s < 8 ? nothing : (_x, _y, level) => 0.7 * level),
    'slow drift': (s) => (_x, _y, level) => level * (1 - 0.02 * s),
    'hard shadow': (s) =>
      s < 8 ? nothing : (x, y, level) => (x > 0.3 && x < 0.6 && y > 0.5 ? 0.6 * level : level),
    lamp: (s) =>
      s < 8
        ? nothing
        : (x, y, level) => level * (1 + 0.4 * Math.max(0, 1 - 4 * Math.hypot(x - 0.5, y - 0.7))),
  };
  for (const [name, paint] of Object.entries(scenes)) {
    const { seconds } = play({ seconds: 20, fps: ALL ? 5 : 3, paint, tracks: passer });
    const regions = seconds
      .slice(12)
      .flat()
      .filter(({ kind }) => kind !== 'removed');
    t.same(regions, [], name);
  }
});

t.test('a person whose track is lost on the spot is not a thing', async (t) => {
  const body: Paint = (x, y, level) =>
    x > 0.42 && x < 0.48 && y > 0.42 && y < 0.76 ? 40 + (level % 7) * 6 : level;
  const { seconds } = play({
    seconds: 20,
    paint: (s) => (s >= 3 ? body : nothing),
    tracks: (s, atMs) => (s >= 3 && s < 8 ? [person(3, 0.45, atMs)] : []),
  });
  t.same(
    seconds
      .slice(10)
      .flat()
      .filter(({ attended }) => !attended),
    [],
  );
});

t.test('few stills of before and of the deposit are requested', async (t) => {
  const played = play({ seconds: 14, paint: (s) => (s >= 6 ? block : nothing), tracks: passer });
  const [match] = played.seconds[13] ?? [];
  t.ok(match !== undefined && played.observer.pinnedMs.includes(match.firstMs));
  t.ok(match !== undefined && played.observer.pinnedMs.includes(match.beforeMs));
  const { observer } = play({
    seconds: 12,
    paint: (s) =>
      s < 4
        ? nothing
        : (x, y, level) =>
            Math.floor(x * 24) % 2 === 0 && Math.floor(y * 14) % 2 === 0 ? 250 - level : level,
    tracks: passer,
  });
  t.ok(observer.pinnedMs.length <= 34);
});

function region(over: Partial<StaticRegion> = {}): StaticRegion {
  return {
    id: 1,
    kind: 'appeared',
    xyxyNorm: [0.4, 0.4, 0.5, 0.5],
    areaNorm: 0.008,
    contrast: 0.3,
    ground: [0.45, 0.5],
    firstMs: 10_000,
    grownMs: 12_000,
    seen: true,
    beforeMs: 5000,
    attended: false,
    associatedTrack: { track: 4, label: 'person', besideMs: 6000, leftMs: 15_000 },
    places: [{ zone: 'square', standsIn: true, share: 1 }],
    ...over,
  };
}

t.test('illegal dumping: a thing that stays long enough raises it until taken away', async (t) => {
  const rule = () =>
    new IllegalDumpingRule({
      id: 'bag',
      kind: 'illegal-dumping',
      zone: 'square',
      purpose: 'evaluation',
      afterS: 30,
      minAreaNorm: 0.0005,
    });
  const at = (atMs: number, over: Partial<StaticRegion>) =>
    observation(atMs, [], { regions: [region(over)] });
  t.equal(rule().observe(at(44_900, {})).length, 0);
  const watching = rule();
  t.match(watching.observe(at(45_000, {})), [
    {
      key: 'region-1',
      cause: {
        associatedTrack: { track: 4, label: 'person' },
        depositTime: '1970-01-01T00:00:10.000Z',
        unattendedS: 30,
      },
    },
  ]);
  t.equal(
    watching.observe(at(46_000, { attended: true, seen: false })).length,
    1,
    'a person who passes does not end it',
  );
  t.equal(watching.observe(observation(47_000, [], { regions: [] })).length, 0);
  const { associatedTrack: _nobody, ...uncarried } = region();
  for (const [name, bad] of Object.entries({
    attended: region({ attended: true }),
    removed: region({ kind: 'removed' }),
    'too small': region({ areaNorm: 0.0004 }),
    hidden: region({ seen: false }),
    elsewhere: region({ places: [{ zone: 'square', standsIn: false, share: 0.4 }] }),
    'without an associated track': uncarried,
  })) {
    t.same(rule().observe(observation(99_000, [], { regions: [bad] })), [], name);
  }
});

t.test('graffiti: a wall that stays changed after a person dwelt there raises it', async (t) => {
  const rule = () =>
    new GraffitiRule({
      id: 'tag',
      kind: 'graffiti',
      zone: 'square',
      purpose: 'evaluation',
      dwellS: 5,
      persistS: 30,
    });
  const at = (atMs: number, over: Partial<StaticRegion>) =>
    observation(atMs, [], { regions: [region(over)] });
  t.equal(rule().observe(at(41_900, {})).length, 0);
  t.match(rule().observe(at(42_000, {})), [
    { cause: { nearbyS: 6, changeTime: '1970-01-01T00:00:10.000Z', doneTime: '1970-01-01T00:00:12.000Z' } },
  ]);
  for (const over of [
    { attended: true },
    { kind: 'removed' as const },
    { associatedTrack: { track: 4, label: 'person' as const, besideMs: 4900, leftMs: 15_000 } },
    { associatedTrack: { track: 4, label: 'person' as const, besideMs: 6000, leftMs: 98_000 } },
    { places: [{ zone: 'square', standsIn: true, share: 0.4 }] },
    { areaNorm: 0.0004 },
  ]) {
    t.same(rule().observe(at(99_000, over)), [], JSON.stringify(over));
  }
});
