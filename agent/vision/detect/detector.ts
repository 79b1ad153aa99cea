/** Frames in, detections out: the model behind its card. */
import { AgentError, assert, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { DetectorConfig } from '../../contract/config.ts';
import type { SizePx, XyxyPx } from '../../contract/geometry.ts';
import { type Group, groupOf, LABELS, type Label } from '../../contract/label.ts';
import { type Placement, placementOf, toSource } from '../../contract/letterbox.ts';
import type { Detection, Features, Frame } from '../../contract/picture.ts';
import { type ModelCard, readCard, readModel, thresholdsOf } from './card.ts';
import { featuresOf } from './features.ts';
import { isKept, keepModel } from './kept-model.ts';
import { foreignLabel, loadRuntime, type RawDetections, Session } from './session.ts';
import { suppressWithinGroups } from './suppress.ts';

export interface DetectorOptions {
  readonly config: DetectorConfig;
  /** Folder of the model cards and their files. */
  readonly modelDir: string;
  /** Where the model that ran last is kept, for the day on which the installed one is damaged. */
  readonly keptDir?: string | undefined;
  /** Somebody needs the features of places. */
  readonly features?: boolean | undefined;
  readonly log: Logger;
}

/** What one look gives. */
export interface Sight {
  readonly found: Detection[];
  readonly features?: Features | undefined;
}

/** What was loaded, in the form of the link's `detector` message. */
export interface DetectorInfo {
  readonly model: string;
  readonly sha256: string;
  /** The execution provider that was taken. */
  readonly provider: string;
  /** Why it is not the configuration's first provider, or not the installed model; null where it is. */
  readonly fallback: string | null;
}

/** A place changes within seconds: a look every half second sees it in time, and copies a fifth of a MB each time. */
const FEATURES_EVERY_MS = 500;
/**
 * What is taken from the larger picture: what it was measured on. A vehicle is large enough without, and two sizes of
 * picture give two boxes of it in turn, which looks like motion: 13 false wrong-way alerts instead of 8 in 25 s of a queue.
 */
const CLOSER_GROUP: Group = 'person';

interface Loaded {
  readonly card: ModelCard;
  readonly session: Session;
  readonly info: DetectorInfo;
}

export class Detector {
  readonly #options: DetectorOptions;
  #loaded: Loaded | undefined;
  /** Media time from which on the features of a frame are wanted again. */
  #featuresDueMs = Number.NEGATIVE_INFINITY;

  constructor(options: DetectorOptions) {
    this.#options = options;
  }

  /**
   * Reads the card, checks the model against it and loads it on the first execution provider that works; where it is
   * damaged, the one that was kept.
   * @throws AgentError `config` or `corrupt`, one line that says what would be right
   */
  async start(): Promise<DetectorInfo> {
    assert(this.#loaded === undefined, 'the detector was started twice');
    const { config, log } = this.#options;
    this.#loaded = await this.#loadSound();
    const { info } = this.#loaded;
    log.info({ ...info, input: config.input.join('x') }, 'detector loaded');
    return info;
  }

  async #loadSound(): Promise<Loaded> {
    const { config, modelDir, keptDir, log } = this.#options;
    if (keptDir === undefined) return (await load(config, modelDir, log)).loaded;
    let damage: string;
    try {
      const { loaded, bytes } = await load(config, modelDir, log);
      await keepModel(keptDir, loaded.card, bytes).catch((error) => log.warn({}, messageOf(error)));
      return loaded;
    } catch (error) {
      if (
        !(error instanceof AgentError) ||
        error.kind !== 'corrupt' ||
        !(await isKept(keptDir, config.model))
      )
        throw error;
      damage = messageOf(error);
    }
    const { loaded } = await load(config, keptDir, log);
    const { info } = loaded;
    const reasons = [
      `${damage}; the model that ran last (SHA-256 ${info.sha256.slice(0, 12)}…) runs instead`,
    ];
    if (info.fallback !== null) reasons.push(info.fallback);
    const fallback = reasons.join('; ').slice(0, 1000);
    log.error({ sha256: info.sha256 }, fallback);
    return { ...loaded, info: { ...info, fallback } };
  }

  /**
   * Whether a larger picture beside a frame is of use: the model takes any size, and runs on the CPU, where another size
   * costs no more than its pixels (accelerators compile a model for one size).
   */
  get looksCloser(): boolean {
    const loaded = this.#loaded;
    return loaded !== undefined && loaded.info.provider === 'cpu' && loaded.session.takesAnySize;
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
    const { card, session } = this.#loaded;
    const features = frame.atMs >= this.#featuresDueMs && this.#options.features ? card.features : undefined;
    if (features !== undefined) this.#featuresDueMs = frame.atMs + FEATURES_EVERY_MS;
    const raw = await session.run(frame.rgb, { withFeatures: features !== undefined });
    const placement = placementOf(frame.source, frame.input);
    const found = detectionsOf(raw, card, placement, frame);
    const iouMaxOf = (group: Group): number => thresholdsOf(card, group).nmsIouMax;
    const { fine } = frame;
    const given =
      features === undefined || raw.features === undefined
        ? {}
        : { features: featuresOf(features, frame.input, raw.features) };
    if (fine === undefined) return { found: suppressWithinGroups(found, iouMaxOf), ...given };
    const closer = await session.run(fine.rgb, { input: fine.size });
    const more = detectionsOf(closer, card, placementOf(frame.source, fine.size), frame).filter(
      ({ group }) => group === CLOSER_GROUP,
    );
    return { found: suppressWithinGroups([...found, ...more], iouMaxOf, 2), ...given };
  }

  /** Idempotent; waits for the run under way and frees the session: a process must not leave during a run. */
  async stop(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = undefined;
    await loaded?.session.release();
  }
}

async function load(
  config: DetectorConfig,
  modelDir: string,
  log: Logger,
): Promise<{ loaded: Loaded; bytes: Buffer }> {
  const card = await readCard(modelDir, config.model);
  checkInput(config, card);
  const bytes = await readModel(modelDir, card);
  const { session, provider, fallback } = await openFirst(config, card, bytes, log);
  return {
    loaded: { card, session, info: { model: card.name, sha256: card.sha256, provider, fallback } },
    bytes,
  };
}

function checkInput({ model, input }: DetectorConfig, card: ModelCard): void {
  const { multipleOf, default: usual } = card.input;
  if (input.every((side) => side % multipleOf === 0)) return;
  throw new AgentError(
    'config',
    `detector.input ${input.join('x')}: model ${model} takes multiples of ${multipleOf}, for instance ${usual.join('x')}`,
  );
}

async function openFirst(config: DetectorConfig, card: ModelCard, bytes: Uint8Array, log: Logger) {
  const [widthPx, heightPx] = config.input;
  const base = {
    ...{ bytes, model: card.name, inputName: card.input.name, input: { widthPx, heightPx } },
    features: card.features,
    mayName: (label: number) => Object.hasOwn(card.classes, String(label)),
  };
  const runtime = await loadRuntime();
  const refused: string[] = [];
  for (const provider of new Set([...config.providers, 'cpu'])) {
    try {
      const session = await Session.open(runtime, { ...base, provider });
      const fallback = refused.length > 0 ? refused.join('; ').slice(0, 1000) : null;
      if (fallback !== null) log.warn({ provider }, `detector runs on ${provider} instead: ${fallback}`);
      return { session, provider, fallback };
    } catch (error) {
      if (provider === 'cpu') throw error;
      refused.push(`${provider}: ${messageOf(error)}`);
    }
  }
  throw new AgentError('bug', 'no execution provider was tried');
}

function detectionsOf(raw: RawDetections, card: ModelCard, placement: Placement, frame: Frame): Detection[] {
  const { boxes, scores, labels } = raw;
  const found: Detection[] = [];
  scores.forEach((score, row) => {
    // Not a number is not ≥ either.
    if (!(score >= card.inGraph.scoreMin)) return;
    const box: XyxyPx = [
      boxes[row * 4] ?? Number.NaN,
      boxes[row * 4 + 1] ?? Number.NaN,
      boxes[row * 4 + 2] ?? Number.NaN,
      boxes[row * 4 + 3] ?? Number.NaN,
    ];
    const xyxyPx = toSource(box, placement, frame.source);
    if (xyxyPx === undefined) return;
    const label = labelOf(labels[row], card);
    const group = groupOf(label);
    if (shareOf(xyxyPx, frame.source) > thresholdsOf(card, group).boxShareMax) return;
    found.push({ xyxyPx, score: Math.min(score, 1), label, group });
  });
  return found;
}

/** The part of the frame that a box covers, 0..1. */
function shareOf([x1, y1, x2, y2]: XyxyPx, { widthPx, heightPx }: SizePx): number {
  return ((x2 - x1) * (y2 - y1)) / (widthPx * heightPx);
}

function labelOf(index: number | undefined, card: ModelCard): Label {
  const labels: Readonly<Record<number, Label>> = LABELS;
  const label = index === undefined ? undefined : labels[index];
  if (label !== undefined && Object.hasOwn(card.classes, String(index))) return label;
  throw foreignLabel(card.name, index);
}
