/** Loads the addon that runs a model in an installed ONNX Runtime (vigie-native.d.ts). */
import { createRequire } from 'node:module';
import type { Addon } from 'vigie-native/onnxruntime';

/** Returns the addon. It is loaded at the first call: few boxes have an ONNX Runtime of their own. */
export const onnxRuntime = (): Addon => createRequire(import.meta.url)('vigie-native/onnxruntime') as Addon;
