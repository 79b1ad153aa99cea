/**
 * Tests the tracks that a real vision process reports on a recorded street: their past places, and colours if
 * requested.
 */
import t from 'tap';
import type { LineConfig } from '../../agent/contract/config.ts';
import type { Observation, ObservedTrack } from '../../agent/contract/observation.ts';
import type { Colour } from '../../agent/contract/track-log.ts';
import { type Approach, newApproach, Tripwire } from '../../agent/contract/tripwire.ts';
import { observedClip } from '../lib/observed-clip.ts';
import { evaluationData } from '../lib/paths.ts';

/**
 * A queue at a red light, 25 s, by day: among others a yellow taxi, a blue and a green one, a red car and white vans.
 */
const { file, skip } = evaluationData('clips', 'boulevard25.mp4');

const LINES = [0.3, 0.5, 0.7].flatMap((at): LineConfig[] => [
  { id: `across-${10 * at}`, from: [0, at], to: [1, at] },
  { id: `down-${10 * at}`, from: [at, 0], to: [at, 1] },
]);

/** Last report of each track. */
function lastOf(observations: readonly Observation[]): ObservedTrack[] {
  const last = new Map<number, ObservedTrack>();
  for (const { tracks } of observations) for (const track of tracks) last.set(track.id, track);
  return [...last.values()];
}

t.test('the first observation of a track reports its earlier places', { skip }, async (t) => {
  const observations = await observedClip(file, { lines: LINES });
  const known = new Set<number>();
  let whole = 0;
  const wrong: number[] = [];
  for (const { tracks, atMs } of observations) {
    for (const { id, before, firstMs } of tracks) {
      const isNew = !known.has(id);
      known.add(id);
      const isRight = isNew
        ? before?.every((found) => found.atMs >= firstMs && found.atMs < atMs) === true
        : before === undefined;
      if (!isRight) wrong.push(id);
      if (isNew && before?.[0]?.atMs === firstMs) whole += 1;
    }
  }
  t.same(wrong, [], 'from before it was confirmed, and in no later observation');
  t.ok(known.size >= 60, `${known.size} tracks`);
  t.ok(whole >= 0.8 * known.size, `${whole} of them from the very first place`);
  t.notOk(
    observations.some(({ tracks }) => tracks.some((track) => 'colours' in track)),
    'nobody asked for colours',
  );
});

/** Crossings of each track by its places alone, as a line that is drawn afterwards would find them. */
function foundAfterwards(observations: readonly Observation[], takesBefore: boolean): string[] {
  const wires = LINES.map((line) => new Tripwire(line));
  const known = new Map<number, Approach[]>();
  const found: string[] = [];
  for (const { tracks, source } of observations) {
    for (const { id, seen, before = [], xyxyNorm } of tracks) {
      const approaches = known.get(id) ?? LINES.map(newApproach);
      known.set(id, approaches);
      if (!seen) continue;
      for (const [x1, y1, x2, y2] of [...(takesBefore ? before.map((one) => one.xyxyNorm) : []), xyxyNorm]) {
        const ground = [((x1 + x2) / 2) * source.widthPx, y2 * source.heightPx] as const;
        for (const [k, wire] of wires.entries()) {
          const approach = approaches[k] as Approach;
          const direction = wire.approach(approach, source, ground, (y2 - y1) * source.heightPx);
          if (direction !== undefined) found.push(`${wire.id} ${id} ${direction}`);
        }
      }
    }
  }
  return found.sort();
}

t.test('a line drawn afterwards finds the crossings by the earlier places', { skip }, async (t) => {
  const observations = await observedClip(file, { lines: LINES });
  const told = observations
    .flatMap(({ crossings }) => crossings)
    .map(({ line, track, direction }) => `${line} ${track} ${direction}`)
    .sort();
  t.ok(told.length > 100, `${told.length} passages of vision's own lines`);
  t.same(foundAfterwards(observations, true), told);
  const without = foundAfterwards(observations, false);
  t.ok(without.length < 0.95 * told.length, `${without.length} without the places from before`);
});

t.test('requested colours name those of vehicles and change nothing else', { skip }, async (t) => {
  const [observations, plain] = await Promise.all([
    observedClip(file, { lines: LINES, vehicleColours: true }),
    observedClip(file, { lines: LINES }),
  ]);
  const named = lastOf(observations).filter(({ colours }) => colours !== undefined);
  const mains = new Set(named.map(({ colours }) => colours?.[0]));
  for (const name of ['white', 'grey', 'red', 'yellow', 'green', 'blue'] satisfies Colour[])
    t.ok(mains.has(name), name);
  t.ok(named.length >= 25, `${named.length} vehicles are named`);
  t.ok(named.every(({ group, label }) => group === 'vehicle' && label !== 'motorcycle'));
  const without = observations.map((one) => ({
    ...one,
    tracks: one.tracks.map(({ colours: _, ...track }) => track),
  }));
  t.same(without, plain);
});
