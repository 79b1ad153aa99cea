/**
 * Framing of messages on a link: between vision and agent (link.ts), and between agent and page (page-link.ts).
 * Format: uint32 BE length of the rest, uint32 BE length of the JSON header, the header, then binary bytes (redacted
 * and sealed pictures only).
 *
 * LIMITS: a message is at most 1 MiB. A longer or malformed one is `corrupt` and the link is closed, because a stream
 * without its framing cannot be trusted again.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler';
import { AgentError } from './errors.ts';

export const LINK_MESSAGE_BYTES_MAX = 1_048_576;

/** Received message with its binary part, which is empty except for pictures. */
export interface Received<M> {
  readonly message: M;
  readonly binary: Uint8Array;
}

const NOTHING_PENDING = Buffer.alloc(0);
const NO_BINARY = new Uint8Array(0);

/** Encodes a message. Used only by the files that define the payloads of a link, where a binary part has a type. */
export function frameUp(message: unknown, binary: Uint8Array): Buffer {
  const header = JSON.stringify(message);
  const headerBytes = Buffer.byteLength(header);
  const framed = Buffer.allocUnsafe(8 + headerBytes + binary.length);
  framed.writeUInt32BE(4 + headerBytes + binary.length, 0);
  framed.writeUInt32BE(headerBytes, 4);
  framed.write(header, 8);
  if (binary.length > 0) framed.set(binary, 8 + headerBytes);
  return framed;
}

/** Splits a byte stream into validated messages. */
export class LinkDecoder<S extends TSchema> {
  readonly #check: TypeCheck<S>;
  readonly #bytesMax: number;
  #pending: Buffer = NOTHING_PENDING;

  /** `bytesMax`: maximum size of a message, if the other side sends only short ones. */
  constructor(schema: S, bytesMax = LINK_MESSAGE_BYTES_MAX) {
    this.#check = TypeCompiler.Compile(schema);
    this.#bytesMax = bytesMax;
  }

  /**
   * Buffers the bytes of an incomplete message and returns the messages completed by `chunk`.
   * @throws AgentError `corrupt` on invalid data
   */
  push(chunk: Buffer): Received<Static<S>>[] {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const out: Received<Static<S>>[] = [];
    let from = 0;
    while (bytes.length >= from + 4) {
      const length = bytes.readUInt32BE(from);
      if (length < 4 || length > this.#bytesMax) throw corrupt(`length ${length}`);
      const to = from + 4 + length;
      if (bytes.length < to) break;
      out.push(this.#parse(bytes, from + 4, to));
      from = to;
    }
    this.#pending = from === bytes.length ? NOTHING_PENDING : bytes.subarray(from);
    return out;
  }

  /** Parses the message without its length, between `from` and `to`. */
  #parse(bytes: Buffer, from: number, to: number): Received<Static<S>> {
    const headerLength = bytes.readUInt32BE(from);
    if (headerLength > to - from - 4) throw corrupt(`header length ${headerLength}`);
    const binaryFrom = from + 4 + headerLength;
    let message: unknown;
    try {
      message = JSON.parse(bytes.toString('utf8', from + 4, binaryFrom));
    } catch (error) {
      throw corrupt('header is not JSON', error);
    }
    if (!this.#check.Check(message)) {
      const first = this.#check.Errors(message).First();
      throw corrupt(`${first?.path || '/'}: ${first?.message ?? 'does not fit the schema'}`);
    }
    const binary = binaryFrom === to ? NO_BINARY : new Uint8Array(bytes.subarray(binaryFrom, to));
    return { message, binary };
  }
}

function corrupt(defect: string, cause?: unknown): AgentError {
  return new AgentError('corrupt', `link message refused (${defect})`, cause);
}
