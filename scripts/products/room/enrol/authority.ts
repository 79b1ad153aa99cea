/**
 * Defines the certificate authority and its default implementation: a key in a folder and the openssl command. Another
 * authority (a hardware module, a company's own) is another class with the same three members.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';

const DAY_MS = 86_400_000;
const OPENSSL_WITHIN_MS = 10_000;
const CA_DAYS = 3650;
/** A box without a battery may be a day behind and must still accept the certificate. */
const BACKDATED_MS = DAY_MS;

export interface Profile {
  readonly use: 'client' | 'server';
  readonly commonName: string;
  /** Subject alternative names: DNS:… or IP:… */
  readonly names?: readonly string[];
  readonly days: number;
}

export interface Issued {
  /** Hexadecimal, capitals, no leading zero. */
  readonly serial: string;
  readonly pem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface Revoked {
  readonly serial: string;
  readonly notAfterMs: number;
  readonly revokedMs: number;
}

export interface Authority {
  /** The authority's own certificate, PEM. */
  readonly certificate: string;
  /**
   * Signs the key of a request (PKCS #10, DER) under the profile's name, whatever the request says. Synchronous, so
   * that the caller can use up the token in the same transaction.
   * @throws {AgentError} `unavailable`
   */
  issue(csr: Uint8Array, profile: Profile, nowMs: number): Issued;
  /** Returns the revocation list, PEM. */
  crl(revoked: readonly Revoked[], nowMs: number): string;
}

export class OpensslAuthority implements Authority {
  readonly #dir: string;

  /** `dir` holds ca.key and ca.crt. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Creates key and certificate if both are missing, and returns true if so. An existing authority is kept. */
  static make(dir: string, name: string): boolean {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const [key, cert] = [join(dir, 'ca.key'), join(dir, 'ca.crt')];
    if (existsSync(key) !== existsSync(cert)) {
      throw new AgentError('config', `${dir}: ca.key and ca.crt go together; one of them is missing`);
    }
    if (existsSync(key)) return false;
    const pem = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']);
    writeAtomically(key, pem, 0o600);
    const subject = `/CN=${name.replace(/[/+\\]/g, ' ')}`;
    const uses = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
    writeAtomically(
      cert,
      openssl(['req', '-x509', '-new', '-key', key, '-days', String(CA_DAYS), '-subj', subject, ...uses]),
      0o644,
    );
    return true;
  }

  get certificate(): string {
    try {
      return readFileSync(this.#caFile, 'utf8');
    } catch (error) {
      throw new AgentError('config', `${this.#caFile}: cannot be read; make the authority with init`, error);
    }
  }

  issue(csr: Uint8Array, { use, commonName, names = [], days }: Profile, nowMs: number): Issued {
    const endMs = Date.parse(new X509Certificate(this.certificate).validTo);
    const notAfterMs = Math.min(nowMs + days * DAY_MS, endMs);
    const notBeforeMs = nowMs - BACKDATED_MS;
    // 127 random bits: positive (RFC 5280, 4.1.2.2), without a leading zero.
    const bytes = randomBytes(16);
    bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f);
    const serial = bytes.toString('hex').toUpperCase();
    const extensions = [
      'basicConstraints=critical,CA:FALSE',
      'keyUsage=critical,digitalSignature',
      `extendedKeyUsage=${use}Auth`,
      'subjectKeyIdentifier=hash',
      'authorityKeyIdentifier=keyid',
      ...(names.length === 0 ? [] : [`subjectAltName=${names.join(',')}`]),
    ];
    const pem = inFolder((dir) => {
      writeFileSync(join(dir, 'ext'), `${extensions.join('\n')}\n`);
      writeFileSync(join(dir, 'csr.der'), csr);
      return openssl([
        ...['x509', '-req', '-inform', 'DER', '-in', join(dir, 'csr.der'), '-CA', this.#caFile],
        ...['-CAkey', this.#keyFile, '-set_serial', `0x${serial}`, '-extfile', join(dir, 'ext')],
        ...['-set_subject', `/CN=${commonName}`],
        ...['-not_before', asn1Time(notBeforeMs), '-not_after', asn1Time(notAfterMs)],
      ]);
    });
    return { serial, pem, notBeforeMs, notAfterMs };
  }

  /**
   * Valid until the authority itself expires. Mosquitto refuses all boxes once the list has expired; after each
   * revocation it reads a new file.
   */
  crl(revoked: readonly Revoked[], nowMs: number): string {
    const end = asn1Time(Date.parse(new X509Certificate(this.certificate).validTo));
    return inFolder((dir) => {
      const row = ({ serial, notAfterMs, revokedMs }: Revoked): string =>
        `R\t${utcTime(notAfterMs)}\t${utcTime(revokedMs)}\t${serial}\tunknown\t/CN=revoked\n`;
      writeFileSync(join(dir, 'index'), revoked.map(row).join(''));
      writeFileSync(join(dir, 'number'), `${Math.floor(nowMs).toString(16).padStart(12, '0')}\n`);
      const config = [
        '[ca]',
        'default_ca=own',
        '[own]',
        `database=${join(dir, 'index')}`,
        `crlnumber=${join(dir, 'number')}`,
        'default_md=sha256',
        'crl_extensions=extensions',
        '[extensions]',
        'authorityKeyIdentifier=keyid',
      ];
      writeFileSync(join(dir, 'config'), `${config.join('\n')}\n`);
      const dates = ['-crl_lastupdate', asn1Time(nowMs - BACKDATED_MS), '-crl_nextupdate', end];
      const authority = ['-cert', this.#caFile, '-keyfile', this.#keyFile];
      return openssl(['ca', '-gencrl', '-config', join(dir, 'config'), ...authority, ...dates]);
    });
  }

  get #caFile(): string {
    return join(this.#dir, 'ca.crt');
  }

  get #keyFile(): string {
    return join(this.#dir, 'ca.key');
  }
}

/** Formats a time as YYYYMMDDHHMMSSZ. */
function asn1Time(ms: number): string {
  return `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
}

/** Formats a time with a two-digit year up to 2049, as in the index of openssl ca(1) (RFC 5280, 4.1.2.5). */
function utcTime(ms: number): string {
  const time = asn1Time(ms);
  return time < '2050' ? time.slice(2) : time;
}

function inFolder<T>(work: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-authority-'));
  try {
    return work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function openssl(args: readonly string[]): string {
  try {
    return execFileSync('openssl', args, {
      encoding: 'utf8',
      timeout: OPENSSL_WITHIN_MS,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    throw new AgentError('unavailable', `openssl ${args[0] ?? ''} failed: ${messageOf(error)}`, error);
  }
}
