/**
 * Types of the addons of this folder. Each is a CommonJS `.node` file: it is loaded with `createRequire`, never
 * imported.
 */
declare module 'vigie-native' {
  /**
   * Picture that never changes, of 8 bits in 4:2:0. It holds the decoder's memory until `release`, or until a still that
   * was begun is made. Black parts are given in half-open ranges, in pairs.
   *
   * Each method throws if the picture was released, or if a size or length does not fit.
   */
  export interface Picture {
    /** Null if it has none. */
    readonly ptsNs: bigint | null;
    /** Number that an element gave it; null if none did. */
    readonly order: number | null;
    /** Width and height as coded, and the two numbers of the pixel aspect ratio. */
    readonly shape: readonly [number, number, number, number];
    /**
     * Writes RGB (8 bits, row by row), scaled to `innerWidth` × `innerHeight` at (`left`, `top`) of `width` ×
     * `height`. The rest is black, and so are the pixels of `black`.
     */
    rgb(
      rgb: Uint8Array,
      width: number,
      height: number,
      left: number,
      top: number,
      innerWidth: number,
      innerHeight: number,
      black: Int32Array,
    ): void;
    /** Writes I420 planes, with rows of a multiple of 4 bytes; `blackY` and `blackUv` are byte ranges. */
    planes(i420: Uint8Array, width: number, height: number, blackY: Int32Array, blackUv: Int32Array): void;
    /** Writes the luma alone, row by row. */
    grey(grey: Uint8Array, width: number, height: number, black: Int32Array): void;
    /** Makes a JPEG of the output of `planes` in a libuv worker. Rejects with the encoder's message. */
    still(width: number, height: number, blackY: Int32Array, blackUv: Int32Array): Promise<Still>;
    release(): void;
  }

  export interface Still {
    /** Time stamp of the picture that it shows. */
    readonly ptsNs: bigint | null;
    readonly jpeg: Buffer;
  }

  /** GstTensorMeta and GstAnalyticsRelationMeta of a sample (gstreamer-analytics-1.0). */
  export interface Inferred {
    readonly ptsNs: bigint | null;
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

  export interface Addon {
    /** Takes the oldest picture that waits in the picturesink of that `id`; null if there is none. */
    takePicture(sink: number): Picture | null;
    /**
     * Waits for a picture in a libuv worker; null at the end of the stream or when the pipeline is stopped. An error on
     * the bus does not end the wait.
     */
    pullPicture(sink: number): Promise<Picture | null>;
    /**
     * Returns an element's results on the next sample; the sample's own bytes are not read. Waits in a libuv worker;
     * null after `limitMs`, at the end of the stream or when the pipeline is stopped.
     */
    pullInferred(sink: number, limitMs: number): Promise<Inferred | null>;
    /**
     * Restricts the rtspsrc `source` of the sink's pipeline, in the NULL state, to URLs that the regular expression
     * `urls` (PCRE) matches completely. The first other one is an error of the pipeline, "led elsewhere", with the URL
     * as the last line of its debug text. Relative track names that `track` matches are appended to `base`. No element
     * of this process accepts UDP any more.
     */
    restrictRequests(sink: number, urls: string, track: string, base: string): void;
    /** CPU time of the calling thread since its start, in ms (clock_gettime(2)): exact at once, at .3 µs a call. */
    threadCpuMs(): number;
    /** Closes this process to dumps, tracing and reading of its memory, for its owner too (prctl(2)). */
    forbidDumps(): void;
  }
}

declare module 'vigie-native/onnxruntime' {
  /** ONNX Runtime that was loaded from a file. */
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

  /** Each call waits in a libuv worker. */
  export interface Addon {
    /** Loads the library, one for the life of the process, with telemetry off. Whose the file is has been checked. */
    loadLibrary(path: string): Promise<OnnxRuntime>;
    /** Opens a model on one provider. Without `cacheDir` the provider keeps nothing. */
    openModel(bytes: Uint8Array, provider: string, cacheDir: string): Promise<OnnxModel>;
    /** Runs it on RGB rows of 8 bits, which are read in place. */
    runModel(
      model: number,
      input: string,
      rgb: Uint8Array,
      widthPx: number,
      heightPx: number,
      outputs: readonly string[],
    ): Promise<readonly OnnxOutput[]>;
    /** Frees it, after its last run. */
    closeModel(model: number): Promise<void>;
  }
}
