/** Table of the loaders by detector backend. */
import type { DetectorBackend } from '../../contract/detector-backend.ts';
import { ElementLoader } from './element-loader.ts';
import { LibraryLoader } from './library-loader.ts';
import type { Loader, LoadOptions } from './loading.ts';
import { RuntimeLoader } from './runtime-loader.ts';

const LOADERS: Readonly<Record<DetectorBackend, new (options: LoadOptions) => Loader>> = {
  onnxruntime: RuntimeLoader,
  gstreamer: ElementLoader,
  'onnxruntime-library': LibraryLoader,
};

export function loaderOf(options: LoadOptions): Loader {
  return new LOADERS[options.config.backend](options);
}
