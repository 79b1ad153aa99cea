/**
 * Enrols a new box: makes its key, which never leaves the box, and requests a certificate from the room until it is
 * issued. The request carries the card's one-time token, if there is one. There is no limit on attempts.
 *
 * INVARIANTS:
 * - Only a certificate of this key, this name and this authority is installed.
 * - The request is removed only after key, certificate and record are on disk.
 * - An interrupted request continues with the same key, for which the room issues the same certificate again.
 *
 * LIMITS: one request at a time, at the intervals in TIMING.
 */
import { readFileSync, rmSync } from 'node:fs';
import { Backoff } from '../../../../agent/base/backoff.ts';
import type { Clock } from '../../../../agent/base/clock.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { type ClockOptions, clockFloorMs, raiseClock, raiseToRoom } from './box-clock.ts';
import type { CertificatePair } from './certificate-pair.ts';
import type { EnrolFiles, OpenRequest } from './enrol-files.ts';
import type { EnrolReport } from './enrol-report.ts';
import { askRoom, EST, type EstAnswer } from './est-client.ts';
import { issuedFrom, keyIdOf, makeRequest } from './openssl.ts';

const TIMING = {
  /** Delays while the network or the room is unreachable. */
  retry: { firstMs: 2000, maxMs: 300_000 },
  /** Delay after a refusal by the room: a person must act, there or here. */
  refusedMs: 3_600_000,
  /** Delay while the box is on the room's list and the room names no interval. */
  pendingMs: 60_000,
  /** Bounds of the interval that the room may ask for. */
  askedMinMs: 1000,
  askedMaxMs: 3_600_000,
} as const;

export interface EnrolOptions {
  readonly files: EnrolFiles;
  readonly report: EnrolReport;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly boxClock: ClockOptions;
  readonly signal: AbortSignal;
}

interface Outcome {
  readonly isDone: boolean;
  /** Delay before the next request. */
  readonly waitMs: number;
}

/**
 * Resolves when the box has its certificate, when there is nothing to do, or when it is stopped.
 * @throws AgentError `config`: enrol.json is invalid
 */
export async function enrol(options: EnrolOptions): Promise<'enrolled' | 'nothing' | 'stopped'> {
  const { files, clock, boxClock, signal } = options;
  const pair = files.box();
  pair.finish();
  if (files.request() === undefined) return 'nothing';
  await raiseClock(clockFloorMs(files.caFile), 'when this image was made', boxClock);
  const backoff = new Backoff(TIMING.retry);
  while (!signal.aborted) {
    const { isDone, waitMs } = await attempt(options, pair, backoff);
    if (isDone) return 'enrolled';
    await clock.sleep(waitMs, signal);
  }
  return 'stopped';
}

async function attempt(options: EnrolOptions, pair: CertificatePair, backoff: Backoff): Promise<Outcome> {
  const { files, report, boxClock, signal } = options;
  // Read again each time: a technician may have brought another request.
  const open = files.request();
  if (open === undefined) return { isDone: true, waitMs: 0 };
  try {
    if (isFinished(files, pair, open)) return finish(options, pair);
    const { box, url, token } = open.request;
    const keyId = await keyFor(files, pair, open);
    const csr = await makeRequest(pair.nextKeyFile, box);
    const ca = readFileSync(files.caFile);
    const login = token === null ? {} : { login: { user: box, password: token } };
    const answer = await askRoom({ url, path: EST.enrol, csr, ca, ...login, signal });
    await raiseToRoom(answer.dateMs, boxClock);
    if (answer.state !== 'issued') return waited(answer, report, backoff, keyId);
    const issued = await issuedFrom(answer.body, { keyId, commonName: box, caFile: files.caFile });
    pair.install(issued.pem);
    return finish(options, pair);
  } catch (error) {
    if (!isExternalError(error)) throw error;
    if (!signal.aborted) report.tell('waiting', messageOf(error));
    return { isDone: false, waitMs: backoff.nextMs() };
  }
}

function waited(
  answer: Exclude<EstAnswer, { state: 'issued' }>,
  report: EnrolReport,
  backoff: Backoff,
  keyId: string,
): Outcome {
  const delayMs = Math.min(TIMING.askedMaxMs, Math.max(TIMING.askedMinMs, answer.retryAfterMs ?? 0));
  // Spreads the requests of boxes that were switched on together.
  const spread = 1 + Math.random() / 4;
  if (answer.state === 'pending') {
    backoff.reset();
    report.tell('pending', `the room has not accepted this box yet; its key is ${keyId.slice(0, 16)}`);
    return {
      isDone: false,
      waitMs: (answer.retryAfterMs === undefined ? TIMING.pendingMs : delayMs) * spread,
    };
  }
  if (answer.state === 'busy') {
    report.tell('waiting', `the room asks to wait: ${answer.reason}`);
    return { isDone: false, waitMs: Math.max(backoff.nextMs(), delayMs * spread) };
  }
  backoff.reset();
  report.tell('refused', `the room refuses: ${answer.reason}; the request is repeated every hour`);
  return { isDone: false, waitMs: TIMING.refusedMs * spread };
}

/** Returns the id of the request's key, which is recorded before the request is sent. */
async function keyFor(files: EnrolFiles, pair: CertificatePair, open: OpenRequest): Promise<string> {
  const key = await pair.nextKey();
  const { site, box, url } = open.request;
  const before = files.record();
  if (before?.request !== open.sha256 || before.key !== key) {
    files.keep({ version: 1, site, box, url, request: open.sha256, key });
  }
  return key;
}

/** Reports whether power failed between the installation and the removal of the request. */
function isFinished(files: EnrolFiles, pair: CertificatePair, open: OpenRequest): boolean {
  const record = files.record();
  const { certificate } = pair;
  return record?.request === open.sha256 && certificate !== undefined && keyIdOf(certificate) === record.key;
}

function finish({ files }: EnrolOptions, pair: CertificatePair): Outcome {
  if (pair.certificate === undefined) {
    throw new AgentError('unavailable', `${pair.certFile} and ${pair.keyFile} do not belong together`);
  }
  rmSync(files.requestFile, { force: true });
  return { isDone: true, waitMs: 0 };
}

/** Reports whether an error comes from a disk, a network or the room rather than from a bug. */
export function isExternalError(error: unknown): boolean {
  if (error instanceof AgentError) return error.kind !== 'bug';
  return error instanceof Error && 'code' in error;
}
