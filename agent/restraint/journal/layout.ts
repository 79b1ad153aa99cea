/**
 * Layout of the journal's folder: `checkpoint`, `tile/<level>/<n>` and `tile/entries/<n>` as in c2sp.org/tlog-tiles.
 * Beside them, `contents/<n>.jsonl` holds the contents of the 256 entries of `tile/entries/<n>`, which can be erased.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { flush, writeAtomically } from '../../base/atomic-file.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { sha256, TILE_WIDTH } from './tree.ts';

export const CHECKPOINT = 'checkpoint';
/** Newest checkpoint that a witness cosigned; absent before there is a witness. */
export const COSIGNED = 'cosigned';
export const SALT_BYTES = 32;
/** Start of an entry. The hash, in hex, of salt and content follows. */
const ENTRY_PREFIX = 'vigie-journal-1 sha256 ';

/** `x001/x234/067` for 1,234,067. */
function numberPath(index: number): string {
  const groups = [String(index % 1000).padStart(3, '0')];
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`);
  }
  return groups.join('/');
}

/** Path of a tile of `width` hashes, or of entries if the level is `entries`. */
export function tilePath(level: number | 'entries', index: number, width: number): string {
  const path = `tile/${level}/${numberPath(index)}`;
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
}

export function contentsPath(index: number): string {
  return `contents/${numberPath(index)}.jsonl`;
}

export function entryOf(salt: Uint8Array, content: string): string {
  return entryOfHash(sha256(salt, Buffer.from(content)).toString('hex'));
}

export const entryOfHash = (hash: string): string => `${ENTRY_PREFIX}${hash}`;

/** Packs entries for a file: each is preceded by its length, two bytes, big endian. */
export function packEntries(entries: readonly string[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(Buffer.byteLength(entry));
      return [length, Buffer.from(entry)];
    }),
  );
}

/** Returns the complete entries. */
export function unpackEntries(file: Buffer): Buffer[] {
  const entries: Buffer[] = [];
  for (let at = 0; at + 2 <= file.length; ) {
    const end = at + 2 + file.readUInt16BE(at);
    if (end > file.length) break;
    entries.push(file.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

/** A line of contents. An erased line lacks its two hashed parts. */
export interface ContentLine {
  readonly index: number;
  readonly salt: string;
  readonly content: unknown;
}

export function contentLine(index: number, salt: Uint8Array, content: string): string {
  return `{"index":${index},"salt":"${Buffer.from(salt).toString('hex')}","content":${content}}\n`;
}

export function erasedLine(index: number): string {
  return `{"index":${index},"erased":true}\n`;
}

/** Returns the line's content, `erased`, or undefined if it is not a line of entry `index`. */
export function parseLine(line: string, index: number): ContentLine | 'erased' | undefined {
  if (`${line}\n` === erasedLine(index)) return 'erased';
  const { salt, content } = Object(jsonOf(line)) as Partial<ContentLine>;
  if (typeof salt !== 'string' || salt.length !== SALT_BYTES * 2 || content === undefined) return undefined;
  const canonicalLine = contentLine(index, Buffer.from(salt, 'hex'), JSON.stringify(content));
  return canonicalLine === `${line}\n` ? { index, salt, content } : undefined;
}

/** Returns the entries that an entry with this content declares as erased. */
export function erasedBy(content: unknown): number[] {
  const { type, entries } = Object(content) as { type?: unknown; entries?: unknown };
  return type === 'erase' && Array.isArray(entries) ? entries.map(Number) : [];
}

/** Atomic and durable, including the folders. */
export function writeIn(dir: string, path: string, bytes: Uint8Array | string): void {
  const file = join(dir, path);
  makeFolder(dirname(file));
  writeAtomically(file, bytes);
}

export function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  const above = dirname(folder);
  makeFolder(above);
  mkdirSync(folder, { mode: 0o700 });
  flush(above);
}

/** Throws AgentError `exhausted` or `unavailable` if the disk refuses; passes every other error on. */
export function onDisk<T>(dir: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    const full = 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
    const message = `the disk refuses the journal ${dir}: ${messageOf(error)}`;
    throw new AgentError(full ? 'exhausted' : 'unavailable', message, error);
  }
}
