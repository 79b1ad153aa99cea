/**
 * Renews a certificate before it expires, with a new key, and authenticates with the old certificate. Also renews the
 * certificate of the technician's page.
 *
 * INVARIANTS: the old pair stays until the new one is checked and on disk.
 *
 * LIMITS: one request for each certificate per run. The timer runs daily, and a third of the certificate's lifetime is
 * left.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { messageOf } from '../../../../agent/base/errors.ts';
import { type ClockOptions, raiseToRoom } from './box-clock.ts';
import type { CertificatePair } from './certificate-pair.ts';
import { isExternalError } from './enrol.ts';
import type { EnrolFiles, EnrolRecord } from './enrol-files.ts';
import { askRoom, EST, type EstAnswer } from './est-client.ts';
import { type Issued, issuedFrom, makeRequest } from './openssl.ts';

/**
 * Ratio of the lifetime after which a renewal is due. A third is left in case the room is unreachable (RFC 9773 and
 * ACME clients renew at two thirds as well).
 */
const DUE_RATIO = 2 / 3;

export interface RenewOptions {
  readonly files: EnrolFiles;
  readonly boxClock: ClockOptions;
  readonly signal: AbortSignal;
  /** Renew regardless of age. */
  readonly force?: boolean;
}

export type Renewal =
  | { readonly state: 'renewed'; readonly notAfter: Date }
  /** `reason` is one line. */
  | { readonly state: 'refused' | 'unavailable'; readonly reason: string };

/** Renews the box's certificate; undefined if there is none to renew, or if it is not due. */
export async function renewBox(options: RenewOptions): Promise<Renewal | undefined> {
  const { files } = options;
  const pair = files.box();
  pair.finish();
  const record = files.record();
  const { certificate } = pair;
  if (record === undefined || certificate === undefined) return undefined;
  if (options.force !== true && !isDue(certificate)) return undefined;
  return ask(options, record, { pair, path: EST.renew, commonName: record.box });
}

/** Renews the page's certificate, authenticated by the box's. Undefined if there is nothing to do. */
export async function renewPage(options: RenewOptions): Promise<Renewal | undefined> {
  const { files } = options;
  const record = files.record();
  if (record === undefined || files.box().certificate === undefined) return undefined;
  const pair = files.page();
  pair.finish();
  const { certificate } = pair;
  if (certificate !== undefined && !isDue(certificate)) return undefined;
  const host = `${record.box}.local`;
  return ask(options, record, { pair, path: EST.page, commonName: host, host });
}

/** Returns when the box's certificate expires; undefined if it has none. */
export function endOf(files: EnrolFiles): Date | undefined {
  const { certificate } = files.box();
  return certificate === undefined ? undefined : new Date(new X509Certificate(certificate).validTo);
}

function isDue(pem: string): boolean {
  const { validFrom, validTo } = new X509Certificate(pem);
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  return Date.now() >= from + (to - from) * DUE_RATIO;
}

interface RenewRequest {
  readonly pair: CertificatePair;
  readonly path: typeof EST.renew | typeof EST.page;
  readonly commonName: string;
  readonly host?: string;
}

async function ask(options: RenewOptions, record: EnrolRecord, request: RenewRequest): Promise<Renewal> {
  try {
    return await asksOnce(options, record, request);
  } catch (error) {
    if (!isExternalError(error)) throw error;
    return { state: 'unavailable', reason: messageOf(error) };
  }
}

async function asksOnce(
  { files, boxClock, signal }: RenewOptions,
  record: EnrolRecord,
  request: RenewRequest,
): Promise<Renewal> {
  const { pair, path, commonName, host } = request;
  const keyId = await pair.nextKey();
  const csr = await makeRequest(pair.nextKeyFile, commonName, host);
  const own = files.box();
  const answer = await askRoom({
    url: record.url,
    path,
    csr,
    ca: readFileSync(files.caFile),
    pair: { cert: readFileSync(own.certFile), key: readFileSync(own.keyFile) },
    signal,
  });
  await raiseToRoom(answer.dateMs, boxClock);
  if (answer.state !== 'issued') return unissued(answer);
  const target = { keyId, commonName, caFile: files.caFile, ...(host !== undefined && { host }) };
  const issued: Issued = await issuedFrom(answer.body, target);
  pair.install(issued.pem);
  return { state: 'renewed', notAfter: issued.notAfter };
}

function unissued(answer: Exclude<EstAnswer, { state: 'issued' }>): Renewal {
  if (answer.state === 'refused') return { state: 'refused', reason: `the room refuses: ${answer.reason}` };
  const answerText = answer.state === 'busy' ? `asks to wait: ${answer.reason}` : 'has not decided yet';
  return { state: 'unavailable', reason: `the room ${answerText}` };
}
