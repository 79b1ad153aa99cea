/**
 * Tamper-evident journal of the box, a C2SP tlog on disk (layout.ts).
 *
 * INVARIANTS:
 * - When `append` returns, the entry is on disk and under the signed checkpoint.
 * - Contents, entries and tiles are written before the checkpoint that covers them. A cut at any moment leaves the
 *   previous or the new journal, and both verify.
 * - Data beyond the checkpoint is ignored, and dropped at the next start. An erasure is an entry of its own.
 * LIMITS: CONTENT_MAX bytes an entry. Contents are bounded by retention.ts; the tree of hashes only grows
 * (docs/design/011-journal.md gives the rate).
 */
import { randomBytes } from 'node:crypto';
import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AgentError, assert } from '../../base/errors.ts';
import type { JournalContent } from '../../contract/journal.ts';
import { isConsistent, proveConsistency } from './consistency.ts';
import { Contents } from './contents.ts';
import { JOURNAL_DIR, JOURNAL_KEY_FILE, makeJournalKey, readJournalKey } from './key.ts';
import {
  CHECKPOINT,
  COSIGNED,
  contentLine,
  contentsPath,
  entryOf,
  onDisk,
  packEntries,
  parseLine,
  SALT_BYTES,
  tilePath,
  unpackEntries,
  writeIn,
} from './layout.ts';
import {
  type Checkpoint,
  openCheckpoint,
  parseVerifierKey,
  signCheckpoint,
  type Verifier,
  verifierKey,
} from './note.ts';
import { provenHeadText } from './proven-head.ts';
import { leafHash, partialPlaces, TILE_WIDTH, type Tile, Tree } from './tree.ts';

const CONTENT_MAX = 32_768;

/** Number of content files that `newest` searches: at least a month of heartbeats. */
const FILES_MAX = 20;

const HASH_BYTES = 32;
/** Free bytes required, because an entry takes five new blocks while the old ones still exist. */
const FREE_MIN = 262_144;

export interface JournalOptions {
  readonly stateDir: string;
  /** Origin of the checkpoints and name of the key: `vigie/<site>/<box>`. */
  readonly origin: string;
}

/** File being written: its number, its present entries, and the bytes of their contents. */
interface Open {
  readonly index: number;
  readonly entries: readonly string[];
  readonly contentBytes: number;
}

type Key = ReturnType<typeof readJournalKey>;

export class Journal {
  readonly #options: JournalOptions;
  readonly #dir: string;
  readonly #contents: Contents;
  #key: Key | undefined;
  #tree = new Tree();
  #open: Open = { index: 0, entries: [], contentBytes: 0 };
  #head: string | undefined;
  #witnessed: Checkpoint | undefined;
  /** Number of entries that the witness is known to have cosigned. */
  #proveFrom = 0;
  /** Partial tiles that the newest checkpoint has replaced. */
  #stale: string[] = [];

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#dir = join(options.stateDir, JOURNAL_DIR);
    this.#contents = new Contents(this.#dir);
  }

  get size(): number {
    return this.#tree.size;
  }

  /** Newest signed checkpoint; undefined before `start`. */
  get head(): string | undefined {
    return this.#head;
  }

  /**
   * Creates the journal and its key, or opens them. Throws AgentError: `corrupt` for a journal that does not match its
   * checkpoint (it is left unchanged, for `vigie-oversight verify`), `unavailable` or `exhausted` for the disk.
   */
  start(): void {
    this.#disk(() => {
      const { stateDir, origin } = this.#options;
      const keyFile = join(stateDir, JOURNAL_KEY_FILE);
      const began = existsSync(join(this.#dir, CHECKPOINT));
      if (!began && existsSync(join(this.#dir, 'tile'))) throw this.#corrupt('its checkpoint is missing');
      if (began && !existsSync(keyFile)) throw this.#corrupt(`its key ${keyFile} is missing`);
      this.#key = existsSync(keyFile) ? readJournalKey(keyFile) : makeJournalKey(keyFile);
      if (began) {
        this.#takeUp();
      } else {
        this.#head = signCheckpoint({ origin, size: 0, root: new Tree().root() }, this.#key);
        writeIn(this.#dir, CHECKPOINT, this.#head);
      }
    });
  }

  /** Appends an entry and returns its index. Durable on return. Throws AgentError as `start`; then none is added. */
  append(content: JournalContent): number {
    const index = this.size;
    this.appendAll([content]);
    return index;
  }

  /** Number of entries that the open file still takes. That many are appended atomically. */
  get room(): number {
    return TILE_WIDTH - this.#open.entries.length;
  }

  /** Appends up to a file of 256 under one checkpoint, which costs little more than one; otherwise as `append`. */
  appendAll(contents: readonly JournalContent[]): void {
    for (let from = 0; from < contents.length; ) {
      const texts = contents.slice(from, from + this.room).map((content) => JSON.stringify(content));
      this.#disk(() => this.#write(texts));
      from += texts.length;
    }
  }

  /** Number of entries that the witness vouches for. */
  get witnessedSize(): number {
    return this.#witnessed?.size ?? 0;
  }

  /** `provenHead` from `note` on; undefined if not continued. Throws AgentError `corrupt` for a foreign head. */
  provenHeadSince(note: string | undefined): string | undefined {
    const checkpoint =
      note === undefined ? { size: 0, root: new Tree().root() } : openCheckpoint(note, this.#verifier());
    return this.#continues(checkpoint) ? this.provenHead(checkpoint.size) : undefined;
  }

  /** Returns the head with the proof that it continues the first `from` entries. Throws AgentError as `append`. */
  provenHead(from = this.#proveFrom): string {
    assert(this.#head !== undefined, 'a journal must be started before its head is read');
    return provenHeadText({ from, proof: this.#proof(from), note: this.#head });
  }

  /**
   * Stores a cosigned head of this journal; an empty one means that the witness has started again. Returns false for a
   * head of this box that this journal does not continue. The witness still gets its proof, and sees that it does not
   * match. Throws AgentError `corrupt` if it is not such a head, otherwise as `append`.
   */
  takeWitnessed(note: string): boolean {
    if (note === '') {
      this.#witnessed = undefined;
      this.#proveFrom = 0;
      this.#disk(() => rmSync(join(this.#dir, COSIGNED), { force: true }));
      return true;
    }
    const checkpoint = openCheckpoint(note, this.#verifier());
    if (checkpoint.size > this.size) return false;
    this.#proveFrom = checkpoint.size;
    if (!this.#continues(checkpoint)) return false;
    if (checkpoint.size === this.witnessedSize) return true;
    this.#disk(() => writeIn(this.#dir, COSIGNED, note));
    this.#witnessed = checkpoint;
    return true;
  }

  /** Size of the contents in bytes; an erased entry counts with what remains of it. */
  get contentBytes(): number {
    return this.#contents.bytes;
  }

  /** Returns the entries of a file of 256; erased ones have no content. Throws AgentError as `append`. */
  contentsOf(file: number): { index: number; content: JournalContent | undefined }[] {
    return this.#disk(() => this.#contentsOf(file));
  }

  /**
   * Throws AgentError if nothing could be written now: `exhausted`, or `unavailable` for a disk mounted read-only, as a
   * worn one becomes.
   */
  probe(): void {
    this.#disk(() => {
      if (!existsSync(this.#dir)) return;
      accessSync(this.#dir, constants.W_OK);
      const { bavail, bsize } = statfsSync(this.#dir);
      const free = bavail * bsize;
      if (free >= FREE_MIN) return;
      const message = `the disk is full: ${free} bytes are left for the journal ${this.#dir}, ${FREE_MIN} are needed`;
      throw new AgentError('exhausted', message);
    });
  }

  /**
   * Erases contents and salts; the hashes stay. Durable on return. The entry for it states which entries were erased
   * and why, and their kind in `what` if they share one.
   */
  erase(entries: readonly number[], reason: string, at: string, kind?: JournalContent['type']): void {
    assert(
      entries.every((index) => Number.isInteger(index) && index >= 0 && index < this.size),
      'entries to erase must be in the journal',
    );
    this.append({ at, type: 'erase', entries, why: reason, ...(kind && { what: kind }) });
    this.#disk(() => this.#blank(entries));
  }

  /** Returns the newest entry that `fits`, among the last FILES_MAX files. */
  newest(fits: (content: JournalContent) => boolean): JournalContent | undefined {
    const [first] = this.contentsSince(fits);
    return first !== undefined && fits(first) ? first : undefined;
  }

  /** Returns the newest entry that `fits` and all later ones, in order; if none fits, the last FILES_MAX files. */
  contentsSince(fits: (content: JournalContent) => boolean): JournalContent[] {
    return this.#disk(() => {
      const last = this.#open.index;
      let recentContents: JournalContent[] = [];
      for (let file = last; file >= 0 && file > last - FILES_MAX; file -= 1) {
        const contents = this.#contentsOf(file).flatMap(({ content }) => content ?? []);
        const from = contents.findLastIndex(fits);
        recentContents = [...contents.slice(Math.max(0, from)), ...recentContents];
        if (from >= 0) break;
      }
      return recentContents;
    });
  }

  /** Key with which the checkpoints of this journal are verified. */
  get verifierKey(): string {
    assert(this.#key !== undefined, 'a journal is started before its key is used');
    return verifierKey(this.#options.origin, this.#key);
  }

  #contentsOf(file: number): { index: number; content: JournalContent | undefined }[] {
    return this.#contents.lines(file, this.size).map((line, place) => {
      const index = file * TILE_WIDTH + place;
      const parsed = parseLine(line, index);
      const content = typeof parsed === 'object' ? (parsed.content as JournalContent) : undefined;
      return { index, content };
    });
  }

  #continues(head: Pick<Checkpoint, 'size' | 'root'>): boolean {
    if (head.size > this.size) return false;
    return isConsistent(head, { size: this.size, root: this.#tree.root() }, this.#proof(head.size));
  }

  #proof(from: number): Buffer[] {
    return this.#disk(() =>
      proveConsistency(from, this.size, (level, index, width) => this.#readTile(level, index, width)),
    );
  }

  #verifier(): Verifier {
    return parseVerifierKey(this.verifierKey);
  }

  /** Writes at most the rest of the open file. */
  #write(contents: readonly string[]): void {
    const key = this.#key;
    assert(key !== undefined, 'a journal is started before it is written to');
    const { origin } = this.#options;
    const { index, entries, contentBytes } = this.#open;
    this.#sweep();
    const salted = contents.map((content) => {
      const fits = Buffer.byteLength(content) <= CONTENT_MAX;
      assert(fits, `an entry of the journal is larger than ${CONTENT_MAX} B`);
      return { content, salt: randomBytes(SALT_BYTES) };
    });
    const lines = salted.map(({ content, salt }, i) => contentLine(this.size + i, salt, content));
    const text = Buffer.from(lines.join(''));
    this.#contents.add(index, contentBytes, text);
    const added = salted.map(({ content, salt }) => entryOf(salt, content));
    const now = [...entries, ...added];
    writeIn(this.#dir, tilePath('entries', index, now.length), packEntries(now));
    const tree = this.#tree.copy();
    // Only the last leaf can fill the file, and with it tiles.
    const full = added.flatMap((entry) => tree.add(leafHash(Buffer.from(entry))));
    const touched = tree.partialTiles().filter(({ level }) => level <= full.length);
    for (const tile of [...full, ...touched]) writeIn(this.#dir, pathOf(tile), Buffer.concat(tile.hashes));
    const head = signCheckpoint({ origin, size: tree.size, root: tree.root() }, key);
    writeIn(this.#dir, CHECKPOINT, head);

    const before = this.#tree.partialTiles().filter(({ level }) => level <= full.length);
    this.#stale = before.map((tile) => (tile.level < full.length ? dirname(pathOf(tile)) : pathOf(tile)));
    if (entries.length > 0) {
      const path = tilePath('entries', index, entries.length);
      this.#stale.push(full.length > 0 ? dirname(path) : path);
    }
    this.#tree = tree;
    this.#head = head;
    this.#open =
      full.length > 0
        ? { index: index + 1, entries: [], contentBytes: 0 }
        : { index, entries: now, contentBytes: contentBytes + text.length };
  }

  #sweep(): void {
    for (const path of this.#stale) rmSync(join(this.#dir, path), { force: true, recursive: true });
    this.#stale = [];
  }

  #takeUp(): void {
    const note = readFileSync(join(this.#dir, CHECKPOINT), 'utf8');
    const { size, root } = this.#parse('checkpoint', () => openCheckpoint(note, this.#verifier()));
    const places = partialPlaces(size);
    const edges = places.map(({ level, index, width }) => this.#readTile(level, index, width));
    const tree = new Tree(size, edges);
    if (!tree.root().equals(root)) throw this.#corrupt('its tiles do not give the root of its checkpoint');
    const index = Math.floor(size / TILE_WIDTH);
    const width = size % TILE_WIDTH;
    this.#tree = tree;
    this.#head = note;
    const cosigned = join(this.#dir, COSIGNED);
    const witnessed = existsSync(cosigned) && readFileSync(cosigned, 'utf8');
    if (witnessed) this.#witnessed = this.#parse(COSIGNED, () => openCheckpoint(witnessed, this.#verifier()));
    this.#open = { index, ...this.#takeUpFile(index, width, edges[0] ?? []) };
    this.#stale = ['entries' as const, ...places.map(({ level }) => level)].flatMap((level) => {
      const place = level === 'entries' ? { index, width } : (places[level] ?? { index: 0, width: 0 });
      return this.#strayTiles(level, place.index, place.width);
    });
    this.#sweep();
    this.#contents.takeUp(size);
    const last = size === 0 ? undefined : this.newest(() => true);
    // The agent may have stopped between the entry and the erasure.
    if (last?.type === 'erase') this.#blank(last.entries);
  }

  #takeUpFile(index: number, width: number, leaves: readonly Buffer[]): Omit<Open, 'index'> {
    if (width === 0) return { entries: [], contentBytes: 0 };
    const path = tilePath('entries', index, width);
    const packed = existsSync(join(this.#dir, path)) ? readFileSync(join(this.#dir, path)) : Buffer.alloc(0);
    const entries = unpackEntries(packed);
    const fits = entries.length === width && entries.every((entry, i) => leaves[i]?.equals(leafHash(entry)));
    if (!fits) throw this.#corrupt(`${path} does not fit its tiles`);
    const lines = this.#contents.lines(index, this.size);
    if (lines.length < width) throw this.#corrupt(`${contentsPath(index)} is too short`);
    const contentBytes = lines.slice(0, width).reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
    return { entries: entries.map(String), contentBytes };
  }

  #readTile(level: number, index: number, width: number): Buffer[] {
    if (width === 0) return [];
    const path = tilePath(level, index, width);
    const bytes = existsSync(join(this.#dir, path)) ? readFileSync(join(this.#dir, path)) : Buffer.alloc(0);
    if (bytes.length !== width * HASH_BYTES) throw this.#corrupt(`${path} is missing or not of its size`);
    return Array.from({ length: width }, (_, i) => bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
  }

  /** Returns partial tiles beside the valid one, which an interrupted append has left. */
  #strayTiles(level: number | 'entries', index: number, width: number): string[] {
    const folder = dirname(tilePath(level, index, 1));
    const names = existsSync(join(this.#dir, folder)) ? readdirSync(join(this.#dir, folder)) : [];
    const stray = names.filter((name) => name !== String(width)).map((name) => `${folder}/${name}`);
    return index === 0 ? stray : [...stray, dirname(tilePath(level, index - 1, 1))];
  }

  #blank(entries: readonly number[]): void {
    const erased = new Set(entries);
    for (const file of new Set(entries.map((index) => Math.floor(index / TILE_WIDTH)))) {
      const contentBytes = this.#contents.blank(file, this.size, erased);
      if (file === this.#open.index) this.#open = { ...this.#open, contentBytes };
    }
  }

  #corrupt(reason: string): AgentError {
    return new AgentError(
      'corrupt',
      `the journal ${this.#dir} cannot go on: ${reason}; keep a copy and check it with vigie-oversight verify, then move it elsewhere`,
    );
  }

  #parse<T>(subject: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
      throw this.#corrupt(`${subject}: ${error.message}`);
    }
  }

  #disk<T>(action: () => T): T {
    return onDisk(this.#dir, action);
  }
}

const pathOf = ({ level, index, hashes }: Tile): string => tilePath(level, index, hashes.length);
