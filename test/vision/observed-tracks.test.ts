/** What a real vision process tells of the tracks of a recorded street: where they came from, and colours if it is asked. */
import t from 'tap';
import type { Observation, ObservedTrack } from '../../agent/contract/observation.ts';
import type { Colour } from '../../agent/contract/track-log.ts';
import { observedClip } from '../lib/observed-clip.ts';
import { evaluationData } from '../lib/paths.ts';

/** A queue at a red light, 25 s, by day: among others a yellow taxi, a blue and a green one, a red car and white vans. */
const { file, skip } = evaluationData('clips', 'boulevard25.mp4');

/** The last that was told of each track. */
function lastOf(observations: readonly Observation[]): ObservedTrack[] {
  const last = new Map<number, ObservedTrack>();
  for (const { tracks } of observations) for (const track of tracks) last.set(track.id, track);
  return [...last.values()];
}

t.test('the first observation of a track says where it was found until then', { skip }, async (t) => {
  const observations = await observedClip(file);
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

t.test('asked for colours, it names those of vehicles, and changes nothing else', { skip }, async (t) => {
  const [observations, plain] = await Promise.all([
    observedClip(file, { vehicleColours: true }),
    observedClip(file),
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
