/**
 * What the journal must know of updates, a line each (UpdateRecord).
 *
 * INVARIANTS: numbers grow by one, without a gap; a line is on the disk before the next phase begins. Half a line, as a power
 * cut leaves it, is taken away when the next one comes.
 * LIMITS: the newest KEPT lines stay; a file of twice as many is written anew.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { flush, writeAtomically } from '../../../agent/base/atomic-file.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { HISTORY_FILE, UpdateRecord } from '../../../agent/contract/update.ts';

const KEPT = 1000;
const MODE = 0o644;

export class History {
  readonly #file: string;

  constructor(dir: string) {
    this.#file = join(dir, HISTORY_FILE);
  }

  /** The oldest first; what is no record is passed over. */
  records(): UpdateRecord[] {
    return this.#lines()
      .map(jsonOf)
      .filter((line) => Value.Check(UpdateRecord, line));
  }

  last(): UpdateRecord | undefined {
    return this.records().at(-1);
  }

  append(record: UpdateRecord): void {
    const lines = this.#lines();
    const line = JSON.stringify(record);
    if (lines.length >= 2 * KEPT) {
      const kept = [...lines.slice(1 - KEPT), line].map((one) => `${one}\n`).join('');
      writeAtomically(this.#file, kept, MODE);
      return;
    }
    const isNew = !existsSync(this.#file);
    const whole = Buffer.byteLength(lines.map((one) => `${one}\n`).join(''));
    if (!isNew) truncateSync(this.#file, whole);
    const fd = openSync(this.#file, 'a', MODE);
    try {
      writeSync(fd, `${line}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (isNew) flush(dirname(this.#file));
  }

  #lines(): string[] {
    if (!existsSync(this.#file)) return [];
    // After the last line's end comes nothing, or half a line.
    return readFileSync(this.#file, 'utf8').split('\n').slice(0, -1);
  }
}
