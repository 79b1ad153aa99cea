/** Frames in, detections out: the model behind its card. */
import { assert } from '../../base/errors.ts';
import type { Group } from '../../contract/label.ts';
import type { Detection, Features, Frame } from '../../contract/picture.ts';
import { thresholdsOf } from './card.ts';
import { detectionsOf } from './detections.ts';
import { featuresOf } from './features.ts';
import { loaderOf } from './loader.ts';
import type { DetectorInfo, Loaded, Loader, LoadOptions } from './loading.ts';
import { suppressWithinGroups } from './suppress.ts';

export interface DetectorOptions extends LoadOptions {
  /** Somebody needs the features of places. */
  readonly features?: boolean | undefined;
}

/** What one look gives. */
export interface Sight {
  readonly found: Detection[];
  readonly features?: Features | undefined;
}

/** A place changes within seconds: a look every half second sees it in time, and copies a fifth of a MB each time. */
export const FEATURES_EVERY_MS = 500;
/**
 * What is taken from the larger picture: what it was measured on. A vehicle is large enough without, and two sizes of
 * picture give two boxes of it in turn, which looks like motion: 13 false wrong-way alerts instead of 8 in 25 s of a queue.
 */
export const CLOSER_GROUP: Group = 'person';

export class Detector {
  readonly #options: DetectorOptions;
  readonly #loader: Loader;
  #loaded: Loaded | undefined;
  /** Media time from which on the features of a frame are wanted again. */
  #featuresDueMs = Number.NEGATIVE_INFINITY;
  readonly #iouMaxOf = (group: Group): number => thresholdsOf((this.#loaded as Loaded).card, group).nmsIouMax;

  constructor(options: DetectorOptions) {
    this.#options = options;
    this.#loader = loaderOf(options);
  }

  /**
   * Reads the card, checks the model against it and loads it with the configured backend, or with what runs instead
   * (loader.ts).
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
   * Whether a larger picture beside a frame is of use: the model takes any size, and runs on the CPU, where another size
   * costs no more than its pixels (accelerators compile a model for one size).
   */
  get looksCloser(): boolean {
    const loaded = this.#loaded;
    return loaded !== undefined && loaded.info.provider === 'cpu' && loaded.backend.takesAnySize;
  }

  /** It runs on the CPU as long as its element was held off, which may be tried again: by a vision that starts anew. */
  get startsBetterAnew(): boolean {
    return this.#loader.mayTryAgain;
  }

  /** What runs the model has failed, and may keep the process from leaving. */
  get failed(): boolean {
    return this.#loader.failed;
  }

  /**
   * The frame's detections, best first, in source pixels: scores from the card's floor (0.15 in
   * nanodet-g-city10), labels of one group suppressed across each other, boxes too large for their
   * group dropped. Of a frame with a larger picture beside it, both are looked at: the larger one shows people who are far away
   * or in the dark, and loses who is close by (docs/design/005-benchmark.md). The pictures are read in place.
   * One call at a time.
   * @throws AgentError `corrupt` when the model says what its card does not know
   */
  async detect(frame: Frame): Promise<Detection[]> {
    return (await this.look(frame)).found;
  }

  /** As `detect`, with the features of places about twice a second where they are wanted and the model has them. */
  async look(frame: Frame): Promise<Sight> {
    assert(this.#loaded !== undefined, 'the detector was not started');
    const [widthPx, heightPx] = this.#options.config.input;
    assert(
      frame.input.widthPx === widthPx &&
        frame.input.heightPx === heightPx &&
        frame.rgb.length === widthPx * heightPx * 3,
      `frame of ${frame.input.widthPx}x${frame.input.heightPx} instead of ${widthPx}x${heightPx}`,
    );
    const { card } = this.#loaded;
    const features = frame.atMs >= this.#featuresDueMs && this.#options.features ? card.features : undefined;
    if (features !== undefined) this.#featuresDueMs = frame.atMs + FEATURES_EVERY_MS;
    const raw = await this.#loader.run(frame.rgb, { withFeatures: features !== undefined });
    const found = detectionsOf(raw, card, frame.source, frame.input);
    const { fine } = frame;
    const given =
      features === undefined || raw.features === undefined
        ? undefined
        : featuresOf(features, frame.input, raw.features);
    if (fine === undefined) return { found: suppressWithinGroups(found, this.#iouMaxOf), features: given };
    const closer = await this.#loader.run(fine.rgb, { input: fine.size });
    const more = detectionsOf(closer, card, frame.source, fine.size).filter(
      ({ group }) => group === CLOSER_GROUP,
    );
    return { found: suppressWithinGroups([...found, ...more], this.#iouMaxOf, 2), features: given };
  }

  /** Idempotent; waits for the run under way and frees the session: a process must not leave during a run. */
  async stop(): Promise<void> {
    this.#loaded = undefined;
    await this.#loader.release();
  }
}
