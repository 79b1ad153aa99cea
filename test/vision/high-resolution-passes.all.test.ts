/** Tests when the detector uses larger pictures: on real streets by day, in infra-red mode and with little light. */
import { existsSync } from 'node:fs';
import t from 'tap';
import type { Frame } from '../../agent/contract/picture.ts';
import { HighResolutionPasses } from '../../agent/vision/schedule/high-resolution-passes.ts';
import { smallStreet } from '../lib/encoded-clip.ts';
import { filteredClip } from '../lib/filtered-clip.ts';
import { STREET_CLIP } from '../lib/paths.ts';

const skip = existsSync(STREET_CLIP) ? false : 'no .cache/vtest.avi: run scripts/setup';

const GREY = 'hue=s=0';

/** Seconds of the street in which larger pictures would end after their half minute without a cause. */
const LENGTH_S = 45;

/** Times at which larger pictures began and ceased to be wanted in the first `lengthS` seconds, in s. */
async function switched(filter: string, over: Partial<Frame> = {}, lengthS = LENGTH_S): Promise<number[]> {
  const passes = new HighResolutionPasses();
  const atS: number[] = [];
  for await (const frame of filteredClip(filter, { ...smallStreet(), lengthS })) {
    const isWanted = passes.wants({ ...frame, ...over }, false);
    if (isWanted !== (atS.length % 2 === 1)) atS.push(frame.atMs / 1000);
  }
  return atS;
}

t.test('larger pictures are never wanted by day, and within seconds in grey or dark', { skip }, async (t) => {
  t.same(await switched('null', {}, 80), [], 'unchanged, the whole clip');
  t.same(await switched('eq=saturation=.4:contrast=.6,noise=alls=4:allf=t'), [], 'pale, in haze');
  t.same(await switched('hue=s=0'), [2], 'infra-red: no colour');
  t.same(await switched('hue=s=0,eq=gamma=.5,noise=alls=6:allf=t'), [2], 'and noisy in colour too');
  t.same(await switched('eq=gamma=.25,noise=alls=10:allf=t'), [2], 'hardly any light, with colours');
});

t.test('larger pictures end half a minute after colours are back', { skip }, async (t) => {
  t.same(await switched("hue=s='if(lt(t,10),0,1)'"), [2, 39.4], 'the morning');
  t.same(await switched("hue=s='if(lt(mod(t,20),18),0,1)'"), [2], 'headlights');
  t.same(await switched("hue=s='if(lt(mod(t,20),1),0,1)'"), [], 'a flash by day');
});

t.test('the black under a mask counts neither as grey nor as dark', { skip }, async (t) => {
  const masked = new Uint8Array(416 * 256).fill(1, 0, 416 * 200);
  const black = 'drawbox=x=0:y=0:w=iw:h=ih*25/32:color=black:t=fill';
  t.same(await switched(black, { masked }), [], 'a visible strip by day');
  t.same(await switched(black), [2], 'without masks it counts as night');
  t.same(await switched('hue=s=0', { masked: masked.fill(1) }), [], 'no part is visible');
});

t.test(
  'a board that drops frames gets no larger pictures, nor within six hours after',
  { skip },
  async (t) => {
    const passes = new HighResolutionPasses();
    const base: number[] = [];
    for (const [hour, slowed, filter] of [
      [-1, true, 'null'],
      [0, false, GREY],
      [0.01, true, GREY],
      [0.02, false, GREY],
      [6.1, false, GREY],
    ] as const) {
      for await (const frame of filteredClip(filter, { ...smallStreet(), lengthS: 3 })) {
        const atMs = hour * 3_600_000 + frame.atMs;
        if (passes.wants({ ...frame, atMs }, slowed)) base.push(hour);
      }
    }
    t.same([...new Set(base)], [0, 6.1]);
  },
);

t.test('a quiet street gets a larger picture before the gate would run the detector', { skip }, async (t) => {
  const passes = new HighResolutionPasses();
  const runTimesMs: number[] = [];
  for await (const frame of filteredClip('null', { ...smallStreet(), lengthS: 6 })) {
    const even = frame.index % 2 === 0;
    const fine = even ? { fine: { size: frame.input, rgb: frame.rgb } } : {};
    const nextFrame = { ...frame, ...fine };
    if (!passes.isDue(nextFrame)) continue;
    passes.noteDetectorRun(nextFrame);
    runTimesMs.push(frame.atMs);
  }
  t.same(runTimesMs, [200, 1800, 3400, 5000]);
  t.equal(passes.count, 4);
});
