/** Tests the track recorder on made observations: the tracks it keeps, cuts, drops and marks. */
import t from 'tap';
import type { Observation, ObservedTrack } from '../../agent/contract/observation.ts';
import type { TrackLogGrant } from '../../agent/contract/track-log.ts';
import { decodePath } from '../../agent/tracks/path.ts';
import { type TrackPiece, TrackRecorder } from '../../agent/tracks/recorder.ts';
import { observation, rectangle } from '../lib/street.ts';
import { OPEN_GRANT } from '../lib/track-oracle.ts';
import { type MovingObject, movingObject, trackOf } from '../lib/tracked-box.ts';

const FRAME_MS = 200;
const WALL_MS = Date.parse('2026-11-24T10:00:00Z');

/** A recorder with the pieces that it has handed over; frames follow each other at five a second. */
class Street {
  pieces: TrackPiece[] = [];
  readonly droppedTracks: number[] = [];
  readonly recorder: TrackRecorder;
  atMs = 0;

  constructor(grant: Partial<TrackLogGrant> = {}) {
    this.recorder = new TrackRecorder({
      grant: { ...OPEN_GRANT, ...grant },
      keep: (piece) => this.pieces.push(piece),
      drop: (track, fromMs) => {
        this.droppedTracks.push(track);
        this.pieces = this.pieces.filter((one) => one.track !== track || one.fromMs < fromMs);
      },
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

t.test('a dropped track stays dropped while it is followed, over a pause and a flush', async (t) => {
  const street = new Street({ notKept: [{ id: 'door', polygon: rectangle(0.2, 0.4, 0.3, 0.6) }] });
  street.live(4, [CROSSING]);
  street.recorder.end();
  street.live(2, [CROSSING]);
  street.recorder.cutOpenTracks();
  street.live(6, [CROSSING]);
  street.recorder.end();
  t.strictSame(street.pieces, []);
  t.strictSame(street.droppedTracks, [7], 'once');
});

t.test('a track that crosses an excluded area between two frames is dropped', async (t) => {
  const street = new Street({ notKept: [{ id: 'wire', polygon: rectangle(0.505, 0, 0.506, 1) }] });
  street.live(12, [CROSSING]);
  t.ok(Math.floor(0.505 / 0.02) === Math.floor(0.506 / 0.02), 'no frame has it inside');
  t.strictSame(street.droppedTracks, [7]);
  t.strictSame(street.pieces, []);
});

t.test('a track that crossed an excluded area before it was confirmed is dropped', async (t) => {
  const street = new Street({ notKept: [{ id: 'wire', polygon: rectangle(0.305, 0, 0.306, 1) }] });
  const { xyxyNorm } = trackOf(CROSSING, [0.3, 0.5], 0);
  street.atMs = 400;
  street.frame([{ ...trackOf(CROSSING, [0.34, 0.5], 400), before: [{ atMs: 0, xyxyNorm }] }]);
  t.strictSame(street.droppedTracks, [7]);
});

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
