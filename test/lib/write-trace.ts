/**
 * Traces every write of a process with strace(1), and computes what a disk would hold after a power cut at any moment.
 *
 * The disk's model:
 * - Data covered by a file's last fsync or fdatasync is there.
 * - Each sector written since is there, or not, or only its first bytes, in no order. The same holds for new file
 *   lengths.
 * - File names are made and removed immediately. SQLite needs no more of a journalling file system once a database
 *   exists.
 * - A file that was renamed over another is there under its new name after an fsync of the folder. Before that it may
 *   or may not be.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Bytes that disks promise to write atomically; SQLite relies on less (it detects torn sectors by checksums). */
const SECTOR_BYTES = 512;

/** Length at which strace truncates strings. */
const STRING_BYTES = 1_048_576;

type Operation =
  | { readonly kind: 'write'; readonly path: string; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'length'; readonly path: string; readonly bytes: number }
  | { readonly kind: 'sync' | 'remove'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  | { readonly kind: 'said'; readonly text: string };

export interface PowerCut {
  /** Content of the disk by path. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** Output of the process up to the cut. */
  readonly output: string;
}

export class WriteTrace {
  readonly #operations: readonly Operation[];

  private constructor(operations: readonly Operation[]) {
    this.#operations = operations;
  }

  /** The same trace without any fsync, as a writer that does not wait for the disk would leave it. */
  get careless(): WriteTrace {
    return new WriteTrace(this.#operations.filter(({ kind }) => kind !== 'sync'));
  }

  /** Reason why this machine cannot trace, or false. */
  static unavailable(): string | false {
    const { status } = spawnSync('strace', ['-o', '/dev/null', 'true']);
    return status === 0 ? false : 'a write trace needs strace and the right to use it (ptrace)';
  }

  /**
   * Runs a program to its end. Records files whose path begins with `prefix`, except SQLite's index of its log, which
   * is in memory and is rebuilt.
   */
  static record(command: readonly string[], prefix: string, traceFile: string): WriteTrace {
    const calls = 'openat,pwrite64,write,ftruncate,fsync,fdatasync,unlink,rename';
    const options = ['-f', '-xx', '-s', String(STRING_BYTES), '-e', `trace=${calls}`, '-e', 'signal=none'];
    const { status, stderr } = spawnSync('strace', [...options, '-o', traceFile, ...command], {
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`the traced program ended with ${status}: ${stderr}`);
    return new WriteTrace(operationsOf(readFileSync(traceFile, 'latin1'), prefix));
  }

  get length(): number {
    return this.#operations.length;
  }

  /** Index of the first output: before it nothing can be lost. */
  get firstSaid(): number {
    return this.#operations.findIndex(({ kind }) => kind === 'said');
  }

  /** Cuts the power after each of the operations with these indices, in order. */
  replay(after: ReadonlySet<number>, random: () => number, onCut: (powerCut: PowerCut) => void): void {
    const disk = new Disk();
    let output = '';
    this.#operations.forEach((operation, i) => {
      if (operation.kind === 'said') output += operation.text;
      else disk.take(operation);
      if (after.has(i)) onCut({ files: disk.afterCut(random), output });
    });
  }
}

/** Flushed data, and data that the kernel still holds. */
class Disk {
  readonly #durable = new Map<string, Content>();
  readonly #unsynced = new Map<string, Operation[]>();
  /** Renames not yet flushed with their folder, in order, with the previous content of the new name. */
  #renamed: { readonly from: string; readonly to: string; readonly before: Content | undefined }[] = [];

  take(operation: Exclude<Operation, { kind: 'said' }>): void {
    const { kind, path } = operation;
    if (kind === 'sync') {
      this.#renamed = this.#renamed.filter(({ to }) => dirname(to) !== path);
      const unsynced = this.#unsynced.get(path) ?? [];
      if (!this.#durable.has(path) && unsynced.length === 0) return;
      const durable = this.#durable.get(path) ?? new Content();
      durable.apply(unsynced, () => true);
      this.#durable.set(path, durable);
      this.#unsynced.delete(path);
    } else if (kind === 'remove') {
      this.#durable.delete(path);
      this.#unsynced.delete(path);
    } else if (kind === 'rename') {
      const { to } = operation;
      this.#renamed.push({ from: path, to, before: this.#durable.get(to) });
      for (const side of [this.#durable, this.#unsynced] as Map<string, unknown>[]) {
        if (side.has(path)) side.set(to, side.get(path));
        else side.delete(to);
        side.delete(path);
      }
    } else {
      const unsynced = this.#unsynced.get(path);
      if (unsynced === undefined) this.#unsynced.set(path, [operation]);
      else unsynced.push(operation);
    }
  }

  afterCut(random: () => number): Map<string, Buffer> {
    // From a disk that had written nearly everything to one that had hardly begun.
    const ratio = random();
    const isKept = (): boolean => random() < ratio;
    const paths = new Set([...this.#durable.keys(), ...this.#unsynced.keys()]);
    const files = new Map<string, Buffer>();
    for (const path of paths) {
      const content = new Content(this.#durable.get(path)?.bytes);
      content.apply(this.#unsynced.get(path) ?? [], isKept, random);
      files.set(path, content.bytes);
    }
    // A journalling file system keeps the order of names: after one lost name, all later ones are lost.
    const firstLost = this.#renamed.findIndex(() => !isKept());
    const lostNames = firstLost < 0 ? [] : this.#renamed.slice(firstLost);
    for (const { from, to, before } of lostNames.reverse()) {
      const now = files.get(to);
      if (now !== undefined) files.set(from, now);
      if (before === undefined) files.delete(to);
      else files.set(to, Buffer.from(before.bytes));
    }
    return files;
  }
}

/** Content of a file. It grows into spare room, so that many short writes do not copy it each time. */
class Content {
  #room: Buffer;
  #length: number;

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.#room = Buffer.from(bytes);
    this.#length = bytes.length;
  }

  get bytes(): Buffer {
    return this.#room.subarray(0, this.#length);
  }

  /** Applies writes and lengths, each sector of them where it is kept. */
  apply(operations: readonly Operation[], isKept: () => boolean, random: () => number = () => 1): void {
    for (const operation of operations) {
      if (operation.kind === 'length' && isKept()) this.#resize(operation.bytes);
      if (operation.kind !== 'write') continue;
      const { at, bytes } = operation;
      for (let from = at; from < at + bytes.length; ) {
        const to = Math.min(at + bytes.length, (Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES);
        // One lost sector in ten is torn: its first bytes are new, the others old.
        const keep = isKept() ? to - from : random() < 0.1 ? Math.floor(random() * (to - from)) : 0;
        if (keep > 0) {
          this.#resize(Math.max(this.#length, from + keep));
          bytes.copy(this.#room, from, from - at, from - at + keep);
        }
        from = to;
      }
    }
  }

  #resize(length: number): void {
    if (length > this.#room.length) {
      const room = Buffer.alloc(2 * length);
      this.#room.copy(room, 0, 0, this.#length);
      this.#room = room;
    } else if (length > this.#length) this.#room.fill(0, this.#length, length);
    this.#length = length;
  }
}

/** Reads a trace made with `-f -xx`; a call that another thread interrupted is joined again. */
function operationsOf(trace: string, prefix: string): Operation[] {
  const operations: Operation[] = [];
  const unfinished = new Map<string, string>();
  const open: OpenFiles = { paths: new Map(), places: new Map(), lengths: new Map() };
  for (const line of trace.split('\n')) {
    const [, pid = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    const [, startText] = /^(.*)<unfinished \.\.\.>$/.exec(rest) ?? [];
    if (startText !== undefined) {
      unfinished.set(pid, startText.trimEnd());
      continue;
    }
    const [, resumed] = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest) ?? [];
    const call = resumed === undefined ? rest : (unfinished.get(pid) ?? '') + resumed;
    const operation = operationOf(call, open, prefix);
    if (operation !== undefined) operations.push(operation);
  }
  return operations;
}

interface OpenFiles {
  /** Paths by descriptor, of recorded files only. */
  readonly paths: Map<string, string>;
  /** Offset of the next write by descriptor; `end` for one that appends. */
  readonly places: Map<string, number | 'end'>;
  /** File lengths by path. */
  readonly lengths: Map<string, number>;
}

function operationOf(call: string, open: OpenFiles, prefix: string): Operation | undefined {
  const [, name = '', args = '', result = ''] = /^(\w+)\((.*)\)\s+= (-?\d+)/.exec(call) ?? [];
  if (name === '' || Number(result) < 0) return undefined;
  if (name === 'openat') return openOperation(args, result, open, prefix);
  const [, first = ''] = /^(\d+)/.exec(args) ?? [];
  const text = bytesIn(args);
  if (name === 'unlink' || name === 'rename') {
    const path = text.toString();
    if (!path.startsWith(prefix)) return undefined;
    if (name === 'unlink') return { kind: 'remove', path };
    const to = bytesIn(args.slice(args.indexOf(', ') + 2)).toString();
    open.lengths.set(to, open.lengths.get(path) ?? 0);
    return { kind: 'rename', path, to };
  }
  if (name === 'write' && first === '1') return { kind: 'said', text: text.toString() };
  const path = open.paths.get(first);
  if (path === undefined) return undefined;
  const last = Number(/(\d+)$/.exec(args)?.[1]);
  if (name === 'fsync' || name === 'fdatasync') return { kind: 'sync', path };
  if (name === 'ftruncate') {
    open.lengths.set(path, last);
    return { kind: 'length', path, bytes: last };
  }
  if (name === 'pwrite64') return { kind: 'write', path, at: last, bytes: text };
  const place = open.places.get(first);
  const at = place === 'end' || place === undefined ? (open.lengths.get(path) ?? 0) : place;
  if (place !== 'end') open.places.set(first, at + text.length);
  open.lengths.set(path, Math.max(open.lengths.get(path) ?? 0, at + text.length));
  return { kind: 'write', path, at, bytes: text };
}

function openOperation(args: string, fd: string, open: OpenFiles, prefix: string): Operation | undefined {
  const path = bytesIn(args).toString();
  if (!path.startsWith(prefix) || path.endsWith('-shm')) {
    open.paths.delete(fd);
    return undefined;
  }
  open.paths.set(fd, path);
  open.places.set(fd, args.includes('O_APPEND') ? 'end' : 0);
  if (!args.includes('O_TRUNC')) return undefined;
  open.lengths.set(path, 0);
  return { kind: 'length', path, bytes: 0 };
}

function bytesIn(args: string): Buffer {
  const [, hex = ''] = /"((?:\\x[0-9a-f]{2})*)"/.exec(args) ?? [];
  return Buffer.from(hex.replaceAll('\\x', ''), 'hex');
}
