/** Checks a journal, or a copy of one, against its key: offline, from its files or its export alone. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../base/errors.ts';
import type { JournalContent } from '../../contract/journal.ts';
import { cosignedAtMs } from './cosignature.ts';
import { linesOfFile, readExportHead, readExportLine } from './export.ts';
import {
  CHECKPOINT,
  contentsPath,
  entryOf,
  entryOfHash,
  packEntries,
  parseLine,
  tilePath,
  unpackEntries,
  WITNESSED,
} from './layout.ts';
import { type Checkpoint, openCheckpoint, type Verifier } from './note.ts';
import { leafHash, TILE_WIDTH, type Tile, Tree } from './tree.ts';

/** A checkpoint from elsewhere, such as one that the room or a witness kept. */
export interface KnownCheckpoint {
  readonly file: string;
  readonly note: string;
}

export interface Against {
  readonly heads?: readonly KnownCheckpoint[];
  /** Each must have cosigned one of the checkpoints that are there. */
  readonly witnesses?: readonly Verifier[];
  /** Called for each entry whose content fits its hash, in order; undefined for an erased one. */
  onEntry?(index: number, content: JournalContent | undefined): void;
  onProgress?(done: number, total: number): void;
}

/** What a witness vouches for. */
export interface Witnessed {
  readonly name: string;
  readonly size: number;
  readonly atMs: number;
}

export interface JournalFindings {
  /** What is wrong and where, a line each. */
  readonly wrong: string[];
  /** The newest checkpoint that each witness cosigned. */
  readonly witnessed: Witnessed[];
  /** Of the signed checkpoint; undefined when that is what is wrong. */
  checkpoint: Checkpoint | undefined;
  erased: number;
  /** Lines of contents after the signed end, left by an append that was cut off; they count for nothing. */
  beyond: number;
}

type KnownHead = Checkpoint & KnownCheckpoint;

/** `place` = a journal's folder, or a file that `vigie journal export` wrote. */
export function verifyJournal(place: string, verifier: Verifier, against: Against = {}): JournalFindings {
  const verification = new Verification(place, verifier, against);
  return statSync(place).isDirectory() ? verification.folder() : verification.file();
}

class Verification {
  readonly #place: string;
  readonly #verifier: Verifier;
  readonly #against: Against;
  readonly #findings: JournalFindings = {
    wrong: [],
    witnessed: [],
    checkpoint: undefined,
    erased: 0,
    beyond: 0,
  };
  readonly #tree = new Tree();
  readonly #erased = new Map<number, string>();
  readonly #mayBeErased = new Set<number>();
  #known: readonly KnownHead[] = [];

  constructor(place: string, verifier: Verifier, against: Against) {
    this.#place = place;
    this.#verifier = verifier;
    this.#against = against;
  }

  folder(): JournalFindings {
    const findings = this.#findings;
    const own = this.#heads(this.#read(CHECKPOINT)?.toString(), this.#read(WITNESSED)?.toString());
    if (own === undefined) return findings;
    for (let file = 0; file * TILE_WIDTH < own.size; file += 1) {
      // Without its entries no later hash can be known.
      if (!this.#entries(file, Math.min(TILE_WIDTH, own.size - file * TILE_WIDTH))) return findings;
      this.#against.onProgress?.(this.#tree.size, own.size);
    }
    for (const tile of this.#tree.partialTiles()) this.#compareTile(tile);
    findings.beyond += this.#linesOf(Math.ceil(own.size / TILE_WIDTH)).length;
    return this.#conclude(own);
  }

  file(): JournalFindings {
    const findings = this.#findings;
    const lines = linesOfFile(this.#place);
    const first = lines.next();
    const head = readExportHead(this.#place, first.done === true ? undefined : first.value.line);
    const own = this.#heads(head.checkpoint, head.witnessed ?? undefined);
    if (own === undefined) return findings;
    const total = statSync(this.#place).size;
    for (const { line, bytes } of lines) {
      const index = this.#tree.size;
      if (index === own.size) {
        this.#wrong(`${this.#place}:${index + 2}: more lines than the ${own.size} entries that are signed`);
        break;
      }
      if (!this.#exported(line, index)) return findings;
      if (index % TILE_WIDTH === 0) this.#against.onProgress?.(bytes, total);
    }
    if (this.#tree.size < own.size) {
      this.#wrong(`${this.#place}: cut short: ${own.size} entries are signed, here are ${this.#tree.size}`);
    }
    return this.#conclude(own);
  }

  /** Looks at all signed heads and returns the journal's own. */
  #heads(own: string | undefined, witnessed: string | undefined): Checkpoint | undefined {
    const { heads = [], witnesses = [] } = this.#against;
    const kept = witnessed === undefined ? [] : [{ file: WITNESSED, note: witnessed }];
    const others = [...kept, ...heads].flatMap((head) => this.#opened(head) ?? []);
    const mine = own === undefined ? undefined : this.#opened({ file: CHECKPOINT, note: own });
    if (own === undefined) this.#wrong(`${CHECKPOINT}: missing`);
    if (mine === undefined) return undefined;
    this.#findings.checkpoint = mine;
    this.#known = others;
    for (const { size, file } of others) {
      if (size <= mine.size) continue;
      this.#wrong(`rolled back or cut short: ${file} signs ${size} entries, here are ${mine.size}`);
    }
    for (const witness of witnesses) this.#witness(witness, [...others, mine]);
    this.#compareKnown();
    return mine;
  }

  #opened(head: KnownCheckpoint): KnownHead | undefined {
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
    if (best !== undefined) this.#findings.witnessed.push(best);
    else this.#wrong(`the witness ${witness.name} has cosigned none of the heads that are here`);
  }

  /** One file of entries with its contents and its tiles; false when its entries cannot be read. */
  #entries(file: number, width: number): boolean {
    const path = tilePath('entries', file, width);
    const packed = this.#read(path);
    const entries = unpackEntries(packed ?? Buffer.alloc(0)).map(String);
    if (packed === undefined || entries.length !== width || !packEntries(entries).equals(packed)) {
      this.#wrong(`${path}: ${packed === undefined ? 'missing' : `does not hold ${width} entries`}`);
      return false;
    }
    this.#contents(file, entries);
    for (const entry of entries) {
      for (const tile of this.#tree.add(leafHash(Buffer.from(entry)))) this.#compareTile(tile);
      this.#compareKnown();
    }
    return true;
  }

  #contents(file: number, entries: readonly string[]): void {
    const path = contentsPath(file);
    const lines = this.#linesOf(file);
    for (const [place, entry] of entries.entries()) {
      this.#content(file * TILE_WIDTH + place, lines[place], `${path}:${place + 1}`, entry);
    }
    const extra = lines.length - entries.length;
    if (extra <= 0) return;
    if (entries.length < TILE_WIDTH) this.#findings.beyond += extra;
    else this.#wrong(`${path}:${entries.length + 1}: ${extra} lines too many`);
  }

  /** A line of an export; false where it gives no hash, so that no later one can be known. */
  #exported(text: string, index: number): boolean {
    const where = `${this.#place}:${index + 2}`;
    const { line, hash } = readExportLine(text, index);
    const parsed = parseLine(line, index);
    const entry =
      parsed === undefined || parsed === 'erased'
        ? hash && entryOfHash(hash)
        : entryOf(Buffer.from(parsed.salt, 'hex'), JSON.stringify(parsed.content));
    if (entry === undefined) {
      this.#wrong(`${where}: no line of entry ${index}`);
      return false;
    }
    this.#content(index, line, where, entry);
    this.#tree.add(leafHash(Buffer.from(entry)));
    this.#compareKnown();
    return true;
  }

  #content(index: number, line: string | undefined, where: string, entry: string): void {
    const parsed = line === undefined ? undefined : parseLine(line, index);
    if (parsed === undefined) {
      this.#wrong(`${where}: ${line === undefined ? 'missing' : 'no line'} of entry ${index}`);
    } else if (parsed === 'erased') {
      this.#erased.set(index, where);
      this.#against.onEntry?.(index, undefined);
    } else if (entryOf(Buffer.from(parsed.salt, 'hex'), JSON.stringify(parsed.content)) !== entry) {
      this.#wrong(`${where}: the content of entry ${index} does not fit its hash`);
    } else {
      this.#noteErasure(parsed.content);
      this.#against.onEntry?.(index, parsed.content as JournalContent);
    }
  }

  #noteErasure(content: unknown): void {
    const { type, entries } = Object(content) as { type?: unknown; entries?: unknown };
    if (type !== 'erase' || !Array.isArray(entries)) return;
    for (const index of entries) this.#mayBeErased.add(Number(index));
  }

  #conclude(own: Checkpoint): JournalFindings {
    if (this.#tree.size === own.size && !this.#tree.root().equals(own.root)) {
      this.#wrong(`${CHECKPOINT}: the ${own.size} entries do not give the root that it signs`);
    }
    for (const [index, where] of this.#erased) {
      if (!this.#mayBeErased.has(index)) {
        this.#wrong(`${where}: entry ${index} is erased, and no entry says so`);
      }
    }
    this.#findings.erased = this.#erased.size;
    return this.#findings;
  }

  #compareTile(tile: Tile): void {
    const path = tilePath(tile.level, tile.index, tile.hashes.length);
    const found = this.#read(path);
    if (found === undefined) this.#wrong(`${path}: missing`);
    else if (!found.equals(Buffer.concat(tile.hashes))) {
      this.#wrong(`${path}: does not hold the hashes of its entries`);
    }
  }

  #compareKnown(): void {
    const here = this.#known.filter(({ size }) => size === this.#tree.size);
    for (const { root, size, file } of here) {
      if (this.#tree.root().equals(root)) continue;
      this.#wrong(`forked: the first ${size} entries are not those that ${file} signs`);
    }
  }

  #linesOf(file: number): string[] {
    const text = this.#read(contentsPath(file))?.toString() ?? '';
    const lines = text.split('\n');
    // After the last line feed: nothing, or what was cut off, which no longer counts as a line of an entry.
    const rest = lines.pop();
    return rest === '' || rest === undefined ? lines : [...lines, `${rest} (cut off)`];
  }

  #read(path: string): Buffer | undefined {
    const file = join(this.#place, path);
    return existsSync(file) ? readFileSync(file) : undefined;
  }

  #wrong(line: string): void {
    this.#findings.wrong.push(line);
  }
}
