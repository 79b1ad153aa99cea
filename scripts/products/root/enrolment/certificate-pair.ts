/**
 * Stores a private key and its certificate in two files that belong together.
 *
 * INVARIANTS:
 * - The new key and the new certificate are both on disk, beside the old pair, before either replaces it. The key goes
 *   first.
 * - A power cut between the two leaves NAME.crt.next, and `finish` completes the installation. Until then a reader sees
 *   that the two do not match, and reads again.
 *
 * LIMITS: two further files.
 */
import { readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { flush, writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { hasCode } from '../../../../agent/base/errors.ts';
import { keyIdOf, makeKey } from './openssl.ts';

export interface PairOptions {
  readonly dir: string;
  /** Base name of the files NAME.key and NAME.crt. */
  readonly name: string;
  readonly uid: number;
  /** Group whose members read both files. */
  readonly gid: number;
  readonly certMode: number;
}

/** Readable by the owner, and by the group that serves with it. */
const KEY_MODE = 0o640;

export class CertificatePair {
  readonly #options: PairOptions;

  constructor(options: PairOptions) {
    this.#options = options;
  }

  get keyFile(): string {
    return this.#file('key');
  }

  get certFile(): string {
    return this.#file('crt');
  }

  get nextKeyFile(): string {
    return `${this.keyFile}.next`;
  }

  get #nextCertFile(): string {
    return `${this.certFile}.next`;
  }

  /** The certificate in PEM form, if it exists and matches the key. */
  get certificate(): string | undefined {
    const cert = read(this.certFile);
    return fits(cert, read(this.keyFile)) ? cert : undefined;
  }

  /** Returns keyIdOf the key for the next certificate: of the request that was begun, or of a new key. */
  async nextKey(): Promise<string> {
    const existingId = keyIdOf(read(this.nextKeyFile) ?? '');
    if (existingId !== undefined) return existingId;
    const pem = await makeKey();
    this.#write(this.nextKeyFile, pem, KEY_MODE);
    return keyIdOf(pem) ?? '';
  }

  /** Installs the certificate together with the next key. */
  install(pem: string): void {
    this.#write(this.#nextCertFile, pem, this.#options.certMode);
    this.finish();
  }

  /** Completes an interrupted installation; returns true if there was one. */
  finish(): boolean {
    const cert = read(this.#nextCertFile);
    if (cert === undefined) return false;
    if (fits(cert, read(this.nextKeyFile))) {
      this.#rename(this.nextKeyFile, this.keyFile);
    } else if (!fits(cert, read(this.keyFile))) {
      // The certificate belongs to no key on this box.
      rmSync(this.#nextCertFile, { force: true });
      return false;
    }
    this.#rename(this.#nextCertFile, this.certFile);
    return true;
  }

  #file(ending: string): string {
    return join(this.#options.dir, `${this.#options.name}.${ending}`);
  }

  #write(file: string, content: string, mode: number): void {
    writeAtomically(file, content, mode, this.#options);
  }

  /**
   * Renames a file. A renewal and the start of the agent may both finish at once; a missing file was moved by the
   * other.
   */
  #rename(from: string, to: string): void {
    try {
      renameSync(from, to);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    }
    flush(this.#options.dir);
  }
}

function fits(cert: string | undefined, key: string | undefined): boolean {
  if (cert === undefined || key === undefined) return false;
  const id = keyIdOf(cert);
  return id !== undefined && id === keyIdOf(key);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
