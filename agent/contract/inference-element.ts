/**
 * Closed list of the GStreamer elements that may run a model, and of their settable properties. An element receives the
 * pictures, so one that could also send or store them is not listed. A free property could name a file or a server.
 */

/**
 * File in vision's cache folder with the last line that an element's library wrote to standard error before it ended
 * vision. The supervisor writes it for the next vision.
 */
export const LAST_LINE_FILE = 'element-last-line';

export interface InferenceElement {
  /** Property that takes the model file. */
  readonly modelProperty: string;
  /** File extension of the model. */
  readonly modelFile: '.onnx' | '.tflite' | '.hef';
  /** Properties that are always set. */
  readonly fixed: Readonly<Record<string, string>>;
  /** Properties that `detector.element.properties` may set, with their accepted values. */
  readonly properties: Readonly<Record<string, readonly string[]>>;
  /** True if it loads an ONNX Runtime of its own into the process. */
  readonly bringsOnnxRuntime?: boolean;
  /** Origin of the element. */
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

/** Keyed by the name of the element. All attach GstTensorMeta to their buffers, except `hailonet`, which has its own. */
export const INFERENCE_ELEMENTS: Readonly<Record<string, InferenceElement>> = {
  onnxinference: {
    modelProperty: 'model-file',
    modelFile: '.onnx',
    // By default the element optimises nothing.
    fixed: { 'input-image-format': 'hwc', 'optimization-level': 'enable-all' },
    properties: { 'execution-provider': ['cpu', 'cuda'] },
    bringsOnnxRuntime: true,
    from: 'the Debian package gstreamer1.0-plugins-bad',
  },
  hailonet: {
    modelProperty: 'hef-path',
    modelFile: '.hef',
    // Otherwise it refuses a frame to which it may not attach its outputs.
    fixed: { 'force-writable': 'true' },
    properties: {},
    from: 'hailo-all (Hailo-8, 8L) or hailo-h10-all (Hailo-10H) of Raspberry Pi OS, or HailoRT from Hailo',
  },
  tfliteinference: TFLITE,
  tfliteedgetpuinference: TFLITE,
  tflitevsiinference: TFLITE,
};
