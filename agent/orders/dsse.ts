/**
 * Signs and opens DSSE v1 envelopes (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md) with ed25519.
 * An envelope carries exactly the number of signatures that its kind requires, each by a different key.
 *
 * INVARIANTS: an envelope opens only if it is exactly the bytes that were signed:
 * - Base64 is decoded strictly, because Node's own decoder accepts 14 of 1,200 single-bit flips.
 * - `keyid` names the key that verifies.
 * - The JSON has only one reading.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError } from '../base/errors.ts';
import { strictJsonOf } from '../base/json.ts';
import { CommandRefused, type Envelope, envelopeOf } from '../contract/command.ts';
import { schemaProblem } from '../contract/time.ts';

export interface OpenedEnvelope {
  /** Ids of the signing keys, in the order of the envelope. */
  readonly keyids: readonly string[];
  readonly payload: Buffer;
}

/** Requirements that an envelope of one kind must meet. */
export interface EnvelopeKind {
  readonly payloadType: string;
  readonly bytesMax: number;
  readonly signatures: number;
  /** Location of the key list, for the error message when a key is not listed. */
  readonly keysIn: string;
}

/** Returns the SHA-256 of the key's SubjectPublicKeyInfo, hex. For a private key it is the hash of the public half. */
export function keyIdOf(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/** Returns the JSON text of the envelope. `keys` are ed25519 private keys. */
export function signEnvelope(payloadType: string, payload: string, ...keys: readonly KeyObject[]): string {
  const body = Buffer.from(payload);
  const toSign = preAuthEncoding(payloadType, body);
  const envelope: Envelope = {
    payloadType,
    payload: body.toString('base64'),
    signatures: keys.map((key) => ({ keyid: keyIdOf(key), sig: sign(null, toSign, key).toString('base64') })),
  };
  return JSON.stringify(envelope);
}

/** A parsed envelope whose signatures are not verified. */
interface ReadEnvelope {
  readonly payload: Buffer;
  readonly signed: readonly { readonly keyid: string; readonly sig: Buffer }[];
}

/**
 * Returns a reader for envelopes of one kind that verifies no signature. It serves callers that need the content before
 * a key is known, or that only display it. The reader throws CommandRefused.
 */
export function envelopeReader({
  payloadType,
  bytesMax,
  signatures,
}: Omit<EnvelopeKind, 'keysIn'>): (bytes: Uint8Array) => ReadEnvelope {
  const schema = envelopeOf(bytesMax, signatures);
  return (bytes) => {
    if (bytes.length > bytesMax) {
      throw new CommandRefused('malformed', `${bytes.length} bytes; at most ${bytesMax} are read`);
    }
    const envelope = ofForm(schema, parseJson(bytes, 'the envelope'), 'not a DSSE envelope');
    if (envelope.payloadType !== payloadType) {
      throw new CommandRefused('malformed', `the payload type is not ${payloadType}`);
    }
    return {
      payload: strictBase64(envelope.payload),
      signed: envelope.signatures.map(({ keyid, sig }) => ({ keyid, sig: strictBase64(sig) })),
    };
  };
}

/** Returns an opener for envelopes of one kind. The opener takes the public keys by keyid and throws CommandRefused. */
export function envelopeOpener(
  kind: EnvelopeKind,
): (bytes: Uint8Array, keys: ReadonlyMap<string, KeyObject>) => OpenedEnvelope {
  const { payloadType, signatures, keysIn } = kind;
  const read = envelopeReader(kind);
  return (bytes, keys) => {
    const { payload, signed } = read(bytes);
    const keyids = signed.map(({ keyid }) => keyid);
    if (new Set(keyids).size < signatures) {
      throw new CommandRefused(
        'not-permitted',
        `${signatures} different keys must sign; one has signed twice`,
      );
    }
    const toVerify = preAuthEncoding(payloadType, payload);
    for (const { keyid, sig } of signed) {
      const key = keys.get(keyid);
      if (key === undefined) {
        throw new CommandRefused('unknown-key', `no key ${keyid.slice(0, 16)}… in ${keysIn}`);
      }
      if (!verify(null, toVerify, key, sig)) {
        throw new CommandRefused('bad-signature', 'the signature does not fit the content');
      }
    }
    return { keyids, payload };
  };
}

/** Throws if the text is not a key. The contract's schema rejects such texts earlier. */
export function publicKeyOf(spkiBase64: string): KeyObject {
  return createPublicKey({ key: Buffer.from(spkiBase64, 'base64'), format: 'der', type: 'spki' });
}

/** Returns the public half of a private key, in the form that `publicKeyOf` takes. */
export function publicTextOf(privateKey: KeyObject): string {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).toString('base64');
}

/** Parses UTF-8 JSON that has one reading (`strictJsonOf`) and no byte order mark; throws CommandRefused. */
export function parseJson(bytes: Uint8Array, subject: string): unknown {
  try {
    return strictJsonOf(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    const problem =
      error instanceof AgentError ? `can be read in two ways: ${error.message}` : 'is not JSON in UTF-8';
    throw new CommandRefused('malformed', `${subject} ${problem}`, { cause: error });
  }
}

/**
 * Returns `content` if it matches the schema. Otherwise throws CommandRefused with a message that starts with
 * `otherwise`. The schema is not compiled, because few of these messages arrive and compiling slows down vision.
 */
export function ofForm<S extends TSchema>(schema: S, content: unknown, otherwise: string): Static<S> {
  if (Value.Check(schema, content)) return content;
  const error = Value.Errors(schema, content).First();
  const problem = error === undefined ? '' : schemaProblem(error);
  throw new CommandRefused('malformed', `${otherwise}: ${error?.path || '/'}: ${problem}`);
}

/** PAE of the DSSE protocol: the bytes that the signature covers. */
function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType);
  const head = `DSSEv1 ${type.length} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

function strictBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') === text) return bytes;
  throw new CommandRefused('malformed', 'payload or signature is not canonical base64');
}
