/**
 * Computes the mark that a phone gets for a configuration's SHA-256: an HMAC with a key that never leaves the page's
 * state folder. The phone only compares two marks. With the plain hash of a file that is known except for the camera's
 * password, it could test passwords.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/atomic-file.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';

const KEY_FILE = 'config-mark.key';
const KEY_BYTES = 32;

export interface ConfigMarkOptions {
  readonly stateDir: string;
  readonly log: Logger;
}

export class ConfigMark {
  readonly #options: ConfigMarkOptions;
  #key: Buffer | undefined;

  constructor(options: ConfigMarkOptions) {
    this.#options = options;
  }

  /** Hex, as long as the hash; null stays null. */
  of(sha256: string | null): string | null {
    if (sha256 === null) return null;
    this.#key ??= this.#storedKey() ?? this.#newKey();
    return createHmac('sha256', this.#key).update(sha256).digest('hex');
  }

  /** Undefined if there is no key, or a damaged one. */
  #storedKey(): Buffer | undefined {
    try {
      const key = readFileSync(join(this.#options.stateDir, KEY_FILE));
      if (key.length === KEY_BYTES) return key;
      this.#options.log.warn({ file: KEY_FILE, bytes: key.length }, 'this key is damaged: another is made');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#options.log.warn({ file: KEY_FILE, reason: messageOf(error) }, 'this key cannot be read');
    }
    return undefined;
  }

  /**
   * Creates a key and stores it if the disk permits. Otherwise a phone sees another configuration after the next start
   * of the page, without further effect.
   */
  #newKey(): Buffer {
    const key = randomBytes(KEY_BYTES);
    try {
      writeAtomically(join(this.#options.stateDir, KEY_FILE), key, 0o600);
    } catch (error) {
      this.#options.log.warn({ file: KEY_FILE, reason: messageOf(error) }, 'this key cannot be written');
    }
    return key;
  }
}
