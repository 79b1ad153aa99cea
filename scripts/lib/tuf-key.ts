/** Computes fingerprints of public keys in TUF metadata, whatever their encoding or key id. */
import { createPublicKey } from 'node:crypto';
import { sha256Of } from '../../agent/base/sha256.ts';

/** Bytes before the 32 bytes of an ed25519 key in its SubjectPublicKeyInfo (RFC 8410). */
export const ED25519_SPKI_PREFIX = '302a300506032b6570032100';
const ED25519_HEX = /^[0-9a-f]{64}$/i;

/**
 * Returns the SHA-256 of the SubjectPublicKeyInfo, hex, as `vigie-oversight keygen` prints it. For other text it is the
 * SHA-256 of the text.
 *
 * @param text `keyval.public`: hex digits of an ed25519 key, or PEM
 */
export function publicKeyFingerprint(text: string): string {
  if (ED25519_HEX.test(text)) return sha256Of(Buffer.from(`${ED25519_SPKI_PREFIX}${text}`, 'hex'));
  try {
    return sha256Of(createPublicKey(text).export({ type: 'spki', format: 'der' }));
  } catch {
    // Not a key that can verify anything; a difference in case does not make it another one.
    return sha256Of(text.toLowerCase());
  }
}
