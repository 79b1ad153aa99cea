/**
 * Creates and checks a witness's signature on a box's checkpoint, with its time (c2sp.org/tlog-cosignature). It states
 * that the witness had seen everything up to that checkpoint grow only by additions.
 */
import { type KeyObject, sign, verify } from 'node:crypto';
import { AgentError } from '../../../agent/base/errors.ts';
import {
  COSIGNATURE,
  readNote,
  signatureLine,
  type Verifier,
} from '../../../agent/restraint/journal/note.ts';

const TIME_BYTES = 8;
const SIGNATURE_BYTES = 64;

/** Returns `note` with the witness's line below the present ones; older lines of the same witness are removed. */
export function cosign(note: string, witness: Verifier, privateKey: KeyObject, wallMs: number): string {
  const { text } = readNote(note, witness);
  const seconds = BigInt(Math.floor(wallMs / 1000));
  const time = Buffer.alloc(TIME_BYTES);
  time.writeBigUInt64BE(seconds);
  const signature = sign(null, signedBytes(text, seconds), privateKey);
  const line = signatureLine(witness.name, COSIGNATURE, privateKey, Buffer.concat([time, signature]));
  return withoutWitness(note, witness) + line;
}

/**
 * Returns the time at which `witness` cosigned the note, ms since the epoch; undefined if it did not. Throws AgentError
 * `corrupt`.
 */
export function cosignedAtMs(note: string, witness: Verifier): number | undefined {
  const { text, signatures } = readNote(note, witness);
  let newest: number | undefined;
  for (const bytes of signatures) {
    const seconds = bytes.length === TIME_BYTES + SIGNATURE_BYTES ? bytes.readBigUInt64BE() : -1n;
    if (seconds < 0n || !verify(null, signedBytes(text, seconds), witness.key, bytes.subarray(TIME_BYTES))) {
      throw new AgentError('corrupt', `the cosignature of ${witness.name} does not fit`);
    }
    newest = Math.max(newest ?? 0, Number(seconds) * 1000);
  }
  return newest;
}

const signedBytes = (text: string, seconds: bigint): Buffer =>
  Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`);

function withoutWitness(note: string, { name }: Verifier): string {
  const signaturesStart = note.lastIndexOf('\n\n') + 2;
  const lines = note.slice(signaturesStart, -1).split('\n');
  const keptLines = lines.filter((line) => !line.startsWith(`— ${name} `));
  return note.slice(0, signaturesStart) + keptLines.map((line) => `${line}\n`).join('');
}
