/**
 * Tests the track recorder on made observations, and paths as bytes, simplified and as cells, for arbitrary movements.
 */

import fc from 'fast-check';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import type { Observation, ObservedTrack } from '../../agent/contract/observation.ts';
import type { TrackLogGrant, TrackPlace } from '../../agent/contract/track-log.ts';
import { newApproach, Tripwire } from '../../agent/contract/tripwire.ts';
import { cellsOfDrawing, cellsOfPath } from '../../agent/tracks/cells.ts';
import { deedOf } from '../../agent/tracks/deed.ts';
import { decodePath, encodePath, type PathPoint, simplified } from '../../agent/tracks/path.ts';
import { type TrackPiece, TrackRecorder } from '../../agent/tracks/recorder.ts';
import { between } from '../../agent/tracks/stop.ts';
import { SEED } from '../lib/random.ts';
import { ALL, FULL } from '../lib/run.ts';
import { observation } from '../lib/street.ts';
import { OPEN_GRANT } from '../lib/track-oracle.ts';
import { type MovingObject, movingObject, trackOf } from '../lib/tracked-box.ts';

const FRAME_MS = 200;
const WALL_MS = Date.parse('2026-11-24T10:00:00Z');

/** A recorder with the pieces that it has handed over; frames follow each other at five a second. */
class Street {
  pieces: TrackPiece[] = [];
  readonly recorder: TrackRecorder;
  atMs = 0;

  constructor(grant: Partial<TrackLogGrant> = {}) {
    this.recorder = new TrackRecorder({
      grant: { ...OPEN_GRANT, ...grant },
      keep: (piece) => this.pieces.push(piece),
    });
  }

  /** Feeds the movers for some seconds; their time counts from the start of the street. */
  live(
    seconds: number,
    movingObjects: readonly MovingObject[],
    change: (track: ObservedTrack) => ObservedTrack = (one) => one,
  ) {
    for (const endMs = this.atMs + seconds * 1000; this.atMs < endMs; this.atMs += FRAME_MS) {
      this.frame(
        movingObjects.flatMap((one) => {
          const at = one.at(this.atMs / 1000);
          return at === undefined ? [] : [change(trackOf(one, at, this.atMs))];
        }),
      );
    }
    return this;
  }

  frame(tracks: ObservedTrack[], fields: Partial<Observation> = {}) {
    const { atMs } = this;
    const source = { widthPx: 1600, heightPx: 900 };
    this.recorder.observe(observation(atMs, tracks, { wallMs: WALL_MS + atMs, source, ...fields }));
  }

  /** Size of all pieces. */
  get bytes(): number {
    return this.pieces.reduce((sum, { path }) => sum + path.length, 0);
  }
}

const pointsOf = ({ path }: TrackPiece) => decodePath(path).points;
const CROSSING = movingObject(7, [0.1, 0.5], [0.9, 0.5], [0, 8]);

t.test('fixed objects are not stored however long they stay, and do not use memory', async (t) => {
  const street = new Street();
  const sign = movingObject(3, [0.5, 0.5], [0.5, 0.5], [0, 7200], { isStaticFalsePositive: true });
  // Its box jitters, so that each place differs from the one before.
  const jitters: MovingObject = { ...sign, at: (s) => [0.5 + 0.004 * Math.sin(7 * s), 0.5] };
  for (let minute = 0; minute < 60; minute += 1) {
    street.live(60, [jitters]);
    if (minute % 5 === 4) street.recorder.cutOpenTracks();
  }
  street.live(1, []);
  t.strictSame(street.pieces, []);
  t.equal(street.recorder.counts.furniture, 1);
});

t.test('an object that proves not to be fixed is stored from then on', async (t) => {
  const street = new Street();
  const parked = movingObject(3, [0.5, 0.5], [0.5, 0.5], [0, 100]);
  street.live(20, [parked], (one) => ({ ...one, furniture: true }));
  street.recorder.cutOpenTracks();
  street.live(60, [parked]);
  street.live(1, []);
  t.equal(street.pieces.length, 1);
  t.match(street.pieces[0], { isCut: true });
});

t.test('an object seen less than three times is a flicker', async (t) => {
  const street = new Street();
  street.live(0.4, [CROSSING]);
  street.live(1, []);
  t.strictSame(street.pieces, []);
  t.equal(street.recorder.counts.flickers, 1);
});

t.test('frames without an inference end no track and add little', async (t) => {
  const street = new Street();
  const parked = movingObject(3, [0.5, 0.5], [0.5, 0.5], [0, 1e6]);
  street.live(2, [parked]);
  for (let i = 0; i < 500; i += 1, street.atMs += FRAME_MS)
    street.frame([trackOf(parked, [0.5, 0.5], street.atMs)], { looked: false });
  street.live(2, [parked]);
  street.live(1, []);
  t.equal(street.pieces.length, 1);
  const [piece] = street.pieces;
  t.equal(piece?.durationMs, 103_800);
  t.ok(piece !== undefined && pointsOf(piece).length === 2);
});

/** Boxes of near parked cars vary by .03 to .08 of their height (5 to 95 %); those of far ones by whole cars. */
t.test('a car parked for an hour is a few bytes, though its box jitters', async (t) => {
  for (const [name, at, bytesMax] of [
    ['still', () => [0.5, 0.5], 200],
    ['jittering', (s: number) => [0.5 + 0.001 * Math.sin(7 * s), 0.5 + 0.001 * Math.cos(5 * s)], 300],
  ] as const) {
    const street = new Street();
    for (let flush = 0; flush < 12; flush += 1) {
      street.live(300, [{ id: 3, at: (s) => at(s) as [number, number] }]);
      street.recorder.cutOpenTracks();
    }
    street.live(1, []);
    t.ok(street.pieces.length >= 6 && street.pieces.length <= 14, `${street.pieces.length} pieces`);
    t.ok(street.bytes <= bytesMax, `${name}: ${street.bytes} B`);
    const inRow = street.pieces.every((piece, i) => {
      const next = street.pieces[i + 1];
      if (next === undefined) return !piece.goesOn;
      return piece.goesOn && next.continues && next.fromMs === piece.fromMs + piece.durationMs;
    });
    t.ok(inRow, 'each piece begins where the one before ends');
  }
});

t.test('an unseen part of the path is marked, a single missed frame is not', async (t) => {
  const street = new Street();
  const missed = (fromMs: number, toMs: number) => (one: ObservedTrack) => ({
    ...one,
    seen: !(one.lastMs >= fromMs && one.lastMs < toMs),
  });
  street.live(12, [CROSSING], missed(3000, 5000));
  const [piece] = street.pieces;
  const unseen = (piece === undefined ? [] : pointsOf(piece)).filter(({ wasSeen }) => !wasSeen);
  t.equal(unseen.length, 1);
  t.ok(Math.abs((unseen[0]?.atMs ?? 0) - 5000) <= 20, 'the first place after it');
  street.pieces = [];
  const later = movingObject(8, [0.1, 0.5], [0.9, 0.5], [12, 20]);
  street.live(12, [later], missed(15_000, 15_400));
  t.ok(street.pieces.every((one) => pointsOf(one).every(({ wasSeen }) => wasSeen)));
});

t.test('each grade keeps its classes', async (t) => {
  const labels = [
    'person',
    'bicycle',
    'car',
    'motorcycle',
    'bus',
    'truck',
    'dog',
    'backpack',
    'unknown',
  ] as const;
  for (const [grade, keptLabels] of [
    ['counts', labels],
    ['vehicles', ['car', 'motorcycle', 'bus', 'truck']],
    ['persons', labels],
  ] as const) {
    const street = new Street({ grade });
    const movingObjects = labels.map((label, i) =>
      movingObject(i + 1, [0.1, 0.1 + 0.08 * i], [0.9, 0.1 + 0.08 * i], [0, 8], { label: label as never }),
    );
    street.live(12, movingObjects);
    t.strictSame(street.pieces.map(({ label }) => label).sort(), [...keptLabels].sort(), grade);
  }
});

const RUNS = FULL ? 20_000 : ALL ? 2000 : 100;
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
