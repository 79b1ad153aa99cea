/**
 * Exports a whole journal to one file with a line of JSON for each entry, in order. The first line holds the signed
 * checkpoint and the newest one that a witness cosigned. Tiles are left out, because they follow from the entries.
 */
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../base/errors.ts';
import { JournalFiles, type JournalProblem, readSteadily } from './files.ts';
import { CHECKPOINT, contentsPath, erasedBy, parseLine, tilePath, unpackEntries } from './layout.ts';
import { TILE_WIDTH } from './tree.ts';

const FORM = 'vigie-journal-export-1';

export interface ExportHead {
  readonly checkpoint: string;
  readonly witnessed: string | null;
}

/**
 * Writes the journal in `dir` to `file`, which must be new. The journal may be written to at the same time. Throws
 * AgentError `corrupt` if it has holes and `unavailable` if it is written too fast; then no file remains.
 */
export function exportJournal(dir: string, file: string): number {
  const { checkpoint } = new JournalFiles(dir);
  if (checkpoint === undefined) {
    throw new AgentError('config', `${dir} does not contain a journal: the file ${CHECKPOINT} is missing`);
  }
  closeSync(openSync(file, 'wx', 0o600));
  try {
    const { size, hole } = readSteadily(dir, (files) => exported(files, file));
    if (hole === undefined) return size;
    throw new AgentError(
      'corrupt',
      `${hole} or its entries are too short; check it with vigie-oversight verify ${dir}`,
    );
  } catch (error) {
    rmSync(file);
    throw error;
  }
}

interface Exported {
  readonly size: number;
  /** File that lacks some of its entries; then nothing can be exported. */
  readonly hole: string | undefined;
  readonly problems: readonly JournalProblem[];
}

function exported(files: JournalFiles, file: string): Exported {
  const { checkpoint = '', witnessed, size, dir } = files;
  const [erased, mayBeErased] = [new Set<number>(), new Set<number>()];
  const fd = openSync(file, 'w');
  try {
    writeFileSync(fd, `${headLine({ checkpoint, witnessed: witnessed ?? null })}\n`);
    for (let index = 0; index * TILE_WIDTH < size; index += 1) {
      const lines = linesOf(files, index, Math.min(TILE_WIDTH, size - index * TILE_WIDTH));
      if (lines === undefined) {
        const hole = join(dir, contentsPath(index));
        return { size, hole, problems: [{ key: hole, line: hole }] };
      }
      for (const { parsed, index: entry } of lines) {
        if (parsed === 'erased') erased.add(entry);
        else if (parsed !== undefined)
          for (const erasedIndex of erasedBy(parsed.content)) mayBeErased.add(erasedIndex);
      }
      writeFileSync(fd, lines.map(({ text }) => text).join(''));
    }
  } finally {
    closeSync(fd);
  }
  // Erased under an entry after the checkpoint: the export would appear tampered with.
  const problems = [...erased].filter((index) => !mayBeErased.has(index)).map((index) => `erased ${index}`);
  return { size, hole: undefined, problems: problems.map((key) => ({ key, line: key })) };
}

/** Returns the first line of the file, without its line end. */
export function headLine({ checkpoint, witnessed }: ExportHead): string {
  return JSON.stringify({ form: FORM, checkpoint, witnessed });
}

interface OutLine {
  readonly index: number;
  readonly parsed: ReturnType<typeof parseLine>;
  readonly text: string;
}

/** Undefined if entries are missing. */
function linesOf(files: JournalFiles, file: number, width: number): OutLine[] | undefined {
  const lines = files.read(contentsPath(file))?.toString().split('\n').slice(0, -1).slice(0, width) ?? [];
  const entries = unpackEntries(files.read(tilePath('entries', file, width)) ?? Buffer.alloc(0));
  if (lines.length < width || entries.length < width) return undefined;
  return lines.map((line, place) => {
    const index = file * TILE_WIDTH + place;
    const parsed = parseLine(line, index);
    if (parsed !== 'erased') return { index, parsed, text: `${line}\n` };
    const sha256 = String(entries[place]).slice(-64);
    return { index, parsed, text: `${JSON.stringify({ index, erased: true, sha256 })}\n` };
  });
}
