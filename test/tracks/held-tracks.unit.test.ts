/**
 * Tests that a visitor of an excluded area leaves no trace on the disk, whatever interrupts the log. The raw bytes of
 * the files are searched for the paths that a log without excluded areas has kept.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import type { ObservedTrack } from '../../agent/contract/observation.ts';
import { HeldTracks } from '../../agent/tracks/held-tracks.ts';
import type { TrackPiece } from '../../agent/tracks/recorder.ts';
import { scratch } from '../lib/paths.ts';
import { observation, rectangle } from '../lib/street.ts';
import { GRANT, type MovingObject, movingObject, TrackedBox, trackOf } from '../lib/tracked-box.ts';

const DOOR = { id: 'door', polygon: rectangle(0.45, 0.4, 0.55, 0.6) };
const VISITORS = 16;
const LATE = 100;

/**
 * Street from `fromS` on. Visitors pass the door in sequence, the last of them after every interruption. After
 * a restart of vision, those beyond the door are left out: they are new tracks, which nothing connects with the door.
 */
function street(fromS: number, firstId: number): MovingObject[] {
  const from = (object: MovingObject): MovingObject => ({
    ...object,
    id: object.id + firstId,
    at: (s) => object.at(s + fromS),
  });
  const visitors = Array.from({ length: VISITORS }, (_, i) =>
    movingObject(i + 1, [0.1, 0.45 + 0.005 * i], [0.9, 0.5], [0.7 * i, 10 + 0.7 * i]),
  );
  const present = visitors.filter(({ at }) => firstId === 0 || (at(fromS)?.[0] ?? 0) < 0.45);
  return [...present, movingObject(LATE, [0.1, 0.9], [0.9, 0.9], [35, 45])].map(from);
}

interface Interruption {
  /** Time that passes unseen, s. */
  readonly lostS?: number;
  /** True if vision starts again, which numbers its tracks again. */
  readonly isRestart?: boolean;
  act(box: TrackedBox): Promise<unknown> | unknown;
}

const INTERRUPTIONS: Readonly<Record<string, Interruption>> = {
  none: { act: () => undefined },
  'a question': { act: (box) => box.ask() },
  'a renewed authorisation': {
    act: (box) => {
      box.notAfter = '2028-01-01T00:00:00.000Z';
      box.rule();
    },
  },
  'a clock set forward': { act: ({ clock }) => (clock.epochMs += 3_600_000) },
  'a clock set back': { act: ({ clock }) => (clock.epochMs -= 3_600_000) },
  'a clock that is not set': {
    lostS: 1,
    act: (box) => {
      box.synced = false;
      box.live(1, street(8, 0));
      box.synced = true;
    },
  },
  'a covered lens': { lostS: 1, act: (box) => box.live(1, street(8, 0), ['covered']) },
  'no frame for four seconds': { lostS: 4, act: (box) => box.sleep(4) },
  suspension: {
    lostS: 20,
    isRestart: true,
    act: (box) => {
      box.mode = 'suspended';
      box.rule();
      box.log.visionEnded();
      box.sleep(20);
      box.mode = 'active';
      box.rule();
    },
  },
  'a restart of vision': {
    lostS: 2,
    isRestart: true,
    act: (box) => {
      box.log.visionEnded();
      box.sleep(2);
    },
  },
  'a restart of the agent': { lostS: 2, isRestart: true, act: (box) => box.restart().sleep(2) },
  'a power cut after a question, which writes': {
    lostS: 2,
    isRestart: true,
    act: async (box) => {
      await box.ask();
      box.kill().sleep(2);
    },
  },
};

/** Lets the street pass with an interruption after 8 s. */
async function pass(
  t: Test,
  { lostS = 0, isRestart = false, act }: Interruption,
  notKept: [typeof DOOR] | [],
) {
  const box = new TrackedBox(scratch(t), { grant: { ...GRANT, notKept } }).start();
  box.live(8, street(0, 0));
  await act(box);
  box.live(50, street(8 + lostS, isRestart ? 1000 : 0));
  const answered = (await box.ask({}, { number: 'end' })).tracks.map(({ track }) => track % 1000);
  const counters = JSON.stringify([box.log.counters, box.status.report]);
  // Before the log is closed, which empties the write-ahead log.
  const bytes = Buffer.concat(
    readdirSync(box.stateDir).map((name) => readFileSync(join(box.stateDir, name))),
  );
  box.log.stop();
  const database = new Database(box.file, { readonly: true });
  const rows = database.prepare('SELECT track, path FROM track').all() as { track: number; path: Buffer }[];
  database.close();
  return { answered, bytes, counters, rows };
}

void t.test('a visitor of an excluded area leaves no trace, whatever interrupts the log', async (t) => {
  for (const [name, interruption] of Object.entries(INTERRUPTIONS)) {
    const control = await pass(t, interruption, []);
    const result = await pass(t, interruption, [DOOR]);
    const isVisitor = (track: number): boolean => track % 1000 <= VISITORS;
    const paths = control.rows.filter(({ track }) => isVisitor(track)).map(({ path }) => path);
    const traces = (bytes: Buffer): number => paths.filter((path) => bytes.includes(path)).length;
    t.ok(paths.length >= 8 && traces(control.bytes) === paths.length, `${name}: the search finds them`);
    t.equal(traces(result.bytes), 0, `${name}: no path, in no file`);
    t.strictSame(
      result.rows.map(({ track }) => track % 1000),
      [LATE],
      `${name}: no row, and others are kept`,
    );
    t.strictSame(result.answered.filter(isVisitor), [], `${name}: no answer`);
    t.notMatch(result.counters, /rows|kept|pending/, `${name}: no counter`);
  }
});

/** Tracks of made observations at five frames a second, with the pieces that were handed over. */
class FollowedStreet {
  readonly keptTracks: number[] = [];
  lostCount = 0;
  atMs = 1000;
  readonly heldTracks = new HeldTracks({
    areas: [DOOR.polygon],
    keep: ({ track }) => this.keptTracks.push(track),
    lose: (count) => (this.lostCount += count),
  });

  see(
    places: Readonly<Record<number, readonly [number, number]>>,
    change: object = {},
    isWatched = true,
  ): this {
    const tracks = Object.entries(places).map(([id, place]) => ({
      ...trackOf({ id: Number(id), heightNorm: 0.02, at: () => place }, place, this.atMs),
      ...change,
    }));
    this.heldTracks.follow(observation(this.atMs, tracks as ObservedTrack[]), isWatched, false);
    for (const { id } of tracks) this.heldTracks.hold({ track: id, fromMs: this.atMs } as TrackPiece);
    this.heldTracks.release();
    this.atMs += 200;
    return this;
  }
}

void t.test('a track is kept if its whole way is known to lie outside', async (t) => {
  const far = [0.1, 0.9] as const;
  const near = [0.5, 0.62] as const;
  const keptOf = (live: (street: FollowedStreet) => FollowedStreet): number[] => [
    ...new Set(live(new FollowedStreet()).see({}).keptTracks),
  ];
  t.strictSame(
    keptOf((street) => street.see({ 1: far }).see({ 1: near })),
    [1],
  );
  t.strictSame(
    keptOf((street) => street.see({ 1: [0.4, 0.5] }).see({ 1: [0.6, 0.5] })),
    [],
    'between two frames',
  );
  const person = { label: 'person', group: 'person' };
  t.strictSame(
    keptOf((street) => street.see({ 1: [0.5, 0.5] }, person).see({ 1: far })),
    [],
    'of any class when it touched',
  );
  t.strictSame(
    keptOf((street) => street.see({ 1: far }, { firstMs: 0 })),
    [],
    'met long after its first detection',
  );
  const before = [{ atMs: 0, xyxyNorm: [0.45, 0.4, 0.55, 0.5] }];
  t.strictSame(
    keptOf((street) => street.see({ 1: far }, { before })),
    [],
    'touched before its confirmation',
  );
  t.strictSame(
    keptOf((street) =>
      street
        .see({ 1: [0.5, 0.5] })
        .see({})
        .see({ 1: far }),
    ),
    [1],
    'a later one of the id',
  );
  const restart = (lostMs: number) => (street: FollowedStreet) => {
    street.see({ 1: far, 2: near });
    street.heldTracks.visionEnded();
    street.atMs += lostMs;
    return street;
  };
  t.strictSame(keptOf(restart(300)), [1], 'the area was out of reach of the far one in half a second');
  t.strictSame(keptOf(restart(4800)), [], 'and within reach in five');
  t.strictSame(
    keptOf((street) => street.see({ 1: far }).see({}, {}, false)),
    [],
    'forgotten while out of sight',
  );
});
