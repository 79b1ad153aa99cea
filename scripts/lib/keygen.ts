/** Makes a pair of ed25519 keys: for an authority, for who may let a box go on, or for who signs releases. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { AgentError, messageOf } from '../../agent/base/errors.ts';
import { print } from '../../agent/cli/print.ts';
import { keyIdOf } from '../../agent/orders/dsse.ts';

/** @param pemOf the private key as it is to lie on the disk; default: not encrypted */
export function keygen(file: string, pemOf: (key: KeyObject) => string = plainPem): void {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeNew(file, pemOf(privateKey), 0o600);
  writeNew(`${file}.pub`, publicKey.export({ type: 'spki', format: 'pem' }).toString(), 0o644);
  const line = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  print(
    `${file}: private key, for its holder alone; it goes on no box`,
    `${file}.pub: public key`,
    `publicKey: ${line}`,
    `fingerprint: ${keyIdOf(publicKey)}`,
  );
}

const plainPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

function writeNew(file: string, text: string, mode: number): void {
  try {
    writeFileSync(file, text, { mode, flag: 'wx' });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    let why = `cannot be written: ${messageOf(error)}`;
    if (code === 'EEXIST') why = 'exists; a key is never written over';
    // Not made here: it would be a folder of the machine where a stick should have been.
    if (code === 'ENOENT') why = 'its folder is not there; make it, or plug in the stick, first';
    throw new AgentError('config', `${file}: ${why}`, error);
  }
}
