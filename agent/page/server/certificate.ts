/**
 * Key and certificate of the page. They are the room's, if it has placed a pair beside the setup code. Otherwise they
 * are the box's own, created at the first start, and the technician compares its fingerprint with the browser's.
 *
 * INVARIANTS:
 * - The own key never leaves the state folder, and no one else can read it.
 * - A pair that does not match is not used.
 * - `fingerprint.txt` belongs to the certificate in use.
 */
import { execFile } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeAtomically } from '../../base/atomic-file.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';

const run = promisify(execFile);

export const FINGERPRINT_FILE = 'fingerprint.txt';
const KEY_FILE = 'page.key';
const CERT_FILE = 'page.crt';
/** Days for which a box may stay in place; only the technician's comparison makes this certificate trusted. */
const OWN_DAYS = 3650;
const MAKE_WITHIN_MS = 30_000;
const FILE_BYTES_MAX = 65_536;

export interface CertificateOptions {
  readonly stateDir: string;
  /** Folder of the room's page.key and page.crt, if any. */
  readonly roomDir: string;
  /** Names and addresses under which the box is reached, for its own certificate. */
  readonly names: readonly string[];
  readonly log: Logger;
}

export interface KeyPair {
  readonly key: string;
  readonly cert: string;
}

export class Certificate {
  readonly #options: CertificateOptions;
  #seenMark = '';

  constructor(options: CertificateOptions) {
    this.#options = options;
  }

  /** Returns the pair to use from now on; undefined if nothing has changed. Throws `unavailable` if there is none. */
  async load(): Promise<KeyPair | undefined> {
    const { roomDir, log } = this.#options;
    const mark = this.#filesMark();
    if (mark === this.#seenMark) return undefined;
    const room = pairIn(roomDir);
    if (typeof room === 'string' && existsSync(join(roomDir, CERT_FILE)))
      log.warn({ reason: room }, 'the room’s certificate for the page cannot be used; the box shows its own');
    const pair = typeof room === 'string' ? await this.#own() : room;
    this.#seenMark = this.#filesMark();
    const { fingerprint256 } = new X509Certificate(pair.cert);
    const of = typeof room === 'string' ? 'own' : 'room';
    this.#note(`SHA-256 ${fingerprint256}\n`);
    log.info({ sha256: fingerprint256, of }, 'certificate of the page');
    return pair;
  }

  /** Writes the fingerprint for a person on the box. If the disk refuses, the page still works. */
  #note(text: string): void {
    const file = join(this.#options.stateDir, FINGERPRINT_FILE);
    try {
      writeAtomically(file, text, 0o644);
    } catch (error) {
      this.#options.log.warn({ reason: messageOf(error) }, 'the fingerprint cannot be written');
    }
  }

  async #own(): Promise<KeyPair> {
    const { stateDir } = this.#options;
    const storedPair = pairIn(stateDir);
    if (typeof storedPair !== 'string') return storedPair;
    await this.#make();
    const newPair = pairIn(stateDir);
    if (typeof newPair === 'string') throw new AgentError('unavailable', `${stateDir}: ${newPair}`);
    return newPair;
  }

  async #make(): Promise<void> {
    const { stateDir, names } = this.#options;
    const [key, cert] = [join(stateDir, KEY_FILE), join(stateDir, CERT_FILE)];
    const alternatives = names.map((name) => `${isIP(name) === 0 ? 'DNS' : 'IP'}:${name}`).join(',');
    const options = [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-sha256'],
      ...['-days', String(OWN_DAYS), '-subj', `/CN=${(names[0] ?? 'vigie').slice(0, 64)}`],
      ...['-addext', `subjectAltName=${alternatives}`],
      ...['-addext', 'extendedKeyUsage=serverAuth', '-addext', 'keyUsage=critical,digitalSignature'],
      ...['-keyout', `${key}.new`, '-out', `${cert}.new`],
    ];
    try {
      for (const file of [key, cert]) rmSync(`${file}.new`, { force: true });
      await run('openssl', options, { timeout: MAKE_WITHIN_MS });
      chmodSync(`${key}.new`, 0o600);
      // A cut between the two leaves a pair that does not match, and another is created.
      renameSync(`${key}.new`, key);
      renameSync(`${cert}.new`, cert);
    } catch (error) {
      const fix = 'openssl(1) must be installed and the state folder writable';
      throw new AgentError('unavailable', `no certificate for the page: ${messageOf(error)}; ${fix}`, error);
    }
  }

  #filesMark(): string {
    const { stateDir, roomDir } = this.#options;
    return [roomDir, stateDir]
      .flatMap((dir) => [join(dir, KEY_FILE), join(dir, CERT_FILE)])
      .map((file) => {
        const stat = statSync(file, { throwIfNoEntry: false });
        return stat === undefined ? '-' : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
      })
      .join('\n');
  }
}

/** Returns the pair, or the reason why there is none. */
function pairIn(dir: string): KeyPair | string {
  const [keyFile, certFile] = [join(dir, KEY_FILE), join(dir, CERT_FILE)];
  try {
    for (const file of [keyFile, certFile])
      if (statSync(file).size > FILE_BYTES_MAX) return `${file} is larger than ${FILE_BYTES_MAX} bytes`;
    const [key, cert] = [readFileSync(keyFile, 'utf8'), readFileSync(certFile, 'utf8')];
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return { key, cert };
    return `${keyFile} is not the key of ${certFile}`;
  } catch (error) {
    return messageOf(error);
  }
}
