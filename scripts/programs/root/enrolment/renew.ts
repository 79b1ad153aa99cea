/**
 * Before a certificate ends it is renewed, with a new key, in the name of the old one; for the technician's page too.
 *
 * INVARIANTS: the old pair stays until the new one is checked and on disk.
 * LIMITS: one request for each certificate a run; the timer runs daily, and a third of the certificate's life is left.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { messageOf } from '../../../../agent/base/errors.ts';
import { type ClockOptions, raiseToRoom } from './box-clock.ts';
import type { CertificatePair } from './certificate-pair.ts';
import { isOfTheWorld } from './enrol.ts';
import type { EnrolFiles, EnrolRecord } from './enrol-files.ts';
import { askRoom, EST, type EstAnswer } from './est-client.ts';
import { type Issued, issuedFrom, makeRequest } from './openssl.ts';

/** Of its life; a third is left for a room that is away (RFC 9773 and ACME clients renew at two thirds as well). */
const DUE_SHARE = 2 / 3;

export interface RenewOptions {
  readonly files: EnrolFiles;
  readonly boxClock: ClockOptions;
  readonly signal: AbortSignal;
  /** Whatever its age. */
  readonly force?: boolean;
}

export type Renewal =
  | { readonly state: 'renewed'; readonly notAfter: Date }
  /** `reason`: one line. */
  | { readonly state: 'refused' | 'unavailable'; readonly reason: string };

/** Undefined: there is none that could be renewed, or it is not due. */
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

/** The page's certificate is asked for in the name of the box's. Undefined: nothing to do. */
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

/** When the box's certificate ends; undefined where it has none. */
export function endOf(files: EnrolFiles): Date | undefined {
  const { certificate } = files.box();
  return certificate === undefined ? undefined : new Date(new X509Certificate(certificate).validTo);
}

function isDue(pem: string): boolean {
  const { validFrom, validTo } = new X509Certificate(pem);
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  return Date.now() >= from + (to - from) * DUE_SHARE;
}

interface Asked {
  readonly pair: CertificatePair;
  readonly path: typeof EST.renew | typeof EST.page;
  readonly commonName: string;
  readonly host?: string;
}

async function ask(options: RenewOptions, record: EnrolRecord, asked: Asked): Promise<Renewal> {
  try {
    return await asksOnce(options, record, asked);
  } catch (error) {
    if (!isOfTheWorld(error)) throw error;
    return { state: 'unavailable', reason: messageOf(error) };
  }
}

async function asksOnce(
  { files, boxClock, signal }: RenewOptions,
  record: EnrolRecord,
  asked: Asked,
): Promise<Renewal> {
  const { pair, path, commonName, host } = asked;
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
  const wanted = { keyId, commonName, caFile: files.caFile, ...(host !== undefined && { host }) };
  const issued: Issued = await issuedFrom(answer.body, wanted);
  pair.install(issued.pem);
  return { state: 'renewed', notAfter: issued.notAfter };
}

function unissued(answer: Exclude<EstAnswer, { state: 'issued' }>): Renewal {
  if (answer.state === 'refused') return { state: 'refused', reason: `the room refuses: ${answer.reason}` };
  const why = answer.state === 'busy' ? `asks to wait: ${answer.reason}` : 'has not decided yet';
  return { state: 'unavailable', reason: `the room ${why}` };
}
