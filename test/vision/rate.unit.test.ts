/** Tests the analysis rate: it depends on objects in zones and at lines, and stays within a budget. */
import t from 'tap';
import type { Glimpse, Track } from '../../agent/contract/picture.ts';
import { RateControl } from '../../agent/vision/schedule/rate-control.ts';
import { FPS_MAX, WantedRate } from '../../agent/vision/schedule/wanted-rate.ts';
import { rectangle } from '../lib/shapes.ts';

const SOURCE = { widthPx: 832, heightPx: 512 };
const INPUT = { widthPx: 416, heightPx: 256 };
const FRAME_MS = 1000 / 15;
const LINE = { id: 'line', from: [0.5, 0] as [number, number], to: [0.5, 1] as [number, number] };

interface Thing {
  readonly leftPx: number;
  readonly sidePx: number;
}

/** A grey frame with things in the middle, in pixels of the detector's input; the small picture has half of them. */
function frame(index: number, things: readonly Thing[]): Glimpse {
  const size = { widthPx: INPUT.widthPx / 2, heightPx: INPUT.heightPx / 2 };
  const luma = new Uint8Array(size.widthPx * size.heightPx).fill(90);
  for (const { leftPx, sidePx } of things) {
    for (let y = 60; y < 60 + sidePx / 2; y += 1) {
      const from = y * size.widthPx + Math.round(leftPx / 2);
      luma.fill(200, from, from + sidePx / 2);
    }
  }
  const atMs = index * FRAME_MS;
  return { index, ptsNs: 0n, atMs, wallMs: atMs, source: SOURCE, pictured: false, small: { size, luma } };
}

/** A track in source pixels, which are twice those of the input. */
function track(
  id: number,
  { leftPx, sidePx }: Thing,
  pxPerS: number,
  firstMs: number,
  lastMs: number,
): Track {
  const xyxyPx = [2 * leftPx, 240, 2 * (leftPx + sidePx), 240 + 2 * sidePx] as const;
  const velocityPxPerS = [2 * pxPerS, 0] as const;
  const about = { group: 'vehicle', label: 'car', score: 0.8, bestScore: 0.8, seen: true } as const;
  return { id, ...about, xyxyPx, velocityPxPerS, firstMs, lastMs };
}

const rateFor = (): WantedRate => new WantedRate({ zones: [], lines: [LINE], usualFps: 5 });

/** A thing goes through the picture and is tracked from the third frame on; returns the rate wanted at each frame. */
function passingRates(rate: WantedRate, fromIndex: number, sidePx: number, pxPerS: number, id = 1): number[] {
  const rates: number[] = [];
  for (let i = 0; (i / 15) * pxPerS + sidePx < INPUT.widthPx; i += 1) {
    const thing = { leftPx: (i / 15) * pxPerS, sidePx };
    const now = frame(fromIndex + i, [thing]);
    rate.watch(now);
    rates.push(rate.fps(now.atMs, false));
    const firstMs = (fromIndex + 2) * FRAME_MS;
    rate.note(now, i < 2 ? [] : [track(id, thing, pxPerS, firstMs, now.atMs)]);
  }
  rate.note(frame(0, []), []);
  return rates;
}

t.test('a still street is analysed once a second, and motion at the usual rate at least', async (t) => {
  const rate = rateFor();
  for (let i = 0; i < 60; i += 1) rate.watch(frame(i, []));
  t.equal(rate.fps(59 * FRAME_MS, false), 1);
  t.equal(rate.fps(59 * FRAME_MS, true), 5, 'an object is expected');
  rate.watch(frame(60, [{ leftPx: 10, sidePx: 20 }]));
  t.equal(rate.fps(60 * FRAME_MS, false), 5, 'in the very frame, far from the line');
  rate.watch(frame(61, [{ leftPx: 190, sidePx: 20 }]));
  t.equal(rate.fps(61 * FRAME_MS, false), FPS_MAX, 'near the line, at an unknown speed');
});

t.test('fast objects at a line raise the rate; walkers and objects off the line do not', async (t) => {
  const fast = passingRates(rateFor(), 0, 20, 90);
  t.equal(
    Math.round(10 * Math.max(...fast.slice(15, 40))) / 10,
    12.9,
    'four and a half sizes a second, 0.35 of its size between two looks',
  );
  const rate = rateFor();
  for (let n = 0; n < 30; n += 1) passingRates(rate, n * 300, 40, 30, n + 1);
  t.ok(
    Math.max(...passingRates(rate, 9000, 40, 30, 99)) <= 6,
    'nine of ten here walked, so the next one is not expected to be fast',
  );
  const off = new WantedRate({
    zones: [],
    lines: [{ ...LINE, from: [0.5, 0], to: [0.5, 0.1] }],
    usualFps: 5,
  });
  t.equal(Math.max(...passingRates(off, 0, 20, 90)), 5);
});

t.test('a fast object in a zone gets three detector runs where the rate allows it', async (t) => {
  const zoneOf = (width: number): WantedRate => {
    const polygon = rectangle(0.5, 0, 0.5 + width, 1);
    return new WantedRate({ zones: [{ id: 'zone', polygon }], lines: [], usualFps: 5 });
  };
  const wide = passingRates(zoneOf(0.12), 0, 120, 130);
  t.ok(Math.max(...wide.slice(20)) >= 7 && Math.max(...wide.slice(20)) <= 10, 'through it in .4 s');
});

/** Number of analysed frames, of 15 a second for the given time. */
function analysed(rateControl: RateControl, fromS: number, seconds: number, fps: number): number {
  let count = 0;
  for (let i = 0; i < seconds * 15; i += 1) {
    const atMs = fromS * 1000 + i * FRAME_MS;
    if (!rateControl.isDue(atMs, { fps, pictured: false })) continue;
    rateControl.noteAnalysed('look', atMs);
    count += 1;
  }
  return count;
}

t.test('the rate follows the street within its mean, and is never below the usual', async (t) => {
  const rateControl = new RateControl(5, true);
  t.equal(analysed(rateControl, 0, 10, 15), 150, 'ten seconds at fifteen');
  const minute = analysed(rateControl, 10, 60, 15);
  t.ok(minute >= 300 && minute <= 360, `a minute more: ${minute}`);
  const later = analysed(rateControl, 70, 600, 15) / 600;
  t.ok(later >= 4.9 && later <= 5.1, `the mean: ${later}`);
  t.ok(rateControl.short > 1000, 'and what was left out is counted');
  t.ok(Math.abs(analysed(rateControl, 670, 120, 1) - 120) <= 1, 'once a second where nothing moves');
  t.equal(analysed(rateControl, 790, 10, 15), 150, 'which pays for the next');
  t.equal(rateControl.shed, 0);
});

t.test('any rate is kept on average with frames that come at another', async (t) => {
  for (const [fps, comes] of [
    [5, 15],
    [8, 15],
    [11, 15],
    [15, 12.5],
    [6, 12.5],
  ] as const) {
    const rateControl = new RateControl(5, true);
    let count = 0;
    for (let i = 0; i < 10 * comes; i += 1) {
      if (rateControl.isDue((i * 1000) / comes, { fps, pictured: false })) count += 1;
    }
    t.ok(Math.abs(count / 10 - Math.min(fps, comes)) <= 0.06 * fps, `${fps} of ${comes}: ${count / 10}`);
  }
});

t.test('a frame with a picture is analysed, unless the board is hot', async (t) => {
  const rateControl = new RateControl(5, true);
  rateControl.isDue(0, { fps: 1, pictured: false });
  t.equal(rateControl.isDue(67, { fps: 1, pictured: false }), false);
  t.equal(rateControl.isDue(133, { fps: 1, pictured: true }), true);
  rateControl.heat(2);
  t.equal(rateControl.isDue(200, { fps: 15, pictured: true }), false);
  t.equal(rateControl.shed, 1);
  t.equal(rateControl.isDue(533, { fps: 15, pictured: false }), true);
});

t.test('a board with slow detector runs gets no higher rate than it can do', async (t) => {
  const rateControl = new RateControl(5, true);
  for (let i = 0; i < 50; i += 1) rateControl.noteDuration(100, i * 200);
  const rate = analysed(rateControl, 10, 10, 15) / 10;
  t.ok(rate > 6 && rate <= 7.5, `looks of 100 ms, 0.7 of the time: ${rate}`);
});
