/**
 * Which model runs, and what runs it:
 *
 *   detector.element (backend gstreamer) → detector.model on the CPU, while the element cannot run
 *   detector.model (backend onnxruntime), on the first execution provider that works
 *      → the same model as it was kept, where the installed file is damaged
 *
 * INVARIANTS: what is loaded is what its card says, by SHA-256; whatever runs instead of what was configured is told. An
 * element that has failed ends vision, with a note for the next one (element-trial.ts); without a folder of vision's own
 * nothing runs in its place.
 */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { DetectorConfig, ElementConfig } from '../../contract/config.ts';
import { INFERENCE_ELEMENTS } from '../../contract/inference-element.ts';
import type { Backend, RawDetections, RunOptions } from './backend.ts';
import { type ModelCard, readCard, readModel } from './card.ts';
import { ElementTrial } from './element-trial.ts';
import { type ElementOptions, InferenceElementBackend } from './gstreamer.ts';
import { isKept, keepModel } from './kept-model.ts';
import { loadRuntime, Session } from './onnxruntime.ts';

export interface LoadOptions {
  readonly config: DetectorConfig;
  /** Folder of the model cards and their files. */
  readonly modelDir: string;
  /** Vision's own folder: the model that ran last, for the day on which the installed one is damaged; the element's past. */
  readonly keptDir?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What was loaded, in the form of the link's `detector` message. */
export interface DetectorInfo {
  readonly model: string;
  readonly sha256: string;
  /** The execution provider that was taken, or the element. */
  readonly provider: string;
  /** Why it is not the configuration's element or first provider, or not the installed model; null where it is. */
  readonly fallback: string | null;
}

export interface Loaded {
  readonly card: ModelCard;
  readonly backend: Backend;
  readonly info: DetectorInfo;
}

export class Loader {
  readonly #options: LoadOptions;
  readonly #trial: ElementTrial | undefined;
  #backend: Backend | undefined;
  #element: InferenceElementBackend | undefined;
  /** The element is not tried yet. */
  #heldOff = false;
  #failed = false;
  /** An element is being loaded, which may hang. */
  #opening = false;
  #released = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    const { config, keptDir, clock, log } = options;
    if (config.backend === 'gstreamer' && keptDir !== undefined) {
      this.#trial = new ElementTrial({ dir: keptDir, clock, log });
    }
  }

  get mayTryAgain(): boolean {
    return this.#heldOff && this.#trial?.heldOff === undefined;
  }

  /** The element has failed, or is not known to be sound yet: the process may not be able to leave by itself. */
  get failed(): boolean {
    return this.#failed || this.#opening;
  }

  /** @throws AgentError `config` or `corrupt`, one line that says what would be right */
  async load(): Promise<Loaded> {
    const { config, log } = this.#options;
    const instead = config.backend === 'gstreamer' ? await this.#loadElement(config) : null;
    if (instead !== null && typeof instead !== 'string') return instead;
    const loaded = await this.#loadSound();
    this.#backend = loaded.backend;
    if (instead === null) return loaded;
    log.warn({}, `detector runs on ${loaded.info.provider} instead: ${instead}`);
    return { ...loaded, info: { ...loaded.info, fallback: joined(instead, loaded.info.fallback) } };
  }

  /** See Backend.run; one that the element fails is noted for the next vision. */
  async run(rgb: Uint8Array, options: RunOptions): Promise<RawDetections> {
    if (this.#backend === undefined) throw new AgentError('bug', 'the detector was stopped');
    try {
      const found = await this.#backend.run(rgb, options);
      if (this.#element !== undefined) this.#trial?.works();
      return found;
    } catch (error) {
      if (this.#element !== undefined) this.#elementFailed(error);
      throw error;
    }
  }

  /** Idempotent; waits for the run under way. */
  async release(): Promise<void> {
    const backend = this.#backend;
    this.#backend = undefined;
    this.#released = true;
    await backend?.release();
    if (this.#element?.failed) this.#elementFailed('the element did not come to rest');
    else this.#trial?.end();
  }

  /** The element, or why the CPU runs instead. */
  async #loadElement(config: DetectorConfig): Promise<Loaded | string> {
    const trial = this.#trial;
    let prepared: Prepared;
    try {
      prepared = await prepareElement(this.#options, config.element);
    } catch (error) {
      // Nothing of the element is in the process yet.
      if (trial === undefined || !(error instanceof AgentError)) throw error;
      return error.message;
    }
    const { card, options } = prepared;
    trial?.start(whatRuns(card, options));
    const heldOff = trial?.heldOff;
    if (heldOff !== undefined) {
      this.#heldOff = true;
      return heldOff;
    }
    // The mark of one that is not even loaded would stand for ever.
    if (this.#released) throw new AgentError('bug', 'the detector was stopped');
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
    this.#backend = this.#element;
    const { name, sha256 } = card;
    const info = { model: name, sha256, provider: options.element.name, fallback: null };
    return { card, backend: this.#element, info };
  }

  #elementFailed(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#trial?.failed(messageOf(error));
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
    const kept = `${damage}; the model that ran last (SHA-256 ${info.sha256.slice(0, 12)}…) runs instead`;
    const fallback = joined(kept, info.fallback);
    log.error({ sha256: info.sha256 }, fallback);
    return { ...loaded, info: { ...info, fallback } };
  }
}

/** The link takes a thousand characters. */
function joined(first: string, second: string | null): string {
  return (second === null ? first : `${first}; ${second}`).slice(0, 1000);
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
  const known = element && INFERENCE_ELEMENTS[element.name];
  if (element === undefined || known === undefined) {
    const names = Object.keys(INFERENCE_ELEMENTS).join(', ');
    throw new AgentError(
      'config',
      `detector.backend is gstreamer: detector.element must name its element, one of ${names}`,
    );
  }
  const card = await readCard(modelDir, element.model);
  if (!card.file.endsWith(known.modelFile)) {
    throw new AgentError(
      'config',
      `detector.element.model ${card.name} is the file ${card.file}; ${element.name} takes ${known.modelFile}`,
    );
  }
  checkInput(config, card);
  await readModel(modelDir, card);
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
      scoreMin: card.inGraph.scoreMin,
      mayName: mayNameOf(card),
    },
  };
}

/** For the note on what became of it: another model under the same name is another one. */
function whatRuns(card: ModelCard, { element, input }: ElementOptions): string {
  const model = `${card.name} (SHA-256 ${card.sha256})`;
  return [element.name, model, `${input.widthPx}x${input.heightPx}`, ...element.properties]
    .join(', ')
    .slice(0, 1000);
}

const mayNameOf =
  (card: ModelCard) =>
  (label: number): boolean =>
    Object.hasOwn(card.classes, String(label));

async function load(
  config: DetectorConfig,
  modelDir: string,
  log: Logger,
): Promise<{ loaded: Loaded; bytes: Buffer }> {
  const card = await readCard(modelDir, config.model);
  if (card.decoder !== undefined || !card.file.endsWith('.onnx')) {
    throw new AgentError(
      'config',
      `detector.model ${card.name} is made for an element: it belongs to detector.element.model`,
    );
  }
  checkInput(config, card);
  const bytes = await readModel(modelDir, card);
  const { backend, provider, fallback } = await openFirst(config, card, bytes, log);
  return {
    loaded: { card, backend, info: { model: card.name, sha256: card.sha256, provider, fallback } },
    bytes,
  };
}

function checkInput({ input }: DetectorConfig, card: ModelCard): void {
  const { multipleOf, default: usual, fixed = false } = card.input;
  if (fixed ? String(input) === String(usual) : input.every((side) => side % multipleOf === 0)) return;
  const takes = fixed
    ? `${usual.join('x')} only`
    : `multiples of ${multipleOf}, for instance ${usual.join('x')}`;
  throw new AgentError('config', `detector.input ${input.join('x')}: model ${card.name} takes ${takes}`);
}

async function openFirst(config: DetectorConfig, card: ModelCard, bytes: Uint8Array, log: Logger) {
  const [widthPx, heightPx] = config.input;
  const base = {
    bytes,
    model: card.name,
    inputName: card.input.name,
    input: { widthPx, heightPx },
    features: card.features,
    mayName: mayNameOf(card),
  };
  const runtime = await loadRuntime();
  const refused: string[] = [];
  for (const provider of new Set([...config.providers, 'cpu'])) {
    try {
      const backend = await Session.open(runtime, { ...base, provider });
      const fallback = refused.length > 0 ? refused.join('; ').slice(0, 1000) : null;
      if (fallback !== null) log.warn({ provider }, `detector runs on ${provider} instead: ${fallback}`);
      return { backend, provider, fallback };
    } catch (error) {
      if (provider === 'cpu') throw error;
      refused.push(`${provider}: ${messageOf(error)}`);
    }
  }
  throw new AgentError('bug', 'no execution provider was tried');
}
