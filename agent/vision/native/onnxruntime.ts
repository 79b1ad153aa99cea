/** Calls of the addon that run a model in an installed ONNX Runtime; each waits in a libuv worker. */
import { createRequire } from 'node:module';
import type { OnnxModel, OnnxOutput, OnnxRuntime } from 'node-gstreamer-superficial';

type Done<T> = (error: Error | null, result?: T) => void;

const binding = createRequire(import.meta.url)('node-gstreamer-superficial') as {
  loadOnnxRuntime(path: string, done: Done<OnnxRuntime>): void;
  openOnnxModel(bytes: Uint8Array, provider: string, cacheDir: string, done: Done<OnnxModel>): void;
  runOnnxModel(
    model: number,
    input: string,
    rgb: Uint8Array,
    widthPx: number,
    heightPx: number,
    outputs: readonly string[],
    done: Done<readonly OnnxOutput[]>,
  ): void;
  closeOnnxModel(model: number, done: Done<null>): void;
};

/** Loads the library, one for the life of the process, with telemetry off. Whose the file is has been checked. */
export function loadLibrary(path: string): Promise<OnnxRuntime> {
  return later((done) => binding.loadOnnxRuntime(path, done));
}

/** Opens a model on one provider. Without `cacheDir` the provider keeps nothing. */
export function openModel(bytes: Uint8Array, provider: string, cacheDir: string): Promise<OnnxModel> {
  return later((done) => binding.openOnnxModel(bytes, provider, cacheDir, done));
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
  return later((done) => binding.runOnnxModel(model, input, rgb, widthPx, heightPx, outputs, done));
}

/** Frees it; it must not be running. */
export async function closeModel(model: number): Promise<void> {
  await later<null>((done) => binding.closeOnnxModel(model, done));
}

function later<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, result) => {
      if (error === null) resolve(result as T);
      else reject(error);
    });
  });
}
