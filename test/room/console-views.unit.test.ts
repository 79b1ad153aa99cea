/** Unit tests of the views' calculations: wall clock times, the city map, its viewport and lists of names. */
import fc from 'fast-check';
import t from 'tap';
import { type CityMap, cityMap } from '../../scripts/programs/room/app/views/geo.ts';
import { badNames, names } from '../../scripts/programs/room/app/views/names.ts';
import { cityView, panned, zoomed } from '../../scripts/programs/room/app/views/view.ts';
import { wallMs, wallTime } from '../../scripts/programs/room/app/views/zone.ts';
import { cityMapFile } from '../lib/room-city.ts';

t.test('wall clock times convert both ways in a time zone', (t) => {
  const paris = (iso: string) => wallTime(Date.parse(iso), 'Europe/Paris');
  t.equal(paris('2026-11-27T14:00:00.000Z'), '2026-11-27T15:00');
  t.equal(paris('2026-07-01T22:30:00.000Z'), '2026-07-02T00:30');
  const isoOf = (wall: string) => {
    const ms = wallMs(wall, 'Europe/Paris');
    return ms === undefined ? undefined : new Date(ms).toISOString();
  };
  t.equal(isoOf('2026-11-27T15:00'), '2026-11-27T14:00:00.000Z');
  t.equal(isoOf('2026-10-25T02:30'), '2026-10-25T00:30:00.000Z', 'of an hour that comes twice the first');
  t.equal(
    isoOf('2026-03-29T02:30'),
    '2026-03-29T01:30:00.000Z',
    'of an hour that does not come, as much later',
  );
  for (const none of ['', '2026-13-40T99:99', 'yesterday', '2026-11-27'])
    t.equal(isoOf(none), undefined, none);
  const minutes = fc.integer({ min: 0, max: 40_000_000 });
  const zones = fc.constantFrom(
    'UTC',
    'Europe/Paris',
    'America/St_Johns',
    'Pacific/Kiritimati',
    'Pacific/Pago_Pago',
  );
  fc.assert(
    fc.property(minutes, zones, (minute, zone) => {
      const wall = wallTime(minute * 60_000, zone);
      const ms = wallMs(wall, zone);
      // The same wall clock time; a repeated hour may resolve to the earlier instant.
      return ms !== undefined && wallTime(ms, zone) === wall && minute * 60_000 - ms <= 24 * 3600_000;
    }),
  );
  t.end();
});

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
