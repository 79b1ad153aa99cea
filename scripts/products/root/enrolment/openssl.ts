/**
 * Makes and reads keys, requests and certificates with the openssl command, since Node makes no PKCS #10 and reads no
 * PKCS #7.
 */
import { execFile } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentError } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';

const OPENSSL_WITHIN_MS = 20_000;
const OUTPUT_BYTES_MAX = 256 * 1024;
/** Maximum number of certificates: the box's own, and those between it and the authority. */
const CHAIN_MAX = 8;

/** @throws AgentError `unavailable`, with openssl's own reason */
export function openssl(args: readonly string[], input: Uint8Array | string = ''): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const limits = { encoding: 'buffer', timeout: OPENSSL_WITHIN_MS, maxBuffer: OUTPUT_BYTES_MAX } as const;
    const child = execFile('openssl', args, limits, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const lines = stderr.toString().trim().split('\n');
      // verify(1) prints the reason in a line of its own, and last that it failed.
      const errorLine = lines.find((line) => /^error \d+ at/.test(line)) ?? lines.at(-1) ?? '';
      const reason = errorLine === '' ? error.message : errorLine;
      reject(new AgentError('unavailable', `openssl ${args[0] ?? ''}: ${printable(reason)}`, error));
    });
    // A command that ends without reading its input is reported by its exit code.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

/** Returns the PEM of a new private key: EC on P-256, which every TLS 1.3 peer supports (RFC 8446, 9.1). */
export async function makeKey(): Promise<string> {
  const pem = await openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']);
  return pem.toString();
}

/** Returns a certificate request (PKCS #10, DER). `host` is added to the subject alternative names. */
export function makeRequest(keyFile: string, commonName: string, host?: string): Promise<Buffer> {
  const names = host === undefined ? [] : ['-addext', `subjectAltName=DNS:${host}`];
  const subject = ['-subj', `/CN=${commonName}`, '-outform', 'DER'];
  return openssl(['req', '-new', '-key', keyFile, ...subject, ...names]);
}

/**
 * Returns the SHA-256 of the public key (SubjectPublicKeyInfo) of a private key or certificate in PEM form; undefined
 * for other text.
 */
export function keyIdOf(pem: string): string | undefined {
  try {
    const key = pem.includes('PRIVATE KEY')
      ? createPublicKey(createPrivateKey(pem))
      : new X509Certificate(pem).publicKey;
    return createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest('hex');
  } catch {
    return undefined;
  }
}

export interface ExpectedCertificate {
  /** Expected key, in the form of keyIdOf. */
  readonly keyId: string;
  readonly commonName: string;
  /** Name that a browser requests, for a server's certificate. */
  readonly host?: string;
  readonly caFile: string;
}

export interface Issued {
  /** The certificate, then those between it and the authority. */
  readonly pem: string;
  readonly notAfter: Date;
}

/**
 * Returns the issued certificate from a response: base64 of a PKCS #7 without signatures (RFC 7030, 4.2.3).
 * @throws AgentError `corrupt` for anything but a certificate of our key, our name and our authority
 */
export async function issuedFrom(body: string, target: ExpectedCertificate): Promise<Issued> {
  const refusal = (detail: string, cause?: unknown): AgentError =>
    new AgentError('corrupt', `the room’s answer is refused: ${detail}`, cause);
  const plain = body.replace(/\s+/g, '');
  if (plain === '') throw refusal('the answer is empty; must be a certificate (PKCS #7, base64)');
  const certificates = await certificatesIn(plain).catch((error: unknown) => {
    throw refusal('it does not contain a certificate (PKCS #7, base64)', error);
  });
  const own = certificates.find(({ pem }) => keyIdOf(pem) === target.keyId);
  if (own === undefined) throw refusal('its certificate is for another key than this box’s');
  const { x509 } = own;
  if (x509.subject !== `CN=${target.commonName}`) {
    throw refusal(
      `its certificate is for ${printable(x509.subject.replaceAll('\n', ', '), 80)}; must be for CN=${target.commonName}`,
    );
  }
  if (target.host !== undefined && x509.checkHost(target.host) === undefined) {
    throw refusal(`its certificate is not for the host ${target.host}`);
  }
  const between = certificates.filter((one) => one !== own && one.x509.subject !== one.x509.issuer);
  await verifyChain(own.pem, between.map(({ pem }) => pem).join(''), target).catch((error: unknown) => {
    const reason = error instanceof AgentError ? error.message : 'unknown';
    throw refusal(`its certificate is not good for pki/ca.crt (${reason})`, error);
  });
  return { pem: [own, ...between].map(({ pem }) => pem).join(''), notAfter: new Date(x509.validTo) };
}

async function certificatesIn(base64: string): Promise<{ pem: string; x509: X509Certificate }[]> {
  const text = await openssl(['pkcs7', '-inform', 'DER', '-print_certs'], Buffer.from(base64, 'base64'));
  const blocks = text.toString().match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g) ?? [];
  if (blocks.length === 0 || blocks.length > CHAIN_MAX) throw new AgentError('corrupt', 'no chain');
  return blocks.map((pem) => ({ pem, x509: new X509Certificate(pem) }));
}

/**
 * Verifies the chain with openssl, including dates, uses and intermediate certificates. Only our authority is trusted.
 */
async function verifyChain(
  pem: string,
  between: string,
  { caFile, host }: ExpectedCertificate,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-chain-'));
  try {
    const untrusted = join(dir, 'between.pem');
    writeFileSync(untrusted, between);
    const trust = ['-CAfile', caFile, '-no-CApath', '-no-CAstore'];
    const purpose = ['-purpose', host === undefined ? 'sslclient' : 'sslserver'];
    await openssl(
      ['verify', ...trust, ...purpose, ...(between === '' ? [] : ['-untrusted', untrusted])],
      pem,
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
