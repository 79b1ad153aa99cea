/**
 * A whole journal in one file, a line of JSON an entry, in their order: the first line holds the signed checkpoint,
 * and the newest one that a witness cosigned. Tiles are left out: they follow from the entries.
 */
import { closeSync, existsSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { CHECKPOINT, contentsPath, parseLine, tilePath, unpackEntries, WITNESSED } from './layout.ts';
import { TILE_WIDTH } from './tree.ts';

const FORM = 'vigie-journal-export-1';
/** Of one line: an entry has 32 KiB at most. */
const LINE_MAX = 131_072;
const CHUNK_BYTES = 262_144;
const HASH = /^[0-9a-f]{64}$/;

export interface ExportHead {
  readonly checkpoint: string;
  readonly witnessed: string | null;
}

/** `entry` is undefined where the content gives it. */
export interface ExportLine {
  readonly line: string;
  readonly hash: string | undefined;
}

/** Writes the journal in `dir` to `file`, which must be new. Throws AgentError `corrupt` where it has holes. */
export function exportJournal(dir: string, file: string): number {
  const note = (path: string): string | undefined =>
    existsSync(join(dir, path)) ? readFileSync(join(dir, path), 'utf8') : undefined;
  const checkpoint = note(CHECKPOINT);
  if (checkpoint === undefined) {
    throw new AgentError('config', `${dir} holds no journal: there is no file ${CHECKPOINT} in it`);
  }
  const size = Number(checkpoint.split('\n')[1]);
  if (!Number.isSafeInteger(size)) throw new AgentError('corrupt', `${dir}: its checkpoint names no size`);
  const head: ExportHead = { checkpoint, witnessed: note(WITNESSED) ?? null };
  const fd = openSync(file, 'wx', 0o600);
  try {
    writeSync(fd, `${headLine(head)}\n`);
    for (let index = 0; index * TILE_WIDTH < size; index += 1) {
      writeSync(fd, linesOf(dir, index, Math.min(TILE_WIDTH, size - index * TILE_WIDTH)));
    }
  } finally {
    closeSync(fd);
  }
  return size;
}

function headLine({ checkpoint, witnessed }: ExportHead): string {
  return JSON.stringify({ form: FORM, checkpoint, witnessed });
}

function linesOf(dir: string, file: number, width: number): string {
  const path = join(dir, contentsPath(file));
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, width) : [];
  const packed = join(dir, tilePath('entries', file, width));
  const entries = existsSync(packed) ? unpackEntries(readFileSync(packed)) : [];
  if (lines.length < width || entries.length < width) {
    throw new AgentError('corrupt', `${path} or its entries are too short; run vigie journal verify ${dir}`);
  }
  return lines
    .map((line, place) => {
      const index = file * TILE_WIDTH + place;
      if (parseLine(line, index) !== 'erased') return `${line}\n`;
      const hash = String(entries[place]).slice(-64);
      return `${JSON.stringify({ index, erased: true, sha256: hash })}\n`;
    })
    .join('');
}

/** Throws AgentError `config` for a file that is no export. */
export function readExportHead(file: string, line: string | undefined): ExportHead {
  const { checkpoint, witnessed } = Object(jsonOf(line ?? '')) as Record<string, unknown>;
  const head = { checkpoint: String(checkpoint), witnessed: witnessed === null ? null : String(witnessed) };
  if (headLine(head) === line) return head;
  throw new AgentError(
    'config',
    `${file} is no journal as vigie journal export writes it: its first line is another`,
  );
}

/** As the line would stand in a journal's contents. */
export function readExportLine(line: string, index: number): ExportLine {
  const { erased, sha256 } = Object(jsonOf(line)) as Record<string, unknown>;
  if (erased !== true || typeof sha256 !== 'string' || !HASH.test(sha256)) return { line, hash: undefined };
  const same = line === JSON.stringify({ index, erased: true, sha256 });
  return same
    ? { line: JSON.stringify({ index, erased: true }), hash: sha256 }
    : { line: '', hash: undefined };
}

/** Lines of a file of any length, with how many bytes were read so far; one without its end is marked. */
export function* linesOfFile(file: string): Generator<{ line: string; bytes: number }> {
  const fd = openSync(file, 'r');
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let rest: Buffer = Buffer.alloc(0);
    let bytes = 0;
    for (;;) {
      const got = readSync(fd, chunk);
      if (got === 0) break;
      bytes += got;
      rest = Buffer.concat([rest, chunk.subarray(0, got)]);
      let from = 0;
      for (let end = rest.indexOf(10, from); end >= 0; end = rest.indexOf(10, from)) {
        yield { line: rest.toString('utf8', from, end), bytes };
        from = end + 1;
      }
      rest = rest.subarray(from);
      if (rest.length > LINE_MAX) {
        throw new AgentError('config', `${file} has a line longer than ${LINE_MAX} bytes: it is no journal`);
      }
    }
    if (rest.length > 0) yield { line: `${rest.toString()} (cut off)`, bytes };
  } finally {
    closeSync(fd);
  }
}
