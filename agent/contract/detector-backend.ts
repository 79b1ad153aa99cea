/**
 * Closed list of the detector backends: what may run a model. Whatever differs from backend to backend is a fact here or a
 * table keyed by `DetectorBackend`.
 */

interface BackendFacts {
  /**
   * The model runs in a GStreamer element, which `detector.element` names. Its libraries write to standard error, its driver
   * may hang or crash, it takes one size of picture, and `detector.model` runs on the CPU while it cannot.
   */
  readonly usesElement: boolean;
}

export const DETECTOR_BACKENDS = {
  onnxruntime: { usesElement: false },
  gstreamer: { usesElement: true },
} as const satisfies Readonly<Record<string, BackendFacts>>;

export type DetectorBackend = keyof typeof DETECTOR_BACKENDS;

export const DETECTOR_BACKEND_NAMES: readonly DetectorBackend[] =
  Object.keys(DETECTOR_BACKENDS).filter(isDetectorBackend);

/** Runs on the CPU of every board: the default, and what runs where an element cannot. */
export const CPU_BACKEND = 'onnxruntime' satisfies DetectorBackend;

export function isDetectorBackend(text: string): text is DetectorBackend {
  return Object.hasOwn(DETECTOR_BACKENDS, text);
}

/** The element that is to run the model; undefined where the backend uses none. */
export function wantedElement<E>({
  backend,
  element,
}: {
  readonly backend: DetectorBackend;
  readonly element?: E | undefined;
}): E | undefined {
  return DETECTOR_BACKENDS[backend].usesElement ? element : undefined;
}
