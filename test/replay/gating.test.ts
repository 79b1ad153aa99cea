/**
 * Tests a street that stays still for a while: the detector rests, objects stay tracked, and every person stays
 * redacted.
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import { type Replayed, replayClip } from '../../scripts/programs/evaluate/replay-clip.ts';
import { encodedClip } from '../lib/encoded-clip.ts';
import { STREET_CLIP } from '../lib/paths.ts';
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
      afterS: 17,
    },
  ],
};

t.test(
  'people who stay are held, reported in time, and redacted in frames without an inference',
  { skip },
  async (t) => {
    // From 8 s on the street is a still for 20 s, with a codec’s own noise.
    const filter = 'loop=loop=200:size=1:start=80,noise=alls=4:allf=t';
    const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-threads', '1', '-t', '27'];
    const clip = encodedClip(['-i', STREET_CLIP, '-vf', filter, ...h264], 'mp4');
    const every = await replayClip(clip, CONFIG, ['--every-frame']);
    const gated = await replayClip(clip, CONFIG);
    t.teardown(() => {
      every.forget();
      gated.forget();
    });
    const starts = ({ events }: Replayed) => events.filter(({ data }) => data.phase === 'start');
    const beganS = (replayed: Replayed): number[] =>
      starts(replayed).map(({ time }) => Date.parse(time) / 1000);
    t.equal(every.summary.framesHeld, 0);
    t.ok(
      gated.summary.framesHeld >= 60,
      `${gated.summary.framesHeld} of ${gated.summary.frames} frames held`,
    );
    t.ok(beganS(every).length >= 2, `a person stays: ${beganS(every)}`);
    for (const atS of beganS(every)) {
      t.ok(
        beganS(gated).some((other) => Math.abs(other - atS) <= 2.5),
        `the incident of ${atS} s is reported with gating too: ${beganS(gated)}`,
      );
    }
    // A tracked person is drawn as a figure; anything that may be a person is hidden by the clean plate or by blocks.
    const redactions = (replayed: Replayed) =>
      starts(replayed).flatMap(({ data }) => data.evidence.snapshot?.redaction ?? []);
    t.equal(redactions(gated).length, starts(gated).length, 'each has its snapshot');
    const figures = (replayed: Replayed): number =>
      Math.min(...redactions(replayed).map((redaction) => redaction.figures));
    const hidden = (replayed: Replayed): number =>
      Math.min(...redactions(replayed).map(({ cleanPlate, mosaicShare }) => cleanPlate.ratio + mosaicShare));
    t.ok(
      figures(every) >= 1 && hidden(every) > 0,
      `${figures(every)} people, ${hidden(every).toFixed(4)} hidden by looking`,
    );
    t.ok(
      figures(gated) >= figures(every) - 1,
      `people drawn: ${figures(gated)}, ${figures(every)} by looking`,
    );
    t.ok(
      hidden(gated) >= 0.8 * hidden(every),
      `share that is hidden: ${hidden(gated).toFixed(4)}, ${hidden(every).toFixed(4)} by looking`,
    );
  },
);
