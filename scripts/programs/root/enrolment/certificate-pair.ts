/**
 * A private key and its certificate, which belong together, in two files.
 *
 * INVARIANTS: the new key and the new certificate are both on disk, beside the old pair, before either takes its place;
 * the key goes first. A power cut between the two leaves NAME.crt.next, from which `finish` goes on; until then whoever
 * reads both sees that they do not fit, and reads again.
 * LIMITS: two further files.
 */
import { readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { flush, writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { hasCode } from '../../../../agent/base/errors.ts';
import { keyIdOf, makeKey } from './openssl.ts';

export interface PairOptions {
  readonly dir: string;
  /** Files are NAME.key and NAME.crt. */
  readonly name: string;
  readonly uid: number;
  /** Whose members read both. */
  readonly gid: number;
  readonly certMode: number;
}

/** The owner, and the group that serves with it. */
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

  /** PEM of the certificate, if it is there and the key belongs to it. */
  get certificate(): string | undefined {
    const cert = read(this.certFile);
    return fits(cert, read(this.keyFile)) ? cert : undefined;
  }

  /** The key for the next certificate: the one that a request was begun with, or a new one. Returns keyIdOf it. */
  async nextKey(): Promise<string> {
    const there = keyIdOf(read(this.nextKeyFile) ?? '');
    if (there !== undefined) return there;
    const pem = await makeKey();
    this.#write(this.nextKeyFile, pem, KEY_MODE);
    return keyIdOf(pem) ?? '';
  }

  /** The certificate of the next key takes its place together with it. */
  install(pem: string): void {
    this.#write(this.#nextCertFile, pem, this.#options.certMode);
    this.finish();
  }

  /** What an installation that was cut off has left is brought to its end; true where there was something. */
  finish(): boolean {
    const cert = read(this.#nextCertFile);
    if (cert === undefined) return false;
    if (fits(cert, read(this.nextKeyFile))) {
      this.#rename(this.nextKeyFile, this.keyFile);
    } else if (!fits(cert, read(this.keyFile))) {
      // Of no key that is here.
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

  /** Two may finish at once, the renewal and the start of the agent: what is gone has been moved by the other. */
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
