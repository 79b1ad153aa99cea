/**
 * Fetches a file of which every byte is known before: what came stays for the next try, what does not fit goes.
 *
 * INVARIANTS
 * - The file has its name only when all of it is there, has the signed hash, and is on the disk.
 * - What was begun is named by its hash, so that parts of two contents are never joined.
 *
 * LIMITS  Not a byte more than signed is kept; one patience with the server for each request; the rate, if one is given.
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
  /** 0: as fast as it goes. */
  readonly rateKiBps: number;
  readonly signal: AbortSignal;
  /** Bytes so far, those of earlier tries with them. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * What the server gives under a signed name is not what was signed. It gives the same again until somebody puts the right
 * file there, so that fetching it soon only costs data; `unavailable` is for what may be had at the next try.
 */
export class TargetMismatch extends AgentError {
  /** Path of the target, below targets/ of the server. */
  readonly target: string;

  constructor(ref: TargetRef, message: string) {
    super('corrupt', message);
    this.target = ref.path;
  }
}

/** Below it a pause is not worth a timer, s. */
const PAUSE_LEAST_S = 0.05;

/**
 * Fetches `ref` to `file`; nothing is fetched where it lies there already.
 *
 * @throws TargetMismatch what came is not what was signed, and is gone
 * @throws AgentError unavailable: cannot be had now, what came is kept; never `corrupt` but as TargetMismatch; exhausted: no space, and what came is gone; config: address or certificate
 */
export async function download(ref: TargetRef, file: string, options: DownloadOptions): Promise<void> {
  const address = addressOf(options, 'targets', ref.path);
  const part = `${file}.${ref.sha256.slice(0, 16)}.part`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o755 });
    await removeOthers(file, part);
    if (await isThere(file, ref)) return;
    // What lies there from an earlier try may have been hurt by a power cut: then all of it is fetched once.
    if (!(await fetchPart(ref, part, address, options))) await fetchPart(ref, part, address, options);
    await rename(part, file);
    flush(dirname(file));
  } catch (error) {
    const failure = diskError(file, error);
    if (failure.kind === 'exhausted') await rm(part, { force: true });
    throw failure;
  }
}

/** False where it was a resumed one that has not the signed hash; it is gone. */
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
    let done = await hashed(handle, hash, ref.length);
    resumed = done > 0;
    if (done < ref.length) {
      const answer = await ask(ref, done, address, options);
      if (answer === undefined) return await givenUp(part);
      done = await append(handle, hash, done, ref, answer, address, options);
    }
    if (done === ref.length && hash.digest('hex') === ref.sha256) {
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
  throw new TargetMismatch(ref, `${placeOf(address)}: what came has not the hash that was signed`);
}

async function givenUp(part: string): Promise<false> {
  await rm(part, { force: true });
  return false;
}

/** The rest of the file from this byte on; undefined where the server has no ranges, and all of it is to be asked for. */
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

/** Whether the head promises the bytes that were asked for. */
function check({ status, headers }: ServerAnswer, ref: TargetRef, from: number, address: URL): void {
  const wanted = from === 0 ? 200 : 206;
  if (status !== wanted) throw unavailable(address, `answers ${status}, not ${wanted}`);
  const [range = '', length] = [headers['content-range'], headers['content-length']];
  const asked = `${from}-${ref.length - 1}/${ref.length}`;
  if (from > 0 && range !== `bytes ${asked}`)
    throw new TargetMismatch(
      ref,
      `${placeOf(address)}: bytes ${asked} were asked for, ${printable(range, 60)} came`,
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
  let done = from;
  for await (const chunk of answer.chunks()) {
    if (done + chunk.length > ref.length)
      throw new TargetMismatch(ref, `${placeOf(address)}: sends more than the ${ref.length} bytes signed`);
    await handle.appendFile(chunk);
    hash.update(chunk);
    done += chunk.length;
    onProgress?.(done, ref.length);
    await throttle(chunk.length);
  }
  if (done < ref.length) throw unavailable(address, `has ended after ${done} of ${ref.length} bytes`);
  return done;
}

/** Waits as long as these bytes should have taken. */
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

/** Bytes that lie there, which go into the hash; what is longer than it should be is begun anew. */
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

/** Parts of what once had this name. */
async function removeOthers(file: string, part: string): Promise<void> {
  for (const name of await readdir(dirname(file))) {
    if (name.startsWith(`${basename(file)}.`) && name.endsWith('.part') && name !== basename(part))
      await rm(join(dirname(file), name), { force: true });
  }
}
