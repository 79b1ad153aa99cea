/** Detects objects in frames with the model of a card. */
import { assert } from '../../base/errors.ts';
import type { Group } from '../../contract/label.ts';
import { type Detection, type Features, type Frame, LARGER_SIDE_TIMES_MAX } from '../../contract/picture.ts';
import { thresholdsOf } from './card.ts';
import { detectionsOf } from './detections.ts';
import { featuresOf } from './features.ts';
import { loaderOf } from './loader.ts';
import type { DetectorInfo, Loaded, Loader, LoadOptions } from './loading.ts';
import { suppressWithinGroups } from './suppress.ts';

export interface DetectorOptions extends LoadOptions {
  /** True if features of places are needed. */
  readonly features?: boolean | undefined;
}

/** Result of a detector run. */
export interface DetectorResult {
  readonly detections: Detection[];
  readonly features?: Features | undefined;
}

/**
 * Interval of the features in media time. Places change within seconds, so half a second is soon enough; each copy has
 * a fifth of a MB.
 */
export const FEATURES_EVERY_MS = 500;
/**
 * Group that is taken from the larger picture, the only one for which it was measured. A vehicle is large enough
 * without it. Two picture sizes would give two boxes of it in turn, which looks like motion: 13 false wrong-way alerts
 * instead of 8 in 25 s of a queue.
 */
export const CLOSER_GROUP: Group = 'person';

export class Detector {
  readonly #options: DetectorOptions;
  readonly #loader: Loader;
  #loaded: Loaded | undefined;
  /** Media time from which features are due again. */
  #featuresDueMs = Number.NEGATIVE_INFINITY;
  readonly #iouMaxOf = (group: Group): number => thresholdsOf((this.#loaded as Loaded).card, group).nmsIouMax;

  constructor(options: DetectorOptions) {
    this.#options = options;
    this.#loader = loaderOf(options);
  }

  /**
   * Reads the card, checks the model against it and loads it with the configured backend, or with its fallback
   * (loader.ts).
   *
   * @throws AgentError `config` or `corrupt`, one line that says what would be right
   */
  async start(): Promise<DetectorInfo> {
    assert(this.#loaded === undefined, 'the detector was started twice');
    const { config, log } = this.#options;
    this.#loaded = await this.#loader.load();
    const { info } = this.#loaded;
    log.info({ ...info, input: config.input.join('x') }, 'detector loaded');
    return info;
  }

  /**
   * Maximum useful width of the scene in a larger picture beside a frame, in px; 0 if none is useful.
   *
   * The model must take any size and run on the CPU, where another size costs only its pixels. (Accelerators compile a
   * model for one size.)
   *
   * Beside an element, the scene is not larger than for the CPU's model alone at its usual size. The element already
   * analyses more pixels, and the pass must not cost more.
   */
  get largerPictureWidthMaxPx(): number {
    const loaded = this.#loaded;
    if (loaded?.cpuModel?.backend.takesAnySize)
      return LARGER_SIDE_TIMES_MAX * loaded.cpuModel.card.input.default[0];
    return loaded?.info.provider === 'cpu' && loaded.backend.takesAnySize ? Number.POSITIVE_INFINITY : 0;
  }

  /**
   * True if a restart of vision may run the model as configured: its element or library was held off, or an engine is built.
   */
  get shouldRestart(): boolean {
    return this.#loader.mayTryAgain;
  }

  /** True if the model's runtime has failed, and may keep the process from exiting. */
  get failed(): boolean {
    return this.#loader.failed;
  }

  /**
   * Returns the frame's detections, best first, in source pixels. One call at a time; the pictures are read in place.
   *
   * Scores start at the card's minimum (0.15 in nanodet-g-city10). Labels of one group are suppressed across each
   * other, and boxes too large for their group are dropped. If the frame has a larger picture, the model runs on both.
   * The larger one shows people who are far away or in the dark, and loses those close by
   * (docs/design/005-benchmark.md).
   *
   * @throws AgentError `corrupt` if the model outputs a label that its card does not know
   */
  async detect(frame: Frame): Promise<Detection[]> {
    return (await this.detectWithFeatures(frame)).detections;
  }

  /** Does the same as `detect`, and adds features about twice a second if they are needed and the model has them. */
  async detectWithFeatures(frame: Frame): Promise<DetectorResult> {
    assert(this.#loaded !== undefined, 'the detector was not started');
    const [widthPx, heightPx] = this.#options.config.input;
    assert(
      frame.input.widthPx === widthPx &&
        frame.input.heightPx === heightPx &&
        frame.rgb.length === widthPx * heightPx * 3,
      `frame of ${frame.input.widthPx}x${frame.input.heightPx} instead of ${widthPx}x${heightPx}`,
    );
    const { card, cpuModel } = this.#loaded;
    const cpuCard = (cpuModel ?? this.#loaded).card;
    const isDue = frame.atMs >= this.#featuresDueMs && this.#options.features === true;
    const features = isDue ? cpuCard.features : undefined;
    if (features !== undefined) this.#featuresDueMs = frame.atMs + FEATURES_EVERY_MS;
    const withFeatures = features !== undefined;
    const [raw, cpuRaw] = await Promise.all([
      this.#loader.run(frame.rgb, { withFeatures: withFeatures && cpuModel === undefined }),
      withFeatures ? cpuModel?.backend.run(frame.rgb, { input: frame.input, withFeatures }) : undefined,
    ]);
    const detections = detectionsOf(raw, card, frame.source, frame.input);
    const { fine } = frame;
    const rawFeatures = (cpuRaw ?? raw).features;
    const frameFeatures =
      features === undefined || rawFeatures === undefined
        ? undefined
        : featuresOf(features, frame.input, rawFeatures);
    if (fine === undefined)
      return { detections: suppressWithinGroups(detections, this.#iouMaxOf), features: frameFeatures };
    const closer = await (cpuModel?.backend ?? this.#loader).run(fine.rgb, { input: fine.size });
    const closerDetections = detectionsOf(closer, cpuCard, frame.source, fine.size).filter(
      ({ group }) => group === CLOSER_GROUP,
    );
    return {
      detections: suppressWithinGroups([...detections, ...closerDetections], this.#iouMaxOf, 2),
      features: frameFeatures,
    };
  }

  /** Frees the session after the current run, during which the process must not exit. Idempotent. */
  async stop(): Promise<void> {
    this.#loaded = undefined;
    await this.#loader.release();
  }
}
