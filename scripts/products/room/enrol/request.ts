/** Validates a signing request from the network with the openssl command: its signature, its name and its key. */
import { execFile } from 'node:child_process';
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';

const OPENSSL_WITHIN_MS = 10_000;

/**
 * Offset of the EC point in a public key on P-256 or P-384 with a named curve, by length of the key in bytes (RFC 5480,
 * 2.1.1). A key with explicit curve parameters is longer, and Node reports it under the name of the curve it resembles.
 */
const POINT_AT: ReadonlyMap<number, number> = new Map([
  [91, 26],
  [120, 23],
]);

/** First byte of an uncompressed point (SEC 1, 2.3.3). A key in two encodings would have two hashes. */
const UNCOMPRESSED = 4;

export interface SigningRequest {
  /** DER. */
  readonly csr: Uint8Array;
  readonly commonName: string;
  /** SHA-256 of the public key, hexadecimal. */
  readonly key: string;
}

/**
 * Reads a PKCS #10 in base64 (RFC 7030, 4.2.1).
 * @throws {AgentError} `corrupt` with a reason in our own words
 */
export async function readRequest(body: string): Promise<SigningRequest> {
  const plain = body.replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(plain)) throw new AgentError('corrupt', 'must be a PKCS #10 in base64');
  const csr = Buffer.from(plain, 'base64');
  const output = await openssl(
    [
      'req',
      '-inform',
      'DER',
      '-verify',
      '-noout',
      '-pubkey',
      '-subject',
      '-nameopt',
      'RFC2253,sep_multiline',
    ],
    csr,
  );
  // Ensures that the bytes signed later are those validated here, whatever program parses them.
  if (!(await openssl(['req', '-inform', 'DER', '-outform', 'DER'], csr)).equals(csr))
    throw new AgentError('corrupt', 'must be one PKCS #10 in DER, with no bytes behind it');
  const [, names = ''] = output.toString().split(/^subject=/m);
  const commonName = /^\s*CN=([a-z0-9.-]{1,64})\s*$/.exec(names)?.[1];
  if (commonName === undefined) throw new AgentError('corrupt', 'the subject must be CN=<box> and no more');
  const key = publicKeyIn(output.toString());
  const spki = key.export({ type: 'spki', format: 'der' });
  if (!isStrong(key) || spki[POINT_AT.get(spki.length) ?? spki.length] !== UNCOMPRESSED)
    throw new AgentError('corrupt', 'the key must be EC on P-256 or P-384 by its name, not compressed');
  return { csr, commonName, key: createHash('sha256').update(spki).digest('hex') };
}

/** Returns a certs-only message, DER in base64 (RFC 7030, 4.1.3). */
export async function certsOnly(pem: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'vigie-answer-'));
  try {
    // A file, not standard input: openssl would open that by name, and it is a socket here.
    const file = join(dir, 'certificates.pem');
    await writeFile(file, pem);
    const der = await openssl(['crl2pkcs7', '-nocrl', '-outform', 'DER', '-certfile', file], '');
    return `${der.toString('base64').replace(/(.{76})/g, '$1\r\n')}\r\n`;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function publicKeyIn(text: string): KeyObject {
  try {
    return createPublicKey(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/.exec(text)?.[0] ?? '');
  } catch (error) {
    throw new AgentError('corrupt', 'its key cannot be read', error);
  }
}

/**
 * Excludes Ed25519: anyone can forge signatures for some of its keys (those of small order), and openssl accepts them.
 */
function isStrong({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  const curve = asymmetricKeyDetails?.namedCurve ?? '';
  return asymmetricKeyType === 'ec' && ['prime256v1', 'secp384r1'].includes(curve);
}

function openssl(args: readonly string[], input: Uint8Array | string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { encoding: 'buffer', timeout: OPENSSL_WITHIN_MS, maxBuffer: 256 * 1024 } as const;
    const child = execFile('openssl', args, options, (error, stdout) => {
      if (error === null) return resolve(stdout);
      // openssl ran and rejected the input.
      if (args[0] === 'req' && typeof error.code === 'number') {
        return reject(
          new AgentError('corrupt', 'not a certificate request (PKCS #10) with a valid signature', error),
        );
      }
      reject(new AgentError('unavailable', `openssl ${args[0] ?? ''}: ${messageOf(error)}`, error));
    });
    // With invalid input it may exit before it has read everything.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
