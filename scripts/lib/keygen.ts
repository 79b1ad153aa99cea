/** Creates a pair of ed25519 keys: for an authority, for a holder of a resume key, or for a signer of releases. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { AgentError, messageOf } from '../../agent/base/errors.ts';
import { print } from '../../agent/cli/print.ts';
import { keyIdOf } from '../../agent/orders/dsse.ts';

/** @param pemOf returns the private key in its form on the disk; by default not encrypted */
export function keygen(file: string, pemOf: (key: KeyObject) => string = plainPem): void {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeNew(file, pemOf(privateKey), 0o600);
  writeNew(`${file}.pub`, publicKey.export({ type: 'spki', format: 'pem' }).toString(), 0o644);
  const line = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  print(
    `${file}: private key, for its keyholder only; do not copy it to a box`,
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
    let problem = `cannot be written: ${messageOf(error)}`;
    if (code === 'EEXIST') problem = 'exists; a key is never written over';
    // The folder is not created here: it would be on this machine where a USB stick should have been.
    if (code === 'ENOENT') problem = 'its folder is not there; make it, or plug in the stick, first';
    throw new AgentError('config', `${file}: ${problem}`, error);
  }
}
