/**
 * A new box gets its certificate: its key is made here and never leaves it; a request to sign goes to the room, with the
 * card's one-time token or without one, until the room has said yes. It is never given up.
 *
 * INVARIANTS: what is installed is a certificate of this key, this name and this authority; the request is removed only
 * after key, certificate and record are on disk; a request that was cut off goes on with the same key, to which the room
 * gives the same certificate again.
 * LIMITS: one request at a time; TIMING says how far apart.
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
  /** While the network or the room is away. */
  retry: { firstMs: 2000, maxMs: 300_000 },
  /** The room has refused: a person must act, there or here. */
  refusedMs: 3_600_000,
  /** On the room's list, where it does not say when to ask again. */
  pendingMs: 60_000,
  /** What a room may ask for. */
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
  readonly done: boolean;
  /** Until the next request. */
  readonly waitMs: number;
}

/**
 * Resolves when the box has its certificate, when nothing is to be done, or when it is told to stop.
 * @throws AgentError `config` where enrol.json is none
 */
export async function enrol(options: EnrolOptions): Promise<'enrolled' | 'nothing' | 'stopped'> {
  const { files, clock, boxClock, signal } = options;
  const pair = files.box();
  pair.finish();
  if (files.request() === undefined) return 'nothing';
  await raiseClock(clockFloorMs(files.caFile), 'when this image was made', boxClock);
  const backoff = new Backoff(TIMING.retry);
  while (!signal.aborted) {
    const { done, waitMs } = await attempt(options, pair, backoff);
    if (done) return 'enrolled';
    await clock.sleep(waitMs, signal);
  }
  return 'stopped';
}

async function attempt(options: EnrolOptions, pair: CertificatePair, backoff: Backoff): Promise<Outcome> {
  const { files, report, boxClock, signal } = options;
  // Read anew each time: a technician may have brought another.
  const open = files.request();
  if (open === undefined) return { done: true, waitMs: 0 };
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
    if (!isOfTheWorld(error)) throw error;
    if (!signal.aborted) report.tell('waiting', messageOf(error));
    return { done: false, waitMs: backoff.nextMs() };
  }
}

function waited(
  answer: Exclude<EstAnswer, { state: 'issued' }>,
  report: EnrolReport,
  backoff: Backoff,
  keyId: string,
): Outcome {
  const asked = Math.min(TIMING.askedMaxMs, Math.max(TIMING.askedMinMs, answer.retryAfterMs ?? 0));
  // Boxes that were switched on together shall not ask together.
  const spread = 1 + Math.random() / 4;
  if (answer.state === 'pending') {
    backoff.reset();
    report.tell('pending', `the room has not accepted this box yet; its key is ${keyId.slice(0, 16)}`);
    return { done: false, waitMs: (answer.retryAfterMs === undefined ? TIMING.pendingMs : asked) * spread };
  }
  if (answer.state === 'busy') {
    report.tell('waiting', `the room asks to wait: ${answer.reason}`);
    return { done: false, waitMs: Math.max(backoff.nextMs(), asked * spread) };
  }
  backoff.reset();
  report.tell('refused', `the room refuses: ${answer.reason}; it is asked again every hour`);
  return { done: false, waitMs: TIMING.refusedMs * spread };
}

/** The key of this request, which is noted before the room hears of it. */
async function keyFor(files: EnrolFiles, pair: CertificatePair, open: OpenRequest): Promise<string> {
  const key = await pair.nextKey();
  const { site, box, url } = open.request;
  const before = files.record();
  if (before?.request !== open.sha256 || before.key !== key) {
    files.keep({ version: 1, site, box, url, request: open.sha256, key });
  }
  return key;
}

/** The power went between the installation and the removal of the request. */
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
  return { done: true, waitMs: 0 };
}

/** A disk, a network, a room: not a mistake in the program. */
export function isOfTheWorld(error: unknown): boolean {
  if (error instanceof AgentError) return error.kind !== 'bug';
  return error instanceof Error && 'code' in error;
}
