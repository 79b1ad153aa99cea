/**
 * Who is covered in published snapshots? Real clips go through GStreamer, the real detector, the tracker, the
 * background and the redactor; the snapshots are read back and held against the ground truth.
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import {
  knownRedactionSequences,
  measureRedaction,
  redactionTable,
} from '../../scripts/programs/evaluate/redaction.ts';
import { evaluationData, STREET_CLIP } from '../lib/paths.ts';

/** The first 300 frames of each clip; all of them in the full run. */
const FULL = process.env['VIGIE_TEST_FULL'] === '1';

const pets = evaluationData('gt', 'pets09-s2l1.txt');
const stadtmitte = evaluationData('clips', 'tud-stadtmitte.mp4');
const SKIPS: Readonly<Record<string, string | false>> = {
  'PETS09-S2L1': existsSync(STREET_CLIP) ? pets.skip : `${STREET_CLIP} is absent: scripts/setup fetches it`,
  'TUD-Stadtmitte': stadtmitte.skip,
};

process.env['ORT_DISABLE_TELEMETRY'] = '1';
// The full run takes about a minute on a quiet machine.
t.setTimeout(600_000);
for (const sequence of knownRedactionSequences(evaluationData('.').file)) {
  const skip = SKIPS[sequence.name] ?? 'an unknown sequence';
  t.test(
    `${sequence.name}: 99.5 % of the area of people is covered in its snapshots`,
    { skip },
    async (t) => {
      const figures = await measureRedaction(sequence, {
        ...(!FULL && { framesMax: 300 }),
        say: () => undefined,
      });
      for (const line of redactionTable([figures]).split('\n').slice(-3)) t.comment(line);
      const { persons, personPixels, flatPersonPixels, covered } = figures;
      t.ok(persons > 100, `${persons} people`);
      t.ok(personPixels > 50_000 && flatPersonPixels < personPixels / 10, `${personPixels} pixels`);
      const share = (part: keyof typeof covered): number => covered[part].persons / personPixels;
      t.ok(share('moving') >= 0.995, `${share('moving')}`);
      t.ok(share('moving') >= share('kept'), 'moving regions uncover nobody');
      t.ok(share('alone') >= 0.9, `${share('alone')} if the detector saw nobody`);
    },
  );
}
