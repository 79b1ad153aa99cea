/**
 * Loads a backend that brings foreign code into vision: a GStreamer element, or an installed ONNX Runtime. While that
 * cannot run, loads `detector.model` on the CPU.
 *
 * INVARIANTS:
 * - Any fallback from the configuration is reported, also that of the model beside an element.
 * - A failure of the foreign code ends vision, with a note for the next run (element-trial.ts). Without vision's own
 *   folder there is no fallback.
 */
import { AgentError, messageOf } from '../../base/errors.ts';
import type { Backend, RawDetections, RunOptions } from './backend.ts';
import type { ModelCard } from './card.ts';
import { ElementTrial } from './element-trial.ts';
import { joined, type Loaded, type Loader, type LoadOptions } from './loading.ts';

export interface GuardedBackend extends Backend {
  /** True after a failure: a driver in an unknown state may keep a process from exiting. */
  readonly failed: boolean;
  /** True if something works beside the model, and the process must be killed to end now. */
  readonly busy?: boolean;
  /** True if a restart of vision would run the model better. */
  readonly wantsRestart?: boolean;
}

/** Backend whose model and files are checked, and which is not in the process yet. */
export interface PreparedBackend {
  readonly card: ModelCard;
  /** Identity for the note on past failures: another model under the same name has another identity. */
  readonly identity: string;
  /** @throws AgentError `config` if no foreign code has been loaded; with any other error vision must end */
  open(): Promise<{
    readonly backend: GuardedBackend;
    readonly provider: string;
    readonly fallback: string | null;
    readonly library?: string;
  }>;
}

export interface Guarded {
  /** Word for the foreign code in messages. */
  readonly noun: string;
  readonly fallback: Loader;
  /** True if the model of the fallback also runs beside the foreign code, for features and larger pictures. */
  readonly runsBeside?: boolean;
  /** @throws AgentError `config` or `corrupt` */
  prepare(): Promise<PreparedBackend>;
}

export class GuardedLoader implements Loader {
  readonly #options: LoadOptions;
  readonly #guarded: Guarded;
  readonly #trial: ElementTrial | undefined;
  #backend: GuardedBackend | undefined;
  /** True if it is not tried yet. */
  #isPostponed = false;
  #failed = false;
  /** True while its device is checked or it is loaded, which may hang. */
  #opening = false;
  #released = false;

  constructor(options: LoadOptions, guarded: Guarded) {
    this.#options = options;
    this.#guarded = guarded;
    const { keptDir, clock, log } = options;
    const { noun } = guarded;
    if (keptDir !== undefined) this.#trial = new ElementTrial({ dir: keptDir, clock, log, noun });
  }

  get mayTryAgain(): boolean {
    if (this.#backend?.wantsRestart === true) return true;
    return this.#isPostponed && this.#trial?.postponedReason === undefined;
  }

  get failed(): boolean {
    return this.#failed || this.#opening || this.#backend?.busy === true;
  }

  async load(): Promise<Loaded> {
    const loaded = await this.#load();
    if (typeof loaded !== 'string')
      return this.#guarded.runsBeside === true ? this.#withCpuModel(loaded) : loaded;
    const fallback = await this.#guarded.fallback.load();
    this.#options.log.warn({}, `detector runs on ${fallback.info.provider} instead: ${loaded}`);
    return { ...fallback, info: { ...fallback.info, fallback: joined(loaded, fallback.info.fallback) } };
  }

  /** Runs the model. A failure of the foreign code is noted for the next run of vision. */
  async run(rgb: Uint8Array, options: RunOptions): Promise<RawDetections> {
    if (this.#backend === undefined) return this.#guarded.fallback.run(rgb, options);
    if (this.#released) throw stopped();
    try {
      const detections = await this.#backend.run(rgb, options);
      this.#trial?.works();
      return detections;
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  async release(): Promise<void> {
    this.#released = true;
    await this.#backend?.release();
    if (this.#backend?.failed) {
      this.#fail(`the ${this.#guarded.noun} did not come to rest`);
      // Vision is killed next. A run on the CPU may never end, because exit() in foreign code ends libuv's workers.
      return;
    }
    await this.#guarded.fallback.release();
    this.#trial?.end();
  }

  /** Adds the model of the fallback. Without it, the foreign code runs alone. */
  async #withCpuModel(loaded: Loaded): Promise<Loaded> {
    const { fallback, noun } = this.#guarded;
    try {
      const { card, backend, info } = await fallback.load();
      return { ...loaded, info: { ...loaded.info, fallback: info.fallback }, cpuModel: { card, backend } };
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      const reason = `nothing runs on the CPU beside the ${noun}: ${error.message}`.slice(0, 1000);
      this.#options.log.warn({}, reason);
      return { ...loaded, info: { ...loaded.info, fallback: reason } };
    }
  }

  /** Returns the backend, or the reason for the fallback to the CPU. */
  async #load(): Promise<Loaded | string> {
    const trial = this.#trial;
    let prepared: PreparedBackend;
    this.#opening = true;
    try {
      prepared = await this.#guarded.prepare();
      this.#opening = false;
    } catch (error) {
      this.#opening = false;
      // No part of the foreign code is in the process yet.
      if (trial === undefined || !(error instanceof AgentError)) throw error;
      return error.message;
    }
    const { card, identity } = prepared;
    trial?.start(identity);
    const postponedReason = trial?.postponedReason;
    if (postponedReason !== undefined) {
      this.#isPostponed = true;
      return postponedReason;
    }
    // The mark of something that is never loaded would remain indefinitely.
    if (this.#released) throw stopped();
    trial?.begin();
    this.#opening = true;
    try {
      const { backend, ...where } = await prepared.open();
      this.#opening = false;
      this.#backend = backend;
      return { card, backend, info: { model: card.name, sha256: card.sha256, ...where } };
    } catch (error) {
      this.#opening = false;
      if (trial !== undefined && error instanceof AgentError && error.kind === 'config') {
        trial.end();
        return error.message;
      }
      this.#fail(error);
      throw error;
    }
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#trial?.failed(messageOf(error));
  }
}

function stopped(): AgentError {
  return new AgentError('bug', 'the detector was stopped');
}
