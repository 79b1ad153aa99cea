/**
 * Closed list of the detector backends that can run a model. Every difference between backends is a fact here or a
 * table keyed by `DetectorBackend`.
 */

interface BackendFacts {
  /**
   * The model runs in a GStreamer element, named by `detector.element`, which takes one picture size.
   */
  readonly usesElement: boolean;
  /**
   * Code that this package does not bring runs the model: an element, or an installed library. It writes to standard
   * error, its driver may hang or crash, and `detector.model` runs on the CPU while it cannot run.
   */
  readonly runsForeignCode: boolean;
}

export const DETECTOR_BACKENDS = {
  onnxruntime: { usesElement: false, runsForeignCode: false },
  gstreamer: { usesElement: true, runsForeignCode: true },
  'onnxruntime-library': { usesElement: false, runsForeignCode: true },
} as const satisfies Readonly<Record<string, BackendFacts>>;

export type DetectorBackend = keyof typeof DETECTOR_BACKENDS;

export const DETECTOR_BACKEND_NAMES: readonly DetectorBackend[] =
  Object.keys(DETECTOR_BACKENDS).filter(isDetectorBackend);

/** Runs on the CPU of every board. It is the default, and the fallback when an element cannot run. */
export const CPU_BACKEND = 'onnxruntime' satisfies DetectorBackend;

/** An ONNX Runtime that is installed on the box runs the model (contract/onnxruntime-library.ts). */
export const LIBRARY_BACKEND = 'onnxruntime-library' satisfies DetectorBackend;

export function isDetectorBackend(text: string): text is DetectorBackend {
  return Object.hasOwn(DETECTOR_BACKENDS, text);
}

/** Returns the element that should run the model, or undefined if the backend uses none. */
export function wantedElement<E>({
  backend,
  element,
}: {
  readonly backend: DetectorBackend;
  readonly element?: E | undefined;
}): E | undefined {
  return DETECTOR_BACKENDS[backend].usesElement ? element : undefined;
}
