/**
 * A small certificate authority for demos, tests and first trials, made by openssl(1): mTLS for one broker and any
 * number of clients. Not for production, where the room has its own.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AgentError, messageOf } from '../../agent/base/errors.ts';

const run = promisify(execFile);

export interface KeyPair {
  /** PEM files. */
  readonly cert: string;
  readonly key: string;
}

/** The broker's own certificate, and the authorities of its clients. */
export interface BrokerTls extends KeyPair {
  /** Authority of the boxes, which also issued the broker's certificate. */
  readonly ca: string;
  /** Authority of the room's programs. */
  readonly programsCa: string;
  /** Revoked certificates of boxes; none if absent. */
  readonly crl?: string;
  readonly programsCrl?: string;
}

export interface Validity {
  /** Start of validity, YYYYMMDDHHMMSSZ. By default it is valid for 30 days from now. */
  readonly notBefore?: string;
  readonly notAfter?: string;
}

export class CertificateAuthority {
  readonly #dir: string;
  readonly #name: string;

  /** `dir` receives every file; each authority has a folder of its own. */
  constructor(dir: string, name = 'vigie demo authority') {
    this.#dir = dir;
    this.#name = name;
  }

  /** PEM file of the authority itself. */
  get ca(): string {
    return join(this.#dir, 'ca.crt');
  }

  /** Makes the authority's key and certificate. */
  async start(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await openssl(
      ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '30', '-subj', `/CN=${this.#name}`],
      ['-keyout', join(this.#dir, 'ca.key'), '-out', this.ca],
    );
  }

  /** Issues a certificate for a broker on this machine. */
  broker(): Promise<KeyPair> {
    return this.#issue('broker', 'localhost', {}, [
      'extendedKeyUsage=serverAuth',
      'subjectAltName=DNS:localhost,IP:127.0.0.1',
    ]);
  }

  /** Issues a certificate for a box or a program of the room. The broker takes the CN as the user's name. */
  client(name: string, validity: Validity = {}): Promise<KeyPair> {
    return this.#issue(name, name, validity, ['extendedKeyUsage=clientAuth']);
  }

  async #issue(
    file: string,
    commonName: string,
    { notBefore, notAfter }: Validity,
    extensions: readonly string[],
  ): Promise<KeyPair> {
    const path = (suffix: string): string => join(this.#dir, `${file}.${suffix}`);
    const pair = { cert: path('crt'), key: path('key') };
    await writeFile(path('ext'), extensions.join('\n'));
    await openssl(
      ['req', '-new', '-newkey', 'ed25519', '-nodes', '-subj', `/CN=${commonName}`],
      ['-keyout', pair.key, '-out', path('csr')],
    );
    await openssl(
      ['x509', '-req', '-in', path('csr'), '-CA', this.ca, '-CAkey', join(this.#dir, 'ca.key')],
      ['-extfile', path('ext'), '-out', pair.cert],
      notBefore === undefined ? [] : ['-not_before', notBefore],
      notAfter === undefined ? ['-days', '30'] : ['-not_after', notAfter],
    );
    return pair;
  }
}

/** The two authorities of a room: one signs the boxes and the broker, the other the room's programs. */
export class RoomAuthorities {
  readonly boxes: CertificateAuthority;
  readonly programs: CertificateAuthority;

  constructor(dir: string) {
    this.boxes = new CertificateAuthority(join(dir, 'boxes'));
    this.programs = new CertificateAuthority(join(dir, 'programs'), 'vigie demo programs');
  }

  async start(): Promise<void> {
    await Promise.all([this.boxes.start(), this.programs.start()]);
  }

  /** Issues the files of a broker on this machine. */
  async brokerTls(): Promise<BrokerTls> {
    return { ...(await this.boxes.broker()), ca: this.boxes.ca, programsCa: this.programs.ca };
  }
}

async function openssl(...parts: readonly string[][]): Promise<void> {
  try {
    await run('openssl', parts.flat());
  } catch (error) {
    throw new AgentError('unavailable', `openssl failed (is it installed?): ${messageOf(error)}`, error);
  }
}
