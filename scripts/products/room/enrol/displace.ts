/**
 * Ends the connection of a client at the broker: connects under its name, which displaces it, and disconnects. The
 * broker takes the client identifier from the certificate, so this needs the authority that issued the client's.
 */
import { systemClock } from '../../../../agent/base/clock.ts';
import { openSession } from '../../../../agent/mqtt/session.ts';
import type { Authority } from './authority.ts';
import { newRequest } from './issue.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const KEEPALIVE_S = 30;
const END_MS = 1000;
/** Lifetime of the certificate in days: five minutes. It is in no store and no file. */
const DAYS = 5 / 1440;

export interface Displacement {
  /** Issues certificates for the client's port. */
  readonly authority: Authority;
  /** CN of the client. */
  readonly name: string;
  /** The client's port at the broker. */
  readonly url: string;
  /** PEM file of the authority of the broker's certificate. */
  readonly ca: Buffer;
}

/** @throws {DeliveryError} if the broker cannot be used */
export async function displace(
  { authority, name, url, ca }: Displacement,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const { key, csr } = newRequest(name);
  const { pem } = authority.issue(csr, { use: 'client', commonName: name, days: DAYS }, Date.now());
  const session = await openSession(
    {
      config: { url, ack: 'broker' },
      credentials: { ca, cert: Buffer.from(pem), key: Buffer.from(key), certificate: undefined },
      clientId: name,
      keepaliveS: KEEPALIVE_S,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      clock: systemClock,
      onMessage: () => undefined,
    },
    signal,
  );
  await session.end(END_MS);
}
