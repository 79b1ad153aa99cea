/**
 * Signed notes with ed25519 (c2sp.org/signed-note) and the checkpoints in them (c2sp.org/tlog-checkpoint). Further
 * signatures on a note, such as a witness's, are ignored.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { AgentError } from '../../base/errors.ts';
import { sha256 } from './tree.ts';

/** Signature types of the signed-note specification: of a log, and of a witness (c2sp.org/tlog-cosignature). */
export const ED25519 = 1;
export const COSIGNATURE = 4;
type SignatureType = typeof ED25519 | typeof COSIGNATURE;
/** SubjectPublicKeyInfo of an ed25519 key up to the key itself (RFC 8410, section 4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

export interface Verifier {
  readonly name: string;
  readonly id: Buffer;
  readonly key: KeyObject;
}

function rawPublicKey(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-KEY_BYTES);
}

function keyId(name: string, type: SignatureType, raw: Buffer): Buffer {
  return sha256(Buffer.from(`${name}\n`), Buffer.of(type), raw).subarray(0, 4);
}

/** Returns `name+hash+base64`, with which others verify notes of this private key. */
export function verifierKey(name: string, privateKey: KeyObject, type: SignatureType = ED25519): string {
  const raw = rawPublicKey(privateKey);
  const bytes = Buffer.concat([Buffer.of(type), raw]);
  return `${name}+${keyId(name, type, raw).toString('hex')}+${bytes.toString('base64')}`;
}

/** Throws AgentError `config`. */
export function parseVerifierKey(text: string, type: SignatureType = ED25519): Verifier {
  const [, name = '', hash = '', base64 = ''] = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text.trim()) ?? [];
  const bytes = strictBase64(base64);
  if (bytes?.length !== KEY_BYTES + 1 || bytes[0] !== type) {
    const source = type === ED25519 ? 'vigie journal key' : 'vigie-oversight witness';
    throw new AgentError(
      'config',
      `${JSON.stringify(text.slice(0, 200))} is not an ed25519 verifier key; its form is name+hash+base64, as ${source} prints it`,
    );
  }
  const raw = bytes.subarray(1);
  if (keyId(name, type, raw).toString('hex') !== hash) {
    throw new AgentError(
      'config',
      `the verifier key of ${name} does not fit its own hash ${hash}; copy it again`,
    );
  }
  const der = Buffer.concat([SPKI_PREFIX, raw]);
  return {
    name,
    id: keyId(name, type, raw),
    key: createPublicKey({ key: der, type: 'spki', format: 'der' }),
  };
}

export function signCheckpoint({ origin, size, root }: Checkpoint, privateKey: KeyObject): string {
  const text = `${origin}\n${size}\n${root.toString('base64')}\n`;
  const signature = sign(null, Buffer.from(text), privateKey);
  return `${text}\n${signatureLine(origin, ED25519, privateKey, signature)}`;
}

/** Returns the signature line that follows a note's text. */
export function signatureLine(
  name: string,
  type: SignatureType,
  privateKey: KeyObject,
  signature: Uint8Array,
): string {
  const id = keyId(name, type, rawPublicKey(privateKey));
  return `— ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
}

/**
 * Returns a note's text, and the signatures below it with the name and key id of `verifier`. Throws AgentError
 * `corrupt`.
 */
export function readNote(note: string, { name, id }: Verifier): { text: string; signatures: Buffer[] } {
  const textEnd = note.lastIndexOf('\n\n');
  if (textEnd < 0 || !note.endsWith('\n')) throw new AgentError('corrupt', 'not a signed note');
  const signatures = note
    .slice(textEnd + 2, -1)
    .split('\n')
    .flatMap((line) => {
      const [, signer, base64 = ''] = /^— (\S+) (\S+)$/.exec(line) ?? [];
      const bytes = strictBase64(base64);
      if (signer === undefined || bytes === undefined) {
        throw new AgentError('corrupt', `${JSON.stringify(line.slice(0, 200))} is not a signature line`);
      }
      return signer === name && bytes.subarray(0, 4).equals(id) ? [bytes.subarray(4)] : [];
    });
  return { text: note.slice(0, textEnd + 1), signatures };
}

/** Returns the checkpoint if `verifier` has signed it. Otherwise throws AgentError `corrupt` with the reason. */
export function openCheckpoint(note: string, verifier: Verifier): Checkpoint {
  const { name, key } = verifier;
  const { text, signatures } = readNote(note, verifier);
  for (const signature of signatures) {
    if (signature.length !== SIGNATURE_BYTES || !verify(null, Buffer.from(text), key, signature)) {
      throw new AgentError('corrupt', `the signature of ${name} does not fit`);
    }
  }
  if (signatures.length === 0) throw new AgentError('corrupt', `it is not signed by ${name} with this key`);
  const [, origin = '', size = '', base64 = ''] = /^([^\n]+)\n(0|[1-9]\d{0,14})\n([^\n]+)\n/.exec(text) ?? [];
  const root = strictBase64(base64);
  if (root?.length !== 32) throw new AgentError('corrupt', 'not a checkpoint of origin, size and root');
  if (origin !== name) throw new AgentError('corrupt', `its origin is ${origin}, the key is of ${name}`);
  return { origin, size: Number(size), root };
}

/** Decodes base64, or returns undefined for input that is not canonical, which Node's decoder accepts. */
export function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return text !== '' && bytes.toString('base64') === text ? bytes : undefined;
}
