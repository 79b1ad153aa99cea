/**
 * The standing incidents on disk, so that a restart neither raises them again nor forgets to end them.
 * INVARIANTS: the file holds no pixel and no name; a damaged file costs the memory, never the start.
 */
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { ObservedTrack } from '../contract/observation.ts';
import type { StandingRecord } from './incidents.ts';

const FileSchema = Type.Record(
  Type.String(),
  Type.Array(
    Type.Object({
      episode: Type.String({ minLength: 1, maxLength: 64 }),
      startedWallMs: Type.Number(),
      objects: Type.Array(ObservedTrack, { maxItems: 64 }),
    }),
    { maxItems: 64 },
  ),
);

/** Rule id → what stands. */
export type StandingByRule = Record<string, readonly StandingRecord[]>;

export class StandingFile {
  readonly #file: string;
  readonly #log: Logger;
  #written = '';
  #failures = 0;

  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
  }

  /** Times that the file could not be written since the start. */
  get failures(): number {
    return this.#failures;
  }

  read(): StandingByRule {
    if (!existsSync(this.#file)) return {};
    try {
      const parsed: unknown = JSON.parse(readFileSync(this.#file, 'utf8'));
      if (Value.Check(FileSchema, parsed)) return parsed;
    } catch (error) {
      this.#log.warn({ file: this.#file, why: messageOf(error) }, 'standing incidents unreadable');
    }
    renameSync(this.#file, `${this.#file}.damaged`);
    this.#log.warn(
      { file: this.#file },
      'damaged file of standing incidents moved aside; open incidents will not be ended',
    );
    return {};
  }

  /** Writes only what has changed; a disk that refuses is counted and tried again at the next change. */
  write(standing: StandingByRule): void {
    const text = JSON.stringify(standing);
    if (text === this.#written) return;
    try {
      writeAtomically(this.#file, text);
      this.#written = text;
    } catch (error) {
      this.#failures += 1;
      if (this.#failures === 1) {
        this.#log.warn(
          { file: this.#file, why: messageOf(error) },
          'standing incidents not written; a restart would forget them',
        );
      }
    }
  }
}
