/** Tests the detector's parts that need no model: letterbox, suppression and model card. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import type { AgentError } from '../../agent/base/errors.ts';
import { packageRoot } from '../../agent/base/package-root.ts';
import type { SizePx, XyxyPx } from '../../agent/contract/geometry.ts';
import { groupOf, type Label } from '../../agent/contract/label.ts';
import { placementOf, toSource } from '../../agent/contract/letterbox.ts';
import type { Detection } from '../../agent/contract/picture.ts';
import { type ModelCard, parseCard } from '../../agent/vision/detect/card.ts';
import { suppressWithinGroups } from '../../agent/vision/detect/suppress.ts';

const CARD = join(packageRoot(), 'models', 'nanodet-g-city10.json');
const size = (widthPx: number, heightPx: number): SizePx => ({ widthPx, heightPx });

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
