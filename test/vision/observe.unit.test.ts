/** Tests observations: ground points, zones, lines and their limits. */
import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { XyxyPx } from '../../agent/contract/geometry.ts';
import { NO_LIMITS, type VisionStats } from '../../agent/contract/link.ts';
import { type Crossing, Observation, ObservedTrack } from '../../agent/contract/observation.ts';
import type { Detection, Track } from '../../agent/contract/picture.ts';
import { VisionStatus } from '../../agent/supervisor/status.ts';
import { Observer } from '../../agent/vision/observe/observer.ts';
import { TrackPlaces, type TrackPlacesOptions } from '../../agent/vision/observe/track-places.ts';
import { trackOf } from '../lib/pictures.ts';
import { rectangle } from '../lib/shapes.ts';

const SOURCE = { widthPx: 1000, heightPx: 500 };
/** A person of 100 px: positions within 10 px of a border are not clear. */
const HEIGHT_PX = 100;
const ZONE = { id: 'court', polygon: rectangle(0.3, 0.4, 0.7, 0.8) };
const LINE = { id: 'kerb', from: [0.2, 0.5] as [number, number], to: [0.8, 0.5] as [number, number] };

const trackAt = (x: number, y: number, changes: Partial<Track> = {}): Track =>
  trackOf([x - 20, y - HEIGHT_PX, x + 20, y], changes);

/** Follows one track along a way, a position every `stepMs`; a missing position means that the track has ended. */
function along(
  options: Partial<TrackPlacesOptions>,
  way: readonly (Track | undefined)[],
  stepMs = 200,
): { tracks: (ObservedTrack | undefined)[]; crossings: Crossing['direction'][][] } {
  const places = new TrackPlaces({ zones: [], lines: [], ...options });
  const updates = way.map((track, i) =>
    places.update({ atMs: i * stepMs, source: SOURCE }, track === undefined ? [] : [track]),
  );
  return {
    tracks: updates.map((one) => one.tracks[0]),
    crossings: updates.map((one) => one.crossings.map(({ direction }) => direction)),
  };
}

/** Checks a property as one assertion. */
function holds<T>(t: Test, property: fc.IProperty<T>): void {
  fc.assert(property);
  t.pass('for all');
}

const inZone = (track: ObservedTrack | undefined): boolean => (track?.zones.length ?? 0) > 0;

t.test('an observation fits the contract, wherever the boxes lie', async (t) => {
  const number = fc.double({ min: -3000, max: 3000, noNaN: true });
  const side = fc.double({ min: 1, max: 2000, noNaN: true });
  const observer = new Observer({
    zones: [ZONE],
    lines: [LINE],
    moveTolerances: [0.25],
    regions: true,
  });
  const input = { widthPx: 64, heightPx: 32 };
  const rgb = new Uint8Array(64 * 32 * 3).fill(100);
  let index = 0;
  holds(
    t,
    fc.property(
      fc.array(fc.record({ x: number, y: number, w: side, h: side, seen: fc.boolean() })),
      fc.boolean(),
      (boxes, detectorRan) => {
        index += 1;
        const tracks = boxes.map(({ x, y, w, h, seen }, i) =>
          trackAt(0, 0, { id: i + 1, xyxyPx: [x, y, x + w, y + h], seen }),
        );
        const frame = { index, ptsNs: 0n, atMs: 100 * index, wallMs: index, source: SOURCE, input, rgb };
        const observation = observer.observationOf(frame, { detectorRan, detections: [], tracks });
        return (
          Value.Check(Observation, observation) &&
          observation.tracks.length === boxes.length &&
          (observation.looked ?? true) === detectorRan
        );
      },
    ),
  );
});

t.test('ground point and velocity are normalised', async (t) => {
  const { tracks } = along({}, [trackAt(500, 250, { velocityPxPerS: [100, -50] })]);
  t.same(tracks[0]?.ground, [0.5, 0.5]);
  t.same(tracks[0]?.velocityNormPerS, [0.1, -0.1]);
  t.same(tracks[0]?.xyxyNorm, [0.48, 0.3, 0.52, 0.5]);
});

t.test('zone: a track clearly inside enters immediately', async (t) => {
  const { tracks } = along({ zones: [ZONE] }, [trackAt(100, 300), trackAt(500, 300)]);
  t.notOk(inZone(tracks[0]));
  t.same(tracks[1]?.zones, [{ zone: 'court', sinceMs: 200 }]);
});

t.test('zone: a track near the border enters with a delay that counts', async (t) => {
  const way = [trackAt(290, 300), trackAt(305, 300), trackAt(305, 300), trackAt(305, 300)];
  const { tracks } = along({ zones: [ZONE] }, way);
  t.same(tracks.map(inZone), [false, false, false, true]);
  t.equal(tracks[3]?.zones[0]?.sinceMs, 200, 'present since the first position inside');
});

t.test('zone: jitter at the border neither enters nor leaves', async (t) => {
  const jitter = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 20, maxLength: 60 });
  holds(
    t,
    fc.property(jitter, (shifts) => {
      // Never inside (or outside) for as long as the hysteresis requires: a position beyond the border between.
      const way = shifts.flatMap((shift) => [trackAt(300 + Math.abs(shift), 300), trackAt(295, 300)]);
      return !along({ zones: [ZONE] }, way).tracks.some(inZone);
    }),
  );
  holds(
    t,
    fc.property(jitter, (shifts) => {
      const way = shifts.flatMap((shift) => [trackAt(300 - Math.abs(shift), 300), trackAt(305, 300)]);
      const { tracks } = along({ zones: [ZONE] }, [trackAt(400, 300), ...way]);
      return tracks.every((track) => track?.zones[0]?.sinceMs === 0);
    }),
  );
});

t.test('zone: a track clearly outside leaves immediately, just outside after a second', async (t) => {
  const { tracks } = along({ zones: [ZONE] }, [trackAt(500, 300), trackAt(280, 300)]);
  t.same(tracks.map(inZone), [true, false]);
  const slow = along({ zones: [ZONE] }, [
    trackAt(500, 300),
    ...Array.from({ length: 7 }, () => trackAt(295, 300)),
  ]);
  t.same(slow.tracks.map(inZone), [true, true, true, true, true, true, false, false]);
});

t.test('zone: a merely predicted track neither enters nor leaves', async (t) => {
  const unseen = { seen: false };
  const way = [trackAt(500, 300), trackAt(900, 300, unseen), trackAt(900, 300, unseen), trackAt(520, 300)];
  const { tracks } = along({ zones: [ZONE] }, way);
  t.same(
    tracks.map((track) => track?.zones[0]?.sinceMs),
    [0, 0, 0, 0],
  );
  const never = along({ zones: [ZONE] }, [trackAt(100, 300), trackAt(500, 300, unseen)]);
  t.same(never.tracks.map(inZone), [false, false]);
});

t.test('zone: the memory of a track ends with the track', async (t) => {
  const { tracks } = along({ zones: [ZONE] }, [trackAt(500, 300), undefined, trackAt(500, 300)]);
  t.equal(tracks[2]?.zones[0]?.sinceMs, 400);
});

t.test('zone: a box cut off by the frame’s edge is in the zone at that edge', async (t) => {
  const polygon = rectangle(0, 0.08, 1, 1);
  const { tracks } = along({ zones: [{ id: 'yard', polygon }] }, [
    trackAt(500, 500),
    trackAt(500, 520),
    trackAt(995, 400),
    trackAt(500, 30),
  ]);
  t.same(tracks.map(inZone), [true, true, true, false]);
  const short = rectangle(0, 0.08, 1, 0.9);
  t.notOk(inZone(along({ zones: [{ id: 'yard', polygon: short }] }, [trackAt(500, 500)]).tracks[0]));
});

t.test('zone: a change of the source’s size is followed', async (t) => {
  const places = new TrackPlaces({ zones: [ZONE], lines: [] });
  const half = { widthPx: 500, heightPx: 250 };
  places.update({ atMs: 0, source: SOURCE }, [trackAt(100, 100)]);
  const after = places.update({ atMs: 200, source: half }, [
    trackAt(250, 150, { xyxyPx: [240, 100, 260, 150] }),
  ]);
  t.ok(inZone(after.tracks[0]));
});

t.test('line: the direction is the side that is reached, seen from `from` to `to`', async (t) => {
  const down = along({ lines: [LINE] }, [trackAt(500, 200), trackAt(500, 300)]);
  t.same(down.crossings, [[], ['right']], 'the line points to the right of the picture: below is its right');
  const up = along({ lines: [LINE] }, [trackAt(500, 300), trackAt(500, 200)]);
  t.same(up.crossings, [[], ['left']]);
});

t.test('line: only a passage between its ends is a crossing', async (t) => {
  t.same(along({ lines: [LINE] }, [trackAt(150, 200), trackAt(150, 300)]).crossings, [[], []]);
  const detour = [trackAt(300, 200), trackAt(100, 200), trackAt(100, 300), trackAt(300, 300)];
  t.same(along({ lines: [LINE] }, detour).crossings.flat(), [], 'round the end is not across');
});

t.test('line: a slow passage and jitter on the line give one crossing', async (t) => {
  const shift = fc.integer({ min: -9, max: 9 });
  holds(
    t,
    fc.property(fc.array(shift, { maxLength: 60 }), (shifts) => {
      const way = [200, ...shifts.map((by) => 250 + by), 300].map((y) => trackAt(500, y));
      const crossings = along({ lines: [LINE] }, way).crossings.flat();
      return crossings.length === 1 && crossings[0] === 'right';
    }),
  );
  holds(
    t,
    fc.property(fc.array(shift, { maxLength: 60 }), (shifts) => {
      const way = [200, ...shifts.map((by) => 250 + by), 200].map((y) => trackAt(500, y));
      return along({ lines: [LINE] }, way).crossings.flat().length === 0;
    }),
  );
});

t.test('line: crossings of one track alternate between the directions', async (t) => {
  const wide = { id: 'wide', from: [0, 0.5] as [number, number], to: [1, 0.5] as [number, number] };
  const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 999 }), fc.integer({ min: 0, max: 500 })), {
    maxLength: 80,
  });
  holds(
    t,
    fc.property(steps, (way) => {
      const crossings = along(
        { lines: [wide] },
        way.map(([x, y]) => trackAt(x, y)),
      ).crossings.flat();
      const sides = way
        .map(([, y]) => (Math.abs(y - 250) > 10 ? Math.sign(y - 250) : 0))
        .filter((side) => side !== 0);
      const changes = sides.filter((side, i) => i > 0 && side !== sides[i - 1]).length;
      return (
        crossings.length === changes && crossings.every((side, i) => i === 0 || side !== crossings[i - 1])
      );
    }),
  );
});

t.test('line: a crossing out of sight is reported when the track is seen again', async (t) => {
  const way = [
    trackAt(500, 200),
    trackAt(500, 230, { seen: false }),
    trackAt(500, 270, { seen: false }),
    trackAt(500, 320),
  ];
  t.same(along({ lines: [LINE] }, way).crossings, [[], [], [], ['right']]);
});

t.test('line: a fast track that crosses before it is confirmed is reported', async (t) => {
  const before = [200, 240].map((y, k) => ({ atMs: k * 200, xyxyPx: trackAt(500, y).xyxyPx }));
  t.same(along({ lines: [LINE] }, [undefined, undefined, trackAt(500, 330, { before })]).crossings.at(-1), [
    'right',
  ]);
  t.same(along({ lines: [LINE] }, [undefined, undefined, trackAt(500, 330)]).crossings.at(-1), []);
});

t.test('only the frame that confirms a track reports its earlier places', async (t) => {
  const before = [200, 600].map((y, k) => ({ atMs: k * 200, xyxyPx: trackAt(500, y).xyxyPx }));
  const { tracks } = along({}, [
    trackAt(500, 330, { before }),
    trackAt(500, 340),
    trackAt(500, 350, { before: [] }),
  ]);
  const places = [
    { atMs: 0, xyxyNorm: [0.48, 0.2, 0.52, 0.4] },
    { atMs: 200, xyxyNorm: [0.48, 1, 0.52, 1] },
  ];
  t.same(tracks[0]?.before, places, 'within the frame');
  t.ok(tracks[0] !== undefined && Value.Check(ObservedTrack, tracks[0]));
  t.notOk(tracks.slice(1).some((track) => track === undefined || 'before' in track));
});

t.test('dropped items are counted, and reach the health report over all runs of vision', async (t) => {
  const lines = Array.from({ length: 64 }, (_, i) => ({ ...LINE, id: `kerb-${i}` }));
  const options = { zones: [ZONE], lines, moveTolerances: [0.25], regions: true };
  const observer = new Observer(options);
  const crowd = (y: number): Track[] => Array.from({ length: 50 }, (_, i) => trackAt(500, y, { id: i + 1 }));
  const input = { widthPx: 64, heightPx: 32 };
  const frame = { ptsNs: 0n, wallMs: 0, source: SOURCE, input, rgb: new Uint8Array(64 * 32 * 3) };
  const detections = Array.from({ length: 70 }, (_, i): Detection => {
    const left = 100 * (i % 10);
    const top = 60 * Math.floor(i / 10);
    const xyxyPx: XyxyPx = [left, top, left + 50, top + 50];
    return { xyxyPx, score: 0.8, label: 'car', group: 'vehicle' };
  });
  for (const [i, y] of [200, 300].entries()) {
    const tracks = crowd(y).map((track) => ({ ...track, lastMs: i * 200 }));
    observer.observationOf(
      { ...frame, index: i + 1, atMs: i * 200 },
      { detectorRan: true, detections, tracks },
    );
  }
  const expectedCounters = {
    crossings_dropped: 50 * 64 - 512,
    static_false_positives_dropped: 0,
    grounds_dropped: 0,
    // Of 70 places 64 stay; each further one takes the place of the youngest, which is found again.
    standing_places_dropped: 6 + 7,
    static_regions_dropped: 0,
    associated_track_places_dropped: 2 * 2,
  };
  t.same(observer.limits, expectedCounters);

  const state = new VisionStatus({ detector: { input: [416, 256] } });
  const limits = { ...NO_LIMITS, ...observer.limits };
  const startVision = (): void => {
    state.receive({ kind: 'hello', pid: 1 });
    state.receive({ kind: 'stats', stats: { limits } as VisionStats });
  };
  startVision();
  t.match(state.counters, expectedCounters);
  state.onVisionEnd();
  t.match(state.counters, expectedCounters);
  startVision();
  t.match(state.counters, { crossings_dropped: 2 * expectedCounters.crossings_dropped, tracks_refused: 0 });
});
