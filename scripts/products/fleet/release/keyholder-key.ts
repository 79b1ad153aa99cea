/**
 * Reads and writes the encrypted private keys of keyholders (root, targets): PKCS #8 with PBES2, scrypt and AES-256-CBC
 * (RFC 8018, RFC 7914). `openssl pkcs8` writes and reads this format too.
 *
 * INVARIANT: an unencrypted keyholder's key is never used to sign.
 */
import { createCipheriv, createPrivateKey, type KeyObject, randomBytes, scryptSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { openToOthers } from '../../../../agent/base/private-file.ts';

/**
 * Cost of one guess: 16 MiB of memory and about 0.7 s of CPU time. N and r are the maximum that OpenSSL reads (32 MiB).
 * p is three times the value in OWASP's Password Storage Cheat Sheet for that N (5).
 */
const SCRYPT = { N: 16_384, r: 8, p: 16 } as const;
const SALT_BYTES = 16;
const IV_BYTES = 16;
const KEY_BYTES = 32;
/** Memory limit for scrypt; these parameters touch node's own limit of 32 MiB. */
const MEMORY_BYTES_MAX = 67_108_864;
/**
 * DER of pkcs5-pbes2 (1.2.840.113549.1.5.13), id-scrypt (1.3.6.1.4.1.11591.4.11), aes256-CBC (2.16.840.1.101.3.4.1.42).
 */
const OID = {
  pbes2: Buffer.from('06092a864886f70d01050d', 'hex'),
  scrypt: Buffer.from('06092b06010401da47040b', 'hex'),
  aes256Cbc: Buffer.from('060960864801650304012a', 'hex'),
} as const;
const [INTEGER, OCTET_STRING, SEQUENCE] = [0x02, 0x04, 0x30] as const;
const LABEL = 'ENCRYPTED PRIVATE KEY';

/** Returns the PEM of a private key that only this passphrase opens. */
export function encryptedPem(key: KeyObject, passphrase: string): string {
  const [salt, iv] = [randomBytes(SALT_BYTES), randomBytes(IV_BYTES)];
  const secret = scryptSync(passphrase, salt, KEY_BYTES, { ...SCRYPT, maxmem: MEMORY_BYTES_MAX });
  const cipher = createCipheriv('aes-256-cbc', secret, iv);
  const plain = key.export({ type: 'pkcs8', format: 'der' });
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()]);
  const cost = [der(OCTET_STRING, salt), integer(SCRYPT.N), integer(SCRYPT.r), integer(SCRYPT.p)];
  const derivation = der(SEQUENCE, OID.scrypt, der(SEQUENCE, ...cost));
  const encryption = der(SEQUENCE, OID.aes256Cbc, der(OCTET_STRING, iv));
  const algorithm = der(SEQUENCE, OID.pbes2, der(SEQUENCE, derivation, encryption));
  const content = der(SEQUENCE, algorithm, der(OCTET_STRING, encrypted)).toString('base64');
  return `-----BEGIN ${LABEL}-----\n${content.replace(/.{1,64}/g, '$&\n')}-----END ${LABEL}-----\n`;
}

export interface LockedKey {
  readonly file: string;
  readonly pem: string;
}

/**
 * Reads a keyholder's key without opening it. Throws AgentError `config` if it is not encrypted, or readable by others.
 */
export function readLockedKey(file: string): LockedKey {
  let pem: string;
  try {
    pem = readFileSync(file, 'utf8');
  } catch (error) {
    throw new AgentError('config', `--key: ${file} cannot be read (${messageOf(error)})`, error);
  }
  const open = openToOthers(file);
  if (open !== undefined) throw new AgentError('config', `--key: ${open}`);
  if (pem.includes(`-----BEGIN ${LABEL}-----`)) return { file, pem };
  if (!pem.includes('PRIVATE KEY-----'))
    throw new AgentError(
      'config',
      `--key: ${file} does not contain a private key in PEM form; make one with \`fleet release keygen\``,
    );
  throw new AgentError('config', `--key: ${file} is not encrypted; ${encryptLine(file)}`);
}

/** Opens a key. Throws AgentError `denied` for a wrong passphrase, `config` for a key of another type. */
export function unlockKey({ file, pem }: LockedKey, passphrase: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, passphrase });
  } catch (error) {
    throw new AgentError('denied', `--key: ${file} does not open with this passphrase; try again`, error);
  }
  if (key.asymmetricKeyType === 'ed25519') return key;
  throw new AgentError(
    'config',
    `--key: ${file} is a key of type ${key.asymmetricKeyType}; it must be ed25519`,
  );
}

function encryptLine(file: string): string {
  return `encrypt it, then destroy the old file: openssl pkcs8 -topk8 -scrypt -scrypt_p ${SCRYPT.p} -in ${file} -out ${file}.new`;
}

/** Returns one ASN.1 element; the content written here has less than 256 bytes. */
function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([
    Buffer.from(body.length < 128 ? [tag, body.length] : [tag, 0x81, body.length]),
    body,
  ]);
}

function integer(value: number): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  // The highest bit is the sign.
  return der(INTEGER, (bytes[0] ?? 0) < 128 ? bytes : Buffer.concat([Buffer.from([0]), bytes]));
}
