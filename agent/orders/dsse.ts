/**
 * Signed envelopes: DSSE v1 (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md) with
 * ed25519, with exactly as many signatures as its kind asks for, each by another key.
 *
 * INVARIANTS: nothing that is not exactly as it was signed is opened: base64 is decoded strictly, since
 * Node's own decoder lets 14 of 1,200 single-bit flips pass; keyid must name the key that verifies; JSON has one reading.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError } from '../base/errors.ts';
import { strictJsonOf } from '../base/json.ts';
import { CommandRefused, type Envelope, envelopeOf } from '../contract/command.ts';
import { faultText } from '../contract/time.ts';

export interface OpenedEnvelope {
  /** Of the keys that have signed, in the order of the envelope. */
  readonly keyids: readonly string[];
  readonly payload: Buffer;
}

/** What is signed, and how. */
export interface EnvelopeKind {
  readonly payloadType: string;
  readonly bytesMax: number;
  readonly signatures: number;
  /** Where the keys are listed, for whoever reads that one is not. */
  readonly keysIn: string;
}

/** SHA-256 of the key's SubjectPublicKeyInfo, hex; for a private key that of its public half. */
export function keyIdOf(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/** JSON text of the envelope. `keys` are ed25519 private keys. */
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

/** An envelope as it is written, whose signatures nobody has looked at. */
interface ReadEnvelope {
  readonly payload: Buffer;
  readonly signed: readonly { readonly keyid: string; readonly sig: Buffer }[];
}

/**
 * Reads envelopes of one kind and verifies nothing: for whoever must know what is in one before a key is known, or shows
 * what nobody believes. What it returns throws CommandRefused.
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

/** Opens envelopes of one kind; what it returns throws CommandRefused. Keys are public ones, by keyid. */
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

/** Throws where the text is no key; the schema of the contract lets none such pass. */
export function publicKeyOf(spkiBase64: string): KeyObject {
  return createPublicKey({ key: Buffer.from(spkiBase64, 'base64'), format: 'der', type: 'spki' });
}

/** Of a private key: its public half, as `publicKeyOf` takes it. */
export function publicTextOf(privateKey: KeyObject): string {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).toString('base64');
}

/** Parses UTF-8 JSON that has one reading (`strictJsonOf`) and no byte order mark; throws CommandRefused. */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return strictJsonOf(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    const why =
      error instanceof AgentError ? `can be read in two ways: ${error.message}` : 'is not JSON in UTF-8';
    throw new CommandRefused('malformed', `${what} ${why}`, { cause: error });
  }
}

/**
 * The content, where it is of the form; throws CommandRefused, which begins with `otherwise`. The form is not compiled:
 * few of these come, and vision pays for what is compiled.
 */
export function ofForm<S extends TSchema>(schema: S, content: unknown, otherwise: string): Static<S> {
  if (Value.Check(schema, content)) return content;
  const error = Value.Errors(schema, content).First();
  const why = error === undefined ? '' : faultText(error);
  throw new CommandRefused('malformed', `${otherwise}: ${error?.path || '/'}: ${why}`);
}

/** PAE of the DSSE protocol: what is really signed. */
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
