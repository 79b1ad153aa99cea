/**
 * Tests the technician's app without a browser: geometry, zoom, the height gauge, the rule preview, the cues of a walk
 * test, and checks against the authorisation.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import t from 'tap';
import { Config } from '../../agent/contract/config.ts';
import { TRIAL_S } from '../../agent/contract/config-trial.ts';
import type { PointNorm } from '../../agent/contract/geometry.ts';
import { PageAsk, PREVIEW_BYTES_MAX, type SeenTrack, type WalkView } from '../../agent/contract/page-link.ts';
import { RuleConfig } from '../../agent/contract/rule-config.ts';
import { trackName } from '../../agent/contract/track-name.ts';
import {
  handleAt,
  hasCloseCorners,
  middles,
  REACH_PX,
  shifted,
  sidesFrom,
  snapped,
  TARGET_PX,
} from '../../agent/kit/drag-handle.ts';
import { FrameReader } from '../../agent/kit/frames.ts';
import { hoursAndMinutes, minutesAndSeconds } from '../../agent/kit/time.ts';
import {
  type PictureView,
  placeAt,
  WHOLE_PICTURE,
  ZOOM_MAX,
  zoomed,
  zoomedAround,
} from '../../agent/kit/zoom.ts';
import { cueBetween } from '../../agent/page/app/cue-choice.ts';
import {
  added,
  CORNERS_MAX,
  committed,
  type Drawing,
  freeName,
  type History,
  isInvalidShape,
  redone,
  removed,
  renamed,
  type Shape,
  shapesOf,
  undone,
  withCorner,
  withInserted,
  withoutCorner,
  withPoints,
} from '../../agent/page/app/drawing.ts';
import {
  heightGaugeVerdict,
  horizonOf,
  PEOPLE,
  peopleProblem,
  personPx,
} from '../../agent/page/app/height-gauge.ts';
import { labelOf, separateLabels } from '../../agent/page/app/label-layout.ts';
import { JPEG_BYTES_MAX, PASSES_MAX, TRIAL_SECONDS } from '../../agent/page/app/limits.ts';
import { problemsOf, uncovered } from '../../agent/page/app/problems.ts';
import { badFields, newRule, type RuleFields } from '../../agent/page/app/rule-fields.ts';
import { FiringWatch, passed } from '../../agent/page/app/rule-preview.ts';
import { type Area, placedSigns } from '../../agent/page/app/sign-layout.ts';
import { EN } from '../../agent/page/app/words/en.ts';
import { FR } from '../../agent/page/app/words/fr.ts';
import { ruleFields } from '../../scripts/workshop/apps/rule-fields.ts';
import { ROOT } from '../lib/paths.ts';
import { rectangle } from '../lib/shapes.ts';
import { AUTHORISATION, INSTALLED } from './canned.ts';

const FIELDS = ruleFields() as unknown as RuleFields;
const { cameraAddress: _camera, ...DRAWING } = INSTALLED;
const SIZE = { w: 312, h: 234 };
const SQUARE: Shape = { kind: 'zone', id: 'square', points: rectangle(0.2, 0.2, 0.8, 0.8) };

t.test('limits that a phone knows are those of the contract', async (t) => {
  t.equal(TRIAL_SECONDS, TRIAL_S);
  t.equal(JPEG_BYTES_MAX, PREVIEW_BYTES_MAX);
  t.ok(Value.Check(PageAsk, { op: 'walk-start', rule: 'a', passes: PASSES_MAX }));
  t.notOk(Value.Check(PageAsk, { op: 'walk-start', rule: 'a', passes: PASSES_MAX + 1 }));
  t.equal(Config.properties.zones.items.properties.polygon.maxItems, CORNERS_MAX);
});

t.test('frames come out intact however the stream is cut', async (t) => {
  const frame = (header: object, body: Uint8Array): Buffer => {
    const text = Buffer.from(JSON.stringify(header));
    const lengths = [text.length, body.length].map((length) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(length);
      return bytes;
    });
    return Buffer.concat([lengths[0] as Buffer, text, lengths[1] as Buffer, body]);
  };
  const bodies = fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 5 });
  const numbersOf = (body: Uint8Array): string => String([...body]);
  fc.assert(
    fc.property(bodies, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (parts, cuts) => {
      const stream = Buffer.concat(parts.map((body, i) => frame({ i }, body)));
      const reader = new FrameReader({ headerBytesMax: 100, bodyBytesMax: 100 });
      const got = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const length = cuts[i % cuts.length] as number;
        got.push(...reader.take(stream.subarray(at, at + length)));
        at += length;
      }
      const expected = parts.map((body, i) => ({ header: { i }, body: numbersOf(body) }));
      const texts = got.map(({ header, body }) => ({ header, body: numbersOf(body) }));
      return JSON.stringify(texts) === JSON.stringify(expected);
    }),
  );
  const reader = new FrameReader({ headerBytesMax: 100, bodyBytesMax: 100 });
  t.throws(() => reader.take(frame({}, new Uint8Array(101))), RangeError);
  t.throws(() =>
    new FrameReader({ headerBytesMax: 3, bodyBytesMax: 9 }).take(frame({ a: 1 }, new Uint8Array(0))),
  );
});

t.test('a finger takes the nearest corner or middle in reach', async (t) => {
  const { points } = SQUARE;
  const besideCorner = (px: number): PointNorm => [0.2 + px / SIZE.w, 0.2];
  t.same(handleAt(points, besideCorner(REACH_PX - 1), SIZE, 0), { corner: 0 });
  t.equal(handleAt(points, besideCorner(REACH_PX + 1), SIZE, undefined), undefined);
  t.same(handleAt(points, [0.49, 0.22], SIZE, 0), { between: 0, at: middles(points)[0] });
  t.equal(handleAt(points, [0.49, 0.22], SIZE, undefined), undefined);
  t.same(handleAt(points, [-0.05, 0.15], { w: 200, h: 200 }, 0), undefined, 'too far out');
  t.same(handleAt([[0, 0.5], ...points], [-0.07, 0.5], SIZE, 0), { corner: 0 }, 'out of the picture');
});

/** Corners 19 px apart on the phone, as on the lawn of the sample. */
const CLOSE: PointNorm[] = [
  [0.5, 0.5],
  [0.9, 0.92],
  [0.9, 1],
  [0.1, 1],
];

const round = ([x, y]: PointNorm): PointNorm => [Math.round(x * 1e6) / 1e6, Math.round(y * 1e6) / 1e6];

t.test('a pinch keeps the place under the fingers and stays within the picture', async (t) => {
  const enlarged = zoomed(WHOLE_PICTURE, 2, [0.5, 0.5]);
  t.same(enlarged, { zoom: 2, x: 0.25, y: 0.25 });
  t.same(round(placeAt(zoomed(enlarged, 1, [0.5, 0.5], [0.6, 0.4]), [0.6, 0.4])), [0.5, 0.5], 'moved');
  t.same(zoomed(enlarged, 0.1, [0.5, 0.5]), WHOLE_PICTURE);
  t.equal(zoomed(enlarged, 100, [0.5, 0.5]).zoom, ZOOM_MAX);
  t.same(zoomedAround(4, [1, 0]), { zoom: 4, x: 0.75, y: 0 });
  const ratio = fc.double({ min: -0.5, max: 1.5, noNaN: true });
  const spots = fc.tuple(ratio, ratio);
  const steps = fc.array(fc.tuple(fc.double({ min: 0.05, max: 20, noNaN: true }), spots, spots));
  fc.assert(
    fc.property(steps, (all) => {
      let view: PictureView = WHOLE_PICTURE;
      for (const [factor, from, to] of all) view = zoomed(view, factor, from, to);
      const { zoom, x, y } = view;
      return [x, y].every((value) => value >= 0 && value + 1 / zoom <= 1 + 1e-9) && zoom >= 1 && zoom <= 4;
    }),
  );
});

t.test('a finger takes the nearest of two close corners, between which no middle lies', async (t) => {
  t.ok(hasCloseCorners(CLOSE, SIZE));
  t.notOk(hasCloseCorners(CLOSE, { w: 3 * SIZE.w, h: 3 * SIZE.h }), 'zoom sets them apart');
  t.same(sidesFrom(CLOSE, SIZE, 2 * TARGET_PX), [0, 2, 3]);
  t.same(handleAt(CLOSE, [0.9, 0.955], SIZE, 2 * TARGET_PX), { corner: 1 });
  t.same(handleAt(CLOSE, [0.9, 0.965], SIZE, 2 * TARGET_PX), { corner: 2 });
  t.same(handleAt(CLOSE, [0.9, 0.96], SIZE, 0), { between: 1, at: [0.9, 0.96] });
  const samePlaces: PointNorm[] = [
    [0.5, 0.5],
    [0.5, 0.5],
  ];
  t.same(handleAt(samePlaces, [0.5, 0.51], SIZE, undefined), { corner: 0 }, 'at equal distance the first');
});

t.test('a sign lies next to its shape, inside the frame, and apart from other signs', async (t) => {
  const frame: Area = { left: 0, top: 0, w: 312, h: 234 };
  const sign = (name: string, left: number, top: number, w: number, h: number) => {
    return { name, text: 'Côtés croisés ou surface nulle', about: { left, top, w, h } };
  };
  const area = (about: ReturnType<typeof sign>): Area => placedSigns([about], frame)[0]?.area as Area;
  t.equal(area(sign('free', 100, 50, 80, 60)).top, 122, 'below it');
  const above = area(sign('at the lower edge', 0, 110, 312, 124));
  t.ok(above.top + above.h < 110, 'above it');
  const wholeArea = area(sign('whole picture', 0, 0, 312, 234));
  t.ok(wholeArea.top >= 0 && wholeArea.top + wholeArea.h <= 234);
  const placed = placedSigns([sign('a', 10, 50, 80, 60), sign('b', 12, 52, 80, 60)], frame);
  const [a, b] = placed.map((one) => one.area) as [Area, Area];
  t.ok(a.top + a.h <= b.top || b.top + b.h <= a.top);
  for (const { area: one } of placed) t.ok(one.left >= 0 && one.left + one.w <= 312);
  const narrow = placedSigns([sign('narrow', 5, 5, 10, 10)], { ...frame, w: 150 })[0];
  t.equal(narrow?.lines.length, 2, 'a long text takes two lines');
});

t.test('corners snap and stay in the picture', async (t) => {
  t.same(snapped([0.03, 0.97], [], SIZE), [0, 1]);
  t.same(snapped([0.5, 0.5], [[0.52, 0.49]], SIZE), [0.52, 0.49]);
  t.same(snapped([0.5, 0.5], [[0.6, 0.49]], SIZE), [0.5, 0.5]);
  t.same(snapped([0.123456, 0.5], [], SIZE), [0.1235, 0.5]);
  const coordinate = fc.double({ min: -2, max: 3, noNaN: true });
  fc.assert(
    fc.property(coordinate, coordinate, (x, y) =>
      snapped([x, y], [[0.5, 0.5]], SIZE).every((value) => value >= 0 && value <= 1),
    ),
  );
  fc.assert(
    fc.property(coordinate, coordinate, (x, y) =>
      shifted(SQUARE.points, [x, y]).every(([px, py], i, all) => {
        const [x0, y0] = all[0] as PointNorm;
        const [ox, oy] = SQUARE.points[i] as PointNorm;
        const keepsOffset = Math.abs(px - x0 - (ox - 0.2)) < 1e-3 && Math.abs(py - y0 - (oy - 0.2)) < 1e-3;
        return keepsOffset && px >= 0 && px <= 1 && py >= 0 && py <= 1;
      }),
    ),
  );
});

t.test('shapes change and stay valid', async (t) => {
  t.notOk(isInvalidShape(SQUARE));
  t.ok(isInvalidShape({ ...SQUARE, points: withCorner(SQUARE, 1, [0.3, 0.95]) }), 'sides cross');
  const place: PointNorm = [0.5, 0.5];
  t.ok(isInvalidShape({ kind: 'line', id: 'l', points: [place, place] }), 'no length');
  t.equal(withInserted(SQUARE, 0, [0.5, 0.2]).length, 5);
  const full: Shape = { ...SQUARE, points: Array.from({ length: CORNERS_MAX }, (_, i) => [i / 100, 0.5]) };
  t.equal(withInserted(full, 0, [0.5, 0.2]).length, CORNERS_MAX);
  const triangle: Shape = { ...SQUARE, points: withoutCorner(SQUARE, 0) };
  t.equal(triangle.points.length, 3);
  t.equal(withoutCorner(triangle, 0).length, 3);

  let drawing: Drawing = DRAWING;
  t.equal(freeName(drawing, 'zone', ['lawn', 'square']), 'square');
  t.equal(freeName(drawing, 'zone', ['lawn']), 'zone-2');
  drawing = added(drawing, { kind: 'zone', id: 'square' }) as Drawing;
  t.equal(shapesOf(drawing).length, 3);
  t.equal(renamed(drawing, { kind: 'zone', id: 'square' }, 'lawn'), undefined, 'taken');
  t.equal(renamed(drawing, { kind: 'zone', id: 'square' }, 'A b'), undefined, 'no name');
  const grass = renamed(drawing, { kind: 'zone', id: 'lawn' }, 'grass') as Drawing;
  t.match(grass.rules[0], { zone: 'grass' });
  t.same(
    removed(drawing, { kind: 'zone', id: 'lawn' }).rules.map(({ id }) => id),
    ['passes'],
  );
  for (let i = 0; i < 70; i++) drawing = added(drawing, { kind: 'mask', id: `m${i}` }) ?? drawing;
  t.equal(drawing.masks.length, 64);
});

t.test('every step can be undone and redone', async (t) => {
  const to = (x: number): Drawing =>
    withPoints(DRAWING, { kind: 'line', id: 'east-road' }, [
      [x, 0],
      [0.5, 1],
    ]);
  let history: History = { past: [], now: DRAWING, future: [] };
  for (let i = 0; i < 150; i++) history = committed(history, to(i / 200));
  t.equal(history.past.length, 100, 'a hundred steps are kept');
  const last = history.now;
  history = undone(undone(history));
  t.same(history.now.lines[0]?.from, [147 / 200, 0]);
  t.same(redone(redone(redone(history))).now, last);
  t.same(committed(history, DRAWING).future, []);
});

t.test('the height gauge measures in pixels of the detector', async (t) => {
  const person = { head: [0.5, 0.4] as PointNorm, feet: [0.5, 0.5] as PointNorm };
  const input = { widthPx: 416, heightPx: 256 };
  t.equal(Math.round(personPx(person, { widthPx: 768, heightPx: 576 }, input)), 26);
  t.equal(Math.round(personPx(person, { widthPx: 1920, heightPx: 1080 }, input)), 23, 'borders count');
  t.same([15.9, 16, 32, 32.1].map(heightGaugeVerdict), ['too-small', 'enough', 'enough', 'good']);
  t.equal(peopleProblem(PEOPLE), undefined);
  t.equal(Math.round(100 * (horizonOf(PEOPLE) ?? 0)), 23);
  const [near, far] = PEOPLE;
  t.equal(peopleProblem([near, { ...far, feet: [0.6, 0.3] }]), 'upside-down');
  t.equal(peopleProblem([near, { feet: [0.6, 0.88], head: [0.6, 0.7] }]), 'same-depth');
  t.equal(peopleProblem([near, { feet: [0.6, 0.6], head: [0.6, 0.2] }]), 'nearer-smaller');
  t.equal(horizonOf([near, near]), undefined);
});

const seenTrack = (track: number, [x, y]: PointNorm, label: SeenTrack['label'] = 'person'): SeenTrack => ({
  track,
  group: 'person',
  label,
  xyxyNorm: [x - 0.02, y - 0.1, x + 0.02, y],
});

t.test('names in the picture make way for each other and are shown in full', async (t) => {
  const size = { w: 400, h: 300 };
  const name = (text: string, x: number, y: number) => ({ text, at: [x, y] as [number, number] });
  const alone = [name('lawn', 0.5, 0.5), name('road', 0.5, 0.8)];
  t.same(separateLabels(alone, size), alone, 'a name without a neighbour stays');
  const crowded = [name('one', 0.5, 0.5), name('two', 0.51, 0.5), name('three', 0.5, 0.52)];
  const placed = separateLabels(crowded, size).map(({ at, text }) => labelOf(at, size, text));
  t.equal(placed[0]?.y, 150, 'the first has its place');
  const ys = placed.map(({ y }) => y).sort((a, b) => a - b);
  for (const [at, y] of ys.slice(1).entries()) t.ok(y - (ys[at] ?? 0) >= 18, 'a line between them');
  t.match(labelOf([0, 2], size, 'a name that is much too long'), { short: 'a name that is mu…', y: 308 });
  t.equal(trackName(976_376_864_917), '#4917');
  t.equal(trackName(7), '#7');
});

t.test('a person in a zone fires after the seconds of its rule', async (t) => {
  const watch = new FiringWatch();
  const at = (s: number, ...tracks: SeenTrack[]) => watch.update({ atMs: s * 1000, tracks }, DRAWING)[0];
  t.match(at(0, seenTrack(1, [0.2, 0.9])), { stationaryS: 0, fires: false, needS: 3 });
  t.match(at(2, seenTrack(1, [0.2, 0.9]), seenTrack(2, [0.5, 0.1])), { stationaryS: 2, fires: false });
  t.match(at(3, seenTrack(1, [0.2, 0.9]), seenTrack(3, [0.3, 0.9], 'dog')), { stationaryS: 3, fires: true });
  t.equal(at(3, seenTrack(1, [0.2, 0.9]))?.inside.length, 1);
  t.equal(at(5)?.inside.length, 0, 'hidden');
  t.match(at(6, seenTrack(1, [0.2, 0.9])), { stationaryS: 6, fires: true }, 'and here again');
  t.match(at(7, seenTrack(1, [0.5, 0.1])), { stationaryS: 0, fires: false }, 'left');
  t.match(at(8, seenTrack(1, [0.2, 0.9])), { stationaryS: 0, fires: false }, 'begins again');
});

t.test('a crowd needs its number of people at once', async (t) => {
  const gathering = { id: 'c', kind: 'crowd-gathering', zone: 'lawn', purpose: 'p' } as const;
  const crowd: Drawing = { ...DRAWING, rules: [{ ...gathering, minCount: 2, afterS: 1 }] };
  const watch = new FiringWatch();
  const at = (s: number, count: number) => {
    const tracks = Array.from({ length: count }, (_, i) => seenTrack(i + 1, [0.2 + i / 20, 0.9]));
    return watch.update({ atMs: s * 1000, tracks }, crowd)[0];
  };
  t.match(at(0, 1), { fires: false });
  t.match(at(5, 2), { fires: false, stationaryS: 0 });
  t.match(at(6, 2), { fires: true });
  t.match(at(7, 1), { fires: false });
});

t.test('a line is passed by feet, towards a side', async (t) => {
  const from: PointNorm = [0.5, 0.2];
  const to: PointNorm = [0.5, 0.8];
  // Seen down the picture, its left is the right-hand side.
  t.equal(passed(from, to, [0.6, 0.5], [0.4, 0.5]), 'right');
  t.equal(passed(from, to, [0.4, 0.5], [0.6, 0.5]), 'left');
  t.equal(passed(from, to, [0.4, 0.9], [0.6, 0.9]), undefined, 'beside it');
  t.equal(passed(from, to, [0.4, 0.5], [0.45, 0.5]), undefined);
  const [, passes] = INSTALLED.rules as [RuleConfig, RuleConfig & { kind: 'line-crossing' }];
  const rules = [{ ...passes, line: 'l', classes: ['person' as const], direction: 'right' as const }];
  const drawing: Drawing = { ...DRAWING, lines: [{ id: 'l', from, to }], rules };
  const watch = new FiringWatch();
  const at = (s: number, x: number, label?: SeenTrack['label']) =>
    watch.update({ atMs: s * 1000, tracks: [seenTrack(1, [x, 0.5], label)] }, drawing)[0];
  at(0, 0.6);
  t.match(at(1, 0.4), { fires: true, crossed: { left: 0, right: 1 } });
  t.match(at(3, 0.4), { fires: true });
  t.match(at(5, 0.4), { fires: false }, 'a passage is over');
  t.match(at(6, 0.6), { fires: false, crossed: { left: 1, right: 1 } }, 'not the side that is watched');
  t.match(at(7, 0.4, 'dog'), { fires: false, crossed: { left: 1, right: 1 } });
});

t.test(
  'forms know every rule, and their defaults are valid except for what only a person knows',
  async (t) => {
    for (const kind of Object.keys(FIELDS) as (keyof RuleFields)[]) {
      const rule = newRule(FIELDS, kind, DRAWING, {
        ...AUTHORISATION,
        rules: [{ kind, zones: 'all', purpose: 'p', legalBasis: 'l' }],
      });
      t.same([...Value.Errors(RuleConfig, rule)], [], kind);
      t.same(badFields(FIELDS, rule), [], kind);
    }
    const stays = INSTALLED.rules[0] as RuleConfig & { kind: 'loitering' };
    t.same(badFields(FIELDS, { ...stays, afterS: -1, classes: [] }), ['classes', 'afterS']);
    const parks = newRule(FIELDS, 'illegal-parking', DRAWING, null) as RuleConfig & {
      kind: 'illegal-parking';
    };
    t.same(badFields(FIELDS, { ...parks, schedule: [{ days: ['mon'], from: '22:00', to: '6' }] }), [
      'schedule',
    ]);
    t.same(badFields(FIELDS, { ...parks, schedule: [{ days: ['mon'], from: '22:00', to: '24:00' }] }), []);
  },
);

t.test('each part of a drawing outside of the authorisation is named', async (t) => {
  const [stays] = INSTALLED.rules as [RuleConfig];
  const context = { authorisation: AUTHORISATION, installed: DRAWING, fields: FIELDS };
  const codes = (drawing: Drawing, source?: string) =>
    problemsOf({ drawing, source }, context).map(
      ({ code, blocks }) => `${code}${blocks ? '' : ' (runs not)'}`,
    );
  t.same(codes(DRAWING), []);
  t.equal(uncovered(stays, null), 'rule-no-order');
  t.equal(uncovered(stays, { ...AUTHORISATION, installation: true }), 'rule-installation');
  const withRule = (rule: object): Drawing => ({ ...DRAWING, rules: [{ ...stays, ...rule } as RuleConfig] });
  t.same(codes(withRule({ kind: 'crowd-gathering', minCount: 3 })), ['rule-kind']);
  t.same(codes(withRule({ zone: 'elsewhere' })), ['rule-no-place', 'rule-place']);
  t.same(codes(withRule({ purpose: 'other' })), ['rule-purpose']);
  t.same(
    problemsOf({ drawing: DRAWING, source: undefined }, { ...context, authorisation: null }).map(
      ({ blocks }) => blocks,
    ),
    [false, false],
    'an installed rule outside the order does not run, and blocks nothing',
  );
  const outside = [...DRAWING.zones, { id: 'square', polygon: rectangle(0.3, 0.3, 0.9, 0.6) }];
  t.same(codes({ ...DRAWING, zones: outside }), ['outside-outline']);
  t.same(codes(DRAWING, 'rtsp://user:secret@camera-1.local/stream1'), []);
  t.same(codes(DRAWING, 'rtsp://camera-2.local/stream1'), ['camera-order']);
  const [near] = PEOPLE;
  t.same(codes({ ...DRAWING, groundPlane: { people: [near, near] } }), ['ground']);
  const [first, second, third, fourth] = rectangle(0.1, 0.1, 0.9, 0.9) as [
    PointNorm,
    PointNorm,
    PointNorm,
    PointNorm,
  ];
  const crossing = [first, third, second, fourth];
  const sameName: Drawing = {
    ...DRAWING,
    rules: [],
    zones: [{ id: 'square', polygon: crossing }],
    lines: [{ id: 'square', from: [0.1, 0.1], to: [0.2, 0.1] }],
  };
  t.same(
    problemsOf({ drawing: sameName, source: undefined }, { ...context, authorisation: null }).map(
      ({ about, id }) => `${about}/${id}`,
    ),
    ['zone/square'],
    'a line of the same name is not marked',
  );
});

t.test('each refusal of the agent has a text on the page, in both languages', async (t) => {
  const agentCode = ['technician', 'walk', 'preview', 'page-server']
    .map((name) => readFileSync(join(ROOT, `agent/technician/${name}.ts`), 'utf8'))
    .join('');
  const codes = [...agentCode.matchAll(/code: '([a-z-]+)'/g)].map(([, code]) => String(code));
  t.ok(codes.length > 20, codes.join(', '));
  for (const { errors, noPicture } of [EN, FR]) {
    const texts: Readonly<Record<string, string>> = { ...noPicture, ...errors };
    // A missing still is a missing picture, not a text.
    t.strictSame([...new Set(codes.filter((code) => texts[code] === undefined))], ['no-still']);
  }
});

t.test('times are written in short form', async (t) => {
  t.equal(minutesAndSeconds(74.2), '1:15');
  t.equal(minutesAndSeconds(-1), '0:00');
  t.equal(hoursAndMinutes(27_000), '7 h 30');
});

const READY: WalkView = {
  rule: 'stays',
  passes: 2,
  phase: 'ready',
  outcomes: [],
  passedS: 0,
  windowS: 33,
  last: null,
};
const WATCHING: WalkView = { ...READY, phase: 'watching' };
const after = (code: NonNullable<WalkView['last']>['code'], change: Partial<WalkView> = {}): WalkView => ({
  ...READY,
  last: { code, seconds: null },
  ...change,
});

t.test('the tone of a pass sounds when the box begins it, and not when the phone asks for it', async (t) => {
  t.equal(cueBetween(READY, READY), undefined, 'the request has not arrived');
  t.equal(cueBetween(READY, WATCHING), 'begin');
  t.equal(cueBetween(null, WATCHING), 'begin');
  t.equal(cueBetween(WATCHING, { ...WATCHING, passedS: 4 }), undefined, 'once');
});

t.test('each end of a pass has its cue', async (t) => {
  t.equal(cueBetween(WATCHING, after('seen', { outcomes: ['seen'] })), 'seen');
  t.equal(cueBetween(READY, after('seen', { outcomes: ['seen'] })), 'seen', 'a pass between two states');
  t.equal(cueBetween(WATCHING, after('missed', { phase: 'done', outcomes: ['missed'] })), 'missed');
  t.equal(cueBetween(WATCHING, after('blind')), 'void');
});

t.test('a pass that cannot begin has the cue of a pass that does not count', async (t) => {
  const missed = after('missed', { outcomes: ['missed'] });
  for (const code of ['still-standing', 'off', 'no-agent'] as const)
    t.equal(cueBetween(missed, { ...missed, last: { code, seconds: null } }), 'void', code);
  const refusal = after('still-standing', { outcomes: ['missed'] });
  t.equal(cueBetween(refusal, refusal), undefined, 'once');
  t.equal(cueBetween(null, after('no-agent', { phase: 'over' })), 'void', 'a box without video');
});

t.test('acts of the technician and a reload have no cue', async (t) => {
  t.equal(cueBetween(READY, after('given-up', { phase: 'over' })), undefined);
  t.equal(cueBetween(after('seen'), { ...after('seen'), phase: 'kept' }), undefined);
  t.equal(cueBetween(undefined, after('missed', { outcomes: ['missed'] })), undefined);
  t.equal(cueBetween(READY, null), undefined);
});
