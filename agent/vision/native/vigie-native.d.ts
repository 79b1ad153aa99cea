/**
 * Types of the addons of this folder. Each is a CommonJS `.node` file: it is loaded with `createRequire`, never
 * imported.
 */
declare module 'vigie-native' {
  interface SizePx {
    readonly widthPx: number;
    readonly heightPx: number;
  }

  interface Placement extends SizePx {
    readonly leftPx: number;
    readonly topPx: number;
  }

  /** Ranges of bytes in the plane of the luma, and in those of the colours. */
  interface PlaneRanges {
    readonly y: Int32Array;
    readonly uv: Int32Array;
  }

  /**
   * Picture that never changes, of 8 bits in 4:2:0. It holds the decoder's memory until `release`, or until a still that
   * was begun is made. Black parts are given in half-open ranges, in pairs.
   *
   * Each method throws if the picture was released, or if a size or length does not fit.
   */
  export interface Picture {
    /** Null if it has none. */
    readonly ptsNs: bigint | null;
    /** Size as coded; its pixels need not be square. */
    readonly coded: SizePx;
    /** Size in square pixels. */
    readonly source: SizePx;
    /** Writes RGB (8 bits, row by row) of `size`, in which the picture lies at `at`. The rest is black. */
    letterbox(rgb: Uint8Array, size: SizePx, at: Placement, black: Int32Array): void;
    /** Writes I420 planes, with rows of a multiple of 4 bytes. */
    planes(i420: Uint8Array, size: SizePx, black: PlaneRanges): void;
    /** Writes the luma alone, row by row. */
    grey(grey: Uint8Array, size: SizePx, black: Int32Array): void;
    /** Makes a JPEG of the output of `planes` in a libuv worker. Rejects with the encoder's message. */
    still(size: SizePx, black: PlaneRanges): Promise<Still>;
    release(): void;
  }

  export interface Still {
    /** Time stamp of the picture that it shows. */
    readonly ptsNs: bigint | null;
    readonly jpeg: Buffer;
  }

  /** Motion in a picture, in cells of its grey form. */
  export interface Motion {
    readonly any: boolean;
    /** In a watched cell that was still for a second, outside of all known boxes. */
    readonly unknown: boolean;
  }

  /** Cells of a picture in rows, one byte each in `isBlack`. Those under a mask are never read. */
  export interface Grid {
    readonly columns: number;
    readonly sidePx: number;
    readonly isBlack: Uint8Array;
  }

  /** What is seen of the pictures of one shape. */
  export interface Scene extends Grid {
    /** Size of the grey picture in which cells are read, and its black pixels. */
    readonly widthPx: number;
    readonly heightPx: number;
    readonly black: Int32Array;
    /** 1 for each cell at or near a place that a rule watches. */
    readonly isWatched: Uint8Array;
    /** Interval in ms at which a picture is also compared with the one before that; 0 for never. */
    readonly slowEveryMs: number;
    /** Media time of its first picture. */
    readonly atMs: number;
  }

  /** Conditions under which a picture is wanted. Motion that is `unknown` is one in any case. */
  export interface Terms {
    /** Shortest time after the picture before; nearer ones are left out. Null for none. */
    readonly spacingNs: bigint | null;
    /** Media time. */
    readonly fromMs: number;
    /** Time stamp to which the picture must be nearer than the next one; null for none. */
    readonly markNs: bigint | null;
    /** Any motion is a reason. */
    readonly onMotion: boolean;
    /** Boxes of known objects: left, top, right and bottom as ratios of width and height. */
    readonly knownBoxes: Float64Array;
  }

  export interface Look {
    readonly picture: Picture | null;
    /**
     * Pictures that were looked at and are not wanted, then the wanted one. That one is absent if its scene is not set,
     * which makes it wanted: after each opening, and after a change of shape.
     */
    readonly records: readonly { readonly ptsNs: bigint; readonly motion: Motion }[];
  }

  /** Motion since a frame of the detector's input that was kept. */
  export interface FrameMotion {
    /** Takes RGB. Returns true if something has moved since `keep`, or before the first one. */
    update(rgb: Uint8Array): boolean;
    /** Keeps the frame of the last `update`. */
    keep(): void;
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
    /** Looks at the pictures that wait in the picturesink of that `id`; null if none of them is wanted. */
    takeLook(sink: number, terms: Terms): Look | null;
    /**
     * Looks at pictures in a libuv worker until one is wanted. Its picture is null at the end of the stream or when the
     * pipeline is stopped. An error on the bus does not end the wait.
     */
    pullLook(sink: number, terms: Terms): Promise<Look>;
    /** Sets the scene of the picture that was wanted last, and looks at it: its past is unknown. */
    beginScene(sink: number, picture: Picture, scene: Scene): Motion;
    /** `leftPx` and `topPx` are the place of the grid in frames of `widthPx`. */
    FrameMotion: new (
      grid: Grid,
      widthPx: number,
      leftPx: number,
      topPx: number,
    ) => FrameMotion;
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
