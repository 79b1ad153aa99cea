/**
 * Reads a journal's folder as one of its checkpoints covers it, while the agent keeps writing.
 *
 * INVARIANTS:
 * - Returned data is what the checkpoint covers. If it is missing or changed, the next append is not the reason.
 * - A fault counts only if nothing was written in the meantime, or if it is still there after more was written.
 * LIMITS: PARTIAL_TRIES and READ_TRIES. Beyond them the reader learns that the journal is written too fast.
 *
 * The files of full tiles never change. The partial ones of a checkpoint disappear with the second append after it.
 * They are therefore read at once, with the newest contents, and again under the next checkpoint if one was missing.
 * Contents may be erased under an entry that this checkpoint does not cover yet: such a reading starts again.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError, hasCode } from '../../base/errors.ts';
import { CHECKPOINT, COSIGNED, contentsPath, tilePath } from './layout.ts';
import { partialPlaces, TILE_WIDTH } from './tree.ts';

/** About 0.2 ms each, against two appends of seven flushes. */
const PARTIAL_TRIES = 100;
const READ_TRIES = 10;

/** A fault; `what` stays the same however far the journal has grown. */
export interface JournalProblem {
  readonly key: string;
  readonly line: string;
}

export class JournalFiles {
  readonly dir: string;
  /** Undefined if there is none. */
  readonly checkpoint: string | undefined;
  readonly witnessed: string | undefined;
  /** Number of entries that the checkpoint names, with any signature; 0 if it names none. */
  readonly size: number;
  readonly #contents: ReadonlyMap<string, Buffer | undefined>;

  constructor(dir: string) {
    this.dir = dir;
    for (let tries = 0; tries < PARTIAL_TRIES; tries += 1) {
      // Read before the checkpoint, which is then at least as new.
      this.witnessed = this.#onDisk(COSIGNED)?.toString();
      this.checkpoint = this.#onDisk(CHECKPOINT)?.toString();
      this.size = sizeOf(this.checkpoint);
      const partial = partialPaths(this.size);
      const newest = contentsPath(Math.floor(this.size / TILE_WIDTH));
      this.#contents = new Map([...partial, newest].map((path) => [path, this.#onDisk(path)]));
      if (partial.every((path) => this.#contents.get(path) !== undefined) || !this.hasMoved) return;
    }
    throw tooFast(dir);
  }

  /** Undefined for a missing file. */
  read(path: string): Buffer | undefined {
    return this.#contents.has(path) ? this.#contents.get(path) : this.#onDisk(path);
  }

  /** True if there is another checkpoint by now. */
  get hasMoved(): boolean {
    return this.#onDisk(CHECKPOINT)?.toString() !== this.checkpoint;
  }

  #onDisk(path: string): Buffer | undefined {
    try {
      return readFileSync(join(this.dir, path));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }
}

/**
 * Reads a journal's folder from its first entry to its checkpoint. Repeats the reading if a fault may only result from
 * a concurrent write. Throws AgentError `unavailable` if that continues.
 */
export function readSteadily<T extends { readonly problems: readonly JournalProblem[] }>(
  dir: string,
  read: (files: JournalFiles) => T,
): T {
  let before = new Set<string>();
  for (let tries = 0; tries < READ_TRIES; tries += 1) {
    const files = new JournalFiles(dir);
    const result = read(files);
    if (result.problems.length === 0 || !files.hasMoved) return result;
    const repeatedProblems = result.problems.filter(({ key }) => before.has(key));
    if (repeatedProblems.length > 0) return { ...result, problems: repeatedProblems };
    before = new Set(result.problems.map(({ key }) => key));
  }
  throw tooFast(dir);
}

function sizeOf(checkpoint: string | undefined): number {
  const [, size = '0'] = /^[^\n]+\n(0|[1-9]\d{0,14})\n/.exec(checkpoint ?? '') ?? [];
  return Number(size);
}

function partialPaths(size: number): string[] {
  const tiles = partialPlaces(size).filter(({ width }) => width > 0);
  return [
    ...(size % TILE_WIDTH > 0 ? [tilePath('entries', Math.floor(size / TILE_WIDTH), size % TILE_WIDTH)] : []),
    ...tiles.map(({ level, index, width }) => tilePath(level, index, width)),
  ];
}

function tooFast(dir: string): AgentError {
  return new AgentError(
    'unavailable',
    `${dir}: the journal is being written too fast to be read; try again, or take a copy while the agent is stopped`,
  );
}
