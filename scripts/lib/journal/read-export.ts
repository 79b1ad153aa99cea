/** Reads a journal's export (agent/restraint/journal/export.ts): its first line, and the lines of its entries. */
import { closeSync, openSync, readSync } from 'node:fs';
import { AgentError } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { type ExportHead, headLine } from '../../../agent/restraint/journal/export.ts';

/** Maximum size of one line; an entry has at most 32 KiB. */
const LINE_MAX = 131_072;
const CHUNK_BYTES = 262_144;
const HASH = /^[0-9a-f]{64}$/;

/** A line of an export; `hash` is undefined if it follows from the content. */
export interface ExportLine {
  readonly line: string;
  readonly hash: string | undefined;
}

/** Throws AgentError `config` for a file that is not an export. */
export function readExportHead(file: string, line: string | undefined): ExportHead {
  const { checkpoint, witnessed } = Object(jsonOf(line ?? '')) as Record<string, unknown>;
  const head = { checkpoint: String(checkpoint), witnessed: witnessed === null ? null : String(witnessed) };
  if (headLine(head) === line) return head;
  throw new AgentError('config', `${file} is not an export of vigie journal export: unexpected first line`);
}

/** Returns the line in the form of a journal's contents. */
export function readExportLine(line: string, index: number): ExportLine {
  const { erased, sha256 } = Object(jsonOf(line)) as Record<string, unknown>;
  if (erased !== true || typeof sha256 !== 'string' || !HASH.test(sha256)) return { line, hash: undefined };
  const same = line === JSON.stringify({ index, erased: true, sha256 });
  return same
    ? { line: JSON.stringify({ index, erased: true }), hash: sha256 }
    : { line: '', hash: undefined };
}

/** Yields the lines of a file of any length, with the number of bytes read. A line without its end is marked. */
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
        throw new AgentError('config', `${file} has a line longer than ${LINE_MAX} bytes: not a journal`);
      }
    }
    if (rest.length > 0) yield { line: `${rest.toString()} (cut off)`, bytes };
  } finally {
    closeSync(fd);
  }
}
