/**
 * The GStreamer elements that may run a model, and what may be set on them. A closed list: an element gets the pictures,
 * and one that could also send or store them has no place here; a property could name a file or a server.
 */

export interface InferenceElement {
  /** The property that takes the model's file. */
  readonly modelProperty: string;
  /** How such a file ends. */
  readonly modelFile: '.onnx' | '.tflite';
  /** What it is always given. */
  readonly fixed: Readonly<Record<string, string>>;
  /** What `detector.element.properties` may set, and to what. */
  readonly properties: Readonly<Record<string, readonly string[]>>;
  /** Where it comes from. */
  readonly from: string;
}

const COUNT = ['1', '2', '3', '4', '6', '8'] as const;
const TFLITE = {
  modelProperty: 'model-file',
  modelFile: '.tflite',
  fixed: {},
  properties: { threads: COUNT },
  from: 'a GStreamer ≥ 1.26 built with LiteRT; Debian 13 has none',
} as const;

/** By the name of the element. All put GstTensorMeta on their buffers. */
export const INFERENCE_ELEMENTS: Readonly<Record<string, InferenceElement>> = {
  onnxinference: {
    modelProperty: 'model-file',
    modelFile: '.onnx',
    // Nothing is optimised by default.
    fixed: { 'input-image-format': 'hwc', 'optimization-level': 'enable-all' },
    properties: { 'execution-provider': ['cpu', 'cuda'] },
    from: 'the Debian package gstreamer1.0-plugins-bad',
  },
  tfliteinference: TFLITE,
  tfliteedgetpuinference: TFLITE,
  tflitevsiinference: TFLITE,
};
