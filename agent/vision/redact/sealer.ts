/**
 * Makes SealedEvidence, as the only module: the still without redaction, black under the privacy masks, encrypted in
 * memory to the authority's public keys (age, X25519). It cannot be opened on the box, and no part of it reaches a disk
 * unencrypted.
 *
 * LIMITS: SEALED_BYTES_MAX per file; at most STEPS.length encodings.
 */
import { createHash } from 'node:crypto';
import { AgentError, messageOf } from '../../base/errors.ts';
import { fitted } from '../../contract/fitted-size.ts';
import type { SizePx } from '../../contract/geometry.ts';
import type { Still } from '../../contract/picture.ts';
import { SEALED_BYTES_MAX, type SealedEvidence } from '../../contract/sealed-evidence.ts';
import { encode } from './jpeg.ts';

/** Long side and quality, tried until the file is small enough. At 90 a street scene loses no detail. */
const STEPS: readonly { readonly longSidePx: number; readonly quality: number }[] = [
  { longSidePx: Number.POSITIVE_INFINITY, quality: 90 },
  { longSidePx: Number.POSITIVE_INFINITY, quality: 75 },
  { longSidePx: Number.POSITIVE_INFINITY, quality: 60 },
  { longSidePx: 1920, quality: 75 },
  { longSidePx: 1920, quality: 60 },
  { longSidePx: 1280, quality: 60 },
  // Suffices for noise too, like the redactor's smallest step.
  { longSidePx: 640, quality: 40 },
];

export class Sealer {
  readonly #recipients: readonly string[];

  constructor(recipients: readonly string[]) {
    this.#recipients = recipients;
  }

  /**
   * Seals a still.
   *
   * @throws `corrupt` if the still is not a JPEG of its size. `config` if a recipient is not an age key.
   */
  async seal(still: Still): Promise<SealedEvidence> {
    const recipients = this.#recipients;
    // Loaded on first use: most boxes seal nothing.
    const { Encrypter } = await import('age-encryption');
    const encrypter = new Encrypter();
    try {
      for (const recipient of recipients) encrypter.addRecipient(recipient);
    } catch (error) {
      throw new AgentError(
        'config',
        `not sealed: a recipient is not an age public key (${messageOf(error)})`,
      );
    }
    for (const { longSidePx, quality } of STEPS) {
      const jpeg = await this.#plain(still, fitted(still.source, longSidePx), quality);
      const bytes = jpeg.length > SEALED_BYTES_MAX ? undefined : await encrypter.encrypt(jpeg);
      jpeg.fill(0);
      if (bytes === undefined || bytes.length > SEALED_BYTES_MAX) continue;
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { bytes, sha256, recipients } as unknown as SealedEvidence;
    }
    throw new AgentError(
      'exhausted',
      `not sealed: even the smallest is larger than ${SEALED_BYTES_MAX} bytes`,
    );
  }

  /** Encodes the still again, so that it carries no metadata of the camera. */
  async #plain(still: Still, size: SizePx, quality: number): Promise<Uint8Array> {
    const { rgb } = await still.pixels(size);
    const jpeg = await encode(rgb, size, quality);
    rgb.fill(0);
    return jpeg;
  }
}
