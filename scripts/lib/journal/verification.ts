/** Verifies a journal, or a copy of one, against its key: offline, from its files or its export alone. */
import { statSync } from 'node:fs';
import { AgentError } from '../../../agent/base/errors.ts';
import type { JournalContent } from '../../../agent/contract/journal.ts';
import {
  type JournalFiles,
  type JournalProblem,
  readSteadily,
} from '../../../agent/restraint/journal/files.ts';
import {
  CHECKPOINT,
  COSIGNED,
  contentsPath,
  entryOf,
  entryOfHash,
  erasedBy,
  packEntries,
  parseLine,
  tilePath,
  unpackEntries,
} from '../../../agent/restraint/journal/layout.ts';
import { type Checkpoint, openCheckpoint, type Verifier } from '../../../agent/restraint/journal/note.ts';
import { leafHash, TILE_WIDTH, type Tile, Tree } from '../../../agent/restraint/journal/tree.ts';
import { cosignedAtMs } from './cosignature.ts';
import { linesOfFile, readExportHead, readExportLine } from './read-export.ts';

/** A checkpoint from elsewhere, such as one that the room or a witness has stored. */
export interface KnownCheckpoint {
  readonly file: string;
  readonly note: string;
}

export interface Against {
  readonly heads?: readonly KnownCheckpoint[];
  /** Witnesses, each of which must have cosigned one of the present checkpoints. */
  readonly witnesses?: readonly Verifier[];
  /**
   * Called before the first entry. Calls before this one count for nothing, since the journal was written while it was
   * read.
   */
  onBegin?(): void;
  /** Called for each entry whose content matches its hash, in order; undefined for an erased one. */
  onEntry?(index: number, content: JournalContent | undefined): void;
  onProgress?(doneCount: number, total: number): void;
}

/** A cosignature of a witness. */
export interface Witnessed {
  readonly name: string;
  readonly size: number;
  readonly atMs: number;
}

export interface JournalFindings {
  /** Faults with their places, one line each. */
  readonly wrong: readonly string[];
  /** Newest checkpoint that each witness cosigned. */
  readonly witnessed: readonly Witnessed[];
  /** Signed checkpoint with its text; undefined if the checkpoint itself is at fault. */
  readonly checkpoint: (Checkpoint & { readonly note: string }) | undefined;
  readonly erased: number;
  /** Lines of contents after the signed end, left by an interrupted append; they count for nothing. */
  readonly trailingLines: number;
}

type KnownHead = Checkpoint & KnownCheckpoint;

/**
 * Verifies a journal. `place` is its folder, which may be written to at the same time, or a file that `vigie journal
 * export` wrote. Throws AgentError `unavailable` for a folder that is written too fast.
 */
export function verifyJournal(place: string, verifier: Verifier, against: Against = {}): JournalFindings {
  const verification = (): Verification => new Verification(place, verifier, against);
  const { problems, ...findings } = statSync(place).isDirectory()
    ? readSteadily(place, (files) => verification().folder(files))
    : verification().file();
  return { ...findings, wrong: problems.map(({ line }) => line) };
}

/** Findings of one reading. */
type Reading = Omit<JournalFindings, 'wrong'> & { readonly problems: readonly JournalProblem[] };

class Verification {
  readonly #place: string;
  readonly #verifier: Verifier;
  readonly #against: Against;
  readonly #problems: JournalProblem[] = [];
  readonly #witnessed: Witnessed[] = [];
  #checkpoint: KnownHead | undefined;
  #trailingLines = 0;
  readonly #tree = new Tree();
  readonly #erased = new Map<number, string>();
  readonly #mayBeErased = new Set<number>();
  #otherHeads: readonly KnownHead[] = [];

  constructor(place: string, verifier: Verifier, against: Against) {
    this.#place = place;
    this.#verifier = verifier;
    this.#against = against;
  }

  folder(files: JournalFiles): Reading {
    this.#against.onBegin?.();
    const own = this.#heads(files.checkpoint, files.witnessed);
    if (own === undefined) return this.#reading();
    for (let file = 0; file * TILE_WIDTH < own.size; file += 1) {
      // Without its entries no later hash can be known.
      if (!this.#entries(files, file, Math.min(TILE_WIDTH, own.size - file * TILE_WIDTH)))
        return this.#reading();
      this.#against.onProgress?.(this.#tree.size, own.size);
    }
    for (const tile of this.#tree.partialTiles()) this.#compareTile(files, tile);
    this.#trailingLines += linesOf(files, Math.ceil(own.size / TILE_WIDTH)).length;
    // Later entries are in the same place.
    if (files.hasMoved) this.#trailingLines = 0;
    return this.#conclude(own);
  }

  file(): Reading {
    this.#against.onBegin?.();
    const lines = linesOfFile(this.#place);
    const first = lines.next();
    const head = readExportHead(this.#place, first.done === true ? undefined : first.value.line);
    const own = this.#heads(head.checkpoint, head.witnessed ?? undefined);
    if (own === undefined) return this.#reading();
    const total = statSync(this.#place).size;
    for (const { line, bytes } of lines) {
      const index = this.#tree.size;
      if (index === own.size) {
        this.#wrong(`${this.#place}:${index + 2}: more lines than the ${own.size} entries that are signed`);
        break;
      }
      if (!this.#exported(line, index)) return this.#reading();
      if (index % TILE_WIDTH === 0) this.#against.onProgress?.(bytes, total);
    }
    if (this.#tree.size < own.size) {
      this.#wrong(`${this.#place}: cut short: ${own.size} entries are signed, here are ${this.#tree.size}`);
    }
    return this.#conclude(own);
  }

  #reading(): Reading {
    return {
      problems: this.#problems,
      witnessed: this.#witnessed,
      checkpoint: this.#checkpoint,
      erased: this.#erased.size,
      trailingLines: this.#trailingLines,
    };
  }

  /** Checks all signed heads and returns the journal's own. */
  #heads(own: string | undefined, witnessed: string | undefined): KnownHead | undefined {
    const { heads = [], witnesses = [] } = this.#against;
    const witnessedHeads = witnessed === undefined ? [] : [{ file: COSIGNED, note: witnessed }];
    const otherHeads = [...witnessedHeads, ...heads].flatMap((head) => this.#openHead(head) ?? []);
    const ownHead = own === undefined ? undefined : this.#openHead({ file: CHECKPOINT, note: own });
    if (own === undefined) this.#wrong(`${CHECKPOINT}: missing`);
    if (ownHead === undefined) return undefined;
    this.#checkpoint = ownHead;
    this.#otherHeads = otherHeads;
    for (const { size, file } of otherHeads) {
      if (size <= ownHead.size) continue;
      this.#wrong(
        `rolled back or cut short: ${file} signs ${size} entries, here are ${ownHead.size}`,
        `rolled back from ${file}`,
      );
    }
    for (const witness of witnesses) this.#witness(witness, [...otherHeads, ownHead]);
    this.#compareKnown();
    return ownHead;
  }

  #openHead(head: KnownCheckpoint): KnownHead | undefined {
    return this.#sound(head.file, () => ({ ...openCheckpoint(head.note, this.#verifier), ...head }));
  }

  #sound<T>(file: string, open: () => T): T | undefined {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
      this.#wrong(`${file}: ${error.message}`);
      return undefined;
    }
  }

  #witness(witness: Verifier, heads: readonly KnownHead[]): void {
    let best: Witnessed | undefined;
    for (const { file, note, size } of heads) {
      const atMs = this.#sound(file, () => cosignedAtMs(note, witness));
      if (atMs === undefined || size < (best?.size ?? 0)) continue;
      best = { name: witness.name, size, atMs };
    }
    if (best !== undefined) this.#witnessed.push(best);
    else this.#wrong(`the witness ${witness.name} has cosigned none of the heads that are here`);
  }

  /** Verifies one file of entries with its contents and its tiles; false if its entries cannot be read. */
  #entries(files: JournalFiles, file: number, width: number): boolean {
    const path = tilePath('entries', file, width);
    const packed = files.read(path);
    const entries = unpackEntries(packed ?? Buffer.alloc(0)).map(String);
    if (packed === undefined || entries.length !== width || !packEntries(entries).equals(packed)) {
      this.#wrong(`${path}: ${packed === undefined ? 'missing' : `does not hold ${width} entries`}`);
      return false;
    }
    this.#contents(files, file, entries);
    for (const entry of entries) {
      for (const tile of this.#tree.add(leafHash(Buffer.from(entry)))) this.#compareTile(files, tile);
      this.#compareKnown();
    }
    return true;
  }

  #contents(files: JournalFiles, file: number, entries: readonly string[]): void {
    const path = contentsPath(file);
    const lines = linesOf(files, file);
    for (const [place, entry] of entries.entries()) {
      this.#content(file * TILE_WIDTH + place, lines[place], `${path}:${place + 1}`, entry);
    }
    const extra = lines.length - entries.length;
    if (extra <= 0) return;
    if (entries.length < TILE_WIDTH) this.#trailingLines += extra;
    else this.#wrong(`${path}:${entries.length + 1}: ${extra} lines too many`);
  }

  /** Verifies a line of an export; false if it gives no hash, so that no later one can be known. */
  #exported(text: string, index: number): boolean {
    const place = `${this.#place}:${index + 2}`;
    const { line, hash } = readExportLine(text, index);
    const parsed = parseLine(line, index);
    const entry =
      parsed === undefined || parsed === 'erased'
        ? hash && entryOfHash(hash)
        : entryOf(Buffer.from(parsed.salt, 'hex'), JSON.stringify(parsed.content));
    if (entry === undefined) {
      this.#wrong(`${place}: no line of entry ${index}`);
      return false;
    }
    this.#content(index, line, place, entry);
    this.#tree.add(leafHash(Buffer.from(entry)));
    this.#compareKnown();
    return true;
  }

  #content(index: number, line: string | undefined, place: string, entry: string): void {
    const parsed = line === undefined ? undefined : parseLine(line, index);
    if (parsed === undefined) {
      this.#wrong(`${place}: ${line === undefined ? 'missing' : 'no line'} of entry ${index}`);
    } else if (parsed === 'erased') {
      this.#erased.set(index, place);
      this.#against.onEntry?.(index, undefined);
    } else if (entryOf(Buffer.from(parsed.salt, 'hex'), JSON.stringify(parsed.content)) !== entry) {
      this.#wrong(`${place}: the content of entry ${index} does not fit its hash`);
    } else {
      for (const erasedIndex of erasedBy(parsed.content)) this.#mayBeErased.add(erasedIndex);
      this.#against.onEntry?.(index, parsed.content as JournalContent);
    }
  }

  #conclude(own: Checkpoint): Reading {
    if (this.#tree.size === own.size && !this.#tree.root().equals(own.root)) {
      this.#wrong(
        `${CHECKPOINT}: the ${own.size} entries do not give the root that it signs`,
        'another root',
      );
    }
    for (const [index, place] of this.#erased) {
      if (!this.#mayBeErased.has(index)) {
        this.#wrong(`${place}: entry ${index} is erased, and no entry says so`);
      }
    }
    return this.#reading();
  }

  #compareTile(files: JournalFiles, tile: Tile): void {
    const path = tilePath(tile.level, tile.index, tile.hashes.length);
    const bytes = files.read(path);
    if (bytes === undefined) this.#wrong(`${path}: missing`);
    else if (!bytes.equals(Buffer.concat(tile.hashes))) {
      this.#wrong(`${path}: does not hold the hashes of its entries`);
    }
  }

  #compareKnown(): void {
    const sameSizeHeads = this.#otherHeads.filter(({ size }) => size === this.#tree.size);
    for (const { root, size, file } of sameSizeHeads) {
      if (this.#tree.root().equals(root)) continue;
      this.#wrong(`forked: the first ${size} entries are not those that ${file} signs`);
    }
  }

  /** `key`: identifies the fault if its line changes when the journal has grown. */
  #wrong(line: string, key = line): void {
    this.#problems.push({ key, line });
  }
}

function linesOf(files: JournalFiles, file: number): string[] {
  const text = files.read(contentsPath(file))?.toString() ?? '';
  const lines = text.split('\n');
  // The rest after the last line feed is empty or incomplete, and an incomplete line is not an entry.
  const rest = lines.pop();
  return rest === '' || rest === undefined ? lines : [...lines, `${rest} (cut off)`];
}
