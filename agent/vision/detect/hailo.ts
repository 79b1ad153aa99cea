/**
 * Decodes the detections of HailoRT's element `hailonet`, whose network ends in HailoRT's own suppression of duplicates
 * (HAILO_FORMAT_ORDER_HAILO_NMS_BY_CLASS and _BY_SCORE in hailort.h).
 *
 * - by-class: each class has a float32 count and as many boxes of five float32, which are y1 x1 y2 x2 (0..1) and score.
 * - by-score: a uint16 count precedes as many boxes of 22 bytes, which are the same five and a uint16 class.
 *
 * Bytes behind the last box are left over from earlier frames and are not read.
 *
 * INVARIANTS:
 * - The answer is one output with the name, the length and the number of classes of the card; anything else is refused.
 * - A box of a class that the card does not list never leaves this file.
 * - Every count is compared with the card before a box is read.
 */
import type { HailoTensor } from 'vigie-native';
import { AgentError } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { RawDetections } from './backend.ts';
import type { HailoCard } from './card.ts';

/** Size of a box in bytes, by order of the output. */
const BOX_BYTES = { 'by-class': 20, 'by-score': 22 } as const;
/** Size in bytes of the metadata whose layout the addon knows (patches/, Tensors.cpp). */
const META_BYTES = 184;
/** HailoRT versions of the older layouts, by the metadata's size in bytes. */
const OLD_VERSIONS: Readonly<Record<number, string>> = { 448: '4.17 to 4.19', 456: '4.20 or 4.21' };
/** Maximum overhang of a box over the frame's edge, as a ratio of its side; a network regresses a little beyond it. */
const OVERHANG_MAX = 1;

export interface HailoOptions {
  readonly card: HailoCard;
  readonly input: SizePx;
  /** Minimum score; weaker boxes are dropped, as the graphs of the contract do. */
  readonly scoreMin: number;
}

interface Box {
  /** Class of the network. */
  readonly class: number;
  readonly score: number;
  /** Corners x1 y1 x2 y2 in input pixels. */
  readonly xyxyPx: readonly [number, number, number, number];
}

/**
 * Returns the detections of the card's classes, best first.
 * @throws AgentError `corrupt`, with what the element gives instead
 */
export function decodeHailo(tensors: readonly HailoTensor[], options: HailoOptions): RawDetections {
  const data = outputOf(tensors, options.card);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const { card, scoreMin } = options;
  const all = card.order === 'by-class' ? boxesByClass(view, options) : boxesByScore(view, options);
  const boxes = all.flatMap((box) => {
    const label = card.labels[box.class];
    return label === undefined || box.score < scoreMin ? [] : [{ ...box, label }];
  });
  boxes.sort((a, b) => b.score - a.score);
  return {
    boxes: Float32Array.from(boxes.flatMap(({ xyxyPx }) => xyxyPx)),
    scores: Float32Array.from(boxes, ({ score }) => score),
    labels: Int32Array.from(boxes, ({ label }) => label),
  };
}

function outputOf(tensors: readonly HailoTensor[], card: HailoCard): Buffer {
  const [first] = tensors;
  if (first === undefined) throw corrupt(`lacks HailoRT's output ${card.output}`);
  if (first.metaBytes !== META_BYTES) {
    const version = OLD_VERSIONS[first.metaBytes];
    const source = version === undefined ? 'an unknown HailoRT' : `HailoRT ${version}`;
    throw corrupt(
      `comes from ${source} (metadata of ${first.metaBytes} bytes instead of ${META_BYTES}); install HailoRT 4.22 or later`,
    );
  }
  const expectedBytes = bytesOf(card);
  const fits =
    tensors.length === 1 &&
    first.isNms === true &&
    first.name === card.output &&
    first.shape?.[0] === card.classes &&
    first.data?.length === expectedBytes;
  if (fits && first.data) return first.data;
  const actual = tensors.map(({ name = '', isNms, shape = [], data }) => {
    const kind = isNms === true ? 'NMS' : 'no NMS';
    return `${printable(name, 60)} [${shape.join(',')}], ${kind}, ${data?.length ?? 'too many'} bytes`;
  });
  throw corrupt(
    `gives ${actual.join(' and ')} instead of ${card.output} [${card.classes},…], NMS, ${expectedBytes} bytes`,
  );
}

/** Returns the length of the output in bytes, which does not depend on the number of boxes in it. */
function bytesOf({ order, classes, boxesMax }: HailoCard): number {
  return order === 'by-class'
    ? classes * (4 + boxesMax * BOX_BYTES['by-class'])
    : 2 + boxesMax * BOX_BYTES['by-score'];
}

function boxesByClass(view: DataView, { card, input }: HailoOptions): Box[] {
  const boxes: Box[] = [];
  let at = 0;
  for (let index = 0; index < card.classes; index += 1) {
    const count = view.getFloat32(at, true);
    if (!Number.isInteger(count) || count < 0 || count > card.boxesMax)
      throw corrupt(`gives ${count} boxes of class ${index}; the card allows 0 to ${card.boxesMax}`);
    at += 4;
    for (let left = count; left > 0; left -= 1, at += BOX_BYTES['by-class'])
      boxes.push(boxAt(view, at, index, input));
  }
  return boxes;
}

function boxesByScore(view: DataView, { card, input }: HailoOptions): Box[] {
  const count = view.getUint16(0, true);
  if (count > card.boxesMax) throw corrupt(`gives ${count} boxes; the card allows 0 to ${card.boxesMax}`);
  return Array.from({ length: count }, (_, index) => {
    const at = 2 + index * BOX_BYTES['by-score'];
    const classIndex = view.getUint16(at + BOX_BYTES['by-class'], true);
    if (classIndex >= card.classes)
      throw corrupt(`gives a box of class ${classIndex}; the card has ${card.classes} classes`);
    return boxAt(view, at, classIndex, input);
  });
}

function boxAt(view: DataView, at: number, classIndex: number, { widthPx, heightPx }: SizePx): Box {
  const float = (index: number): number => view.getFloat32(at + 4 * index, true);
  const [y1, x1, y2, x2, score] = [float(0), float(1), float(2), float(3), float(4)];
  const isInFrame = [y1, x1, y2, x2].every((side) => side >= -OVERHANG_MAX && side <= 1 + OVERHANG_MAX);
  if (!isInFrame || y1 > y2 || x1 > x2 || !(score >= 0 && score <= 1)) {
    const numbers = [y1, x1, y2, x2, score].map((value) => Number(value.toPrecision(4))).join(' ');
    throw corrupt(`gives an invalid box of class ${classIndex} (y1 x1 y2 x2 score: ${numbers})`);
  }
  return { class: classIndex, score, xyxyPx: [x1 * widthPx, y1 * heightPx, x2 * widthPx, y2 * heightPx] };
}

function corrupt(problem: string): AgentError {
  return new AgentError('corrupt', problem);
}
