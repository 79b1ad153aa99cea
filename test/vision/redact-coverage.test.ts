/**
 * Searches published pictures for people. Real clips go through the camera, the real detector, the tracker, the
 * background and the redactor. The output is compared with the ground truth, and searched for people who were painted
 * in colours that occur nowhere else. The default run has the painted person alone, for a quarter of a minute. `--all`
 * adds 300 frames of one clip. `--full` takes three clips whole, as often as a figure is given for.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  knownRedactionSequences,
  measureRedaction,
  redactionTable,
} from '../../scripts/workshop/evaluate/redaction.ts';
import { PAINTED_FPS, paintedClip, paintedPixels } from '../lib/painted-clip.ts';
import { evaluationData, STREET_CLIP, scratch } from '../lib/paths.ts';
import { ALL, FULL, unlessAll, unlessFull } from '../lib/run.ts';

const truth = evaluationData('gt', 'pets09-s2l1.txt');
const noStreet = existsSync(STREET_CLIP) ? false : `${STREET_CLIP} is absent: scripts/setup fetches it`;
const SKIPS: Readonly<Record<string, string | false>> = {
  'PETS09-S2L1': noStreet === false ? truth.skip : noStreet,
  'TUD-Stadtmitte': evaluationData('clips', 'tud-stadtmitte.mp4').skip,
  'PETS2006-S1': evaluationData('clips', 'pets2006-s1-c3.mp4').skip,
};

const ORDINARY = 'PETS09-S2L1';

process.env['ORT_DISABLE_TELEMETRY'] = '1';
// The full run takes some minutes on a quiet machine.
t.setTimeout(900_000);
for (const sequence of knownRedactionSequences(evaluationData('.').file)) {
  const skip =
    (SKIPS[sequence.name] ?? 'an unknown sequence') || (sequence.name === ORDINARY ? unlessAll : unlessFull);
  const expectation =
    sequence.truth === undefined
      ? 'the hidden ratio is reported'
      : 'its pictures contain no pixel of a person';
  t.test(`${sequence.name}: ${expectation}`, { skip }, async (t) => {
    const statistics = await measureRedaction(
      { ...sequence, ...(!FULL && { passes: 1 }) },
      { ...(!FULL && { framesMax: 300 }), say: () => undefined },
    );
    for (const line of redactionTable([statistics]).split('\n').slice(-3)) t.comment(line);
    const { persons, personPixels, by, leaked, learntFromPeople, learnt, seam, bytesMax, mosaicShare } =
      statistics;
    t.equal(leaked, 0, 'no hidden pixel comes from anybody');
    t.ok(seam <= 6, `${seam} levels at the border of the place`);
    t.ok(bytesMax <= 150_000, `${bytesMax} bytes`);
    if (sequence.truth !== undefined) {
      t.ok(persons > 90 && personPixels > 50_000, `${persons} people, ${personPixels} pixels`);
      // Coverage of the earlier mosaics: 99.997 % on the first clip, all on the second.
      t.ok(by.live / personPixels <= 0.00003, `${by.live} live pixels of people`);
      t.equal(learntFromPeople, 0, `of ${learnt} cells that were learnt`);
    }
    if (FULL && sequence.name === ORDINARY) t.ok(mosaicShare <= 0.05, `${mosaicShare} after two minutes`);
  });
}

t.test('a person painted in a unique colour is in no published picture', { skip: noStreet }, async (t) => {
  const dir = scratch(t);
  const stillsDir = join(dir, 'stills');
  // An empty street, a walk across the lawn, a time of standing (a minute in `--all`), the departure.
  const [comesS, walkS, goesS, seconds] = ALL ? [10, 10, 81, 105] : [6, 5, 13, 16];
  const clip = await paintedClip(dir, seconds, (s) => {
    const pxPerS = 360 / walkS;
    if (s < comesS || s >= goesS + 2 * walkS) return undefined;
    const atPx = -64 + Math.min(walkS, s - comesS) * pxPerS + Math.max(0, s - goesS) * pxPerS;
    return [atPx, 380];
  });
  const sequence = { name: 'painted', clip, truth: undefined, passes: 1 };
  const { pictures } = await measureRedaction(sequence, { stillsDir, say: () => undefined });
  t.ok(pictures > seconds * 1.5, `${pictures} pictures`);
  let worst = { file: '', pixels: 0 };
  for (const file of readdirSync(stillsDir)) {
    const pixels = await paintedPixels(join(stillsDir, file));
    if (pixels > worst.pixels) worst = { file, pixels };
  }
  t.equal(worst.pixels, 0, worst.file);
  t.equal(PAINTED_FPS, 5, 'as a box analyses it');
});
