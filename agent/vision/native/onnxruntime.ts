/** Loads the addon that runs a model in an installed ONNX Runtime (vigie-native.d.ts). */
import { createRequire } from 'node:module';
import type { Addon } from 'vigie-native/onnxruntime';

export const onnxRuntime = createRequire(import.meta.url)('vigie-native/onnxruntime') as Addon;
