/**
 * Types of the used parts of gstreamer-superficial 1.7.4, which has none.
 *
 * As published it leaks memory for each message and each 64-bit property that is read. patches/ fixes that at the npm
 * installation, and closes the process to dumps and tracing when the addon is loaded. It is a CommonJS `.node` file: it
 * is loaded with `createRequire`, never imported.
 */
declare module 'node-gstreamer-superficial' {
  /** Message of the pipeline's bus: its structure's fields, flattened; enums are spelled out. */
  export interface BusMessage {
    readonly type: string;
    readonly _src_element_name: string;
    /** Errors only. */
    readonly message?: string;
    /** Errors and warnings only. */
    readonly debug?: string;
    readonly 'new-state'?: string;
  }

  /** GObject properties by name; 64-bit integers, structures and caps are read as strings. */
  export interface Element {
    [property: string]: unknown;
  }

  export interface AppSink extends Element {
    /**
     * Holds the waiting picture until the next call of this or `pullPicture`; false if there is none. Writes to `told`:
     * the time stamp in ns (all bits set if it has none), offset, width, height, and pixel aspect ratio as two numbers
     * (patches/).
     */
    takePicture(told: BigInt64Array): boolean;
    /**
     * Waits for the picture of `takePicture` in a libuv worker; false at the end of the stream or when the pipeline is
     * stopped. An error on the bus does not end the wait.
     */
    pullPicture(told: BigInt64Array, callback: (isThere: boolean) => void): void;
    /** Returns the decoder's memory before the next picture is taken. */
    releasePicture(): void;
    /**
     * Writes the held picture into `rgb` (8 bits, row by row), scaled to `innerWidth` × `innerHeight` at (`left`,
     * `top`) of `width` × `height`. The rest is black, and so are the pixels of `black`: half-open ranges in pairs.
     *
     * @throws if no picture of 8 bits in 4:2:0 is held, or if a length does not fit; so do the three below (patches/).
     */
    letterbox(
      rgb: Uint8Array,
      width: number,
      height: number,
      left: number,
      top: number,
      innerWidth: number,
      innerHeight: number,
      black: Int32Array,
    ): void;
    /** Writes it as I420 planes, with rows of a multiple of 4 bytes; `blackY` and `blackUv` are byte ranges. */
    planes(i420: Uint8Array, width: number, height: number, blackY: Int32Array, blackUv: Int32Array): void;
    /** Writes its luma alone, row by row. */
    luma(grey: Uint8Array, width: number, height: number, black: Int32Array): void;
    /** Makes a JPEG of the output of `planes`, in a libuv worker; null if that fails. */
    still(
      width: number,
      height: number,
      blackY: Int32Array,
      blackUv: Int32Array,
      callback: (jpeg: Buffer | null) => void,
    ): void;
    /**
     * Returns an element's metadata on the next sample; the sample's own bytes are not read. Waits in a libuv worker;
     * null after `limitMs`, at the end of the stream or when the pipeline is stopped (patches/).
     */
    pullTensors(limitMs: number, callback: (inferred: Inferred | null) => void): void;
  }

  export interface AppSrc extends Element {
    /** Copies the buffer. `ptsNs` has 64 bits, big-endian. Returns a GstFlowReturn, 0 if it was accepted. */
    push(buffer: Uint8Array, ptsNs: Buffer): number;
  }

  export interface RtspSrc extends Element {
    /**
     * Restricts requests from now on to URLs that the regular expression `urls` (PCRE) matches completely. The first
     * other one is an error of the pipeline, "led elsewhere", with the URL as the last line of its debug text. Relative
     * track names that `track` matches are appended to `base`. No element of this process accepts UDP any more
     * (patches/).
     */
    restrictRequests(urls: string, track: string, base: string): void;
  }

  /** GstTensorMeta and GstAnalyticsRelationMeta of a sample (gstreamer-analytics-1.0). */
  export interface Inferred {
    readonly ptsNs: number | null;
    readonly tensors: readonly Tensor[];
    /** Outputs of HailoRT's `hailonet`, at most 16. */
    readonly hailo: readonly HailoTensor[];
    readonly objects: readonly {
      readonly label: string;
      readonly score: number;
      /** In pixels of the sample. */
      readonly xywhPx: readonly [number, number, number, number];
    }[];
  }

  /** GstHailoTensorMeta and the buffer that it describes. All but `metaBytes` are absent for an unknown layout. */
  export interface HailoTensor {
    /** Size of the metadata, which depends on HailoRT's version. */
    readonly metaBytes: number;
    readonly name?: string;
    readonly isNms?: boolean;
    /** With isNms: classes, boxes per class, boxes in all, bytes of masks. Otherwise height, width, features. */
    readonly shape?: readonly number[];
    /** Null if it is longer than 16 MiB. */
    readonly data?: Buffer | null;
  }

  export interface Tensor {
    readonly id: string;
    /** GstTensorDataType. */
    readonly type: number;
    readonly isRowMajor: boolean;
    readonly dims: readonly number[];
    /** Null if it is longer than 16 MiB. */
    readonly data: Buffer | null;
  }

  /** ONNX Runtime that was loaded from a file (patches/). */
  export interface OnnxRuntime {
    readonly version: string;
    /** Names of the execution providers that it was built with. */
    readonly providers: readonly string[];
  }

  export interface OnnxTensor {
    readonly name: string;
    readonly isTensor: boolean;
    /** ONNXTensorElementDataType. */
    readonly type: number;
    /** A side of any length is its name, which may be empty. */
    readonly dims: readonly (number | string)[];
  }

  export interface OnnxOutput extends OnnxTensor {
    readonly dims: readonly number[];
    /** Null if it is longer than 16 MiB or of another type than float32, int32 and uint8. */
    readonly data: Buffer | null;
  }

  export interface OnnxModel {
    /** Number of the model for the calls below. */
    readonly model: number;
    readonly inputs: readonly OnnxTensor[];
    readonly outputs: readonly OnnxTensor[];
  }

  export class Pipeline {
    /** @throws if the description cannot be parsed or names an unknown element. */
    constructor(description: string);
    'auto-flush-bus': boolean;
    play(): void;
    pause(): void;
    /** Changes to the NULL state and returns when it is reached. */
    stop(): void;
    /** Changes to PLAYING or NULL in a libuv worker, which may wait indefinitely (patches/). */
    change(isUp: boolean, done: () => void): void;
    /** Returns seconds; the value is arbitrary if the length is unknown. */
    queryDuration(): number;
    /** Takes a reference that is never released: call it once per element. */
    findChild(name: string): Element | undefined;
    /**
     * Waits in a libuv worker for the next message, and again after each one, until the pipeline is in the NULL state
     * after a message.
     */
    pollBus(callback: (message: BusMessage) => void): void;
  }
}
