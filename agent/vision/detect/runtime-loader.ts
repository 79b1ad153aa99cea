/**
 * Loads `detector.model` into ONNX Runtime, on the first execution provider that works. If the installed file is
 * damaged, loads the stored copy of the same model.
 *
 * INVARIANTS: the loaded model is its card's, by SHA-256; any fallback from the configuration is reported.
 */
import { AgentError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { DetectorConfig } from '../../contract/config.ts';
import type { Backend, RawDetections, RunOptions } from './backend.ts';
import { readModel } from './card.ts';
import { isKept, keepModel } from './kept-model.ts';
import { joined, type Loaded, type Loader, type LoadOptions } from './loading.ts';
import { loadRuntime } from './onnxruntime.ts';
import { openFirst, readModelCard } from './providers.ts';

export class RuntimeLoader implements Loader {
  readonly mayTryAgain = false;
  readonly failed = false;
  readonly #options: LoadOptions;
  #backend: Backend | undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  async load(): Promise<Loaded> {
    const loaded = await this.#loadSound();
    this.#backend = loaded.backend;
    return loaded;
  }

  async run(rgb: Uint8Array, options: RunOptions): Promise<RawDetections> {
    if (this.#backend === undefined) throw new AgentError('bug', 'the detector was stopped');
    return this.#backend.run(rgb, options);
  }

  async release(): Promise<void> {
    const backend = this.#backend;
    this.#backend = undefined;
    await backend?.release();
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
    const notice = `${damage}; the model that ran last (SHA-256 ${info.sha256.slice(0, 12)}…) runs instead`;
    const fallback = joined(notice, info.fallback);
    log.error({ sha256: info.sha256 }, fallback);
    return { ...loaded, info: { ...info, fallback } };
  }
}

async function load(
  config: DetectorConfig,
  modelDir: string,
  log: Logger,
): Promise<{ loaded: Loaded; bytes: Buffer }> {
  const card = await readModelCard(config, modelDir);
  const bytes = await readModel(modelDir, card);
  const { backend, provider, fallback } = await openFirst(await loadRuntime(), { config, card, bytes, log });
  return {
    loaded: { card, backend, info: { model: card.name, sha256: card.sha256, provider, fallback } },
    bytes,
  };
}
