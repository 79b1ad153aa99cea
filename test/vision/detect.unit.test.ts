/** Tests the detector's parts that need no model: letterbox, suppression and model card. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { packageRoot } from '../../agent/base/package-root.ts';
import { iou, type SizePx, type XyxyPx } from '../../agent/contract/geometry.ts';
import { groupOf, LABELS, type Label } from '../../agent/contract/label.ts';
import { placementOf, toSource } from '../../agent/contract/letterbox.ts';
import type { Detection } from '../../agent/contract/picture.ts';
import { type ModelCard, parseCard } from '../../agent/vision/detect/card.ts';
import { suppressWithinGroups } from '../../agent/vision/detect/suppress.ts';

const CARD = join(packageRoot(), 'models', 'nanodet-g-city10.json');
const size = (widthPx: number, heightPx: number): SizePx => ({ widthPx, heightPx });

const side = fc.integer({ min: 16, max: 4096 });
const source = fc.record({ widthPx: side, heightPx: side });
const input = fc.record({
  widthPx: fc.integer({ min: 1, max: 60 }).map((n) => n * 32),
  heightPx: fc.integer({ min: 1, max: 60 }).map((n) => n * 32),
});

t.test('letterbox: placements match known values', async (t) => {
  t.same(placementOf(size(768, 576), size(416, 256)), { leftPx: 36, topPx: 0, widthPx: 341, heightPx: 256 });
  t.same(placementOf(size(1920, 1080), size(416, 256)), {
    leftPx: 0,
    topPx: 10,
    widthPx: 416,
    heightPx: 234,
  });
  t.same(placementOf(size(416, 256), size(416, 256)), { leftPx: 0, topPx: 0, widthPx: 416, heightPx: 256 });
});

t.test('letterbox: the picture fills one side and lies inside', async (t) => {
  fc.assert(
    fc.property(source, input, (from, to) => {
      const { leftPx, topPx, widthPx, heightPx } = placementOf(from, to);
      return (
        leftPx >= 0 &&
        topPx >= 0 &&
        leftPx + widthPx <= to.widthPx &&
        topPx + heightPx <= to.heightPx &&
        leftPx % 2 === 0 &&
        topPx % 2 === 0 &&
        (widthPx === to.widthPx || heightPx === to.heightPx)
      );
    }),
  );
  t.pass('holds for every pair of sizes tried');
});

t.test('letterbox: boxes map back to their place, clipped to the source', async (t) => {
  const part = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      fc.constantFrom(size(768, 576), size(1920, 1080), size(480, 640)),
      part,
      part,
      (from, a, b) => {
        const to = size(416, 256);
        const placement = placementOf(from, to);
        const box: XyxyPx = [a * 100, b * 100, a * 100 + 50, b * 100 + 20];
        const [x1, y1, x2, y2] = box;
        const scaled: XyxyPx = [
          placement.leftPx + (x1 * placement.widthPx) / from.widthPx,
          placement.topPx + (y1 * placement.heightPx) / from.heightPx,
          placement.leftPx + (x2 * placement.widthPx) / from.widthPx,
          placement.topPx + (y2 * placement.heightPx) / from.heightPx,
        ];
        const restored = toSource(scaled, placement, from);
        return restored?.every((value, i) => Math.abs(value - (box[i] ?? 0)) < 1e-6) ?? false;
      },
    ),
  );
  const placement = placementOf(size(768, 576), size(416, 256));
  t.same(toSource([-50, -50, 500, 500], placement, size(768, 576)), [0, 0, 768, 576], 'clipped');
  t.equal(
    toSource([0, 0, 36, 256], placement, size(768, 576)),
    undefined,
    'the border is cut off completely',
  );
  t.equal(toSource([Number.NaN, 0, 200, 200], placement, size(768, 576)), undefined, 'not a number');
});

function detection(label: Label, score: number, xyxyPx: XyxyPx): Detection {
  return { label, group: groupOf(label), score, xyxyPx };
}

t.test('suppression: one vehicle with two labels becomes one', async (t) => {
  const detections = [
    detection('truck', 0.3, [0, 0, 100, 100]),
    detection('car', 0.5, [0, 0, 100, 95]),
    detection('person', 0.2, [0, 0, 100, 100]),
    detection('bus', 0.4, [0, 0, 100, 40]),
  ];
  const remaining = suppressWithinGroups(detections, () => 0.6);
  t.same(
    remaining.map(({ label }) => label),
    ['car', 'bus', 'person'],
    'best first; the truck is the car; overlap of 0.4 is another object; a person is not a vehicle',
  );
});

t.test('suppression: remaining pairs of different labels do not overlap, and the best stays', async (t) => {
  const corner = fc.integer({ min: 0, max: 100 });
  const any = fc.record({
    label: fc.constantFrom(...Object.values(LABELS)),
    score: fc.double({ min: 0.15, max: 1, noNaN: true }),
    x: corner,
    y: corner,
    w: fc.integer({ min: 1, max: 100 }),
    h: fc.integer({ min: 1, max: 100 }),
  });
  fc.assert(
    fc.property(fc.array(any, { maxLength: 40 }), (boxes) => {
      const detections = boxes.map(({ label, score, x, y, w, h }) =>
        detection(label, score, [x, y, x + w, y + h]),
      );
      const remaining = suppressWithinGroups(detections, () => 0.6);
      const best = Math.max(0, ...detections.map(({ score }) => score));
      return (
        (detections.length === 0 || remaining[0]?.score === best) &&
        remaining.every((one, i) =>
          remaining
            .slice(i + 1)
            .every(
              (other) =>
                one.score >= other.score &&
                (one.group !== other.group ||
                  one.label === other.label ||
                  iou(one.xyxyPx, other.xyxyPx) <= 0.6),
            ),
        )
      );
    }),
  );
  t.pass('holds for every set tried');
});

t.test('card: the card in models/ is valid', async (t) => {
  const card = parseCard(readFileSync(CARD, 'utf8'), CARD);
  t.equal(card.name, 'nanodet-g-city10');
  t.equal(card.inGraph.scoreMin, 0.15);
});

t.test('card: invalid values are refused', async (t) => {
  const text = readFileSync(CARD, 'utf8');
  const edited = (change: (card: ModelCard) => void): string => {
    const card = JSON.parse(text) as ModelCard;
    change(card);
    return JSON.stringify(card);
  };
  const cases: readonly [string, string, AgentError['kind'], RegExp][] = [
    ['truncated', text.slice(0, 900), 'corrupt', /c\.json is not JSON/],
    ['no card', '[]', 'corrupt', /c\.json: \/: /],
    [
      'a face',
      text.replace('"16": "dog"', '"16": "face"'),
      'config',
      /class 16 "face" is not a class that a detector/,
    ],
    ['a plate', text.replace('"0": "person"', '"80": "plate"'), 'config', /class 80 "plate".*refused/],
    ['names swapped', text.replace('"2": "car"', '"2": "bus"'), 'config', /class 2 "bus"/],
    [
      'an inherited key',
      text.replace('"0": "person"', '"constructor": "person"'),
      'config',
      /class constructor "person"/,
    ],
    ['another folder', text.replace('"nanodet-g-city10.onnx"', '"../x.onnx"'), 'corrupt', /\/file: /],
    ['floats in', text.replace('"uint8"', '"float32"'), 'corrupt', /\/input\/dtype: Expected 'uint8'/],
    [
      'no threshold',
      edited((card) => delete card.thresholds.groups.vehicle),
      'corrupt',
      /\/thresholds\/groups\/vehicle\/labels: car is missing/,
    ],
    [
      'no licence',
      edited((card) => Reflect.deleteProperty(card.weights, 'licence')),
      'corrupt',
      /\/weights\/licence/,
    ],
  ];
  for (const [name, content, kind, message] of cases) {
    t.not(content, text, `${name}: differs from the real card`);
    t.throws(() => parseCard(content, 'c.json'), { name: 'AgentError', kind, message }, name);
  }
});

t.test('card: any text is a card or a clear refusal', async (t) => {
  const text = readFileSync(CARD, 'utf8');
  const edited = fc
    .record({
      at: fc.nat(text.length - 1),
      deleteCount: fc.integer({ min: 0, max: 40 }),
      put: fc.string({ maxLength: 12 }),
    })
    .map(({ at, deleteCount, put }) => text.slice(0, at) + put + text.slice(at + deleteCount));
  let refusals = 0;
  fc.assert(
    fc.property(fc.oneof(edited, fc.json(), fc.string()), (content) => {
      try {
        const card = parseCard(content, 'c.json');
        return Object.values(card.classes).every((name) =>
          Object.values(LABELS).some((label) => label === name),
        );
      } catch (error) {
        refusals += 1;
        return error instanceof AgentError && !error.message.includes('\n') && error.kind !== 'bug';
      }
    }),
    { numRuns: 2000 },
  );
  t.ok(refusals > 1000, `${refusals} of 2000 were refused`);
});
