/** SHA-256 of texts and bytes. */
import { createHash } from 'node:crypto';

/** Returns the SHA-256 in hex. */
export function sha256Of(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
