/**
 * Converts the graph's output for one picture to detections of the frame, by the thresholds and labels of the model's
 * card.
 */
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';
import { groupOf, LABELS, type Label } from '../../contract/label.ts';
import { placementOf, toSource } from '../../contract/letterbox.ts';
import type { Detection, Frame } from '../../contract/picture.ts';
import { foreignLabel, type RawDetections } from './backend.ts';
import { type ModelCard, thresholdsOf } from './card.ts';

/**
 * Returns detections in source pixels, not suppressed across labels yet. `input` is the size of the graph's picture.
 * @throws AgentError `corrupt` for a label that the card does not know
 */
export function detectionsOf(
  { boxes, scores, labels }: RawDetections,
  card: ModelCard,
  source: Frame['source'],
  input: SizePx,
): Detection[] {
  const placement = placementOf(source, input);
  const detections: Detection[] = [];
  const box: [number, number, number, number] = [0, 0, 0, 0];
  for (let row = 0; row < scores.length; row += 1) {
    const score = scores[row] as number;
    // This form rejects NaN too.
    if (!(score >= card.inGraph.scoreMin)) continue;
    for (let i = 0; i < 4; i += 1) box[i] = boxes[row * 4 + i] ?? Number.NaN;
    const xyxyPx = toSource(box, placement, source);
    if (xyxyPx === undefined) continue;
    const label = labelOf(labels[row], card);
    const group = groupOf(label);
    if (ratioOf(xyxyPx, source) > thresholdsOf(card, group).boxShareMax) continue;
    detections.push({ xyxyPx, score: Math.min(score, 1), label, group });
  }
  return detections;
}

/** Returns the ratio of the frame that a box covers, 0..1. */
function ratioOf(box: XyxyPx, { widthPx, heightPx }: SizePx): number {
  return ((box[2] - box[0]) * (box[3] - box[1])) / (widthPx * heightPx);
}

function labelOf(index: number | undefined, card: ModelCard): Label {
  const labels: Readonly<Record<number, Label>> = LABELS;
  const label = index === undefined ? undefined : labels[index];
  if (label !== undefined && Object.hasOwn(card.classes, String(index))) return label;
  throw foreignLabel(card.name, index ?? 'undefined');
}
