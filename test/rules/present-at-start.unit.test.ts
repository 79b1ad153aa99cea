/**
 * Tests the report of a vehicle that stood in a pedestrian zone when analysis began; it follows the place, not a track.
 */
import t from 'tap';
import type { StationaryVehicle } from '../../agent/contract/observation.ts';
import { VehicleInPedestrianZoneRule } from '../../agent/rules/vehicle-in-pedestrian-zone.ts';
import { observation, track } from '../lib/street.ts';

const ZONES = [{ zone: 'square', sinceMs: 400 }];

interface StoppedVehicle {
  /** Time at which it stopped. */
  readonly sinceMs?: number;
  readonly arrival?: StationaryVehicle['arrival'];
  readonly score?: number;
  readonly presence?: StationaryVehicle['presence'];
  /** Number of its track at a time. */
  trackAt?(atMs: number): number | undefined;
}

/** Observes a stopped vehicle; returns the first time and the form of each situation. */
function situationsOf({
  sinceMs = 400,
  arrival = 'unseen',
  score = 0.565,
  presence = 'seen',
  trackAt = () => 4,
}: StoppedVehicle): string[] {
  const rule = new VehicleInPedestrianZoneRule({
    id: 'cars',
    kind: 'vehicle-in-pedestrian-zone',
    zone: 'square',
    purpose: 'p',
    afterS: 1,
    classes: ['car'],
  });
  const lines = new Map<string, string>();
  let born: { id: number; firstMs: number } | undefined;
  for (let atMs = 0; atMs <= 20_000; atMs += 200) {
    const id = trackAt(atMs);
    if (id !== born?.id) born = id === undefined ? undefined : { id, firstMs: atMs };
    const car = {
      group: 'vehicle' as const,
      label: 'car' as const,
      score,
      bestScore: score,
      pixelsMove: false,
    };
    const tracks =
      born === undefined ? [] : [track(born.id, { ...car, firstMs: born.firstMs, zones: ZONES })];
    const vehicle = track(born?.id ?? 1, { ...car, firstMs: sinceMs, zones: ZONES });
    const standing = atMs < 3400 ? [] : [{ place: 7, arrival, moveTolerance: 0.25, presence, vehicle }];
    for (const { key, presentAtStart } of rule.observe(observation(atMs, tracks, { standing }))) {
      const line = `${presentAtStart === true ? 'present' : 'alert'} at ${atMs / 1000} s`;
      if (!lines.has(key)) lines.set(key, line);
    }
  }
  return [...lines.values()];
}

t.test('a vehicle present at the start is reported after ten seconds, whatever its tracks do', async (t) => {
  t.same(situationsOf({}), ['present at 10.4 s'], 'one track');
  t.same(situationsOf({ trackAt: (ms) => (ms < 8000 ? undefined : 9) }), ['present at 10.4 s'], 'a late one');
  t.same(
    situationsOf({ trackAt: (ms) => 1 + Math.floor(ms / 3000) }),
    ['present at 10.4 s'],
    'one after another',
  );
  t.same(situationsOf({ trackAt: () => undefined }), ['present at 10.4 s'], 'none at the time');
});

t.test('a vehicle that came, is not sure or is out of sight is not reported as present', async (t) => {
  t.same(situationsOf({ arrival: 'followed' }), []);
  t.same(situationsOf({ arrival: 'appeared' }), []);
  t.same(situationsOf({ score: 0.45 }), []);
  t.same(situationsOf({ presence: 'hidden' }), []);
});

t.test('a rule that begins during analysis reports vehicles present by then', async (t) => {
  t.same(situationsOf({ arrival: 'followed', sinceMs: -60_000 }), ['present at 3.4 s']);
});
