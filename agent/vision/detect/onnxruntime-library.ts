/**
 * An installed ONNX Runtime, of any vendor, through its C API (vision/native).
 *
 * INVARIANTS:
 * - The library is not loaded unless its telemetry is off.
 * - It never shares a process with onnxruntime-node: two of them abort.
 */
import type { OnnxOutput, OnnxTensor } from 'vigie-native/onnxruntime';
import { messageOf } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import type { SizePx } from '../../contract/geometry.ts';
import { isLibraryProvider, LIBRARY_PROVIDERS } from '../../contract/onnxruntime-library.ts';
import { onnxRuntime } from '../native/onnxruntime.ts';
import type { NativeModel, OutputTensor, Runtime, TensorInfo } from './session.ts';
import { checkTelemetry } from './telemetry.ts';

/** ONNXTensorElementDataType (onnxruntime_c_api.h). */
const TYPES: Readonly<Record<number, string>> = { 1: 'float32', 2: 'uint8', 6: 'int32', 7: 'int64' };

export class LibraryRuntime implements Runtime {
  /** Version, path and providers, for people. */
  readonly description: string;
  /** Providers that it was built with, for people. */
  readonly providerNames: string;
  readonly #providers: readonly string[];
  readonly #cacheDir: string;

  private constructor(path: string, version: string, providers: readonly string[], cacheDir: string) {
    this.providerNames = providers
      .map((name) => printable(name.replace(/ExecutionProvider$/, ''), 40))
      .join(', ');
    this.description = `ONNX Runtime ${printable(version, 40)} (${path}, with ${this.providerNames})`;
    this.#providers = providers;
    this.#cacheDir = cacheDir;
  }

  /**
   * Loads the checked file (library-file.ts). `cacheDir` takes what a provider compiles; it may be empty.
   *
   * @throws an error of one line: it is not ONNX Runtime, too old, or lacks a library of its own
   */
  static async load(path: string, cacheDir: string): Promise<LibraryRuntime> {
    checkTelemetry();
    const { version, providers } = await onnxRuntime().loadLibrary(path);
    return new LibraryRuntime(path, version, providers, cacheDir);
  }

  /** Reports whether it was built with a provider. The provider's own library may still be missing. */
  has(provider: string): boolean {
    return isLibraryProvider(provider) && this.#providers.includes(LIBRARY_PROVIDERS[provider].runtimeName);
  }

  async open(bytes: Uint8Array, provider: string): Promise<NativeModel> {
    try {
      const { model, inputs, outputs } = await onnxRuntime().openModel(bytes, provider, this.#cacheDir);
      return new LibraryModel(model, inputs.map(infoOf), outputs.map(infoOf));
    } catch (error) {
      throw new Error(printable(messageOf(error), 300), { cause: error });
    }
  }
}

class LibraryModel implements NativeModel {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly #model: number;

  constructor(model: number, inputs: readonly TensorInfo[], outputs: readonly TensorInfo[]) {
    this.#model = model;
    this.inputs = inputs;
    this.outputs = outputs;
  }

  async run(
    input: string,
    rgb: Uint8Array,
    size: SizePx,
    outputs: readonly string[],
  ): Promise<Record<string, OutputTensor>> {
    const results = await onnxRuntime().runModel(
      this.#model,
      input,
      rgb,
      size.widthPx,
      size.heightPx,
      outputs,
    );
    return Object.fromEntries(results.map((one) => [one.name, { data: dataOf(one), dims: one.dims }]));
  }

  release(): Promise<void> {
    return onnxRuntime().closeModel(this.#model);
  }
}

function infoOf({ name, isTensor, type, dims }: OnnxTensor): TensorInfo {
  return isTensor ? { name, isTensor, type: typeOf(type), shape: dims } : { name, isTensor };
}

function typeOf(type: number): string {
  return TYPES[type] ?? `type ${type}`;
}

/** Returns numbers at an address that is a multiple of four, which a Buffer's need not be. */
function dataOf({ type, data }: OnnxOutput): Float32Array | Int32Array | Uint8Array | null {
  if (data === null) return null;
  const bytes = new Uint8Array(data);
  const name = typeOf(type);
  if (name === 'float32') return new Float32Array(bytes.buffer);
  return name === 'int32' ? new Int32Array(bytes.buffer) : bytes;
}
