/**
 * Outbox of one box: on disk while the disk accepts writes, otherwise in bounded memory.
 *
 * INVARIANTS: while `counters.store` is `disk`, everything that `append` has accepted survives kill -9 and power cuts.
 * Numbers continue without reuse across restarts, damaged files and periods in memory.
 * LIMITS: `limitMiB` on disk and MEMORY_MIB in memory; the lowest rank is dropped first (see store.ts).
 */
import type { Clock } from '../base/clock.ts';
import { AgentError, assert, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { moveAside } from '../base/sqlite.ts';
import {
  LANES,
  type Lane,
  type LaneCounters,
  type Notes,
  type Outbox,
  type OutboxCounters,
  type OutboxItem,
  type OutboxRow,
  type Rank,
  type SeqRange,
} from '../contract/outbox.ts';
import { forgetOld, lastNumbers } from './damaged.ts';
import { openDatabase, openReadOnly, outboxFile } from './database.ts';
import { lostStoreGap } from './gap.ts';
import { isExhausted, Store } from './store.ts';

/** MiB for about 6,000 events or 50 alerts with snapshots, within the 32 MiB that an outage may cost. */
const MEMORY_MIB = 8;

const TICK_MS = 1000;

/** Interval between checks for expired rows. */
const EXPIRE_EVERY_MS = 60_000;

/** Interval between attempts to use a disk that refused. */
const DISK_RETRY_MS = 30_000;

export interface OutboxOptions {
  readonly file: string;
  readonly limitMiB: number;
  /** Id of this start of the agent, stored with each message that it accepts. */
  readonly boot: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class DurableOutbox implements Outbox {
  readonly #options: OutboxOptions;
  #disk: Store | undefined;
  #memory: Store | undefined;
  /** Last number of each lane before the numbers that memory has assigned. */
  #memoryBase: Record<Lane, number> = { alert: 0, bulk: 0 };
  /** Releases that a refusing disk could not take. Until it does, `peek` skips these rows. */
  #owed: Record<Lane, { maxSeq: number; seqs: Set<number> }> = { alert: owedNothing(), bulk: owedNothing() };
  #damaged = 0;
  #refusedBy = '';
  /** Read once per store. */
  #epoch: { readonly of: Store; readonly id: string } | undefined;
  #stopping: AbortController | undefined;
  #ticking: Promise<void> = Promise.resolve();

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Throws AgentError `config` for a file of another layout, and `denied` when another process uses the file. */
  start(): void {
    assert(this.#stopping === undefined, 'an outbox starts once');
    const { file, clock, log } = this.#options;
    forgetOld(file, clock.wallMs(), log);
    try {
      this.#disk = this.#openDisk();
    } catch (error) {
      if (!refusedByDisk(error)) throw error;
      const db = openReadOnly(file, log);
      this.#disk = db && new Store(db, this.#options);
      this.#toMemory(error);
    }
    this.#stopping = new AbortController();
    this.#ticking = this.#tick(this.#stopping.signal);
  }

  /** Reason why events are held in memory, or undefined while the disk accepts them. */
  get refusedBy(): string | undefined {
    return this.#memory === undefined ? undefined : this.#refusedBy;
  }

  /**
   * Handles evidence from another file of the box that numbers through `seq` were assigned. If this outbox does not
   * know them, it is older or was emptied. The missing numbers become a gap, so that the room learns of it and no
   * number is used twice. `extraCount`: how many further numbers may also have been assigned.
   */
  knownThrough(lane: Lane, seq: number, extraCount: number): void {
    const store = this.#store;
    assert(store !== undefined, 'the outbox is not started');
    const last = store.last[lane];
    if (seq <= last) return;
    const { file, clock, log } = this.#options;
    this.#damaged += 1;
    log.error(
      { file, lane, last, known: seq },
      'the outbox is older than the last event sent, or was emptied; its undelivered events are lost',
    );
    this.#write((own) => own.skip(lostStoreGap(lane, last + 1, seq + extraCount, clock.wallMs())));
  }

  get epoch(): string {
    const store = this.#store;
    assert(store !== undefined, 'the outbox is not started');
    if (this.#epoch?.of !== store) this.#epoch = { of: store, id: store.epoch };
    return this.#epoch.id;
  }

  async stop(): Promise<void> {
    this.#stopping?.abort();
    await this.#ticking;
    if (this.#store === undefined) return;
    this.#memory?.close();
    this.#disk?.close();
    this.#memory = undefined;
    this.#disk = undefined;
  }

  append(items: readonly OutboxItem[], notes: Notes = {}): number[] {
    return this.#write((store) => store.append(items, notes));
  }

  notes(prefix: string): { key: string; text: string }[] {
    const memory = this.#memory;
    return memory === undefined ? this.#read((disk) => disk.notes(prefix), []) : memory.notes(prefix);
  }

  peek(lane: Lane, afterSeq: number, limit: number): OutboxRow[] {
    if (this.#memory === undefined) return this.#read((disk) => disk.peek(lane, afterSeq, limit), []);
    const { maxSeq, seqs } = this.#owed[lane];
    const rows: OutboxRow[] = [];
    for (let after = Math.max(afterSeq, maxSeq); rows.length < limit; ) {
      const diskRows = this.#read((disk) => disk.peek(lane, after, limit), []);
      const newest = diskRows.at(-1);
      if (newest === undefined) break;
      rows.push(...diskRows.filter(({ seq }) => !seqs.has(seq)));
      after = newest.seq;
    }
    const diskLast = this.#disk?.last[lane] ?? 0;
    rows.push(...this.#memory.peek(lane, Math.max(afterSeq, diskLast), limit));
    return rows.slice(0, limit);
  }

  range(lane: Lane): SeqRange {
    if (this.#memory === undefined) return this.#read((disk) => disk.range(lane), { first: 1, last: 0 });
    const { last } = this.#memory.range(lane);
    const [oldest] = this.peek(lane, 0, 1);
    if (oldest === undefined) return { first: last + 1, last };
    return { first: oldest.kind === 'gap' ? oldest.gap.from : oldest.seq, last };
  }

  release(lane: Lane, seqs: readonly number[]): number {
    const owe = (disk: Store): number => {
      const owed = this.#owed[lane];
      const due = seqs.filter(
        (seq) => seq > owed.maxSeq && !owed.seqs.has(seq) && disk.count(lane, seq - 1, seq) > 0,
      );
      for (const seq of due) owed.seqs.add(seq);
      return due.length;
    };
    return this.#release((store) => store.release(lane, seqs), owe);
  }

  releaseThrough(lane: Lane, seq: number): number {
    const owe = (disk: Store): number => {
      const owed = this.#owed[lane];
      const maxSeq = Math.max(owed.maxSeq, Math.min(seq, disk.last[lane]));
      const already = [...owed.seqs].filter((one) => one <= maxSeq);
      const due = disk.count(lane, owed.maxSeq, maxSeq) - already.length;
      for (const one of already) owed.seqs.delete(one);
      owed.maxSeq = maxSeq;
      return due;
    };
    return this.#release((store) => store.releaseThrough(lane, seq), owe);
  }

  dropTooLarge(lane: Lane, seq: number): boolean {
    // Rows on a disk that refuses writes stay unchanged.
    if (this.#memory !== undefined && seq <= (this.#disk?.last[lane] ?? 0)) return false;
    return this.#write((store) => store.dropTooLarge(lane, seq));
  }

  get counters(): OutboxCounters {
    const lane = (name: Lane): LaneCounters => {
      const [a, b] = [this.#memory, this.#disk].flatMap((store) =>
        store === undefined ? [] : [this.#guarded(() => store.counters(name))].flatMap((c) => c ?? []),
      );
      if (a === undefined) return NOTHING;
      return b === undefined ? a : sum(a, b);
    };
    const store = this.#memory === undefined ? 'disk' : 'memory';
    return { store, damaged: this.#damaged, lanes: { alert: lane('alert'), bulk: lane('bulk') } };
  }

  get #store(): Store | undefined {
    return this.#memory ?? this.#disk;
  }

  /** Opens the store on disk. `lastSeqs`: the last numbers of a file that may turn out to be damaged. */
  #openDisk(lastSeqs?: Record<Lane, number>): Store {
    const { file, limitMiB, log } = this.#options;
    try {
      return new Store(openDatabase(file, limitMiB, log), this.#options);
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
      return this.#replaceDamaged(error, lastSeqs);
    }
  }

  /** Creates a new store in place of a damaged one. Its first row states which numbers were lost. */
  #replaceDamaged(error: Error, lastSeqs: Record<Lane, number> | undefined): Store {
    const { file, limitMiB, clock, log } = this.#options;
    const last = lastSeqs ?? lastNumbers(file, clock.wallMs(), log);
    const movedTo = moveAside(outboxFile(file));
    this.#damaged += 1;
    log.error(
      { file, movedTo, reason: error.message },
      'the outbox was damaged and has been moved aside; its undelivered events are lost; check the disk',
    );
    const store = new Store(openDatabase(file, limitMiB, log), this.#options);
    for (const lane of LANES) {
      if (last[lane] > 0) store.skip(lostStoreGap(lane, 1, last[lane], clock.wallMs()));
    }
    return store;
  }

  /** Runs a change. A damaged file is replaced; if the disk refuses, the change runs in memory. */
  #write<T>(operation: (store: Store) => T): T {
    const store = this.#store;
    assert(store !== undefined, 'the outbox is not started');
    try {
      return operation(store);
    } catch (error) {
      if (store !== this.#disk || !(error instanceof AgentError)) throw error;
      if (error.kind === 'corrupt') this.#recover(store, error);
      else if (refusedByDisk(error)) this.#toMemory(error);
      else throw error;
      assert(this.#store !== undefined && this.#store !== store, 'there is a new store');
      return operation(this.#store);
    }
  }

  #recover(store: Store, error: Error): void {
    const lastSeqs = store.last;
    try {
      store.close();
      this.#disk = this.#replaceDamaged(error, lastSeqs);
    } catch (second) {
      if (!refusedByDisk(second)) throw second;
      this.#disk = undefined;
      this.#toMemory(second, lastSeqs);
    }
  }

  #toMemory(error: Error, lastSeqs?: Record<Lane, number>): void {
    const { file, limitMiB, clock, log } = this.#options;
    const fallback = Math.floor(clock.wallMs() / 1000);
    const last = lastSeqs ?? this.#disk?.last ?? { alert: fallback, bulk: fallback };
    const memory = new Store(openDatabase(':memory:', Math.min(limitMiB, MEMORY_MIB), log), this.#options);
    for (const lane of LANES) memory.continueFrom(lane, last[lane]);
    const disk = this.#disk;
    if (disk !== undefined) this.#guarded(() => memory.adoptNotes(disk));
    this.#memoryBase = last;
    this.#memory = memory;
    log.error(
      { file, reason: error.message },
      'the outbox cannot be written; events are kept in memory and are lost when the agent stops; repair the disk',
    );
    this.#refusedBy = error.message;
  }

  /** Releases rows. Those on a disk that refuses are recorded as owed to it. */
  #release(operation: (store: Store) => number, owe: (disk: Store) => number): number {
    const released = this.#write(operation);
    return this.#memory === undefined ? released : released + this.#read(owe, 0);
  }

  /** Reads from disk. A damaged file is replaced, and an unreadable one counts as empty. */
  #read<T>(operation: (disk: Store) => T, empty: T): T {
    const disk = this.#disk;
    if (disk === undefined) return empty;
    try {
      return operation(disk);
    } catch (error) {
      const damaged = error instanceof AgentError && error.kind === 'corrupt';
      if (!damaged && !refusedByDisk(error)) throw error;
      if (this.#memory !== undefined) return empty;
      if (!damaged) {
        this.#toMemory(error);
        return empty;
      }
      this.#recover(disk, error);
      return this.#disk === undefined ? empty : operation(this.#disk);
    }
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let expireAtMs = 0;
    let diskAtMs = clock.nowMs() + DISK_RETRY_MS;
    while (!signal.aborted) {
      const nowMs = clock.nowMs();
      if (nowMs >= expireAtMs) {
        expireAtMs = nowMs + EXPIRE_EVERY_MS;
        this.#guarded(() => this.#write((store) => store.expire()));
      }
      if (this.#memory !== undefined && nowMs >= diskAtMs) {
        diskAtMs = nowMs + DISK_RETRY_MS;
        this.#guarded(() => this.#backToDisk());
      }
      await clock.sleep(TICK_MS, signal);
    }
  }

  /** Moves everything from memory to the disk once the disk accepts writes again. */
  #backToDisk(): void {
    const memory = this.#memory;
    assert(memory !== undefined, 'there is something in memory');
    if (this.#disk?.readOnly) {
      this.#disk.close();
      this.#disk = undefined;
    }
    const disk = this.#disk ?? this.#openDisk(this.#memoryBase);
    this.#disk = disk;
    for (const lane of LANES) {
      const { maxSeq, seqs } = this.#owed[lane];
      disk.releaseThrough(lane, maxSeq);
      disk.release(lane, [...seqs]);
      this.#owed[lane] = owedNothing();
      const [next, base] = [disk.last[lane] + 1, this.#memoryBase[lane]];
      // The disk was unreadable when memory took the outbox, so memory started at a number of its own.
      if (base >= next) disk.skip(lostStoreGap(lane, next, base, this.#options.clock.wallMs()));
    }
    disk.adopt(memory);
    this.#epoch = undefined;
    memory.close();
    this.#memory = undefined;
    this.#options.log.info({ file: this.#options.file }, 'the disk takes the outbox again');
  }

  /** Runs work that is retried later. A failure is logged and loses nothing. */
  #guarded<T>(operation: () => T): T | undefined {
    try {
      return operation();
    } catch (error) {
      this.#options.log.warn({ reason: messageOf(error) }, 'outbox: not now; it is tried again');
      return undefined;
    }
  }
}

const NOTHING: LaneCounters = {
  rows: 0,
  bytes: 0,
  lastSeq: 0,
  appended: 0,
  released: 0,
  dropped: { snapshot: 0, notice: 0, alert: 0 },
  expired: 0,
  tooLarge: { snapshot: 0, notice: 0, alert: 0 },
};

function sum(a: LaneCounters, b: LaneCounters): LaneCounters {
  return {
    rows: a.rows + b.rows,
    bytes: a.bytes + b.bytes,
    lastSeq: Math.max(a.lastSeq, b.lastSeq),
    appended: a.appended + b.appended,
    released: a.released + b.released,
    dropped: sumByRank(a.dropped, b.dropped),
    expired: a.expired + b.expired,
    tooLarge: sumByRank(a.tooLarge, b.tooLarge),
  };
}

function sumByRank(
  a: Readonly<Record<Rank, number>>,
  b: Readonly<Record<Rank, number>>,
): Record<Rank, number> {
  return {
    snapshot: a.snapshot + b.snapshot,
    notice: a.notice + b.notice,
    alert: a.alert + b.alert,
  };
}

function owedNothing(): { maxSeq: number; seqs: Set<number> } {
  return { maxSeq: 0, seqs: new Set() };
}

function refusedByDisk(error: unknown): error is AgentError {
  return error instanceof AgentError && (error.kind === 'unavailable' || isExhausted(error));
}
