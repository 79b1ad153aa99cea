/**
 * Writes an image, with its boot partition taken from another file, and reads all of it back from the medium.
 *
 * INVARIANTS:
 * - The first block, which holds the partition table, is zero until everything else is on the medium, so that an
 *   interrupted write does not boot.
 * - Success means that the medium itself, not this machine's memory, returned the written data.
 * LIMITS: BLOCK_BYTES of memory; one pass over the source, one over the target.
 */
import { createHash, type Hash } from 'node:crypto';
import type { PathLike } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { AgentError, hasCode, messageOf } from '../../../agent/base/errors.ts';
import { stream, tool } from './tool.ts';

/**
 * Cards erase in pieces of at most 4 MiB (SD Association, allocation unit of SDHC); writes of that size are fastest.
 */
const BLOCK_BYTES = 4 * 1024 * 1024;

export interface Source {
  readonly image: string;
  readonly bytes: number;
  /** Replaces the image’s own bytes from `start` on. */
  readonly replacement?: { readonly file: string; readonly start: number; readonly bytes: number };
}

export interface Target {
  readonly handle: FileHandle;
  /** Name for messages. */
  readonly name: string;
  /** True for a new file, in which zeros need not be written. */
  readonly sparse: boolean;
}

/** Called with the bytes done and the total, and the phase: `write` or `verify`. */
export type Progress = (doneBytes: number, ofBytes: number, phase: 'write' | 'verify') => void;

export interface WriteOptions {
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/**
 * Returns the SHA-256 of the medium's present content, lower-case hex.
 *
 * @throws AgentError in one line: `exhausted` if it is full, `unavailable` if it is removed or fails, `corrupt` if it
 * returned other data
 */
export async function writeVerified(source: Source, target: Target, options: WriteOptions): Promise<string> {
  const writtenSum = await write(source, target, options);
  const readSum = await readBack(source.bytes, target, options);
  if (readSum === writtenSum) return readSum;
  const message = `${target.name}: its content differs from what was written (SHA-256): the card is worn or counterfeit; replace it`;
  throw new AgentError('corrupt', message);
}

/** Translates a failed write or read of a medium for the user. */
export function mediumError(error: unknown, name: string): AgentError {
  if (error instanceof AgentError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOSPC' || code === 'EFBIG' || code === 'EDQUOT') {
    return new AgentError('exhausted', `${name} is full: it is smaller than the image`, error);
  }
  if (code === 'EIO' || code === 'ENXIO' || code === 'ENODEV' || code === 'ENOMEDIUM') {
    return new AgentError('unavailable', `${name} was pulled out or is broken (${code}); begin again`, error);
  }
  return new AgentError('unavailable', `${name}: ${messageOf(error)}`, error);
}

/** Returns the hash of the data to write. */
async function write(source: Source, target: Target, { progress, signal }: WriteOptions): Promise<string> {
  const { bytes } = source;
  const hash = createHash('sha256');
  const reader = await SourceReader.open(source);
  try {
    const first = Buffer.from(await reader.block(0, Math.min(BLOCK_BYTES, bytes)));
    hash.update(first);
    await put(target, Buffer.alloc(first.length), 0);
    for (let at = first.length; at < bytes; at += BLOCK_BYTES) {
      if (signal.aborted)
        throw new AgentError('unavailable', `${target.name}: interrupted; it does not boot`);
      const block = await reader.block(at, Math.min(BLOCK_BYTES, bytes - at));
      hash.update(block);
      await put(target, block, at);
      progress(at + block.length, bytes, 'write');
    }
    await sync(target);
    await target.handle.write(first, 0, first.length, 0).catch((error: unknown) => {
      throw mediumError(error, target.name);
    });
    await sync(target);
    progress(bytes, bytes, 'write');
  } finally {
    await reader.close();
  }
  return hash.digest('hex');
}

class SourceReader {
  readonly #source: Source;
  readonly #image: FileHandle;
  readonly #replacement: FileHandle | undefined;
  readonly #buffer = Buffer.alloc(BLOCK_BYTES);

  private constructor(source: Source, image: FileHandle, replacement: FileHandle | undefined) {
    this.#source = source;
    this.#image = image;
    this.#replacement = replacement;
  }

  static async open(source: Source): Promise<SourceReader> {
    const replacement = source.replacement && (await open(source.replacement.file, 'r'));
    return new SourceReader(source, await open(source.image, 'r'), replacement);
  }

  /** Returns a block, valid until the next call. */
  async block(at: number, length: number): Promise<Buffer> {
    const block = this.#buffer.subarray(0, length);
    await readFully(this.#image, block, at, this.#source.image);
    const { replacement } = this.#source;
    if (replacement === undefined || this.#replacement === undefined) return block;
    const from = Math.max(at, replacement.start);
    const to = Math.min(at + length, replacement.start + replacement.bytes);
    if (from >= to) return block;
    await readFully(
      this.#replacement,
      block.subarray(from - at, to - at),
      from - replacement.start,
      replacement.file,
    );
    return block;
  }

  async close(): Promise<void> {
    await this.#image.close();
    await this.#replacement?.close();
  }
}

async function readFully(handle: FileHandle, into: Buffer, at: number, name: PathLike): Promise<void> {
  for (let doneBytes = 0; doneBytes < into.length; ) {
    const { bytesRead } = await handle.read(into, doneBytes, into.length - doneBytes, at + doneBytes);
    if (bytesRead === 0) throw new AgentError('config', `${String(name)} became shorter while it was read`);
    doneBytes += bytesRead;
  }
}

async function put({ handle, name, sparse }: Target, block: Buffer, at: number): Promise<void> {
  if (sparse && isZero(block)) return;
  try {
    for (let doneBytes = 0; doneBytes < block.length; ) {
      const { bytesWritten } = await handle.write(block, doneBytes, block.length - doneBytes, at + doneBytes);
      doneBytes += bytesWritten;
    }
  } catch (error) {
    throw mediumError(error, name);
  }
}

async function sync({ handle, name }: Target): Promise<void> {
  await handle.sync().catch((error: unknown) => {
    // A target that is not a disk (a pipe, /dev/full) has nothing to flush.
    if (hasCode(error, 'EINVAL')) return;
    throw mediumError(error, name);
  });
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);
function isZero(block: Buffer): boolean {
  return block.equals(ZEROS.subarray(0, block.length));
}

/**
 * Reads with dd(1), past the page cache. It uses O_DIRECT, or drops the cache first if a file system lacks that
 * (ENOTSUP, EINVAL). It reads from the open file, so that the compared data is what was written, whatever the path
 * points to now.
 */
async function readBack(bytes: number, target: Target, { progress, signal }: WriteOptions): Promise<string> {
  const { fd } = target.handle;
  const readThrough = async (flags: string): Promise<Hash> => {
    const hash = createHash('sha256');
    let doneBytes = 0;
    const args = [
      `bs=${BLOCK_BYTES}`,
      `count=${bytes}`,
      `iflag=${flags},fullblock,count_bytes`,
      'status=none',
    ];
    await stream('dd', args, { stdin: fd, signal }, (piece) => {
      hash.update(piece);
      doneBytes += piece.length;
      progress(doneBytes, bytes, 'verify');
    });
    if (doneBytes === bytes) return hash;
    throw new AgentError(
      'unavailable',
      `${target.name} gave back ${doneBytes} of ${bytes} bytes; begin again`,
    );
  };
  try {
    return (await readThrough('direct')).digest('hex');
  } catch (error) {
    const message = messageOf(error);
    if (/Input\/output error|No such device/.test(message)) {
      throw new AgentError('unavailable', `${target.name} was pulled out or is broken; begin again`, error);
    }
    if (!/Invalid argument|not supported/.test(message)) throw error;
    // posix_fadvise(POSIX_FADV_DONTNEED) on the whole file, which sync() has made clean.
    await tool('dd', ['iflag=nocache', 'count=0', 'status=none'], { stdin: fd });
    return (await readThrough('nocache')).digest('hex');
  }
}
