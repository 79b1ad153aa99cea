/**
 * Tests the hour of tracks that the demo makes from its clip: a box that starts with it keeps it and answers from it.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Observation } from '../../agent/contract/observation.ts';
import type { TrackLogGrant } from '../../agent/contract/track-log.ts';
import { type MadeHour, writeHour } from '../../scripts/programs/demo/made-hour.ts';
import { makeSigner } from '../lib/commands.ts';
import { scratch } from '../lib/paths.ts';
import { GRANT, movingObject, TrackedBox, trackOf } from '../lib/tracked-box.ts';

const HOUR_MS = 3_600_000;
const FPS = 5;
const CLIP_S = 20;
const CAMERA = 'rtsp://10.0.0.9/main';

/** Two cars that pass within a clip of CLIP_S; vision numbers tracks from an arbitrary first number. */
function clip(): Observation[] {
  const cars = [
    movingObject(4711, [0.1, 0.5], [0.9, 0.5], [2, 8]),
    movingObject(9000, [0.9, 0.7], [0.1, 0.7], [5, 15]),
  ];
  return Array.from({ length: CLIP_S * FPS }, (_, i): Observation => {
    const atMs = 40 + (i * 1000) / FPS;
    const tracks = cars.flatMap((car) => {
      const place = car.at(i / FPS);
      return place === undefined ? [] : [trackOf(car, place, atMs)];
    });
    return {
      frame: i + 1,
      atMs,
      wallMs: atMs,
      source: { widthPx: 1600, heightPx: 900 },
      tracks,
      crossings: [],
      standing: [],
      camera: [],
    };
  });
}

function makeHour(t: Test, grant: TrackLogGrant, change: Partial<MadeHour> = {}) {
  const asker = makeSigner('judge-desk', ['tracks']);
  const box = new TrackedBox(scratch(t), { grant, keys: [asker.config], source: CAMERA });
  const endsMs = box.clock.wallMs();
  const tracks = writeHour(clip(), {
    stateDir: box.stateDir,
    limitMiB: 16,
    grant: GRANT,
    order: 'made',
    camera: CAMERA,
    endsMs,
    gapReason: 'clock-not-set',
    ...change,
  });
  return { box, tracks, endsMs };
}

void t.test(
  'a box whose clock is not set answers from the hour, and says what it does not know',
  async (t) => {
    const { box, tracks, endsMs } = makeHour(t, GRANT);
    t.equal(tracks, 2 * (HOUR_MS / 1000 / CLIP_S), 'two in each round');
    box.synced = false;
    box.trusted = false;
    box.start();
    box.sleep(60);
    const iso = (ms: number): string => new Date(ms).toISOString();
    const answer = await box.ask({ from: iso(endsMs - 2 * HOUR_MS), to: iso(endsMs + 60_000) });
    t.equal(answer.matches, tracks);
    t.equal(
      new Set(answer.tracks.map(({ track }) => track)).size,
      answer.tracks.length,
      'each has its number',
    );
    t.match(answer.coverage.gaps, [
      { to: iso(endsMs - HOUR_MS), why: 'not-authorised' },
      { to: iso(endsMs + 60_000), why: 'clock-not-set' },
    ]);
    t.equal(answer.coverage.gaps.length, 2, 'the hour has no gap');
    t.match(answer.views, [{ view: iso(endsMs - HOUR_MS), to: null }]);
    const view = answer.views[0]?.view ?? '';
    const middle: [[number, number], [number, number]] = [
      [0.5, 0],
      [0.5, 1],
    ];
    const place = { line: middle, direction: 'both' } as const;
    const crossed = await box.ask({ view, where: place, answer: 'count' });
    t.equal(crossed.matches, tracks, 'both cross the middle, in every round');

    // Once the clock is set, the box continues with the same view and other numbers.
    box.synced = true;
    box.live(10, [movingObject(1_000_000, [0.2, 0.6], [0.8, 0.6], [0, 10])]);
    const later = await box.ask({});
    t.equal(later.matches, Number(tracks) + 1);
    t.equal(later.views.length, 1);
  },
);

void t.test('the made hour is removed where the order is another than its own', async (t) => {
  const { box } = makeHour(t, { ...GRANT, grade: 'counts' });
  box.start();
  t.match(box.records, [{ record: 'purge', what: 'tracks', why: 'authorisation' }]);
  const { box: unauthorisedBox } = makeHour(t, GRANT);
  unauthorisedBox.grant = undefined;
  unauthorisedBox.start();
  t.notOk(existsSync(join(unauthorisedBox.stateDir, 'tracks.db')));
});

void t.test('no hour is made of a clip without a frame', (t) => {
  const stateDir = join(scratch(t), 'state');
  const hour = { stateDir, limitMiB: 16, grant: GRANT, order: 'made', camera: CAMERA } as const;
  t.equal(writeHour([], { ...hour, endsMs: Date.now(), gapReason: 'not-running' }), 0);
  t.notOk(existsSync(stateDir));
  t.end();
});
