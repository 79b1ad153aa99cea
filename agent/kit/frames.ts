/**
 * Decodes repeated frames in a stream of bytes: uint32 BE length, JSON, uint32 BE length, binary.
 *
 * LIMITS: a frame larger than the two maxima ends the stream, so that at most one such frame is buffered.
 */

export interface Frame {
  readonly header: unknown;
  readonly body: Uint8Array<ArrayBuffer>;
}

export interface FrameLimits {
  readonly headerBytesMax: number;
  readonly bodyBytesMax: number;
}

const LENGTH_BYTES = 4;

export class FrameReader {
  readonly #limits: FrameLimits;
  #buffer = new Uint8Array(0);

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /**
   * Buffers the bytes and returns the frames completed by them, oldest first.
   * @throws RangeError for a frame that is too long
   */
  take(bytes: Uint8Array): Frame[] {
    const buffer = new Uint8Array(this.#buffer.length + bytes.length);
    buffer.set(this.#buffer);
    buffer.set(bytes, this.#buffer.length);
    this.#buffer = buffer;
    const frames: Frame[] = [];
    for (;;) {
      const frame = this.#next();
      if (frame === undefined) return frames;
      frames.push(frame);
    }
  }

  #next(): Frame | undefined {
    const header = this.#part(0, this.#limits.headerBytesMax);
    if (header === undefined) return undefined;
    const body = this.#part(LENGTH_BYTES + header.length, this.#limits.bodyBytesMax);
    if (body === undefined) return undefined;
    this.#buffer = this.#buffer.slice(2 * LENGTH_BYTES + header.length + body.length);
    return { header: JSON.parse(new TextDecoder().decode(header)) as unknown, body };
  }

  /** Returns a copy of the part whose length is at `offset`, or undefined while it is incomplete. */
  #part(offset: number, bytesMax: number): Uint8Array<ArrayBuffer> | undefined {
    const from = offset + LENGTH_BYTES;
    if (this.#buffer.length < from) return undefined;
    const length = new DataView(this.#buffer.buffer).getUint32(offset);
    if (length > bytesMax) throw new RangeError(`${length} bytes where ${bytesMax} are the most`);
    return this.#buffer.length < from + length ? undefined : this.#buffer.slice(from, from + length);
  }
}
