/**
 * Downloads a file whose size and hash are signed. A partial download is resumed; content that does not match is
 * deleted.
 *
 * INVARIANTS
 * - The file gets its name only when it is complete, has the signed hash, and is on disk.
 * - A partial file is named by its hash, so that parts of two contents are never joined.
 *
 * LIMITS
 * - Stores at most the signed number of bytes.
 * - One time limit per request (server-patience.ts), and the rate, if one is given.
 */
import { createHash, type Hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { flush } from '../../../agent/base/atomic-file.ts';
import { systemClock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { printable } from '../../../agent/base/printable.ts';
import { TokenBucket } from '../../../agent/base/token-bucket.ts';
import { diskError } from './disk-error.ts';
import {
  addressOf,
  get,
  placeOf,
  type ReleaseServer,
  type ServerAnswer,
  unavailable,
} from './release-server.ts';
import type { TargetRef } from './trust.ts';

export interface DownloadOptions extends ReleaseServer {
  /** Maximum rate; 0 means unlimited. */
  readonly rateKiBps: number;
  readonly signal: AbortSignal;
  /** Receives the bytes so far, including those of earlier attempts. */
  readonly onProgress?: (doneBytes: number, total: number) => void;
}

/**
 * Error for a file that differs from the signed one. The server sends the same file until someone replaces it, so an
 * early retry only costs data. `unavailable` means that a retry may succeed.
 */
export class TargetMismatch extends AgentError {
  /** Path of the target below targets/ on the server. */
  readonly target: string;

  constructor(ref: TargetRef, message: string) {
    super('corrupt', message);
    this.target = ref.path;
  }
}

/** Shortest pause that is worth a timer, s. */
const PAUSE_LEAST_S = 0.05;

/**
 * Downloads `ref` to `file`, unless it is already there.
 *
 * @throws TargetMismatch the content differs from the signed one, and is deleted; the only error of kind `corrupt`
 * @throws AgentError
 * - unavailable: cannot be had now, and the partial file stays
 * - exhausted: no space, and the partial file is deleted
 * - config: address or certificate
 */
export async function download(ref: TargetRef, file: string, options: DownloadOptions): Promise<void> {
  const address = addressOf(options, 'targets', ref.path);
  const part = `${file}.${ref.sha256.slice(0, 16)}.part`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o755 });
    await removeOthers(file, part);
    if (await isThere(file, ref)) return;
    // A partial file may have been damaged by a power cut; then the complete file is downloaded once.
    if (!(await fetchPart(ref, part, address, options))) await fetchPart(ref, part, address, options);
    await rename(part, file);
    flush(dirname(file));
  } catch (error) {
    const failure = diskError(file, error);
    if (failure.kind === 'exhausted') await rm(part, { force: true });
    throw failure;
  }
}

/** Returns false if a resumed file was deleted: it did not have the signed hash, or the server does not go on with it. */
async function fetchPart(
  ref: TargetRef,
  part: string,
  address: URL,
  options: DownloadOptions,
): Promise<boolean> {
  const handle = await open(part, 'a+', 0o644);
  let resumed = false;
  try {
    const hash = createHash('sha256');
    let doneBytes = await hashed(handle, hash, ref.length);
    resumed = doneBytes > 0;
    if (doneBytes < ref.length) {
      const answer = await ask(ref, doneBytes, address, options);
      if (answer !== undefined)
        doneBytes = await append(handle, hash, doneBytes, ref, answer, address, options);
    }
    if (doneBytes === ref.length && hash.digest('hex') === ref.sha256) {
      await handle.sync();
      return true;
    }
  } catch (error) {
    if (error instanceof TargetMismatch) await rm(part, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await rm(part, { force: true });
  if (resumed) return false;
  throw new TargetMismatch(ref, `${placeOf(address)}: hash mismatch with the signed metadata`);
}

/**
 * Requests the file from byte `from` on. Returns undefined if the server does not serve this range, so that the
 * complete file must be requested.
 */
async function ask(
  ref: TargetRef,
  from: number,
  address: URL,
  options: DownloadOptions,
): Promise<ServerAnswer | undefined> {
  const headers: Record<string, string> = from === 0 ? {} : { range: `bytes=${from}-` };
  const answer = await get(address, options, headers, options.signal);
  try {
    if (from > 0 && (answer.status === 416 || answer.status === 200)) {
      answer.close();
      return undefined;
    }
    check(answer, ref, from, address);
    return answer;
  } catch (error) {
    answer.close();
    throw error;
  }
}

/** Checks that the response head promises the requested bytes. */
function check({ status, headers }: ServerAnswer, ref: TargetRef, from: number, address: URL): void {
  const expectedStatus = from === 0 ? 200 : 206;
  if (status !== expectedStatus) throw unavailable(address, `answers ${status}, not ${expectedStatus}`);
  const [range = '', length] = [headers['content-range'], headers['content-length']];
  const requestedRange = `${from}-${ref.length - 1}/${ref.length}`;
  if (from > 0 && range !== `bytes ${requestedRange}`)
    throw new TargetMismatch(
      ref,
      `${placeOf(address)}: bytes ${requestedRange} were requested, ${printable(range, 60)} received`,
    );
  if (length !== undefined && Number(length) !== ref.length - from)
    throw new TargetMismatch(
      ref,
      `${placeOf(address)}: has ${from + Number(length)} bytes, ${ref.length} were signed`,
    );
}

async function append(
  handle: FileHandle,
  hash: Hash,
  from: number,
  ref: TargetRef,
  answer: ServerAnswer,
  address: URL,
  options: DownloadOptions,
): Promise<number> {
  const { rateKiBps, signal, onProgress } = options;
  const throttle = throttleOf(rateKiBps, signal);
  let doneBytes = from;
  for await (const chunk of answer.chunks()) {
    if (doneBytes + chunk.length > ref.length)
      throw new TargetMismatch(ref, `${placeOf(address)}: sends more than the ${ref.length} bytes signed`);
    await handle.appendFile(chunk);
    hash.update(chunk);
    doneBytes += chunk.length;
    onProgress?.(doneBytes, ref.length);
    await throttle(chunk.length);
  }
  if (doneBytes < ref.length)
    throw unavailable(address, `has ended after ${doneBytes} of ${ref.length} bytes`);
  return doneBytes;
}

/** Returns a function that waits as long as the bytes should have taken. */
function throttleOf(rateKiBps: number, signal: AbortSignal): (bytes: number) => Promise<void> {
  if (rateKiBps === 0) return () => Promise.resolve();
  const bucket = new TokenBucket({ burst: rateKiBps, perS: rateKiBps }, systemClock);
  let owed = 0;
  return async (bytes) => {
    for (owed += bytes / 1024; owed >= 1 && !signal.aborted; ) {
      const waitS = bucket.take();
      if (waitS === 0) owed -= 1;
      else await systemClock.sleep(Math.max(waitS, PAUSE_LEAST_S) * 1000, signal);
    }
  };
}

/**
 * Adds the bytes of the partial file to the hash and returns their number. A file that is too long is truncated to 0.
 */
async function hashed(handle: FileHandle, hash: Hash, lengthMax: number): Promise<number> {
  const { size } = await handle.stat();
  if (size > lengthMax) {
    await handle.truncate(0);
    return 0;
  }
  const buffer = Buffer.allocUnsafe(262_144);
  for (let at = 0; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return at;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}

async function isThere(file: string, { length, sha256 }: TargetRef): Promise<boolean> {
  if (!existsSync(file)) return false;
  const handle = await open(file, 'r');
  try {
    const hash = createHash('sha256');
    const size = (await handle.stat()).size;
    if (size === length && (await hashed(handle, hash, length)) === length && hash.digest('hex') === sha256)
      return true;
  } finally {
    await handle.close();
  }
  await rm(file);
  return false;
}

/** Removes partial files of earlier contents of this name. */
async function removeOthers(file: string, part: string): Promise<void> {
  for (const name of await readdir(dirname(file))) {
    if (name.startsWith(`${basename(file)}.`) && name.endsWith('.part') && name !== basename(part))
      await rm(join(dirname(file), name), { force: true });
  }
}
