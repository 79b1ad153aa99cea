/**
 * Loads `detector.element`, a GStreamer element with its own model. While it cannot run, loads `detector.model` on the
 * CPU.
 *
 * INVARIANTS:
 * - The loaded model is its card's, by SHA-256.
 * - Any fallback from the configuration is reported.
 * - A failed element ends vision, with a note for the next run (element-trial.ts). Without vision's own folder there is
 *   no fallback.
 */
import { join } from 'node:path';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { DetectorConfig, ElementConfig } from '../../contract/config.ts';
import { INFERENCE_ELEMENTS } from '../../contract/inference-element.ts';
import type { RawDetections, RunOptions } from './backend.ts';
import { type ModelCard, readCard, readModel } from './card.ts';
import { checkDevice } from './element-device.ts';
import { ElementTrial } from './element-trial.ts';
import { type ElementOptions, InferenceElementBackend } from './gstreamer.ts';
import { checkInput, joined, type Loaded, type Loader, type LoadOptions, mayNameOf } from './loading.ts';
import { RuntimeLoader } from './runtime-loader.ts';

export class ElementLoader implements Loader {
  readonly #options: LoadOptions;
  /** Fallback while the element cannot run. */
  readonly #fallback: RuntimeLoader;
  readonly #trial: ElementTrial | undefined;
  #element: InferenceElementBackend | undefined;
  /** True if the element is not tried yet. */
  #isPostponed = false;
  #failed = false;
  /** True while the element's device is checked or the element is loaded, which may hang. */
  #opening = false;
  #released = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#fallback = new RuntimeLoader(options);
    const { keptDir, clock, log } = options;
    if (keptDir !== undefined) this.#trial = new ElementTrial({ dir: keptDir, clock, log });
  }

  get mayTryAgain(): boolean {
    return this.#isPostponed && this.#trial?.postponedReason === undefined;
  }

  get failed(): boolean {
    return this.#failed || this.#opening;
  }

  async load(): Promise<Loaded> {
    const { config, log } = this.#options;
    const element = await this.#loadElement(config);
    if (typeof element !== 'string') return element;
    const loaded = await this.#fallback.load();
    log.warn({}, `detector runs on ${loaded.info.provider} instead: ${element}`);
    return { ...loaded, info: { ...loaded.info, fallback: joined(element, loaded.info.fallback) } };
  }

  /** Runs the model. A failure of the element is noted for the next run of vision. */
  async run(rgb: Uint8Array, options: RunOptions): Promise<RawDetections> {
    if (this.#element === undefined) return this.#fallback.run(rgb, options);
    if (this.#released) throw stopped();
    try {
      const detections = await this.#element.run(rgb, options);
      this.#trial?.works();
      return detections;
    } catch (error) {
      this.#elementFailed(error);
      throw error;
    }
  }

  async release(): Promise<void> {
    this.#released = true;
    await this.#element?.release();
    await this.#fallback.release();
    if (this.#element?.failed) this.#elementFailed('the element did not come to rest');
    else this.#trial?.end();
  }

  /** Returns the element, or the reason for the fallback to the CPU. */
  async #loadElement(config: DetectorConfig): Promise<Loaded | string> {
    const trial = this.#trial;
    let prepared: Prepared;
    this.#opening = true;
    try {
      prepared = await prepareElement(this.#options, config.element);
      this.#opening = false;
    } catch (error) {
      this.#opening = false;
      // No part of the element is in the process yet.
      if (trial === undefined || !(error instanceof AgentError)) throw error;
      return error.message;
    }
    const { card, options } = prepared;
    trial?.start(whatRuns(card, options));
    const postponedReason = trial?.postponedReason;
    if (postponedReason !== undefined) {
      this.#isPostponed = true;
      return postponedReason;
    }
    // The mark of an element that is never loaded would remain indefinitely.
    if (this.#released) throw stopped();
    trial?.begin();
    this.#opening = true;
    try {
      this.#element = await InferenceElementBackend.open(options);
      this.#opening = false;
    } catch (error) {
      this.#opening = false;
      if (trial !== undefined && error instanceof AgentError && error.kind === 'config') {
        trial.end();
        return error.message;
      }
      this.#elementFailed(error);
      throw error;
    }
    const { name, sha256 } = card;
    const info = { model: name, sha256, provider: options.element.name, fallback: null };
    return { card, backend: this.#element, info };
  }

  #elementFailed(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#trial?.failed(messageOf(error));
  }
}

function stopped(): AgentError {
  return new AgentError('bug', 'the detector was stopped');
}

interface Prepared {
  readonly card: ModelCard;
  readonly options: ElementOptions;
}

/** @throws AgentError `config` or `corrupt` */
async function prepareElement(
  { config, modelDir, clock }: LoadOptions,
  element: ElementConfig | undefined,
): Promise<Prepared> {
  const knownElement = element && INFERENCE_ELEMENTS[element.name];
  if (element === undefined || knownElement === undefined) {
    const names = Object.keys(INFERENCE_ELEMENTS).join(', ');
    throw new AgentError(
      'config',
      `detector.backend is ${config.backend}: detector.element must name its element, one of ${names}`,
    );
  }
  const card = await readCard(modelDir, element.model);
  if (!card.file.endsWith(knownElement.modelFile)) {
    throw new AgentError(
      'config',
      `detector.element.model ${card.name} is the file ${card.file}; ${element.name} takes ${knownElement.modelFile}`,
    );
  }
  if ((card.hailo === undefined) === (knownElement.modelFile === '.hef')) {
    const problem =
      card.hailo === undefined
        ? `has no section "hailo", which ${element.name} needs; write its card with \`scripts/model import\``
        : `has a section "hailo", which ${element.name} does not use; choose the model made for it`;
    throw new AgentError('corrupt', `model card ${card.name}: ${problem}`);
  }
  checkInput(config, card);
  await readModel(modelDir, card);
  await checkDevice(element.name, clock);
  const [widthPx, heightPx] = config.input;
  return {
    card,
    options: {
      clock,
      element,
      file: join(modelDir, card.file),
      model: card.name,
      input: { widthPx, heightPx },
      decoder: card.decoder,
      hailo: card.hailo,
      scoreMin: card.inGraph.scoreMin,
      mayName: mayNameOf(card),
    },
  };
}

/** Returns the identity for the note on past failures; another model under the same name has another identity. */
function whatRuns(card: ModelCard, { element, input }: ElementOptions): string {
  const model = `${card.name} (SHA-256 ${card.sha256})`;
  return [element.name, model, `${input.widthPx}x${input.heightPx}`, ...element.properties]
    .join(', ')
    .slice(0, 1000);
}
