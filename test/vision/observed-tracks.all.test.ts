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

/** Crossings of each track by its places alone, as a line that is drawn afterwards would find them. */
function foundAfterwards(observations: readonly Observation[], takesBefore: boolean): string[] {
  const wires = LINES.map((line) => new Tripwire(line));
  const approachesById = new Map<number, Approach[]>();
  const crossings: string[] = [];
  for (const { tracks, source } of observations) {
    for (const { id, seen, before = [], xyxyNorm } of tracks) {
      const approaches = approachesById.get(id) ?? LINES.map(newApproach);
      approachesById.set(id, approaches);
      if (!seen) continue;
      for (const [x1, y1, x2, y2] of [...(takesBefore ? before.map((one) => one.xyxyNorm) : []), xyxyNorm]) {
        const ground = [((x1 + x2) / 2) * source.widthPx, y2 * source.heightPx] as const;
        for (const [k, wire] of wires.entries()) {
          const approach = approaches[k] as Approach;
          const direction = wire.approach(approach, source, ground, (y2 - y1) * source.heightPx);
          if (direction !== undefined) crossings.push(`${wire.id} ${id} ${direction}`);
        }
      }
    }
  }
  return crossings.sort();
}

t.test('a line drawn afterwards finds the crossings by the earlier places', { skip }, async (t) => {
  const observations = await observedClip(file, { lines: LINES });
  const reported = observations
    .flatMap(({ crossings }) => crossings)
    .map(({ line, track, direction }) => `${line} ${track} ${direction}`)
    .sort();
  t.ok(reported.length > 100, `${reported.length} passages of vision's own lines`);
  t.same(foundAfterwards(observations, true), reported);
  const fewer = foundAfterwards(observations, false);
  t.ok(fewer.length < 0.95 * reported.length, `${fewer.length} without the places from before`);
});

t.test('requested colours are those of vehicles and change no other field', { skip }, async (t) => {
  const [observations, plain] = await Promise.all([
    observedClip(file, { lines: LINES, vehicleColours: true }),
    observedClip(file, { lines: LINES }),
  ]);
  const colouredTracks = lastOf(observations).filter(({ colours }) => colours !== undefined);
  const mains = new Set(colouredTracks.map(({ colours }) => colours?.[0]));
  for (const name of ['white', 'grey', 'red', 'yellow', 'green', 'blue'] satisfies Colour[])
    t.ok(mains.has(name), name);
  t.ok(colouredTracks.length >= 25, `${colouredTracks.length} vehicles are named`);
  t.ok(colouredTracks.every(({ group, label }) => group === 'vehicle' && label !== 'motorcycle'));
  const plainTracks = observations.map((one) => ({
    ...one,
    tracks: one.tracks.map(({ colours: _, ...track }) => track),
  }));
  t.same(plainTracks, plain);
});
