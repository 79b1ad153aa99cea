/**
 * Reads the box's certificate, key and the room's authority again for each connection, so that renewal needs no
 * restart.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import type { MqttConfig } from '../contract/config.ts';

export interface Credentials {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** The box's certificate as read; undefined if none is configured. */
  readonly certificate: X509Certificate | undefined;
}

/** Time in ms before a second attempt. Renewal moves the key, then the certificate; in between they do not match. */
const SETTLED_MS = 250;

/** Reads the credentials like readCredentials, and once more if they do not match. */
export async function settledCredentials(
  config: MqttConfig,
  clock: Pick<Clock, 'sleep'>,
  signal: AbortSignal,
): Promise<Credentials> {
  try {
    return readCredentials(config);
  } catch (error) {
    if (!(error instanceof AgentError) || config.key === undefined) throw error;
    await clock.sleep(SETTLED_MS, signal);
    return readCredentials(config);
  }
}

/**
 * Reads the credentials.
 * @throws AgentError `config` with the file and the accepted content
 */
export function readCredentials(config: MqttConfig): Credentials {
  const { ca, cert, key } = config;
  if ((cert === undefined) !== (key === undefined)) {
    throw new AgentError('config', 'mqtt.cert and mqtt.key go together; give both or neither');
  }
  const certificate = cert === undefined ? undefined : { pem: readPem('mqtt.cert', cert), file: cert };
  const x509 = certificate && certificateOf('mqtt.cert', certificate.file, certificate.pem);
  const authority = ca === undefined ? undefined : readPem('mqtt.ca', ca);
  if (ca !== undefined && authority !== undefined) certificateOf('mqtt.ca', ca, authority);
  const privateKey = key === undefined ? undefined : readPem('mqtt.key', key);
  if (x509 !== undefined && privateKey !== undefined && key !== undefined) {
    checkPair(x509, privateKey, key, certificate?.file ?? '');
  }
  return {
    certificate: x509,
    ...(authority && { ca: authority }),
    ...(certificate && { cert: certificate.pem }),
    ...(privateKey && { key: privateKey }),
  };
}

function readPem(name: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const message = `${name}: ${file} cannot be read (${messageOf(error)}); a PEM file readable by the agent is needed`;
    throw new AgentError('config', message, error);
  }
}

function certificateOf(name: string, file: string, pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new AgentError('config', `${name}: ${file} does not contain a certificate in PEM form`, error);
  }
}

function checkPair(certificate: X509Certificate, keyPem: Buffer, keyFile: string, certFile: string): void {
  let fits: boolean;
  try {
    fits = certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch (error) {
    const message = `mqtt.key: ${keyFile} does not contain a private key in PEM form without a passphrase`;
    throw new AgentError('config', message, error);
  }
  if (!fits) {
    throw new AgentError('config', `mqtt.key: ${keyFile} does not belong to the certificate ${certFile}`);
  }
}
