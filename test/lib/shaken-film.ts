/**
 * One pass over a labelled film for many shakes of the detector's outputs. Each frame is decoded and passes the graph
 * once. Every shake has a tracker, an observer and rules of its own, composed as agent/vision/flow.ts does.
 */

import { systemClock } from '../../agent/base/clock.ts';
import { makeLogger } from '../../agent/base/log.ts';
import { modelsDir } from '../../agent/base/package-root.ts';
import type { UnnumberedEvent } from '../../agent/contract/event-sink.ts';
import { GroundPlane } from '../../agent/contract/ground-plane.ts';
import type { VisionSettings } from '../../agent/contract/link.ts';
import type { Detection, Features, Frame, Track } from '../../agent/contract/picture.ts';
import { AgentFlow } from '../../agent/flow.ts';
import { permitReplay } from '../../agent/restraint/permit.ts';
import { visionSettings } from '../../agent/supervisor/vision-settings.ts';
import { Camera } from '../../agent/vision/camera/camera.ts';
import { FEATURES_EVERY_MS } from '../../agent/vision/detect/detector.ts';
import { Observer } from '../../agent/vision/observe/observer.ts';
import { HighResolutionPasses } from '../../agent/vision/schedule/high-resolution-passes.ts';
import { MotionGate } from '../../agent/vision/schedule/motion-gate.ts';
import { Tracker } from '../../agent/vision/track/tracker.ts';
import type { Label } from '../../scripts/programs/evaluate/labels.ts';
import { configOf } from './agent.ts';
import type { RawSight, Shake, ShakenDetector } from './shaken-detector.ts';

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
  const camera = new Camera({
    source: settings.camera.source,
    fps: null,
    input: { widthPx, heightPx },
    masks: settings.masks,
    mode: 'replay',
    clock: systemClock,
    log: makeLogger('test', 'error'),
    onOpened: () => undefined,
    onLost: () => undefined,
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
    this.#flow = new AgentFlow({
      keepSealed: undefined,
      config,
      sink: { accept: (event) => this.#events.push(event), remember: () => undefined },
      clock: { ...systemClock, nowMs: () => this.#atMs, wallMs: () => this.#atMs },
      log: makeLogger('test', 'error'),
      boot: 'shaken',
      clockSynced: () => true,
    });
    const permit = permitReplay(config);
    this.#flow.permit({ mode: 'active', reason: null, permit, refusals: new Map() });
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
