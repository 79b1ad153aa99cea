/** Tests the colours of vehicles that a real vision process reports on a recorded street if they are requested. */
import t from 'tap';
import type { LineConfig } from '../../agent/contract/config.ts';
import type { Observation, ObservedTrack } from '../../agent/contract/observation.ts';
import type { Colour } from '../../agent/contract/track-log.ts';
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
