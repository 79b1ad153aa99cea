/** Tests each threat of abuse to the track log, and the limit that bounds it. */
import t from 'tap';
import { picture } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { rectangle } from '../lib/street.ts';
import { GRANT, type MovingObject, movingObject, TrackedBox } from '../lib/tracked-box.ts';

const AREA = {
  id: 'clinic',
  polygon: rectangle(0.45, 0.4, 0.55, 0.6),
};
const numbers = (tracks: readonly { track: number }[]): number[] => tracks.map(({ track }) => track);

t.test(
  'a new case number gives no new budget: the limits of the key’s day and of the day apply',
  async (t) => {
    const cars = Array.from({ length: 30 }, (_, i) =>
      movingObject(1 + i, [0.1, 0.5], [0.9, 0.5 + i / 100], [1, 9]),
    );
    const budget = { case: 10, keyDay: 25, day: 40 };
    const box = new TrackedBox(scratch(t), { grant: { ...GRANT, budget } }).start();
    box.live(12, cars);
    t.equal((await box.ask({}, { number: 'a' })).tracks.length, 10, 'no more than the case has left');
    await t.rejects(box.ask({}, { number: 'a' }), {
      code: 'not-permitted',
      message: /budget of case a is spent/,
    });
    t.equal((await box.ask({}, { number: 'b' })).tracks.length, 10);
    t.equal((await box.ask({}, { number: 'c' })).tracks.length, 5, 'no more than the key has left');
    await t.rejects(box.ask({}, { number: 'd' }), /budget of the key judge-desk in 24 hours is spent/);
    t.equal((await box.ask({}, { number: 'd', key: 'other' })).tracks.length, 10);
    t.equal(
      (await box.ask({}, { number: 'e', key: 'other' })).tracks.length,
      5,
      'no more than the day has left',
    );
    await t.rejects(box.ask({}, { number: 'f', key: 'third' }), /budget of 24 hours is spent/);
    box.restart();
    await t.rejects(box.ask({}, { number: 'f', key: 'third' }), /is spent/, 'a restart gives none back');
    box.sleep(25 * 3600, 600);
    t.equal(
      await box.ask({}, { number: 'a', key: 'third' }).catch((error: Error) => error.message),
      'tracks: the budget of case a is spent: the authorisation allows 10 tracks (tracks.budget.case)',
      'a case has one budget for good',
    );
  },
);

t.test('many small counts cost as many tracks', async (t) => {
  const box = new TrackedBox(scratch(t), {
    grant: { ...GRANT, budget: { case: 5, keyDay: 50, day: 50 } },
  }).start();
  box.live(12, [movingObject(1, [0.1, 0.5], [0.9, 0.5], [1, 9])]);
  for (let i = 0; i < 5; i += 1) t.equal((await box.ask({ answer: 'count' })).matches, 1);
  await t.rejects(box.ask({ answer: 'count' }), /budget of case/);
});

t.test('a track that touches an excluded area is removed as a whole, also its earlier part', async (t) => {
  const grant = { ...GRANT, notKept: [AREA] };
  const box = new TrackedBox(scratch(t), { grant }).start();
  // Six minutes on the way to the door, so that part of the track is on the disk.
  const visitor: MovingObject = {
    id: 1,
    label: 'car',
    at: (s) => (s > 420 ? undefined : [0.05 + (0.45 * s) / 400, 0.5]),
  };
  const other = movingObject(2, [0.1, 0.9], [0.9, 0.9], [10, 20]);
  box.live(340, [visitor, other]);
  t.strictSame(numbers((await box.ask()).tracks), [1, 2], 'until it touches, it is answered');
  const later = { ...visitor, at: (s: number) => visitor.at(s + 340) };
  box.live(60, [later]);
  t.strictSame(numbers((await box.ask()).tracks), [2]);
  t.equal(box.log.counters['tracks_not_kept'], 1);
  // Two questions, before and after, differ by the track that entered the area. They cost two audited questions, and
  // the moment of entry was never written.
  box.kill();
  t.strictSame(numbers((await box.ask()).tracks), [2], 'nor after a restart');
});

t.test(
  'a track through the area between two zones is answered as two cut pieces with nothing between',
  async (t) => {
    const zones = [
      {
        id: 'west',
        polygon: rectangle(0, 0, 0.3, 1),
      },
      {
        id: 'east',
        polygon: rectangle(0.7, 0, 1, 1),
      },
    ];
    const box = new TrackedBox(scratch(t), { grant: { ...GRANT, zones } }).start();
    box.live(12, [movingObject(1, [0.05, 0.5], [0.95, 0.5], [0, 10])]);
    const { tracks, views } = await box.ask();
    t.equal(tracks.length, 2);
    t.ok(
      tracks.every(({ cut }) => cut),
      'both are marked as cut',
    );
    const xs = tracks.flatMap(({ path }) => path.map(([, x]) => x));
    t.ok(
      xs.every((x) => x <= 0.31 || x >= 0.69),
      'no point between them',
    );
    const place = {
      line: [
        [0.5, 0.1],
        [0.5, 0.9],
      ] as [[number, number], [number, number]],
      direction: 'both' as const,
    };
    await t.rejects(box.ask({ where: place, view: views[0]?.view ?? '' }), {
      code: 'not-permitted',
      message: /must lie inside one area in which the authorisation allows tracks: west, east/,
    });
  },
);

t.test('no person is stored under the grade of vehicles, whatever is asked later', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
  box.live(12, [
    movingObject(5, [0.1, 0.5], [0.9, 0.5], [1, 9], { label: 'person' }),
    movingObject(6, [0.1, 0.6], [0.9, 0.6], [1, 9], { label: 'bicycle' }),
  ]);
  box.grant = { ...GRANT, grade: 'persons', magistrate: 'Mme Test' };
  box.rule();
  t.equal((await box.ask({ classes: ['car'], answer: 'count' })).matches, 0);
  t.equal(box.status.report.rows, 0);
});

t.test(
  'a still is redacted, on record before it is made, and refused once the box is suspended',
  async (t) => {
    const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
    box.live(12, []);
    const still = { case: '2026/1', reason: 'to draw on', question: { answer: 'still' } };
    await t.rejects(box.raw(still), /no still is available now: there is no vision process/);
    t.match(box.records.at(-1), { record: 'tracks', question: { answer: 'still' }, given: 0 });
    const redacted = picture(4);
    box.picture = { picture: redacted, tookMs: 1 };
    const answer = await box.raw(still);
    t.match(answer, { jpeg: Buffer.from(redacted.bytes).toString('base64'), sha256: redacted.sha256 });
    t.ok(answer.view);
    const stillRequest = box.raw(still);
    box.mode = 'suspended';
    box.rule();
    await t.rejects(stillRequest, /suspended/);
  },
);

t.test('an order that ends, or a suspension, ends a question that is running', async (t) => {
  const cars = Array.from({ length: 450 }, (_, i) =>
    movingObject(1 + i, [0.1, 0.5], [0.9, 0.5], [(i % 10) / 10, 6]),
  );
  for (const [name, change, message] of [
    ['suspended', { mode: 'suspended' }, /suspended/],
    ['ended', { grant: undefined }, /closed meanwhile|no valid authorisation/],
  ] as const) {
    const box = new TrackedBox(scratch(t), { grant: GRANT }).start();
    box.live(8, cars);
    const pending = box.ask();
    await new Promise(setImmediate);
    Object.assign(box, change);
    box.rule();
    await t.rejects(pending, message, name);
    t.notOk(
      box.records.some(({ record }) => record === 'tracks'),
      'and no track was answered',
    );
  }
});
