/**
 * Types of the used parts of gstreamer-superficial 1.7.4, which has none.
 *
 * As published it leaks memory for each message and each 64-bit property that is read; patches/ fixes that at the npm
 * installation. It is a CommonJS `.node` file: it is loaded with `createRequire`, never imported.
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

  export interface AppSrc extends Element {
    /** Copies the buffer. `ptsNs` has 64 bits, big-endian. Returns a GstFlowReturn, 0 if it was accepted. */
    push(buffer: Uint8Array, ptsNs: Buffer): number;
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
