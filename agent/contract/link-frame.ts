/**
 * How messages lie on a link: between vision and agent (link.ts), between agent and page (page-link.ts).
 *
 * Framing: uint32 BE length of the rest, uint32 BE length of the JSON header, the header, then binary
 * bytes (redacted and sealed pictures only). LIMITS: a message is at most 1 MiB; a longer or malformed one is `corrupt`
 * and the link is closed, since a stream that lost its framing cannot be trusted again.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler';
import { AgentError } from '../base/errors.ts';

export const LINK_MESSAGE_BYTES_MAX = 1_048_576;

/** A received message with its binary part, which is empty for all that are no pictures. */
export interface Received<M> {
  readonly message: M;
  readonly binary: Uint8Array;
}

/** For the files that say what may be put on a link, and for nobody else: what is binary has a type there. */
export function frameUp(message: unknown, binary: Uint8Array): Buffer {
  const header = JSON.stringify(message);
  const headerBytes = Buffer.byteLength(header);
  const framed = Buffer.allocUnsafe(8 + headerBytes + binary.length);
  framed.writeUInt32BE(4 + headerBytes + binary.length, 0);
  framed.writeUInt32BE(headerBytes, 4);
  framed.write(header, 8);
  framed.set(binary, 8 + headerBytes);
  return framed;
}

/** Splits a byte stream into validated messages. */
export class LinkDecoder<S extends TSchema> {
  readonly #check: TypeCheck<S>;
  readonly #bytesMax: number;
  #pending: Buffer = Buffer.alloc(0);

  /** `bytesMax`: of a message, where the other side has nothing long to say. */
  constructor(schema: S, bytesMax = LINK_MESSAGE_BYTES_MAX) {
    this.#check = TypeCompiler.Compile(schema);
    this.#bytesMax = bytesMax;
  }

  /** Takes bytes as they come; returns the messages completed by them. Throws `corrupt` on anything else. */
  push(chunk: Uint8Array): Received<Static<S>>[] {
    this.#pending = this.#pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#pending, chunk]);
    const out: Received<Static<S>>[] = [];
    while (this.#pending.length >= 4) {
      const length = this.#pending.readUInt32BE(0);
      if (length < 4 || length > this.#bytesMax) throw corrupt(`length ${length}`);
      if (this.#pending.length < 4 + length) break;
      out.push(this.#parse(this.#pending.subarray(4, 4 + length)));
      this.#pending = this.#pending.subarray(4 + length);
    }
    return out;
  }

  #parse(body: Buffer): Received<Static<S>> {
    const headerLength = body.readUInt32BE(0);
    if (headerLength > body.length - 4) throw corrupt(`header length ${headerLength}`);
    let message: unknown;
    try {
      message = JSON.parse(body.toString('utf8', 4, 4 + headerLength));
    } catch (error) {
      throw corrupt('header is not JSON', error);
    }
    if (!this.#check.Check(message)) {
      const first = this.#check.Errors(message).First();
      throw corrupt(`${first?.path || '/'}: ${first?.message ?? 'does not fit the schema'}`);
    }
    return { message, binary: new Uint8Array(body.subarray(4 + headerLength)) };
  }
}

function corrupt(what: string, cause?: unknown): AgentError {
  return new AgentError('corrupt', `link message refused (${what})`, cause);
}
