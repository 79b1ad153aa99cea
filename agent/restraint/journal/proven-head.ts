/**
 * A checkpoint with the proof that it continues an older one, in the form in which c2sp.org/tlog-witness requests a
 * witness's cosignature (the body of `add-checkpoint`).
 */
import { AgentError } from '../../base/errors.ts';
import { strictBase64 } from './note.ts';

/** No tree of this project needs more. */
const PROOF_MAX = 63;

export interface ProvenHead {
  /** Size of the older tree. */
  readonly from: number;
  readonly proof: readonly Buffer[];
  readonly note: string;
}

export function provenHeadText({ from, proof, note }: ProvenHead): string {
  return [`old ${from}\n`, ...proof.map((hash) => `${hash.toString('base64')}\n`), '\n', note].join('');
}

/** Throws AgentError `corrupt`. */
export function parseProvenHead(text: string): ProvenHead {
  const headEnd = text.indexOf('\n\n');
  const [first = '', ...hashes] = text.slice(0, Math.max(0, headEnd)).split('\n');
  const [, from] = /^old (0|[1-9]\d{0,14})$/.exec(first) ?? [];
  if (from === undefined || hashes.length > PROOF_MAX) {
    throw new AgentError('corrupt', 'not a checkpoint with a consistency proof');
  }
  const proof = hashes.map((hash) => {
    const bytes = strictBase64(hash);
    if (bytes?.length !== 32) throw new AgentError('corrupt', 'its proof contains an invalid hash');
    return bytes;
  });
  return { from: Number(from), proof, note: text.slice(headEnd + 2) };
}
