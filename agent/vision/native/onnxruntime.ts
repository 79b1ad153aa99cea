/** Calls of the addon that run a model in an installed ONNX Runtime; each waits in a libuv worker. */
import { createRequire } from 'node:module';
import type { OnnxModel, OnnxOutput, OnnxRuntime } from 'node-gstreamer-superficial';

type Callback<T> = (error: Error | null, result?: T) => void;

const binding = createRequire(import.meta.url)('node-gstreamer-superficial') as {
  loadOnnxRuntime(path: string, callback: Callback<OnnxRuntime>): void;
  openOnnxModel(bytes: Uint8Array, provider: string, cacheDir: string, callback: Callback<OnnxModel>): void;
  runOnnxModel(
    model: number,
    input: string,
    rgb: Uint8Array,
    widthPx: number,
    heightPx: number,
    outputs: readonly string[],
    callback: Callback<readonly OnnxOutput[]>,
  ): void;
  closeOnnxModel(model: number, callback: Callback<null>): void;
};

/** Loads the library, one for the life of the process, with telemetry off. Whose the file is has been checked. */
export function loadLibrary(path: string): Promise<OnnxRuntime> {
  return later((callback) => binding.loadOnnxRuntime(path, callback));
}

/** Opens a model on one provider. Without `cacheDir` the provider keeps nothing. */
export function openModel(bytes: Uint8Array, provider: string, cacheDir: string): Promise<OnnxModel> {
  return later((callback) => binding.openOnnxModel(bytes, provider, cacheDir, callback));
}

/** Runs it on RGB rows of 8 bits, which are read in place. */
export function runModel(
  model: number,
  input: string,
  rgb: Uint8Array,
  size: { readonly widthPx: number; readonly heightPx: number },
  outputs: readonly string[],
): Promise<readonly OnnxOutput[]> {
  const { widthPx, heightPx } = size;
  return later((callback) => binding.runOnnxModel(model, input, rgb, widthPx, heightPx, outputs, callback));
}

/** Frees it; it must not be running. */
export async function closeModel(model: number): Promise<void> {
  await later<null>((callback) => binding.closeOnnxModel(model, callback));
}

function later<T>(call: (callback: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, result) => {
      if (error === null) resolve(result as T);
      else reject(error);
    });
  });
}
