/** npm's ONNX Runtime. Only this file uses onnxruntime-node. */
import type { InferenceSession } from 'onnxruntime-node';
import type { SizePx } from '../../contract/geometry.ts';
import type { NativeModel, OutputTensor, Runtime } from './session.ts';
import { checkTelemetry } from './telemetry.ts';

type Module = typeof import('onnxruntime-node');

/**
 * Loads the library if telemetry is disabled.
 * @throws AgentError `config`
 */
export async function loadRuntime(): Promise<Runtime> {
  checkTelemetry();
  const module = await import('onnxruntime-node');
  return {
    async open(bytes: Uint8Array, provider: string): Promise<NativeModel> {
      return new NpmModel(module, await module.InferenceSession.create(bytes, optionsOf(provider)));
    },
  };
}

/**
 * Returns session options with one thread that sleeps when idle; two spinning threads cost 18.5 instead of 11.3 CPU-ms
 * a frame.
 *
 * ONNX Runtime's own arena stays on. Without it, intermediates are allocated and freed by malloc in each frame, among
 * all other allocations, which costs 0.4 ms a frame and 14 MiB. Frames of one size need no memory pattern (3 MiB less).
 */
function optionsOf(provider: string): InferenceSession.SessionOptions {
  return {
    executionProviders: [provider],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    enableMemPattern: false,
    // 3 = errors. Important ones are thrown as exceptions.
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  };
}

class NpmModel implements NativeModel {
  readonly #module: Module;
  readonly #session: InferenceSession;

  constructor(module: Module, session: InferenceSession) {
    this.#module = module;
    this.#session = session;
  }

  get inputs(): NativeModel['inputs'] {
    return this.#session.inputMetadata;
  }

  get outputs(): NativeModel['outputs'] {
    return this.#session.outputMetadata;
  }

  async run(
    input: string,
    rgb: Uint8Array,
    { widthPx, heightPx }: SizePx,
    outputs: readonly string[],
  ): Promise<Record<string, OutputTensor>> {
    const frame = new this.#module.Tensor('uint8', rgb, [1, heightPx, widthPx, 3]);
    const results = await this.#session.run({ [input]: frame }, outputs);
    const entries = Object.entries(results).map(([name, tensor]) => {
      const { data, dims } = tensor;
      tensor.dispose();
      return [name, { data, dims }] as const;
    });
    return Object.fromEntries(entries);
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}
