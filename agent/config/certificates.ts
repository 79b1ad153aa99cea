/**
 * Checks the content of the PEM files: each has the expected type, they match each other, and they belong to this box.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { displayValue, type Path } from './problem.ts';
import type { ValidationError } from './shape.ts';

/** Maximum size in bytes; a chain of certificates takes some kB. */
const PEM_BYTES_MAX = 256 * 1024;

const RIGHT = {
  ca: 'must be the certificate of the broker’s authority',
  cert: 'must be the certificate of this box',
  key: 'must be this box’s private key in PEM form, without a passphrase',
} as const;

type Name = keyof typeof RIGHT;

export type CertificateFiles = Readonly<Partial<Record<Name, string>>>;

/**
 * Returns the validation errors. `files` are readable; an absent one is not checked. `box` is undefined if its name is
 * itself invalid.
 */
export function certificateErrors(box: string | undefined, files: CertificateFiles): ValidationError[] {
  const validationErrors: ValidationError[] = [];
  const addError = (name: Name, message: string): void => {
    const path: Path = ['mqtt', name];
    validationErrors.push({ path, at: 'value', found: displayValue(files[name], path), message });
  };
  const read = <T>(name: Name, open: (pem: string) => T): T | undefined => {
    const file = files[name];
    if (file === undefined) return undefined;
    const pem = tryOpen(() => (statSync(file).size > PEM_BYTES_MAX ? null : readFileSync(file, 'utf8')));
    if (typeof pem !== 'string') {
      const problem = `is larger than ${PEM_BYTES_MAX / 1024} KiB; use a PEM file`;
      addError(name, pem === null ? problem : `cannot be read; ${RIGHT[name]}`);
      return undefined;
    }
    const result = tryOpen(() => open(pem));
    if (result === undefined) addError(name, `${whatInstead(name, pem)}; ${RIGHT[name]}`);
    else if (name === 'ca' && holdsKey(pem)) {
      addError(name, `holds a private key too, which belongs on no box; ${RIGHT.ca} alone`);
    }
    return result;
  };
  read('ca', (pem) => new X509Certificate(pem));
  const certificate = read('cert', (pem) => new X509Certificate(pem));
  const key = read('key', (pem): KeyObject => createPrivateKey(pem));
  if (certificate === undefined) return validationErrors;
  if (key !== undefined && !certificate.checkPrivateKey(key)) {
    addError('key', `does not belong to the certificate ${files.cert ?? ''} (mqtt.cert)`);
  }
  const name = commonName(certificate);
  if (box !== undefined && name !== box) {
    const owner = name === undefined ? 'has no common name' : `is the certificate of ${name}`;
    addError('cert', `${owner}; must be one with the CN of \`box\`, ${box}`);
  }
  return validationErrors;
}

/** Returns undefined on an exception, because messages of the system and the library suggest no fix. */
function tryOpen<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
}

function whatInstead(name: Name, pem: string): string {
  if (name === 'key') return 'does not contain a usable private key';
  return holdsKey(pem) ? 'is a private key' : 'does not contain a certificate in PEM form';
}

function holdsKey(pem: string): boolean {
  return /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/.test(pem);
}

/** Returns the name if it has the form of a box's name, otherwise a placeholder: a certificate's text is untrusted. */
function commonName(certificate: X509Certificate): string | undefined {
  const name = certificate.subject
    ?.split('\n')
    .find((line) => line.startsWith('CN='))
    ?.slice(3);
  if (name === undefined || /^[A-Za-z0-9 ._-]{1,64}$/.test(name)) return name;
  return 'another name';
}
