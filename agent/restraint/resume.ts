/**
 * Signs and opens a resume, which ends a suspension. It needs two different keys of the authorisation, and applies to
 * one suspension.
 */
import type { KeyObject } from 'node:crypto';
import type { Authorisation } from '../contract/authorisation.ts';
import { CommandRefused } from '../contract/command.ts';
import { RESUME_BYTES_MAX, RESUME_SIGNATURES, RESUME_TYPE, Resume } from '../contract/mode.ts';
import { envelopeOpener, keyIdOf, ofForm, parseJson, publicKeyOf, signEnvelope } from '../orders/dsse.ts';
import { resumeKeysOf } from './authorisation.ts';

const openEnvelope = envelopeOpener({
  payloadType: RESUME_TYPE,
  bytesMax: RESUME_BYTES_MAX,
  signatures: RESUME_SIGNATURES,
  keysIn: 'resumeKeys of the authorisation',
});

/** Returns the JSON text of the envelope. */
export function signResume(resume: Resume, keys: readonly KeyObject[]): string {
  return signEnvelope(RESUME_TYPE, JSON.stringify(resume), ...keys);
}

/** Returns the reason and the signers' names in the authorisation; throws CommandRefused. */
export function openResume(
  bytes: Uint8Array,
  authorisation: Authorisation,
  own: Pick<Resume, 'site' | 'box' | 'suspension'>,
  nowMs: number,
): { reason: string; names: string[] } {
  const { keyids, payload } = openEnvelope(bytes, resumeKeysOf(authorisation));
  const resume = ofForm(Resume, parseJson(payload, 'the signed payload'), 'not a resume');
  const { site, box, suspension, reason, notBefore, notAfter } = resume;
  if (site !== own.site || box !== own.box) {
    throw new CommandRefused('wrong-box', `it is for ${box} at ${site}; this is ${own.box} at ${own.site}`);
  }
  if (suspension !== own.suspension) {
    throw new CommandRefused(
      'replayed',
      `it ends the suspension ${suspension}; this one is ${own.suspension}`,
    );
  }
  // Written so that a time that does not exist (NaN) is refused.
  if (!(Date.parse(notBefore) <= nowMs)) throw new CommandRefused('not-yet-valid', `valid from ${notBefore}`);
  if (!(nowMs <= Date.parse(notAfter))) throw new CommandRefused('expired', `valid until ${notAfter}`);
  const names = authorisation.resumeKeys.filter((key) =>
    keyids.includes(keyIdOf(publicKeyOf(key.publicKey))),
  );
  return { reason, names: names.map(({ name }) => name) };
}
