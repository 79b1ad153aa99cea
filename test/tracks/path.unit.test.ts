/** Tests paths of tracks as bytes, simplified, and as cells of a grid, for arbitrary movements. */
import fc from 'fast-check';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import type { TrackPlace } from '../../agent/contract/track-log.ts';
import { newApproach, Tripwire } from '../../agent/contract/tripwire.ts';
import { cellsOfDrawing, cellsOfPath } from '../../agent/tracks/cells.ts';
import { deedOf } from '../../agent/tracks/deed.ts';
import { decodePath, encodePath, type PathPoint, simplified } from '../../agent/tracks/path.ts';
import { between } from '../../agent/tracks/stop.ts';
import { SEED } from '../lib/random.ts';
import { ALL, FULL } from '../lib/run.ts';

const RUNS = FULL ? 20_000 : ALL ? 2000 : 400;
const ASPECT = 16 / 9;
const options = { seed: SEED, numRuns: RUNS, endOnFailure: true };

const ratio = fc.integer({ min: 0, max: 10_000 }).map((part) => part / 10_000);
/** A box may reach beyond the picture. */
const wide = fc.integer({ min: -3000, max: 13_000 }).map((part) => part / 10_000);

/** Slow, fast, still, an hour between two points, out of sight; times are multiples of nothing. */
const path = fc
  .array(
    fc.record({
      at: fc.oneof(fc.tuple(wide, wide), fc.constant(undefined)),
      by: fc.tuple(ratio, ratio),
      height: ratio,
      afterMs: fc.oneof(
        { weight: 8, arbitrary: fc.integer({ min: 1, max: 400 }) },
        { weight: 1, arbitrary: fc.integer({ min: 400, max: 3_600_000 }) },
      ),
      wasSeen: fc.integer({ min: 0, max: 9 }).map((one) => one > 0),
    }),
    { minLength: 1, maxLength: 120, size: 'max' },
  )
  .map((steps) => {
    const points: PathPoint[] = [];
    let atMs = 0.25;
    for (const { at, by, height, afterMs, wasSeen } of steps) {
      const last = points.at(-1) ?? { x: 0.5, y: 0.5 };
      // Most steps are small, with an occasional jump.
      const [x, y] =
        at !== undefined && afterMs > 100 ? at : [last.x + (by[0] - 0.5) / 50, last.y + (by[1] - 0.5) / 50];
      points.push({ atMs, x, y, height: 0.01 + height, wasSeen: wasSeen || points.length === 0 });
      atMs += afterMs;
    }
    return points;
  });

t.comment(`VIGIE_TEST_SEED=${SEED}`);

t.test('a path reads back from its bytes, to the rounding', async (t) => {
  let bytes = 0;
  let count = 0;
  fc.assert(
    fc.property(path, ratio, (points, widthToHeight) => {
      const encoded = encodePath(points, 0, widthToHeight);
      const decoded = decodePath(encoded);
      if (decoded.points.length !== points.length) throw new Error(`${decoded.points.length} points`);
      for (const [i, { atMs, x, y, height, wasSeen }] of decoded.points.entries()) {
        const was = points[i] as PathPoint;
        const isSame =
          Math.abs(atMs - was.atMs) <= 10.001 &&
          Math.max(Math.abs(x - was.x), Math.abs(y - was.y)) <= 0.5001 / 1024 &&
          Math.abs(height - was.height) <= 0.5001 / 256 &&
          wasSeen === was.wasSeen;
        if (!isSame) throw new Error(`${i}: ${JSON.stringify(was)} is ${JSON.stringify(decoded.points[i])}`);
      }
      if (Math.abs(decoded.widthToHeight - widthToHeight) > 0.0051) throw new Error('another shape');
      bytes += encoded.length;
      count += points.length;
    }),
    options,
  );
  t.ok(count > RUNS, `${(bytes / count).toFixed(1)} B a point`);
});

t.test('bytes that are not a path are refused as damaged, without another error', async (t) => {
  let refusedCount = 0;
  const start = fc.constantFrom(Uint8Array.of(1, 100), Uint8Array.of(2, 100), new Uint8Array(0));
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), (head, tail) => {
      try {
        const { points } = decodePath(Uint8Array.from([...head, ...tail]));
        if (points.some(({ atMs, x, y, height }) => !Number.isFinite(atMs + x + y + height)))
          throw new Error('no number');
      } catch (error) {
        if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
        refusedCount += 1;
      }
    }),
    options,
  );
  t.throws(() => decodePath(Uint8Array.of(1, 100, ...new Array(60).fill(0xff), 0)), /too large/);
  t.ok(refusedCount > 0, `${refusedCount} of ${RUNS}`);
});

/** Distance of a place from the simplified path at its time, as a ratio of its tolerance. */
function offWay(keptPoints: readonly PathPoint[], point: PathPoint): number {
  const next = Math.max(
    0,
    keptPoints.findIndex(({ atMs }) => atMs >= point.atMs),
  );
  const to = keptPoints[next] as PathPoint;
  const from = keptPoints[Math.max(0, next - 1)] as PathPoint;
  const part = to.atMs === from.atMs ? 1 : (point.atMs - from.atMs) / (to.atMs - from.atMs);
  const at = between(from, to, part);
  const tolerance = Math.min(0.008, Math.max(1 / 768, 0.06 * point.height));
  return Math.hypot((at.x - point.x) * ASPECT, at.y - point.y) / tolerance;
}

t.test('simplifying moves no place beyond its tolerance, and keeps the ends of unseen parts', async (t) => {
  let before = 0;
  let after = 0;
  fc.assert(
    fc.property(path, (points) => {
      const keptPoints = simplified(points, ASPECT);
      if (!keptPoints.every((one) => points.includes(one))) throw new Error('a point of its own');
      if (keptPoints[0] !== points[0] || keptPoints.at(-1) !== points.at(-1))
        throw new Error('an end is gone');
      const isGone = (one: PathPoint | undefined): boolean => one !== undefined && !keptPoints.includes(one);
      if (points.some(({ wasSeen }, i) => !wasSeen && (isGone(points[i]) || isGone(points[i - 1]))))
        throw new Error('an end of what nobody saw is gone');
      const worst = Math.max(...points.map((one) => offWay(keptPoints, one)));
      if (worst > 1.000001) throw new Error(`${worst} of the tolerance`);
      before += points.length;
      after += keptPoints.length;
    }),
    options,
  );
  t.ok(after < before, `${after} of ${before} points`);
});

const place: fc.Arbitrary<TrackPlace> = fc.oneof(
  fc.record({
    line: fc.tuple(fc.tuple(ratio, ratio), fc.tuple(ratio, ratio)),
    direction: fc.constant('both' as const),
  }),
  fc.record({
    polygon: fc.array(fc.tuple(ratio, ratio), { minLength: 3, maxLength: 8 }),
    does: fc.constantFrom('enters' as const, 'leaves' as const, 'stays' as const, 'stops' as const),
    atLeastS: fc.constant(0),
  }),
  // Along the picture's edge, where a zone continues beyond it.
  fc.record({
    polygon: fc.tuple(ratio, ratio, ratio).map(([a, b, top]): [number, number][] => [
      [a, top],
      [b, top],
      [b, 1],
      [a, 1],
    ]),
    does: fc.constantFrom('enters' as const, 'leaves' as const, 'stays' as const),
    atLeastS: fc.constant(0),
  }),
);

t.test('a path that does something at a place shares a cell with it', async (t) => {
  let did = 0;
  fc.assert(
    fc.property(path, place, (points, drawing) => {
      const keptPoints = simplified(points, ASPECT);
      const decoded = decodePath(encodePath(keptPoints, 0, 1)).points;
      if (deedOf(decoded, drawing, ASPECT) === undefined) return;
      did += 1;
      const cells =
        'line' in drawing ? cellsOfDrawing(drawing.line, false) : cellsOfDrawing(drawing.polygon, true);
      if ((cells & cellsOfPath(keptPoints)) === 0n) throw new Error('no cell in common');
    }),
    options,
  );
  t.ok(did > RUNS / 20, `${did} of ${RUNS} did`);
});

t.test('a path crosses a line of a question exactly where it crosses one of the configuration', async (t) => {
  const size = { widthPx: ASPECT * 1000, heightPx: 1000 };
  let passed = 0;
  fc.assert(
    fc.property(path, fc.tuple(ratio, ratio), fc.tuple(ratio, ratio), (points, from, to) => {
      const wire = new Tripwire({ id: 'wire', from, to });
      const approach = newApproach();
      const crosses = points.some(
        ({ x, y, height }) =>
          wire.approach(approach, size, [x * size.widthPx, y * size.heightPx], height * size.heightPx) !==
          undefined,
      );
      if (crosses) passed += 1;
      if ((deedOf(points, { line: [from, to], direction: 'both' }, ASPECT) !== undefined) !== crosses)
        throw new Error(`the line says ${crosses}`);
    }),
    options,
  );
  t.ok(passed > RUNS / 20, `${passed} of ${RUNS} passed`);
});
