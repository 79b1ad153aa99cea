/**
 * Closed lists of the backend `onnxruntime-library`: the providers that it may run a model on, and the folders in which
 * it looks for the library. The library is code in the process with the pixels, so no configuration names a file.
 */

export interface LibraryProvider {
  /** Name in ONNX Runtime's list of its providers. */
  readonly runtimeName: string;
  /** An engine is built for the model, which takes minutes; vision works on another provider meanwhile. */
  readonly buildsEngine: boolean;
}

/** Keyed by the name in `detector.providers`. */
export const LIBRARY_PROVIDERS = {
  tensorrt: { runtimeName: 'TensorrtExecutionProvider', buildsEngine: true },
  cuda: { runtimeName: 'CUDAExecutionProvider', buildsEngine: false },
  openvino: { runtimeName: 'OpenVINOExecutionProvider', buildsEngine: false },
  cpu: { runtimeName: 'CPUExecutionProvider', buildsEngine: false },
} as const satisfies Readonly<Record<string, LibraryProvider>>;

export type LibraryProviderName = keyof typeof LIBRARY_PROVIDERS;

export function isLibraryProvider(name: string): name is LibraryProviderName {
  return Object.hasOwn(LIBRARY_PROVIDERS, name);
}

const TRIPLETS: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/**
 * Folders, the first with a library counts: what a person has installed on purpose, then Debian's. All are below /usr,
 * the only such part of vision's root folder (systemd/vigie-vision.service).
 */
export const LIBRARY_FOLDERS: readonly string[] = [
  '/usr/local/lib/onnxruntime',
  '/usr/local/lib',
  ...(process.arch in TRIPLETS ? [`/usr/lib/${TRIPLETS[process.arch]}`] : []),
];
