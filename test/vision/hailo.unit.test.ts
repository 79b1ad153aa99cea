/** Tests the decoder of HailoRT's output: both orders, every refusal, and random bytes. */

import t from 'tap';
import type { HailoTensor } from 'vigie-native';
import { AgentError } from '../../agent/base/errors.ts';
import { parseCard } from '../../agent/vision/detect/card.ts';
import { decodeHailo, type HailoOptions } from '../../agent/vision/detect/hailo.ts';
import { hailoCard } from '../lib/inference-element.ts';

const SCORE_MIN = 0.1;
const BY_CLASS: HailoOptions = {
  card: { output: 'nms', order: 'by-class', classes: 3, boxesMax: 2, labels: { 0: 0, 2: 16 } },
  input: { widthPx: 400, heightPx: 200 },
  scoreMin: SCORE_MIN,
};
const BY_SCORE: HailoOptions = { ...BY_CLASS, card: { ...BY_CLASS.card, order: 'by-score' } };
const BYTES = { 'by-class': 3 * (4 + 2 * 20), 'by-score': 2 + 2 * 22 };

/** Output of HailoRT with 0xab behind what `write` writes. */
function output(
  { card }: HailoOptions,
  write: (data: Buffer) => void,
  over: Partial<HailoTensor> = {},
): HailoTensor[] {
  const data = Buffer.alloc(BYTES[card.order], 0xab);
  write(data);
  return [{ metaBytes: 184, name: 'nms', isNms: true, shape: [3, 2, 6, 0], data, ...over }];
}

function floats(data: Buffer, at: number, ...values: readonly number[]): void {
  for (const [index, value] of values.entries()) data.writeFloatLE(value, at + 4 * index);
}

const rounded = (values: Float32Array): number[] => [...values].map((value) => Math.round(value * 100) / 100);

t.test('boxes by class become pixels, best first, and other classes are dropped', async (t) => {
  const first = [1, 0.1, 0.2, 0.3, 0.4, 0.5];
  const otherClass = [1, 0, 0, 1, 1, 0.99];
  const third = [2, 0.5, 0.5, 0.75, 1, 0.9, 0, 0, 0.5, 0.5, 0.05];
  const detections = decodeHailo(
    output(BY_CLASS, (data) => floats(data, 0, ...first, ...otherClass, ...third)),
    BY_CLASS,
  );
  t.same([...detections.labels], [16, 0]);
  t.same(rounded(detections.boxes), [200, 100, 400, 150, 80, 20, 160, 60]);
  t.same(rounded(detections.scores), [0.9, 0.5]);
});

t.test('boxes by score become pixels, and other classes are dropped', async (t) => {
  const detections = decodeHailo(
    output(BY_SCORE, (data) => {
      data.writeUInt16LE(2, 0);
      floats(data, 2, 0, 0, 0.5, 0.5, 0.8);
      data.writeUInt16LE(1, 22);
      floats(data, 24, 0.5, 0.5, 1, 1, 0.7);
      data.writeUInt16LE(2, 44);
    }),
    BY_SCORE,
  );
  t.same([...detections.labels], [16]);
  t.same(rounded(detections.boxes), [200, 100, 400, 200]);
});

t.test('an output without a box gives no detections', async (t) => {
  for (const options of [BY_CLASS, BY_SCORE]) {
    const { labels, boxes } = decodeHailo(
      output(options, (data) => data.fill(0, 0, 2) && floats(data, 0, 0, 0, 0)),
      options,
    );
    t.same([labels.length, boxes.length], [0, 0]);
  }
});

t.test('invalid counts and boxes are refused', async (t) => {
  const box = (...values: readonly number[]) => output(BY_CLASS, (data) => floats(data, 0, 1, ...values));
  const cases: readonly (readonly [string, HailoTensor[], RegExp])[] = [
    ['no number', output(BY_CLASS, (data) => floats(data, 0, Number.NaN)), /gives NaN boxes of class 0/],
    [
      'more than the card has',
      output(BY_CLASS, (data) => floats(data, 0, 3)),
      /gives 3 boxes of class 0; .* 0 to 2/,
    ],
    ['a negative number', output(BY_CLASS, (data) => floats(data, 0, -1)), /gives -1 boxes/],
    ['half a box', output(BY_CLASS, (data) => floats(data, 0, 0.5)), /gives 0.5 boxes/],
    ['a score above one', box(0, 0, 1, 1, 1.5), /invalid box of class 0/],
    ['a corner that is NaN', box(Number.NaN, 0, 1, 1, 0.5), /invalid box/],
    ['a corner at infinity', box(0, 0, Number.POSITIVE_INFINITY, 1, 0.5), /invalid box/],
    ['corners in the wrong order', box(0.5, 0, 0.4, 1, 0.5), /invalid box/],
  ];
  for (const [name, tensors, message] of cases)
    t.throws(() => decodeHailo(tensors, BY_CLASS), { kind: 'corrupt', message }, name);
  const counted = (count: number, classIndex: number) =>
    output(BY_SCORE, (data) => {
      data.writeUInt16LE(count, 0);
      floats(data, 2, 0, 0, 1, 1, 0.5);
      data.writeUInt16LE(classIndex, 22);
    });
  t.throws(() => decodeHailo(counted(3, 0), BY_SCORE), { message: /gives 3 boxes; .* 0 to 2/ });
  t.throws(() => decodeHailo(counted(1, 3), BY_SCORE), { message: /class 3; the card has 3 classes/ });
});

t.test('an output of another kind is refused, with what it is', async (t) => {
  const cases: readonly (readonly [Partial<HailoTensor>, RegExp])[] = [
    [
      { metaBytes: 448 },
      /HailoRT 4\.17 to 4\.19 \(metadata of 448 bytes instead of 184\); install HailoRT 4\.22/,
    ],
    [{ metaBytes: 456 }, /HailoRT 4\.20 or 4\.21/],
    [{ metaBytes: 500 }, /an unknown HailoRT/],
    [{ data: Buffer.alloc(8) }, /nms \[3,2,6,0\], NMS, 8 bytes instead of nms \[3,…\], NMS, 132 bytes/],
    [{ data: null }, /too many bytes/],
    [{ isNms: false }, /no NMS/],
    [{ shape: [1, 2, 2, 0] }, /nms \[1,2,2,0\]/],
    [{ name: 'faces' }, /gives faces/],
  ];
  for (const [over, message] of cases) {
    const tensors = output(BY_CLASS, (data) => floats(data, 0, 0, 0, 0), over);
    t.throws(() => decodeHailo(tensors, BY_CLASS), { kind: 'corrupt', message });
  }
  t.throws(() => decodeHailo([], BY_CLASS), { message: /^lacks HailoRT's output / });
  const two = [
    ...output(BY_CLASS, (data) => floats(data, 0, 0, 0, 0)),
    { metaBytes: 184, name: 'embedding', isNms: false, shape: [1, 1, 128, 0], data: Buffer.alloc(128) },
  ];
  t.throws(() => decodeHailo(two, BY_CLASS), { message: /nms .* and embedding / });
});

t.test('random bytes give detections of the closed list or a refusal, never anything else', async (t) => {
  let [decodedCount, refusedCount, state] = [0, 0, 1];
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  };
  for (let round = 0; round < 20_000; round += 1) {
    const options = round % 2 === 0 ? BY_CLASS : BY_SCORE;
    const tensors = output(options, (data) => {
      for (let at = 0; at < data.length; at += 1) data[at] = random();
      if (round % 4 === 0) floats(data, 0, round % 3);
      if (round % 4 === 1) data.writeUInt16LE(round % 3, 0);
    });
    try {
      const { labels, scores } = decodeHailo(tensors, options);
      if (![...labels].every((label) => label === 0 || label === 16)) t.fail('a foreign label');
      if (![...scores].every((score) => score >= SCORE_MIN && score <= 1)) t.fail('an invalid score');
      decodedCount += 1;
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
      refusedCount += 1;
    }
  }
  t.ok(decodedCount > 100 && refusedCount > 100, `${decodedCount} decoded, ${refusedCount} refused`);
});

t.test('a card is refused if its output maps to a label that it does not list', async (t) => {
  const card = hailoCard({ labels: { 0: 0, 1: 77 } });
  t.throws(() => parseCard(JSON.stringify(card), 'a.json'), {
    kind: 'corrupt',
    message: 'model card a.json: /hailo/labels/1: label 77 is missing in /classes',
  });
  t.equal(parseCard(JSON.stringify(hailoCard({})), 'a.json').hailo?.output, 'nms');
});
