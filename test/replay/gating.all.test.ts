/**
 * Tests a street that stays still for a while: the detector rests, objects stay tracked, and every person stays
 * redacted. `--all` compares it with a detector that runs on every frame.
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import { type Replayed, replayClip } from '../../scripts/workshop/evaluate/replay-clip.ts';
import { encodedClip } from '../lib/encoded-clip.ts';
import { STREET_CLIP } from '../lib/paths.ts';
import { unlessAll } from '../lib/run.ts';
import { rectangle } from '../lib/shapes.ts';

const skip = !existsSync(STREET_CLIP) && 'no street clip';
const CONFIG = {
  site: 'lab',
  box: 'lab-1',
  zones: [{ id: 'street', polygon: rectangle(0, 0, 1, 1) }],
  rules: [
    {
      id: 'stays',
      kind: 'loitering',
      zone: 'street',
      purpose: 'evaluation',
      classes: ['person'],
      afterS: 9,
    },
  ],
};

t.test(
  'people who stay are held, reported in time, and redacted in frames without an inference',
  { skip },
  async (t) => {
    // From 4 s on the street is a still for 12 s, with a codec’s own noise.
    const filter = 'loop=loop=120:size=1:start=40,noise=alls=4:allf=t';
    const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-threads', '1', '-t', '15'];
    const clip = encodedClip(['-i', STREET_CLIP, '-vf', filter, ...h264], 'mp4');
    const gated = await replayClip(clip, CONFIG);
    t.teardown(gated.forget);
    const starts = ({ events }: Replayed) => events.filter(({ data }) => data.phase === 'start');
    const beganS = (replayed: Replayed): number[] =>
      starts(replayed).map(({ time }) => Date.parse(time) / 1000);
    const { framesHeld, frames } = gated.summary;
    t.ok(framesHeld >= 40, `${framesHeld} of ${frames} frames held`);
    t.ok(beganS(gated).length >= 2, `people stay: ${beganS(gated)}`);
    t.ok(
      beganS(gated).every((atS) => atS >= 9 && atS <= 15),
      'after their 9 s',
    );
    // A tracked person is drawn as a figure; anything that may be a person is hidden by the clean plate or by blocks.
    const redactions = (replayed: Replayed) =>
      starts(replayed).flatMap(({ data }) => data.evidence.snapshot?.redaction ?? []);
    t.equal(redactions(gated).length, starts(gated).length, 'each has its snapshot');
    const figures = (replayed: Replayed): number =>
      Math.min(...redactions(replayed).map((redaction) => redaction.figures));
    const hidden = (replayed: Replayed): number =>
      Math.min(...redactions(replayed).map(({ cleanPlate, mosaicShare }) => cleanPlate.ratio + mosaicShare));
    t.ok(figures(gated) >= 1 && hidden(gated) > 0, `${figures(gated)} people, ${hidden(gated)} hidden`);

    await t.test('a detector that never rests says the same', { skip: unlessAll }, async (t) => {
      const every = await replayClip(clip, CONFIG, ['--every-frame']);
      t.teardown(every.forget);
      t.equal(every.summary.framesHeld, 0);
      for (const atS of beganS(every)) {
        t.ok(
          beganS(gated).some((other) => Math.abs(other - atS) <= 2.5),
          `the incident of ${atS} s is reported with gating too: ${beganS(gated)}`,
        );
      }
      t.ok(figures(gated) >= figures(every) - 1, `${figures(every)} people by looking`);
      t.ok(hidden(gated) >= 0.8 * hidden(every), `${hidden(every).toFixed(4)} hidden by looking`);
    });
  },
);
