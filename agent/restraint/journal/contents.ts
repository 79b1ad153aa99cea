/**
 * Files beside the tree with the contents of entries. They are written in order, and erased by entries of their own.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { flush } from '../../base/atomic-file.ts';
import { contentsPath, erasedLine, makeFolder, writeIn } from './layout.ts';
import { TILE_WIDTH } from './tree.ts';

export class Contents {
  readonly #dir: string;
  #bytes = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Size of all files. */
  get bytes(): number {
    return this.#bytes;
  }

  takeUp(size: number): void {
    this.#bytes = 0;
    for (let file = 0; file * TILE_WIDTH < size; file += 1) this.#bytes += this.#sizeOf(file);
  }

  /** Durable on return. Overwrites bytes after `atByte` that an interrupted append has left. */
  add(file: number, atByte: number, line: Buffer): void {
    const path = join(this.#dir, contentsPath(file));
    const before = this.#sizeOf(file);
    const isNew = !existsSync(path);
    if (isNew) makeFolder(dirname(path));
    const fd = openSync(path, 'a', 0o600);
    try {
      ftruncateSync(fd, atByte);
      writeFileSync(fd, line);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (isNew) flush(dirname(path));
    this.#bytes += atByte + line.length - before;
  }

  /** Returns the complete lines of a file, only those of the first `size` entries. */
  lines(file: number, size: number): string[] {
    const path = join(this.#dir, contentsPath(file));
    if (!existsSync(path)) return [];
    const width = Math.min(TILE_WIDTH, size - file * TILE_WIDTH);
    return readFileSync(path, 'utf8').split('\n').slice(0, -1).slice(0, width);
  }

  /** Erases these entries of a file; returns its new size in bytes. */
  blank(file: number, size: number, entries: ReadonlySet<number>): number {
    const first = file * TILE_WIDTH;
    const before = this.#sizeOf(file);
    const text = this.lines(file, size)
      .map((line, place) => (entries.has(first + place) ? erasedLine(first + place) : `${line}\n`))
      .join('');
    writeIn(this.#dir, contentsPath(file), text);
    const bytes = Buffer.byteLength(text);
    this.#bytes += bytes - before;
    return bytes;
  }

  #sizeOf(file: number): number {
    return statSync(join(this.#dir, contentsPath(file)), { throwIfNoEntry: false })?.size ?? 0;
  }
}
