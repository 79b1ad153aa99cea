/** A file in a folder of somebody else's, who may lay anything there: a link, a pipe, a file without an end. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { hasCode } from './errors.ts';

/** Undefined where there is none; empty where it is no file of its own of at most `bytesMax`. */
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

/** Its content; empty where it is no file of at most `bytesMax`, however fast it grows while it is read. */
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
