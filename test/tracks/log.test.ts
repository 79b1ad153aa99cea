/** Tests the track log over real SQLite: when it is written, which gaps it reports, and how it ends. */
import { copyFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import t from 'tap';
import type { PurgeRecord } from '../../agent/contract/search.ts';
import type { TrackLogGrant, TrackQuestion, TrackResult } from '../../agent/contract/track-log.ts';
import { scratch } from '../lib/paths.ts';
import { GRANT, movingObject, TrackedBox } from '../lib/tracked-box.ts';

const HOUR_S = 3600;
const CAR = movingObject(7, [0.1, 0.5], [0.9, 0.5], [1, 9]);

const gaps = ({ coverage }: TrackResult): string[] => coverage.gaps.map(({ why }) => why);
const purges = (box: TrackedBox): PurgeRecord[] =>
  box.records.filter((one): one is PurgeRecord => one.record === 'purge');

/** Asks about the last `seconds` seconds. */
function last(box: TrackedBox, seconds: number, answer: TrackQuestion['answer'] = 'tracks') {
  const nowMs = box.clock.wallMs();
  const iso = (ms: number): string => new Date(ms).toISOString();
  return { from: iso(nowMs - seconds * 1000), to: iso(nowMs), answer };
}

t.test('no file exists without an order that allows it, and status and health say off', async (t) => {
  const box = new TrackedBox(scratch(t)).start();
  box.live(20, [CAR]);
  box.sleep(HOUR_S, 60);
  box.log.stop();
  t.notOk(existsSync(box.file));
  t.match(box.status.report, { state: 'off', grade: null, oldest: null });
  await t.rejects(box.ask(), /no valid authorisation allows a log of tracks/);
});

t.test('a passing car is stored for the box’s user alone, and found with its time and path', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
  box.live(12, [CAR]);
  t.equal(statSync(box.file).mode & 0o777, 0o600);
  const beganMs = box.clock.wallMs() - 12_000;
  const answer = await box.ask(last(box, 30));
  t.equal(answer.matches, 1);
  const [car] = answer.tracks;
  t.match(car, { track: 7, class: 'car', cut: false, seen: true });
  t.ok(Math.abs(Date.parse(car?.from ?? '') - beganMs - 1000) <= 100, `${car?.from}`);
  t.ok(Math.abs(Date.parse(car?.to ?? '') - beganMs - 9000) <= 200, `${car?.to}`);
  t.ok((car?.path.length ?? 99) <= 4, 'an even way is two places');
  t.match(gaps(answer), ['not-authorised'], 'before the log began');
  box.log.tick();
  t.match(box.status.report, { state: 'on', grade: 'vehicles', days: 30, questions: 1, given: 1 });
});

t.test('a power cut loses unwritten tracks, and the answer says so', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
  box.live(310, [CAR, movingObject(8, [0.1, 0.6], [0.9, 0.6], [305, 309])]);
  box.live(100, [movingObject(9, [0.1, 0.7], [0.9, 0.7], [5, 12])]);
  box.kill();
  box.live(60, [movingObject(10, [0.1, 0.7], [0.9, 0.7], [5, 12])]);
  const answer = await box.ask(last(box, 480));
  t.strictSame(
    answer.tracks.map(({ track }) => track),
    [7, 10],
    'no track of the last five minutes',
  );
  t.ok(gaps(answer).includes('not-written'), gaps(answer).join());
  const gap = answer.coverage.gaps.find(({ why }) => why === 'not-written');
  const lostS = (Date.parse(gap?.to ?? '') - Date.parse(gap?.from ?? '')) / 1000;
  t.ok(lostS > 100 && lostS < 115, `${lostS} s are reported as lost`);
});

t.test('a crash is not reported under the reason of the gap before', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
  box.live(10, []);
  box.live(320, [], ['covered']);
  box.live(100, []);
  box.kill().sleep(600);
  box.live(10, []);
  const { coverage } = await box.ask(last(box, 1040, 'coverage'));
  const lengthOf = (reason: string): number =>
    coverage.gaps
      .filter(({ why }) => why === reason)
      .reduce((sum, { from, to }) => sum + (Date.parse(to) - Date.parse(from)) / 1000, 0);
  t.ok(Math.abs(lengthOf('blind') - 320) < 5, `blind for ${lengthOf('blind')} s`);
  t.ok(Math.abs(lengthOf('not-written') - 100) < 5, `not written for ${lengthOf('not-written')} s`);
});

t.test('a track cut by a restart is answered with its end, and the time between is a gap', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
  box.live(5, [CAR]);
  box.restart();
  box.sleep(20);
  box.live(10, []);
  const answer = await box.ask(last(box, 40));
  t.match(answer.tracks, [{ track: 7, cut: true }]);
  t.ok(gaps(answer).includes('not-running'));
});

t.test('a suspended box stores and answers nothing, and its gap has the reason', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
  box.live(12, [CAR]);
  box.mode = 'suspended';
  box.rule();
  box.live(12, [movingObject(11, [0.1, 0.5], [0.9, 0.5], [1, 9])]);
  await t.rejects(box.ask(), /suspended/);
  t.match(box.status.report, { state: 'paused' });
  box.mode = 'active';
  box.rule();
  box.live(12, [movingObject(12, [0.1, 0.5], [0.9, 0.5], [1, 9])]);
  const answer = await box.ask(last(box, 60));
  t.strictSame(
    answer.tracks.map(({ track }) => track),
    [7, 12],
  );
  t.ok(gaps(answer).includes('suspended'));
});

t.test(
  'a lost, covered or moved camera is a gap, which begins a minute before a move is known',
  async (t) => {
    const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
    box.live(200, [movingObject(1, [0.1, 0.5], [0.9, 0.5], [1, 9])]);
    box.camera.state = 'lost';
    box.sleep(30);
    box.camera.state = 'streaming';
    box.live(30, [], ['covered']);
    box.live(200, []);
    box.live(30, [movingObject(2, [0.1, 0.5], [0.9, 0.5], [1, 9])], ['moved']);
    const answer = await box.ask(last(box, 520));
    t.strictSame([...new Set(gaps(answer))], ['not-authorised', 'no-picture', 'blind']);
    t.strictSame(
      answer.tracks.map(({ track }) => track),
      [1],
    );
    const movedGap = answer.coverage.gaps.at(-1);
    const movedS = (Date.parse(movedGap?.to ?? '') - Date.parse(movedGap?.from ?? '')) / 1000;
    t.ok(movedS >= 89 && movedS <= 93, `${movedS} s, of them 60 before it was known`);
  },
);

t.test('a clock that is not set stores nothing, and one that steps makes a seam', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT });
  box.synced = false;
  box.start();
  box.live(12, [CAR]);
  t.notOk(existsSync(box.file), 'a log that begins without a clock does not begin');
  box.synced = true;
  box.live(12, [CAR]);
  box.synced = false;
  box.live(12, [movingObject(8, [0.1, 0.5], [0.9, 0.5], [1, 9])]);
  box.synced = true;
  box.live(4, [movingObject(9, [0.1, 0.5], [0.5, 0.5], [0, 9])]);
  box.clock.epochMs += 60_000;
  box.live(4, [movingObject(9, [0.3, 0.5], [0.7, 0.5], [0, 9])]);
  const answer = await box.ask(last(box, 120));
  t.ok(gaps(answer).includes('clock-not-set') && gaps(answer).includes('clock-step'), gaps(answer).join());
  t.strictSame(
    answer.tracks.map(({ track }) => track),
    [7, 9, 9],
    'no track goes over the step',
  );
});

t.test('time watched without decoding is coverage of its own', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
  box.live(60, []);
  box.resting = true;
  // One key frame a second is still decoded.
  for (let second = 0; second < 60; second += 1) {
    box.live(0, []);
    box.sleep(1, 0.5);
  }
  box.resting = false;
  box.live(60, []);
  const { coverage } = await box.ask(last(box, 180, 'coverage'));
  t.ok(Math.abs(coverage.watched - 1 / 3) < 0.03, `watched ${coverage.watched}`);
  t.ok(Math.abs(coverage.seen - 2 / 3) < 0.03, `seen ${coverage.seen}`);
});

t.test(
  'a renewed order keeps the log, and one that ends or no longer allows it deletes the log',
  async (t) => {
    const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
    box.live(12, [CAR]);
    box.notAfter = '2028-11-24T00:00:00.000Z';
    box.grant = { ...GRANT, budget: { case: 5, keyDay: 5, day: 5 } };
    box.rule();
    t.equal((await box.ask(last(box, 60))).matches, 1, 'renewed');
    box.grant = undefined;
    box.rule();
    t.notOk(existsSync(box.file));
    t.match(purges(box), [{ what: 'tracks', count: 1, why: 'authorisation', days: 30 }]);
    t.match(box.status.report, { state: 'off' });
  },
);

t.test('an order with another grade or other areas begins another log', async (t) => {
  const square = (side: number): [number, number][] => [
    [0, 0],
    [side, 0],
    [side, side],
    [0, side],
  ];
  const changes: Partial<TrackLogGrant>[] = [
    { grade: 'counts' },
    { notKept: [{ id: 'door', polygon: square(0.1) }] },
    { zones: [{ id: 'square', polygon: square(1) }] },
  ];
  for (const change of changes) {
    const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
    box.live(12, [CAR]);
    await box.ask(last(box, 60));
    box.grant = { ...GRANT, ...change };
    box.rule();
    box.live(2, []);
    t.match(purges(box), [{ what: 'tracks', count: 1, why: 'authorisation' }], JSON.stringify(change));
    const { coverage } = await box.ask({ ...last(box, 3600, 'coverage') });
    t.ok(coverage.seen < 0.01);
  }
});

t.test('an order that cannot be read deletes nothing until it was to end', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
  box.notAfter = new Date(box.clock.wallMs() + 2 * HOUR_S * 1000).toISOString();
  box.rule();
  box.live(12, [CAR]);
  box.isAuthorisationKnown = false;
  box.mode = 'unauthorised';
  box.rule();
  box.restart();
  box.sleep(HOUR_S, 60);
  t.ok(existsSync(box.file));
  await t.rejects(box.ask(), /no valid authorisation/);
  box.sleep(HOUR_S, 60);
  t.notOk(existsSync(box.file));
  t.match(purges(box), [{ why: 'authorisation', count: 1 }]);
});

t.test('an old file put back is deleted when its order has ended, and a foreign file at once', async (t) => {
  const dir = scratch(t);
  const box = new TrackedBox(dir, { grant: GRANT }).start();
  box.live(12, [CAR]);
  await box.ask(last(box, 60));
  box.log.stop();
  copyFileSync(box.file, `${dir}/old.db`);
  box.kill();
  box.grant = undefined;
  box.rule();
  t.notOk(existsSync(box.file));
  copyFileSync(`${dir}/old.db`, box.file);
  box.kill();
  t.notOk(existsSync(box.file), 'the active order allows none');
});

t.test('deleted rows are no longer in the file', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: { ...GRANT, days: 1, spanHours: 24 } }).start();
  box.live(12, [movingObject(123_456_789_012, [0.1, 0.5], [0.9, 0.5], [1, 9])]);
  await box.ask(last(box, 60));
  const needle = Buffer.alloc(6);
  needle.writeUIntBE(123_456_789_012, 0, 6);
  const bytes = (): Buffer =>
    Buffer.concat(['', '-wal'].map((suffix) => readFileSync(`${box.file}${suffix}`)));
  t.ok(bytes().includes(needle), 'the test would see it');
  box.sleep(26 * HOUR_S, 600);
  t.notOk(bytes().includes(needle));
});

t.test('a full file drops the oldest rows with a record, a counter and a gap', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT, tracksMiB: 1 }).start();
  for (let minute = 0; minute < 180; minute += 1) {
    const movingObjects = Array.from({ length: 120 }, (_, i) =>
      movingObject(1 + minute * 200 + i, [0.1, 0.5], [0.9, 0.1 + 0.006 * i], [0, 2]),
    );
    box.live(2, movingObjects);
    box.sleep(58, 29);
  }
  await box.ask(last(box, 60));
  const limits = purges(box).filter(({ why }) => why === 'limit');
  t.ok(limits.length > 0 && box.log.counters['tracks_evicted'] !== 0, `${limits.length} records`);
  const answer = await box.ask({ ...last(box, 180 * 60), answer: 'count' });
  t.equal(answer.coverage.gaps[0]?.why, 'storage');
});

t.test('a move that is confirmed, another camera and another shape each begin another view', async (t) => {
  const dir = scratch(t);
  const box = new TrackedBox(dir, { grant: GRANT }).start();
  box.live(20, [CAR]);
  const [first] = (await box.ask(last(box, 60, 'coverage'))).views;
  box.live(20, []);
  box.restart();
  box.live(20, []);
  t.equal((await box.ask(last(box, 120, 'coverage'))).views.length, 1, 'a restart is none');
  box.log.viewConfirmed();
  box.live(20, [movingObject(8, [0.1, 0.5], [0.9, 0.5], [1, 9])]);
  const { views } = await box.ask(last(box, 120, 'coverage'));
  t.equal(views.length, 2);
  t.equal(views[1]?.view, first?.view);
  t.equal(views[1]?.to, views[0]?.view);
  t.equal(views[0]?.to, null);
  const place = {
    line: [
      [0.5, 0.2],
      [0.5, 0.9],
    ] as [[number, number], [number, number]],
    direction: 'both' as const,
  };
  const answer = await box.ask({ ...last(box, 120), where: place, view: first?.view ?? '' });
  t.strictSame(
    answer.tracks.map(({ track }) => track),
    [7],
    'a line that was drawn on the first is not laid on the second',
  );
  t.ok(gaps(answer).includes('other-view'));
});

t.test(
  'tracks from before the days of the order are not answered, even before they are deleted',
  async (t) => {
    const box = new TrackedBox(scratch(t), { grant: { ...GRANT, days: 1, spanHours: 24 } }).start();
    // Its hourly purge runs at 24 h, and not yet again at 24 h and 20 min.
    box.sleep(1200, 600);
    const parked = movingObject(7, [0.1, 0.5], [0.9, 0.5], [0, 1500]);
    box.live(1200, [parked]);
    box.sleep(24 * HOUR_S - 600, 300);
    t.ok(box.rows > 1, 'no row is deleted yet');
    const { tracks } = await box.ask(last(box, 86_400));
    const keptMs = box.clock.wallMs() - 86_400_000;
    t.ok(
      tracks.every(({ from }) => Date.parse(from) >= keptMs - 100),
      tracks.map(({ from }) => from).join(),
    );
  },
);
