/**
 * Types of the parts of gstreamer-superficial 1.7.4 that are used here (the package has none). As published it keeps
 * memory for each message and each 64-bit property that is read; patches/ mends that when npm installs it, and has the
 * process closed to dumps and tracing when the addon is loaded.
 * It is a CommonJS `.node` file: it is loaded with `createRequire`, never imported.
 */
declare module 'node-gstreamer-superficial' {
  /** A message of the pipeline's bus: its structure's fields, flattened; enums are spelled out. */
  export interface BusMessage {
    readonly type: string;
    readonly _src_element_name: string;
    /** Errors only. */
    readonly message?: string;
    /** Errors and warnings only. */
    readonly debug?: string;
    readonly 'new-state'?: string;
  }

  /** GObject properties by name; 64-bit integers, structures and caps read as strings. */
  export interface Element {
    [property: string]: unknown;
  }

  export interface AppSink extends Element {
    /**
     * Holds the picture that waits, until the next call of this or `pullPicture`; false where none does. `told` takes its
     * time stamp in ns (all bits set where it has none), its offset, width, height, and pixel aspect ratio as two numbers
     * (patches/).
     */
    takePicture(told: BigInt64Array): boolean;
    /**
     * As `takePicture`, waiting in a libuv worker; false at the end of the stream or when the pipeline is stopped. An error on
     * the bus does not end the wait.
     */
    pullPicture(told: BigInt64Array, callback: (isThere: boolean) => void): void;
    /** Gives the decoder its memory back before the next one is taken. */
    releasePicture(): void;
    /**
     * Writes the picture that is held into `rgb` (8 bits, row by row), scaled to `innerWidth` × `innerHeight` at
     * (`left`, `top`) of `width` × `height`, the rest black, and so the pixels of `black`: half-open ranges in pairs. Throws
     * where no picture of 8 bits in 4:2:0 is held, and where a length does not fit; so do the three below (patches/).
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
    /** Writes it as planes of I420, with rows of a multiple of 4 bytes; `blackY`, `blackUv`: ranges of bytes. */
    planes(i420: Uint8Array, width: number, height: number, blackY: Int32Array, blackUv: Int32Array): void;
    /** Writes its brightness alone, row by row. */
    luma(grey: Uint8Array, width: number, height: number, black: Int32Array): void;
    /** Makes a JPEG of what `planes` would write, in a libuv worker; null where that fails. */
    still(
      width: number,
      height: number,
      blackY: Int32Array,
      blackUv: Int32Array,
      callback: (jpeg: Buffer | null) => void,
    ): void;
    /**
     * What an element has put on the next sample; the sample's own bytes are not read. Waits in a libuv worker; null
     * after `limitMs`, at the end of the stream or when the pipeline is stopped (patches/).
     */
    pullTensors(limitMs: number, callback: (inferred: Inferred | null) => void): void;
  }

  export interface AppSrc extends Element {
    /** Copies the buffer. `ptsNs`: 64 bits, big-endian. Gives a GstFlowReturn, 0 where it was taken. */
    push(buffer: Uint8Array, ptsNs: Buffer): number;
  }

  export interface RtspSrc extends Element {
    /**
     * From now on it sends no request but for a URL that the regular expression `urls` (PCRE) matches as a whole; the
     * first other one is an error of the pipeline, "led elsewhere", with the URL as the last line of its debug text.
     * Relative names of tracks that `track` matches are appended to `base`. No element of this process takes anything by
     * UDP any more (patches/).
     */
    restrictRequests(urls: string, track: string, base: string): void;
  }

  /** GstTensorMeta and GstAnalyticsRelationMeta of a sample (gstreamer-analytics-1.0). */
  export interface Inferred {
    readonly ptsNs: number | null;
    readonly tensors: readonly Tensor[];
    readonly objects: readonly {
      readonly label: string;
      readonly score: number;
      /** In pixels of the sample. */
      readonly xywhPx: readonly [number, number, number, number];
    }[];
  }

  export interface Tensor {
    readonly id: string;
    /** GstTensorDataType. */
    readonly type: number;
    readonly isRowMajor: boolean;
    readonly dims: readonly number[];
    /** Null where it is longer than 16 MiB. */
    readonly data: Buffer | null;
  }

  export class Pipeline {
    /** Throws where the description cannot be parsed or names an unknown element. */
    constructor(description: string);
    'auto-flush-bus': boolean;
    play(): void;
    pause(): void;
    /** To the NULL state; returns when it is reached. */
    stop(): void;
    /** To PLAYING or to NULL in a libuv worker, which may wait for ever (patches/). */
    change(isUp: boolean, done: () => void): void;
    /** Seconds; where the length is not known the value is arbitrary. */
    queryDuration(): number;
    /** Takes a reference that is never released: call it once per element. */
    findChild(name: string): Element | undefined;
    /**
     * Waits in a libuv worker for the next message, and again after each one, until the pipeline is found
     * in the NULL state after a message.
     */
    pollBus(callback: (message: BusMessage) => void): void;
  }
}
