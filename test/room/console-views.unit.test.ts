/**
 * Unit tests of the views: the city map, its viewport, and figures, playback, list and drawing of tracks.
 */

import fc from 'fast-check';
import t from 'tap';
import type { FoundTrack } from '../../agent/contract/track-log.ts';
import { approvalCommand } from '../../scripts/products/room/app/tracks/command.ts';
import {
  arrowsOf,
  asDrawn,
  asPlace,
  isInvalid,
  placed,
  rectangle,
  withCorner,
  withInserted,
  withoutCorner,
} from '../../scripts/products/room/app/tracks/drawn-place.ts';
import { HEAT_COLUMNS, heatOf } from '../../scripts/products/room/app/tracks/heat.ts';
import {
  advanced,
  batchOf,
  type Gap,
  gapAt,
  gapsOf,
  piecesOf,
  placeAt,
  playedTracks,
  shownAt,
  stepFrom,
  TOGETHER_MAX,
  togetherAt,
} from '../../scripts/products/room/app/tracks/replay.ts';
import { axisMarks, listRows, slotCounts } from '../../scripts/products/room/app/tracks/rows.ts';
import { type CityMap, cityMap } from '../../scripts/products/room/app/views/geo.ts';
import { badNames, names } from '../../scripts/products/room/app/views/names.ts';
import { cityView, panned, zoomed } from '../../scripts/products/room/app/views/view.ts';
import { demoPlan } from '../../scripts/workshop/demo/plan.ts';
import { SEED } from '../lib/random.ts';
import { cityMapFile } from '../lib/room-city.ts';

function mapOf(result: ReturnType<typeof cityMap>): CityMap {
  if (typeof result === 'string') throw new Error(result);
  return result;
}

t.test('a map is validated and projected with true proportions', (t) => {
  const city = mapOf(cityMap(cityMapFile(1500)));
  t.equal(city.cameras.length, 1500);
  t.ok(city.cameras.every(({ x, y }) => x >= 0 && x <= city.width && y >= 0 && y <= city.height));
  t.ok(city.width <= 1000 && city.height <= 1000 && Math.max(city.width, city.height) === 1000);
  t.same(
    city.names.map(({ name }) => name),
    ['Saône', 'Rhône'],
  );
  t.notMatch(city.lines + city.areas, /NaN|Infinity|e/);
  // A degree of latitude is longer than one of longitude by 1 / cos 45°.
  const points = [
    [4, 45],
    [5, 45],
    [4, 46],
  ].map((coordinates, i) => ({
    type: 'Feature',
    properties: { site: 's', box: `b${i}` },
    geometry: { type: 'Point', coordinates },
  }));
  const [origin, east, north] = mapOf(cityMap({ type: 'FeatureCollection', features: points })).cameras;
  const ratio = ((east?.x ?? 0) - (origin?.x ?? 0)) / ((origin?.y ?? 0) - (north?.y ?? 0));
  t.ok(Math.abs(ratio - Math.cos((45.5 * Math.PI) / 180)) < 0.01, String(ratio));
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, maxDepth: 6 }), (anything) => {
      const result = cityMap({ type: 'FeatureCollection', features: [anything, { geometry: anything }] });
      return typeof result === 'string' || result.skipped <= 2;
    }),
  );
  t.end();
});

t.test('a map that cannot be drawn is refused with a reason, and bad features are left out', async (t) => {
  const point = (coordinates: unknown, properties: unknown = {}) => ({
    type: 'Feature',
    properties,
    geometry: { type: 'Point', coordinates },
  });
  const collection = (features: readonly unknown[]) => ({ type: 'FeatureCollection', features });
  for (const none of [null, [], { type: 'Topology' }, { type: 'FeatureCollection' }])
    t.equal(cityMap(none), 'not-a-collection');
  const nested = JSON.parse(`${'['.repeat(3000)}${']'.repeat(3000)}`) as unknown;
  const deep = { type: 'Feature', geometry: { type: 'Polygon', coordinates: nested } };
  const undrawable = [point([1e308, 1]), point(['4', 5]), point([null, Number.NaN]), null, 7, deep];
  for (const features of [[], undrawable]) t.equal(cityMap(collection(features)), 'empty');
  const largeMap = Array.from({ length: 20_001 }, () => point([4, 45]));
  t.equal(cityMap(collection(largeMap)), 'too-many');
  const bad = [point([4.85, 1e308]), point([4.85, 45.75], { site: '__proto__', box: 'b' })];
  t.equal(mapOf(cityMap(collection([...cityMapFile(3).features, ...bad]))).skipped, 1);
});

t.test('the map of the demo can be drawn, with its camera', async (t) => {
  const map = mapOf(cityMap(demoPlan('demo', 'square-1')));
  t.same(
    map.cameras.map(({ key }) => key),
    ['demo/square-1'],
  );
  t.equal(map.skipped, 0);
  t.same(
    map.names.map(({ name }) => name),
    ['Square', 'Lawn', 'River'],
  );
});

t.test('the map’s view never loses the city', (t) => {
  const all = cityView(1000, 600);
  const shift = fc.double({ min: -3, max: 3, noNaN: true });
  fc.assert(
    fc.property(fc.array(fc.tuple(shift, shift, fc.double({ min: 0.1, max: 10, noNaN: true }))), (steps) => {
      let view = all;
      for (const [right, down, by] of steps)
        view = panned(zoomed(view, all, by, right * 500, down * 300), all, right, down);
      return (
        view.x >= all.x - 1e-6 &&
        view.x + view.width <= all.x + all.width + 1e-6 &&
        view.y >= all.y - 1e-6 &&
        view.y + view.height <= all.y + all.height + 1e-6
      );
    }),
  );
  t.pass('wherever it is moved, and however far');
  t.end();
});

t.test('a list of names is split, and invalid names are reported', (t) => {
  t.same(names(' quay, lawn;quay\n gate-2 '), ['quay', 'lawn', 'gate-2']);
  t.same(badNames('quay Quay_2 é'), ['Quay_2', 'é']);
  t.same(names(''), []);
  t.end();
});

const START = Date.parse('2026-11-12T22:00:00.000Z');
const WIDTH_PX = 768;
const isoAt = (s: number): string => new Date(START + s * 1000).toISOString();

/** A track from left to right for 10 s, beginning at that second, unless `path` differs. */
function track(fromS: number, change: Partial<FoundTrack> = {}): FoundTrack {
  const path: FoundTrack['path'] = change.path ?? [
    [0, 0.1, 0.8, 0.2, 1],
    [4, 0.3, 0.8, 0.2, 1],
    [10, 0.9, 0.7, 0.1, 0],
  ];
  return {
    track: 1,
    class: 'person',
    colours: [],
    durationS: 0,
    seen: true,
    score: 0.8,
    stoppedS: 0,
    cut: false,
    widthToHeight: 0.4,
    path,
    from: isoAt(fromS),
    to: isoAt(fromS + (path.at(-1)?.[0] ?? 0)),
    at: isoAt(fromS + 5),
    ...change,
  };
}

const gap = (fromS: number, toS: number, reason: Gap['reason'] = 'blind'): Gap => ({
  fromMs: START + fromS * 1000,
  toMs: START + toS * 1000,
  reason,
});

const secondsOf = (ms: number): number => (ms - START) / 1000;

t.test('a figure is where its track was at that time', (t) => {
  const [one] = playedTracks([track(60)]);
  if (one === undefined) throw new Error('no track');
  t.equal(placeAt(one, START + 59_999), undefined, 'not before it came');
  t.same(placeAt(one, START + 60_000), { x: 0.1, y: 0.8, h: 0.2, isSeen: true });
  t.same(placeAt(one, START + 64_000), { x: 0.3, y: 0.8, h: 0.2, isSeen: true });
  const middle = placeAt(one, START + 67_000);
  t.ok(Math.abs((middle?.x ?? 0) - 0.6) < 1e-9 && Math.abs((middle?.h ?? 0) - 0.15) < 1e-9);
  t.equal(middle?.isSeen, false, 'it was out of sight on the way to the last place');
  t.equal(placeAt(one, START + 70_001), undefined, 'not after it went');
  const [alone] = playedTracks([track(0, { path: [[0, 0.5, 0.5, 0.1, 1]] })]);
  t.equal(alone === undefined ? 0 : placeAt(alone, START)?.x, 0.5, 'a track of one place');
  t.end();
});

t.test('at every stored place a figure is off by less than one pixel of 768', (t) => {
  const steps = fc.array(fc.tuple(fc.double({ min: 0.1, max: 90, noNaN: true }), fc.nat(999), fc.nat(999)), {
    minLength: 2,
    maxLength: 60,
  });
  const paths = fc.check(
    fc.property(steps, fc.nat(86_400), (steps, fromS) => {
      let s = 0;
      const path = steps.map(([stepS, x, y], i): FoundTrack['path'][number] => {
        s = i === 0 ? 0 : Math.round((s + stepS) * 10) / 10;
        return [s, x / 1000, y / 1000, 0.1, 1];
      });
      const [one] = playedTracks([track(fromS, { path })]);
      return path.every(([atS, x, y]) => {
        const place = one && placeAt(one, one.fromMs + atS * 1000);
        return place !== undefined && Math.hypot(place.x - x, place.y - y) * WIDTH_PX <= 1;
      });
    }),
    { seed: SEED },
  );
  t.notOk(paths.failed, fc.defaultReportMessage(paths) ?? 'of all paths');
  t.end();
});

t.test('a path is cut where the track was out of sight, and ends at the figure', (t) => {
  const [one] = playedTracks([track(0)]);
  if (one === undefined) throw new Error('no track');
  const pieces = piecesOf(one, one.fromMs, one.toMs);
  t.same(
    pieces.map(({ isSeen, points }) => [isSeen, points.length]),
    [
      [true, 2],
      [false, 2],
    ],
  );
  t.same(pieces[0]?.points.at(-1), pieces[1]?.points[0], 'without a hole');
  const [trail] = piecesOf(one, START + 1000, START + 3000);
  t.ok(Math.abs((trail?.points[0]?.[0] ?? 0) - 0.15) < 1e-9);
  t.ok(Math.abs((trail?.points.at(-1)?.[0] ?? 0) - 0.25) < 1e-9);
  t.same(piecesOf(one, START + 20_000, START + 30_000), []);
  t.end();
});

t.test('nearer figures are drawn over farther ones', (t) => {
  const near = track(0, { path: [...track(0).path].map(([s, x, , h, isSeen]) => [s, x, 0.95, h, isSeen]) });
  const shownTracks = shownAt(playedTracks([near, track(2), track(500)]), START + 4000);
  t.same(
    shownTracks.map(({ track: { index } }) => index),
    [1, 0],
  );
  t.end();
});

t.test('concurrent matches start where each matched, at most eight at a time', (t) => {
  const all = playedTracks(Array.from({ length: 19 }, (_, i) => track(i * 100)));
  const batch = batchOf(all, 9);
  t.same(
    batch.map(({ index }) => index),
    [8, 9, 10, 11, 12, 13, 14, 15],
  );
  t.equal(batchOf(all, 18).length, 3);
  t.equal(togetherAt(all, 0).length, TOGETHER_MAX, 'whatever is given');
  const xs = togetherAt(batch, 0).map(({ place }) => place.x);
  t.ok(xs.every((x) => Math.abs(x - 0.4) < 1e-9));
  t.same(togetherAt(batch, 5.5), [], 'all have gone');
  t.end();
});

t.test('the arrow keys step from match to match', (t) => {
  const all = playedTracks([track(100), track(0), track(200)]);
  t.equal(stepFrom(all, START + 5000, 'next')?.index, 0, 'by time, and not the one of now');
  t.equal(stepFrom(all, START + 105_000, 'previous')?.index, 1);
  t.equal(stepFrom(all, START + 205_000, 'next'), undefined);
  t.equal(stepFrom(all, START, 'previous'), undefined);
  t.end();
});

t.test('a replay skips empty time, and shows every gap', (t) => {
  const tracks = playedTracks([track(0), track(1000), track(5000)]);
  const gaps = [gap(2000, 2600), gap(2600, 2601, 'clock-step')];
  const course = { tracks, gaps, toMs: START + 6000 * 1000 };
  const step = (fromS: number, elapsedS: number, speed = 10) =>
    secondsOf(advanced(course, START + fromS * 1000, elapsedS, speed));
  t.equal(step(1, 0.1), 2);
  t.equal(step(9.5, 0.1), 998, 'shortly before the next track');
  t.equal(step(998, 0.1), 999, 'and then on');
  t.equal(step(1009.9, 0.1), 2000, 'a gap is next');
  t.equal(step(2000, 0.75), 2300, 'it lasts 1.5 s, however long it was');
  t.equal(step(2000, 60), 2600, 'and cannot be leapt over');
  t.equal(step(2600, 0.75), 2600.5, 'nor can a short one');
  t.equal(step(2600.9, 1), 2601 + 2397, 'then the next track');
  t.equal(step(1999, 1, 60), 2000);
  t.equal(step(5009, 10), 6000);
  let ms = START;
  const reasons = new Set<string>();
  for (let i = 0; i < 5000 && ms < course.toMs; i++) {
    ms = advanced(course, ms, 1 / 60, 60);
    const gapHere = gapAt(gaps, ms);
    if (gapHere !== undefined) reasons.add(gapHere.reason);
  }
  t.same([ms, [...reasons]], [course.toMs, ['blind', 'clock-step']]);
  t.end();
});

t.test('gaps are listed at their place in time', (t) => {
  const gaps = gapsOf({
    seen: 0.9,
    watched: 0,
    more: 0,
    gaps: [
      { from: isoAt(200), to: isoAt(300), why: 'blind' },
      { from: isoAt(5), to: isoAt(6), why: 'other-view' },
    ],
  });
  const rows = listRows(playedTracks([track(0), track(100), track(400)]), gaps);
  t.same(
    rows.map((row) => (row.kind === 'gap' ? row.gap.reason : row.track.index)),
    ['other-view', 0, 1, 'blind', 2],
  );
  t.same(listRows([], []), []);
  t.equal(gapAt(gaps, START + 300_000), undefined, 'its end is not in it');
  t.equal(gapAt(gaps, START + 299_999)?.reason, 'blind');
  t.end();
});

t.test('tracks with a requested colour come first in the list, and no other is left out', (t) => {
  const tracks = playedTracks([
    track(100, { colours: ['white'] }),
    track(0, { colours: ['grey', 'white'] }),
    track(50, { colours: ['blue'] }),
    track(400),
  ]);
  const rows = listRows(tracks, [gap(60, 70)], ['white']);
  t.same(
    rows.map((row) => (row.kind === 'gap' ? row.gap.reason : row.track.index)),
    [0, 1, 2, 'blind', 3],
  );
  t.end();
});

t.test('a question becomes a command line for a second person to sign', (t) => {
  const request = { box: 'square-1', case: '2026/1432', reason: "the boy's bicycle; rm -rf $HOME" };
  const span = { from: '2026-11-12T21:00:00Z', to: '2026-11-12T21:20:00.000Z' };
  const line: [number, number][] = [
    [0.125, 0.5],
    [1, 0.7501],
  ];
  t.equal(
    approvalCommand({
      ...request,
      question: {
        ...span,
        answer: 'tracks',
        classes: ['person', 'dog'],
        colours: ['white'],
        view: isoAt(0),
        daily: { from: '22:00', to: '05:00' },
        where: { line: line as [[number, number], [number, number]], direction: 'left' },
      },
    }),
    'vigie-room tracks --room room.yaml --sign KEY.pem --approve approval.json --box square-1 --case 2026/1432 ' +
      "--reason 'the boy'\\''s bicycle; rm -rf $HOME' --from 2026-11-12T21:00:00.000Z " +
      '--to 2026-11-12T21:20:00.000Z --daily 22:00-05:00 --class person dog --colour white ' +
      '--view 2026-11-12T22:00:00.000Z --line 0.125,0.5,1,0.7501 --direction left',
  );
  const polygon: [number, number][] = [...line, [0, 1]];
  const place = { polygon, does: 'stays', atLeastS: 30 } as const;
  t.match(
    approvalCommand({ ...request, question: { ...span, answer: 'count', view: isoAt(0), where: place } }),
    / --area '0\.125,0\.5 1,0\.7501 0,1' --does stays --at-least 30 --count$/,
  );
  t.end();
});

t.test('the time bar counts matches, and its marks are whole local hours', (t) => {
  const span = { fromMs: START, toMs: START + 1_000_000 };
  t.same(slotCounts(playedTracks([track(0), track(2), track(994), track(2000)]), span, 10), [
    ...[2, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  ]);
  const hour = 3600_000;
  const marks = axisMarks(START + 1, START + 24 * hour, 6, 5.5 * hour);
  t.ok(marks.length >= 3 && marks.length <= 7);
  t.ok(marks.every((ms) => (ms + 5.5 * hour) % (6 * hour) === 0));
  t.end();
});

t.test('only standing still adds to the heat map', (t) => {
  const still = track(0, {
    path: [
      [0, 0.5, 0.5, 0.2, 1],
      [40, 0.5, 0.51, 0.2, 1],
      [42, 0.9, 0.51, 0.2, 1],
    ],
  });
  const cells = heatOf(playedTracks([still]));
  const [at, ...otherCells] = [...cells.entries()].filter(([, s]) => s > 0);
  t.same(otherCells, []);
  t.equal(at?.[1], 40);
  t.equal((at?.[0] ?? 0) % HEAT_COLUMNS, HEAT_COLUMNS / 2);
  t.end();
});

t.test('a drawing is converted to a question and back without loss', (t) => {
  const line = placed('line', [
    [0.2, 0.5],
    [0.8, 0.5],
  ]);
  t.same(asPlace(line), {
    line: [
      [0.2, 0.5],
      [0.8, 0.5],
    ],
    direction: 'both',
  });
  const [right] = arrowsOf({ ...line, direction: 'right' }, 100, 100, 20);
  t.same(right, { side: 'right', from: [50, 50], tip: [50, 70] }, 'down, seen from the left-hand end');
  t.equal(arrowsOf(line, 100, 100, 20).length, 2);
  t.equal(withInserted(line, 0, [0.5, 0.5]), line, 'a line has two ends');
  t.equal(withoutCorner(line, 0), line);
  t.ok(isInvalid(withCorner(line, 1, [0.2, 0.5])));

  const area = placed('area', rectangle([0.1, 0.1], [0.4, 0.4]));
  t.same(withCorner(area, 0, [-3, 0.33333333]).points[0], [0, 0.3333], 'within the picture');
  t.equal(withInserted(area, 3, [0, 0.2]).points.length, 5);
  t.equal(withoutCorner(withoutCorner(area, 0), 0).points.length, 3);
  t.ok(isInvalid(withCorner(area, 0, [0.6, 0.3])), 'sides cross');
  t.match(asPlace({ ...area, atLeastS: 45 }), { does: 'enters', atLeastS: 0 });
  t.match(asPlace({ ...area, does: 'stops', atLeastS: 45 }), { does: 'stops', atLeastS: 45 });
  for (const drawing of [line, { ...area, does: 'stays', atLeastS: 9 } as const])
    t.same(asPlace(asDrawn(asPlace(drawing))), asPlace(drawing));
  t.end();
});
