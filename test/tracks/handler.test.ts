/**
 * Tests questions to the track log, each journaled first: answers, refusals, and each threat of abuse with its limit.
 */

import t from 'tap';
import type { TrackLogGrant, TrackQuestion, TrackRecord } from '../../agent/contract/track-log.ts';
import { makeSigner } from '../lib/commands.ts';
import { picture } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { rectangle } from '../lib/street.ts';
import { GRANT, type MovingObject, movingObject, TrackedBox } from '../lib/tracked-box.ts';

const CARS: readonly MovingObject[] = [
  movingObject(1, [0.1, 0.5], [0.9, 0.5], [1, 9], { colours: ['white'] }),
  movingObject(2, [0.9, 0.6], [0.1, 0.6], [2, 10], { colours: ['grey', 'white'] }),
  movingObject(3, [0.1, 0.9], [0.9, 0.9], [3, 11], { label: 'bus' }),
  // Arrives, stands for 20 s near the middle, and leaves.
  {
    id: 4,
    label: 'truck',
    at: (s) =>
      s < 5 ? [0.1 + 0.08 * s, 0.7] : s < 25 ? [0.5, 0.7] : s < 30 ? [0.5 + 0.08 * (s - 25), 0.7] : undefined,
  },
];
const MIDDLE: [[number, number], [number, number]] = [
  [0.5, 0.4],
  [0.5, 0.8],
];
const SQUARE: [number, number][] = rectangle(0.4, 0.45, 0.6, 0.8);

async function street(dir: string, change: Partial<TrackLogGrant> = {}, movingObjects = CARS, options = {}) {
  const box = new TrackedBox(dir, { grant: { ...GRANT, ...change }, ...options }).start();
  box.live(40, movingObjects);
  const { views } = await box.ask({ answer: 'coverage' });
  return { box, view: views[0]?.view ?? '' };
}

const numbers = (tracks: readonly { track: number }[]): number[] => tracks.map(({ track }) => track);

t.test('a line is crossed as vision’s own would be, with direction, moment and path', async (t) => {
  const { box, view } = await street(scratch(t));
  const tracksCrossing = async (direction: 'left' | 'right' | 'both') =>
    (await box.ask({ where: { line: MIDDLE, direction }, view })).tracks;
  t.strictSame(
    numbers(await tracksCrossing('both')),
    [1, 2, 4],
    'in the order of the moments; one passes below its end',
  );
  t.strictSame(
    numbers(await tracksCrossing('left')),
    [1, 4],
    'from the right-hand side of the line, seen from its first end',
  );
  t.strictSame(numbers(await tracksCrossing('right')), [2]);
  const [first] = await tracksCrossing('left');
  t.equal(Date.parse(first?.at ?? '') - Date.parse(first?.from ?? ''), 4000);
});

t.test('an area is entered, left, stayed in and stopped in', async (t) => {
  const { box, view } = await street(scratch(t));
  const tracksThat = async (does: 'enters' | 'leaves' | 'stays' | 'stops', atLeastS = 0) =>
    (await box.ask({ where: { polygon: SQUARE, does, atLeastS }, view })).tracks;
  t.strictSame(numbers(await tracksThat('enters')), [4, 1, 2]);
  t.strictSame(numbers(await tracksThat('leaves')).sort(), [1, 2, 4]);
  t.strictSame(numbers(await tracksThat('stays', 10)), [4]);
  const [stop] = await tracksThat('stops', 15);
  t.match(stop, { track: 4, class: 'truck' });
  t.ok(Math.abs((stop?.durationS ?? 0) - 20) < 1, `${stop?.durationS} s`);
  t.strictSame(await tracksThat('stops', 60), []);
});

t.test('classes select tracks, and colours only order them', async (t) => {
  const { box } = await street(scratch(t), { colour: true });
  t.strictSame(numbers((await box.ask({ classes: ['bus', 'truck'] })).tracks), [4, 3]);
  const { tracks, matches } = await box.ask({ colours: ['white'] });
  t.strictSame(numbers(tracks), [1, 2, 4, 3]);
  t.equal(matches, 4);
  t.strictSame(tracks[1]?.colours, ['grey', 'white']);
});

t.test('pages give every match once, each a question on record with its costs', async (t) => {
  const movingObjects = Array.from({ length: 450 }, (_, i) =>
    movingObject(100 + i, [0.1, 0.2], [0.9, 0.2 + i / 2000], [(i % 25) / 10, 4 + (i % 25) / 10]),
  );
  const { box } = await street(scratch(t), {}, movingObjects);
  const pageTracks: number[] = [];
  let cursor: string | undefined;
  let pages = 0;
  do {
    const page = await box.ask({}, cursor === undefined ? {} : { cursor });
    t.equal(page.matches, 450);
    pageTracks.push(...numbers(page.tracks));
    cursor = page.next ?? undefined;
    pages += 1;
  } while (cursor !== undefined);
  t.equal(pages, 3);
  t.strictSame(
    pageTracks.sort((a, b) => a - b),
    movingObjects.map(({ id }) => id),
  );
  const trackRecords = box.records.filter((one): one is TrackRecord => one.record === 'tracks');
  t.match(
    trackRecords.slice(1).map(({ given, matches }) => [given, matches]),
    [
      [200, 450],
      [200, 450],
      [50, 450],
    ],
  );
  t.match(trackRecords.at(-1), { key: 'judge-desk', case: '2026/1234', reason: 'theft', approvedBy: null });
  t.match(trackRecords.at(-1)?.question, { answer: 'tracks' }, 'whole');
});

t.test('a question that cannot be put on record has no answer and costs nothing', async (t) => {
  const { box } = await street(scratch(t), { budget: { case: 5, keyDay: 5, day: 5 } });
  box.recordFails = true;
  await t.rejects(box.ask({ answer: 'count' }), { code: 'unavailable', message: /journal is down/ });
  box.recordFails = false;
  t.equal((await box.ask({ answer: 'count' })).left.case, 3, 'this one, and the coverage before');
});

t.test('each mistake of a question is named with its place and the correct form', async (t) => {
  const { box, view } = await street(scratch(t));
  const now = box.clock.wallMs();
  const iso = (ms: number): string => new Date(ms).toISOString();
  const line = { line: MIDDLE, direction: 'both' as const };
  const wrong: [Partial<TrackQuestion> & Record<string, unknown>, RegExp][] = [
    [{ from: iso(now), to: iso(now) }, /\/question\/to: .* is not after from/],
    [{ from: iso(now - 40 * 86_400_000) }, /at most 720 h; from and to are 960\.0 h apart/],
    [
      {
        from: '0001-01-01T00:00:00.000Z',
        to: iso(now),
        daily: { from: '01:00', to: '02:00' },
        answer: 'coverage',
      },
      /may cover at most 744 h/,
    ],
    [{ where: line }, /\/question\/view: is needed with where/],
    [{ where: line, view: iso(0) }, /is not a view of this log: /],
    [
      {
        where: {
          line: [
            [0.5, 0.5],
            [0.5, 0.5],
          ],
          direction: 'left',
        },
        view,
      },
      /two ends of the line are the same/,
    ],
    [
      {
        where: {
          polygon: [
            [0, 0],
            [1, 1],
            [1, 0],
            [0, 1],
          ],
          does: 'stays',
          atLeastS: 1,
        },
        view,
      },
      /crosses the side/,
    ],
    [{ where: { polygon: SQUARE, does: 'enters', atLeastS: 5 }, view }, /must be 0 for enters/],
    [{ where: line, view, answer: 'coverage' }, /leave where out/],
    [{ classes: ['person'] }, /stores car, motorcycle, bus, truck only \(grade vehicles\), not person/],
    [{ colours: ['red'] }, /does not allow colours/],
    [{ more: true }, /tracks: \/question/],
    [{ answer: 'faces' as never }, /tracks: \/question/],
  ];
  for (const [question, message] of wrong) await t.rejects(box.ask(question), message);
  const wrongNumbers: [string, RegExp][] = [
    [' ', /must hold at least one letter or digit/],
    ...['2026/1 ', ' 2026/1', '2026/1\u00a0', '2026\uff0f1', '２026/1'].map((number): [string, RegExp] => [
      number,
      /must be written "2026\/1"/,
    ]),
    ['a  1', /must be written "a 1"/],
    ...['\u200b', '\n', '\u2028', '\u202e', '\u00ad', '\ufe0f', '\u3164', '\ud800'].map(
      (unseen): [string, RegExp] => [`2026/1${unseen}`, /cannot be seen/],
    ),
  ];
  const recordCount = box.records.length;
  for (const [number, message] of wrongNumbers) await t.rejects(box.ask({}, { number }), message, number);
  t.equal(box.records.length, recordCount, 'none has a budget');
  await t.rejects(box.raw({ case: '1', reason: 'x' }), /tracks: \/question/);
});

t.test('daily hours are those of the site', async (t) => {
  const box = new TrackedBox(scratch(t), { grant: GRANT });
  // 24 November, 01:00 in Paris.
  box.start();
  for (let hour = 0; hour < 48; hour += 1) {
    box.live(10, [movingObject(1000 + hour, [0.1, 0.5], [0.9, 0.5], [1, 9])]);
    box.sleep(3590, 10);
  }
  const from = new Date(box.clock.wallMs() - 48 * 3_600_000).toISOString();
  const { tracks, coverage } = await box.ask({ from, daily: { from: '23:00', to: '02:30' } });
  t.strictSame(numbers(tracks), [1000, 1001, 1022, 1023, 1024, 1025, 1046, 1047]);
  t.ok(coverage.seen < 0.01, 'ten seconds of each hour');
});

t.test('counts give only numbers, of whole ten minutes, of all classes', async (t) => {
  const walkers = [movingObject(5, [0.1, 0.5], [0.9, 0.5], [1, 9], { label: 'person' })];
  const { box } = await street(scratch(t), { grade: 'counts' }, [...CARS, ...walkers]);
  const end = Math.ceil(box.clock.wallMs() / 600_000) * 600_000;
  box.sleep((end - box.clock.wallMs()) / 1000);
  const span = { from: new Date(end - 86_400_000).toISOString(), to: new Date(end).toISOString() };
  await t.rejects(box.ask(span), /only counts/);
  await t.rejects(
    box.ask({ ...span, answer: 'count', from: new Date(end - 3_599_000).toISOString() }),
    /multiple of ten minutes/,
  );
  await t.rejects(
    box.ask({ ...span, answer: 'count', daily: { from: '01:01', to: '01:02' } }),
    /multiples of ten minutes/,
  );
  const { matches, tracks } = await box.ask({ ...span, answer: 'count' });
  t.equal(matches, 5);
  t.strictSame(tracks, []);
  t.equal((await box.ask({ ...span, answer: 'count', classes: ['person'] })).matches, 1);
});

t.test(
  'questions about persons need an approver of the authorisation, and cover a day at most',
  async (t) => {
    const [desk, ownSecond, prosecutor, judge] = [
      makeSigner('desk', ['tracks']),
      makeSigner('desk-2', ['tracks']),
      makeSigner('prosecutor'),
      makeSigner('judge'),
    ];
    const approvers = [prosecutor, judge].map(({ config: { name, publicKey } }) => ({ name, publicKey }));
    // The configuration has an approver's key too, under another name.
    const judgeInRoom = { ...judge.config, name: 'desk-3', may: ['tracks'] };
    const walkers = [movingObject(5, [0.1, 0.5], [0.9, 0.5], [1, 9], { label: 'person' })];
    const { box } = await street(
      scratch(t),
      { grade: 'persons', magistrate: 'Mme Test', approvers },
      [...CARS, ...walkers],
      { keys: [desk.config, ownSecond.config, judgeInRoom] },
    );
    const now = box.clock.wallMs();
    const iso = (ms: number): string => new Date(ms).toISOString();
    const question: TrackQuestion = { from: iso(now - 3_600_000), to: iso(now), answer: 'tracks' };
    const sender = { key: 'desk' };
    await t.rejects(box.ask(question, sender), /needs the approval of a second key .*: prosecutor, judge/);
    const approval = box.approval(prosecutor, { question });
    const answer = await box.ask(question, { ...sender, approval });
    t.match(answer, { matches: 5, approvers: ['prosecutor', 'judge'] });
    t.match(box.records.at(-1), { record: 'tracks', approvedBy: 'prosecutor' });
    const DAY_MS = 86_400_000;
    for (const [caseName, other, message, key = 'desk'] of [
      ['of the asking key', box.approval(desk, { question }), /no key .* in tracks\.approvers/],
      [
        'of a second key of the room',
        box.approval(ownSecond, { question }),
        /no key .* in tracks\.approvers/,
      ],
      [
        'of another approver, if the asking key is one',
        approval,
        /the asking key desk-3 is the approver judge/,
        'desk-3',
      ],
      [
        'of another question',
        box.approval(prosecutor, { question: { ...question, answer: 'count' } }),
        /another question/,
      ],
      ['of another case', box.approval(prosecutor, { question, case: '2026/9' }), /another question, case/],
      ['of another box', box.approval(prosecutor, { question, box: 'other' }), /is for other/],
      ['that is over', box.approval(prosecutor, { question, notAfter: iso(now - 1) }), /and not now/],
      [
        'that begins later',
        box.approval(prosecutor, { question, notBefore: iso(now + 60_000) }),
        /and not now/,
      ],
      [
        'for more than a day',
        box.approval(prosecutor, { question, notBefore: iso(now), notAfter: iso(now + DAY_MS + 1) }),
        /valid for more than 24 hours/,
      ],
    ] as const)
      await t.rejects(box.ask(question, { key, approval: other }), message, caseName);
    const dayLong = { question, notBefore: iso(now), notAfter: iso(now + DAY_MS) };
    t.equal((await box.ask(question, { ...sender, approval: box.approval(judge, dayLong) })).matches, 5);
    await t.rejects(
      box.ask({ ...question, from: iso(now - 25 * 3_600_000) }, { ...sender, approval }),
      /about persons may cover at most 24 h/,
    );
    const vehicles = { ...question, classes: ['car', 'bus'] as ['car', 'bus'] };
    t.equal((await box.ask(vehicles, sender)).matches, 3, 'vehicles need one signature');

    box.grant = { ...GRANT, grade: 'persons', magistrate: 'Mme Test' };
    box.rule();
    await t.rejects(
      box.ask(question, { ...sender, approval }),
      /lacks tracks\.approvers, so no question about persons is answered; ask the authority/,
    );
    t.match(await box.ask(vehicles, sender), { matches: 3, approvers: [] });
    t.match(await box.ask({ ...question, answer: 'coverage' }, sender), { matches: 0 });
  },
);

t.test('no question asks for what lies ahead, by more than clocks differ', async (t) => {
  const { box } = await street(scratch(t));
  for (const answer of ['tracks', 'count', 'coverage'] as const) {
    const endingIn = (ms: number) => ({ answer, to: new Date(box.clock.wallMs() + ms).toISOString() });
    await t.rejects(box.ask(endingIn(62_000)), /to: .* lies ahead; this box’s clock says 20/, answer);
    // `ask` lets a second pass.
    const { coverage } = await box.ask(endingIn(61_000));
    t.match(coverage.gaps.at(-1), { why: 'future' }, answer);
  }
});

t.test('questions run one at a time, and no faster than pages are read', async (t) => {
  const { box } = await street(scratch(t));
  const [one, other] = await Promise.allSettled([box.ask(), box.ask()]);
  t.equal(one.status, 'fulfilled');
  t.match(other, { status: 'rejected', reason: { code: 'rate-limited', retryAfterS: 1 } });
  t.equal(box.handler.counters['track_questions_limited'], 1);
});

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
