/**
 * Reads root's files on releases and configurations. Another program writes them, possibly of another version. The
 * agent reads them with bounds, and only when they have changed.
 *
 * LIMITS: STATUS_BYTES_MAX of a status, and the newest HISTORY_BYTES_MAX of the history. A file of the wrong form is
 * ignored, and a history line that is not a record is skipped. Both are counted, and logged when they begin.
 */
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { messageOf } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import type { Logger } from '../base/log.ts';
import {
  ChangeRecord,
  type ConfigCopy,
  HISTORY_FILE,
  STATUS_FILE,
  UpdaterStatus,
} from '../contract/update.ts';

const STATUS_BYTES_MAX = 65_536;
/** Holds at least two hundred updates; older lines are in the journal. */
const HISTORY_BYTES_MAX = 262_144;

/** One file that is polled for changes. */
class Watched<T> {
  readonly #file: string | undefined;
  readonly #read: (file: string) => T;
  readonly #onProblem: (file: string, reason: string) => void;
  #mark = '';
  #value: T | undefined;

  constructor(
    file: string | undefined,
    read: (file: string) => T,
    onProblem: (file: string, reason: string) => void,
  ) {
    this.#file = file;
    this.#read = read;
    this.#onProblem = onProblem;
  }

  /** Undefined if the file is missing or invalid. */
  get value(): T | undefined {
    return this.#value;
  }

  /** Costs one stat(2) if nothing has changed. */
  poll(): void {
    const file = this.#file;
    if (file === undefined) return;
    try {
      const stat = statSync(file, { throwIfNoEntry: false });
      const mark = stat === undefined ? '' : `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
      if (mark === this.#mark) return;
      this.#mark = mark;
      this.#value = stat === undefined ? undefined : this.#read(file);
    } catch (error) {
      this.#value = undefined;
      this.#onProblem(file, messageOf(error));
    }
  }
}

export interface RootSources {
  /** Folder of root's status and history files; undefined if root's program is not installed. */
  readonly updateDir: string | undefined;
  /** Ordered configuration, which root changes as the room orders. */
  readonly orderedFile: string | undefined;
  /** The same configuration in the form that the room may read. Throws AgentError. */
  readonly configCopy: (() => ConfigCopy) | undefined;
}

export interface RootFilesOptions extends RootSources {
  readonly log: Logger;
}

export class RootFiles {
  readonly #log: Logger;
  readonly #status: Watched<UpdaterStatus>;
  readonly #history: Watched<readonly ChangeRecord[]>;
  readonly #config: Watched<string | undefined>;
  #unreadable = 0;
  #lastLogged = '';

  constructor({ updateDir, orderedFile, configCopy, log }: RootFilesOptions) {
    this.#log = log;
    const onProblem = (file: string, reason: string): void => this.#logProblem(file, reason);
    const inDir = (name: string): string | undefined => updateDir && join(updateDir, name);
    this.#status = new Watched(inDir(STATUS_FILE), readStatus, onProblem);
    const skipped = (file: string, count: number): void =>
      onProblem(file, `${count} invalid lines are skipped`);
    this.#history = new Watched(inDir(HISTORY_FILE), (file) => historyOf(file, skipped), onProblem);
    this.#config = new Watched(configCopy && orderedFile, () => configCopy?.().sha256, onProblem);
  }

  get unreadable(): number {
    return this.#unreadable;
  }

  get status(): UpdaterStatus | undefined {
    return this.#status.value;
  }

  /** Records in order. The first need not be the oldest that ever existed. */
  get history(): readonly ChangeRecord[] {
    return this.#history.value ?? [];
  }

  /** SHA-256 of the stored configuration, with the camera's login hidden. */
  get configSha256(): string | undefined {
    return this.#config.value;
  }

  /** Must be called often. */
  poll(): void {
    for (const file of [this.#status, this.#history, this.#config]) file.poll();
  }

  #logProblem(file: string, reason: string): void {
    this.#unreadable += 1;
    if (this.#lastLogged === file + reason) return;
    this.#lastLogged = file + reason;
    this.#log.warn({ file, reason }, 'root’s update status cannot be read');
  }
}

/** Returns the newest `bytesMax` bytes of the file. */
function newest(file: string, bytesMax: number): { readonly bytes: Buffer; readonly isComplete: boolean } {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error('not a regular file');
    const bytes = Buffer.alloc(Math.min(stat.size, bytesMax));
    const read = readSync(fd, bytes, 0, bytes.length, Math.max(0, stat.size - bytesMax));
    return { bytes: bytes.subarray(0, read), isComplete: stat.size <= bytesMax };
  } finally {
    closeSync(fd);
  }
}

function text(file: string, bytesMax: number): string {
  const { bytes, isComplete } = newest(file, bytesMax);
  if (!isComplete) throw new Error(`it has more than ${bytesMax} bytes`);
  return bytes.toString('utf8');
}

function historyOf(file: string, onSkipped: (file: string, count: number) => void): ChangeRecord[] {
  const { bytes, isComplete } = newest(file, HISTORY_BYTES_MAX);
  // The last line may be incomplete; it is read once its end is there.
  const lines = bytes
    .toString('utf8')
    .split('\n')
    .slice(isComplete ? 0 : 1, -1);
  const records = lines
    .map((line) => cleanCopy(ChangeRecord, jsonOf(line)))
    .filter((line) => Value.Check(ChangeRecord, line));
  if (records.length < lines.length) onSkipped(file, lines.length - records.length);
  return records;
}

/** Throws if the file is missing or does not have this form. */
export function readStatus(file: string): UpdaterStatus {
  return formed(UpdaterStatus, cleanCopy(UpdaterStatus, jsonOf(text(file, STATUS_BYTES_MAX))));
}

/**
 * Removes members that a newer program of root has added. That program is updated independently, before or after the
 * agent.
 */
const cleanCopy = (schema: TSchema, value: unknown): unknown => Value.Clean(schema, structuredClone(value));

function formed<S extends TSchema>(schema: S, value: unknown): Static<S> {
  if (Value.Check(schema, value)) return value;
  const error = Value.Errors(schema, value).First();
  throw new Error(`not of its form: ${error?.path || '/'}: ${error?.message ?? ''}`);
}
