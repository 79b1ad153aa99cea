/**
 * The detector with randomly shifted graph outputs, as another processor's int8 kernels would round them. Scores and
 * boxes are shifted before every threshold: the graph runs without its suppression and with a lower floor, and this
 * module applies both.
 *
 * INVARIANTS:
 * - Without a shake the detections are those of the installed model.
 * - The same seed gives the same shake.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../../agent/base/errors.ts';
import { iou, type XyxyPx } from '../../agent/contract/geometry.ts';
import type { Group } from '../../agent/contract/label.ts';
import type { Features, Frame } from '../../agent/contract/picture.ts';
import type { RawDetections } from '../../agent/vision/detect/backend.ts';
import { type ModelCard, readCard, thresholdsOf } from '../../agent/vision/detect/card.ts';
import { detectionsOf } from '../../agent/vision/detect/detections.ts';
import { CLOSER_GROUP, type DetectorResult } from '../../agent/vision/detect/detector.ts';
import { featuresOf } from '../../agent/vision/detect/features.ts';
import { loadRuntime } from '../../agent/vision/detect/onnxruntime.ts';
import { Session } from '../../agent/vision/detect/session.ts';
import { suppressWithinGroups } from '../../agent/vision/detect/suppress.ts';
import { MODEL_DIR, ROOT } from './paths.ts';
import { randomOf } from './random.ts';

const MODEL = 'nanodet-g-city10';
const INPUT = { widthPx: 416, heightPx: 256 };
/** Maximum shift of a score in either direction. */
export const SHAKE_SCORE = 0.02;
/** Maximum shift of each side of a box, in pixels of the detector's input. */
export const SHAKE_PX = 1;

/** Changes the graph's output for one picture. */
export type Shake = (raw: RawDetections) => RawDetections;

export const unshaken: Shake = (raw) => raw;

/** Shifts each score and each side of each box independently, again in each frame. */
export function shakeOf(seed: number): Shake {
  const random = randomOf(seed);
  const by = (amplitude: number): number => amplitude * (2 * random() - 1);
  return ({ boxes, scores, labels }) => ({
    boxes: boxes.map((side) => side + by(SHAKE_PX)),
    scores: scores.map((score) => score + by(SHAKE_SCORE)),
    labels,
  });
}

/** Shifts all scores by the same amount, as a kernel that always rounds one way. */
export function biasOf(score: number): Shake {
  return ({ boxes, scores, labels }) => ({ boxes, scores: scores.map((one) => one + score), labels });
}

/** The graph's output for a frame, before any threshold. */
export interface RawSight {
  readonly raw: RawDetections;
  /** Output for the larger picture beside the frame. */
  readonly closer: RawDetections | undefined;
  readonly features: Features | undefined;
}

export class ShakenDetector {
  readonly #card: ModelCard;
  /** IoU limit of the suppression that ends the installed graph. */
  readonly #iouMax: number;
  readonly #session: Session;

  private constructor(card: ModelCard, iouMax: number, session: Session) {
    this.#card = card;
    this.#iouMax = iouMax;
    this.#session = session;
  }

  /** Loads the detector; the opened graph is written to `dir`. */
  static async open(dir: string): Promise<ShakenDetector> {
    process.env['ORT_DISABLE_TELEMETRY'] = '1';
    const card = await readCard(MODEL_DIR, MODEL);
    const openedFile = join(dir, card.file);
    const scoreMin = String(card.inGraph.scoreMin - SHAKE_SCORE);
    const script = join(ROOT, 'test', 'lib', 'open-model.py');
    execFileSync('/usr/bin/python3', ['-B', script, join(MODEL_DIR, card.file), openedFile, scoreMin]);
    const session = await Session.open(await loadRuntime(), {
      bytes: readFileSync(openedFile),
      model: MODEL,
      inputName: card.input.name,
      input: INPUT,
      provider: 'cpu',
      features: card.features,
      mayName: (label) => Object.hasOwn(card.classes, String(label)),
    });
    const { inGraph } = JSON.parse(readFileSync(join(MODEL_DIR, `${MODEL}.json`), 'utf8')) as {
      inGraph: { nmsIouMax: number };
    };
    return new ShakenDetector(card, inGraph.nmsIouMax, session);
  }

  async infer({ rgb, fine }: Frame): Promise<RawSight> {
    const { features } = this.#card;
    const raw = await this.#session.run(rgb, { withFeatures: features !== undefined });
    const closer = fine && (await this.#session.run(fine.rgb, { input: fine.size }));
    assert(features !== undefined && raw.features !== undefined, 'the model has features');
    return { raw, closer, features: featuresOf(features, INPUT, raw.features) };
  }

  /** Detections of the box's detector after the graph's own suppression. */
  resultOf({ raw, closer }: RawSight, { source, fine }: Frame, shake: Shake): DetectorResult['detections'] {
    const { scoreMin } = this.#card.inGraph;
    const sure = (one: RawDetections): RawDetections => suppressed(shake(one), scoreMin, this.#iouMax);
    const iouMaxOf = (group: Group): number => thresholdsOf(this.#card, group).nmsIouMax;
    const detections = detectionsOf(sure(raw), this.#card, source, INPUT);
    if (fine === undefined || closer === undefined) return suppressWithinGroups(detections, iouMaxOf);
    const closerDetections = detectionsOf(sure(closer), this.#card, source, fine.size);
    return suppressWithinGroups(
      [...detections, ...closerDetections.filter(({ group }) => group === CLOSER_GROUP)],
      iouMaxOf,
      2,
    );
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

/** The end of the graph: a floor of scores, and greedy suppression within each label (ONNX's NonMaxSuppression). */
function suppressed(
  { boxes, scores, labels }: RawDetections,
  scoreMin: number,
  iouMax: number,
): RawDetections {
  const boxOf = (row: number): XyxyPx => [...boxes.subarray(row * 4, row * 4 + 4)] as unknown as XyxyPx;
  const rows = [...scores.keys()].filter((row) => (scores[row] as number) > scoreMin);
  rows.sort((a, b) => (scores[b] as number) - (scores[a] as number));
  const remaining: { readonly row: number; readonly label: number; readonly box: XyxyPx }[] = [];
  for (const row of rows) {
    const [label, box] = [labels[row] as number, boxOf(row)];
    if (box[2] <= box[0] || box[3] <= box[1]) continue;
    if (!remaining.some((other) => other.label === label && iou(other.box, box) > iouMax))
      remaining.push({ row, label, box });
  }
  return {
    boxes: Float32Array.from(remaining.flatMap(({ box }) => [...box])),
    scores: Float32Array.from(remaining, ({ row }) => scores[row] as number),
    labels: Int32Array.from(remaining, ({ label }) => label),
  };
}
