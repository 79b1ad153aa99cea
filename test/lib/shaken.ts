/**
 * The detector with randomly shifted graph outputs, as another processor's int8 kernels would round them. Scores and
 * boxes are shifted before every threshold: the graph runs without its suppression and with a lower floor, and this
 * module applies both.
 *
 * INVARIANTS:
 * - Without a shake the detections are those of the installed model.
 * - The same seed gives the same shake.
 *
 * A labelled film is decoded, and passes the graph, once for many shakes. Every shake has a tracker, an observer and rules
 * of its own, composed as agent/vision/flow.ts does.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../agent/base/clock.ts';
import { assert } from '../../agent/base/errors.ts';
import { modelsDir } from '../../agent/base/package-root.ts';
import type { UnnumberedEvent } from '../../agent/contract/event-sink.ts';
import { iou, type XyxyPx } from '../../agent/contract/geometry.ts';
import { GroundPlane } from '../../agent/contract/ground-plane.ts';
import type { Group } from '../../agent/contract/label.ts';
import type { VisionSettings } from '../../agent/contract/link.ts';
import type { Detection, Features, Frame, Track } from '../../agent/contract/picture.ts';
import type { AgentFlow } from '../../agent/flow.ts';
import { permitReplay } from '../../agent/restraint/permit.ts';
import { visionSettings } from '../../agent/supervisor/vision-settings.ts';
import type { RawDetections } from '../../agent/vision/detect/backend.ts';
import { type ModelCard, readCard, thresholdsOf } from '../../agent/vision/detect/card.ts';
import { detectionsOf } from '../../agent/vision/detect/detections.ts';
import { CLOSER_GROUP, type DetectorResult, FEATURES_EVERY_MS } from '../../agent/vision/detect/detector.ts';
import { featuresOf } from '../../agent/vision/detect/features.ts';
import { loadRuntime } from '../../agent/vision/detect/onnxruntime.ts';
import { Session } from '../../agent/vision/detect/session.ts';
import { suppressWithinGroups } from '../../agent/vision/detect/suppress.ts';
import { Observer } from '../../agent/vision/observe/observer.ts';
import { HighResolutionPasses } from '../../agent/vision/schedule/high-resolution-passes.ts';
import { MotionGate } from '../../agent/vision/schedule/motion-gate.ts';
import { Tracker } from '../../agent/vision/track/tracker.ts';
import type { Label } from '../../scripts/programs/evaluate/labels.ts';
import { configOf } from './agent.ts';
import { cameraOf } from './camera.ts';
import { allowing, makeFlow } from './kept-notes.ts';
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

const NO_BYTES = new Uint8Array();

/** Reports under each shake, in their order. */
export async function playShaken(
  label: Label,
  detector: ShakenDetector,
  shakes: readonly Shake[],
): Promise<UnnumberedEvent[][]> {
  const config = configOf(label.config, 'replay');
  const settings = visionSettings(config, permitReplay(config), {
    modelDir: modelsDir(),
    mode: 'replay',
    camera: { source: `file:${label.clipPath}`, fps: null },
  });
  const boxes = shakes.map((shake) => new ShakenBox(config, settings, shake, detector));
  const [widthPx, heightPx] = settings.detector.input;
  const camera = cameraOf({
    source: settings.camera.source,
    fps: null,
    input: { widthPx, heightPx },
    masks: settings.masks,
  });
  // The pictures alone decide whether larger pictures are requested, so one instance requests for all.
  const fine = new HighResolutionPasses();
  await camera.start();
  try {
    for (let frame = await camera.next(); frame !== null; frame = await camera.next()) {
      camera.wantFine(fine.wants(frame, false) ? Number.POSITIVE_INFINITY : 0);
      const current = frame;
      let sight: Promise<RawSight> | undefined;
      const infer = (): Promise<RawSight> => (sight ??= detector.infer(current));
      for (const box of boxes) await box.take(frame, infer);
    }
  } finally {
    await camera.stop();
  }
  return boxes.map((box) => box.end());
}

class ShakenBox {
  readonly #shake: Shake;
  readonly #detector: ShakenDetector;
  readonly #gate: MotionGate;
  readonly #fine = new HighResolutionPasses();
  readonly #tracker: Tracker;
  readonly #observer: Observer;
  readonly #regions: boolean;
  readonly #flow: AgentFlow;
  readonly #events: UnnumberedEvent[] = [];
  #detections: readonly Detection[] = [];
  #featuresDueMs = Number.NEGATIVE_INFINITY;
  #atMs = 0;

  constructor(
    config: ReturnType<typeof configOf>,
    settings: VisionSettings,
    shake: Shake,
    detector: ShakenDetector,
  ) {
    this.#shake = shake;
    this.#detector = detector;
    this.#gate = new MotionGate(settings);
    const { groundPlane } = settings;
    this.#tracker = new Tracker(undefined, 1, groundPlane && new GroundPlane(groundPlane));
    this.#observer = new Observer(settings);
    this.#regions = settings.regions;
    const sink = {
      accept: (event: UnnumberedEvent) => this.#events.push(event),
      remember: () => undefined,
    };
    const clock = { ...systemClock, nowMs: () => this.#atMs, wallMs: () => this.#atMs };
    this.#flow = makeFlow(sink, clock, config);
    this.#flow.permit(allowing(config.rules));
  }

  async take(frame: Frame, infer: () => Promise<RawSight>): Promise<void> {
    const { atMs } = frame;
    this.#atMs = atMs;
    this.#fine.wants(frame, false);
    const awaited = this.#tracker.waits || this.#observer.waits(atMs) || this.#fine.isDue(frame);
    const isAnalysed = this.#gate.mustDetect(frame, awaited);
    let features: Features | undefined;
    if (isAnalysed) {
      const sight = await infer();
      this.#detections = this.#detector.resultOf(sight, frame, this.#shake);
      if (this.#regions && atMs >= this.#featuresDueMs) {
        this.#featuresDueMs = atMs + FEATURES_EVERY_MS;
        features = sight.features;
      }
      this.#fine.noteDetectorRun(frame);
    }
    const detections = this.#detections;
    const tracks: readonly Track[] = isAnalysed
      ? this.#tracker.update(frame, detections, this.#fine.dark)
      : this.#tracker.hold(frame);
    const observation = this.#observer.observationOf(frame, {
      detectorRan: isAnalysed,
      detections,
      tracks,
      features,
    });
    for (const { request } of this.#flow.observe(observation).evidence) {
      const reason = 'no pictures are made';
      this.#flow.evidence({ message: { kind: 'no-snapshot', request, reason }, binary: NO_BYTES });
    }
  }

  end(): UnnumberedEvent[] {
    this.#flow.end('the clip is over');
    return this.#events;
  }
}
