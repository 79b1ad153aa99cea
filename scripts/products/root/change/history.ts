/**
 * Stores the history of changes on this box, one JSON line (ChangeRecord) each. The agent copies it into its journal.
 *
 * INVARIANTS:
 * - Numbers grow by one, without a gap.
 * - A line is on disk before the next phase begins.
 * - Half a line, as left by a power cut, is removed at the next write. An invalid line is skipped and counted.
 *
 * LIMITS: keeps the newest KEPT lines; the file is rewritten when it has twice as many.
 */
import { closeSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { flush, writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { hasCode, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { ChangeRecord, HISTORY_FILE } from '../../../../agent/contract/update.ts';
import { counted } from '../../../lib/counted.ts';
import { setAside } from './set-aside.ts';

const RECORDS_KEPT = 1000;
const MODE = 0o644;

export class History {
  readonly #file: string;
  readonly #say: (line: string) => void;

  constructor(dir: string, say: (line: string) => void) {
    this.#file = join(dir, HISTORY_FILE);
    this.#say = say;
  }

  /** Returns the records, oldest first. An unreadable file is set aside, and the result is empty. */
  records(): ChangeRecord[] {
    const lines = this.#lines();
    const records = lines.map(jsonOf).filter((line) => Value.Check(ChangeRecord, line));
    const bad = lines.length - records.length;
    if (bad > 0)
      this.#say(
        `${this.#file}: ${bad} of ${counted(lines.length, 'line')} skipped, not in the form of a record`,
      );
    return records;
  }

  last(): ChangeRecord | undefined {
    return this.records().at(-1);
  }

  /**
   * Appends a record.
   *
   * @throws the file system's error if the disk refuses the write
   */
  append(record: ChangeRecord): void {
    const lines = this.#lines();
    const line = JSON.stringify(record);
    if (lines.length >= 2 * RECORDS_KEPT) {
      const text = [...lines.slice(1 - RECORDS_KEPT), line].map((one) => `${one}\n`).join('');
      writeAtomically(this.#file, text, MODE);
      return;
    }
    const isNew = lines.length === 0;
    if (!isNew) truncateSync(this.#file, Buffer.byteLength(lines.map((one) => `${one}\n`).join('')));
    const fd = openSync(this.#file, isNew ? 'w' : 'a', MODE);
    try {
      writeSync(fd, `${line}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (isNew) flush(dirname(this.#file));
  }

  #lines(): string[] {
    let text: string;
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) setAside(this.#file, messageOf(error), this.#say);
      return [];
    }
    // After the last line end follows nothing, or half a line.
    return text.split('\n').slice(0, -1);
  }
}
