/** Safe reading from a folder of another user, which may contain anything: a link, a pipe, an endless file. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { hasCode } from './errors.ts';

/**
 * Reads a file. Returns undefined if there is none, and an empty buffer unless it is a regular file of at most
 * `bytesMax`.
 */
export function readForeign(file: string, bytesMax: number): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    return Buffer.alloc(0);
  }
  try {
    return readOpen(fd, bytesMax);
  } finally {
    closeSync(fd);
  }
}

/**
 * Reads an open file. Returns an empty buffer unless it is a regular file of at most `bytesMax`, also if it grows while
 * being read.
 */
export function readOpen(fd: number, bytesMax: number): Buffer {
  const stat = fstatSync(fd);
  if (!stat.isFile() || stat.size > bytesMax) return Buffer.alloc(0);
  const bytes = Buffer.alloc(bytesMax + 1);
  let length = 0;
  for (;;) {
    const read = readSync(fd, bytes, length, bytes.length - length, null);
    length += read;
    if (length > bytesMax) return Buffer.alloc(0);
    if (read === 0) return bytes.subarray(0, length);
  }
}
