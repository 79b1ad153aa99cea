/**
 * Topics that were filled for Home Assistant and are retained by the broker, kept in the state folder: a rule that has
 * gone with a change of the configuration is taken away there too, by the agent that starts next.
 *
 * INVARIANTS: a topic is written down before it is filled, and struck off only when its removal has been sent; a removal
 * is sent again with each further connection of this life of the agent. Nothing but this box's own topics is read back.
 * LIMITS: TOPICS_MAX topics; what is more is not written down, and counted.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { hasCode, messageOf } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import type { Logger } from '../base/log.ts';

/** Name in the state folder. */
const RETAINED_TOPICS_FILE = 'home-assistant.json';

/** Three a rule and four of the box, for 64 rules, and five times as many that have gone and could not be removed. */
const TOPICS_MAX = 1176;

const Kept = Type.Object(
  {
    version: Type.Literal(1),
    topics: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: TOPICS_MAX }),
  },
  { additionalProperties: false },
);

export interface RetainedTopicsOptions {
  readonly stateDir: string;
  readonly log: Logger;
  /** Whether it may be one of this box's. */
  own(topic: string): boolean;
}

export class RetainedTopics {
  readonly #options: RetainedTopicsOptions;
  readonly #file: string;
  /** As written down; undefined until it is read. */
  #kept: readonly string[] | undefined;
  /** Taken away in this life of the agent. */
  readonly #removed = new Set<string>();
  /** The disk refused what is to be written down. */
  #unwritten = false;
  #forgotten = 0;

  constructor(options: RetainedTopicsOptions) {
    this.#options = options;
    this.#file = join(options.stateDir, RETAINED_TOPICS_FILE);
  }

  /** Topics that could not be written down: nobody will take them away. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Writes down that these are about to be filled; returns those that are filled no more, to be taken away. */
  fill(topics: readonly string[]): string[] {
    this.#kept ??= this.#read();
    const wanted = new Set(topics);
    const gone = this.#kept.filter((topic) => !wanted.has(topic));
    for (const topic of gone) this.#removed.add(topic);
    for (const topic of wanted) this.#removed.delete(topic);
    this.#write([...wanted, ...gone]);
    return [...this.#removed];
  }

  /** All of them have been taken away. */
  removed(): void {
    this.#write((this.#kept ?? []).filter((topic) => !this.#removed.has(topic)));
  }

  #read(): string[] {
    const { log, own } = this.#options;
    const file = this.#file;
    try {
      const kept: unknown = jsonOf(readFileSync(file, 'utf8'));
      if (Value.Check(Kept, kept)) return kept.topics.filter(own);
      log.warn(
        { file },
        'what was told to Home Assistant cannot be read: entities that have gone stay there',
      );
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) {
        log.warn({ file, reason: messageOf(error) }, 'what was told to Home Assistant cannot be read');
      }
    }
    return [];
  }

  #write(topics: readonly string[]): void {
    const file = this.#file;
    const before = this.#kept ?? [];
    const kept = topics.slice(0, TOPICS_MAX);
    this.#forgotten += topics.length - kept.length;
    this.#kept = kept;
    const same = kept.length === before.length && kept.every((topic, index) => topic === before[index]);
    if (same && !this.#unwritten) return;
    try {
      writeAtomically(file, JSON.stringify({ version: 1, topics: kept } satisfies Static<typeof Kept>));
      this.#unwritten = false;
    } catch (error) {
      this.#unwritten = true;
      this.#options.log.warn(
        { file, reason: messageOf(error) },
        'what is told to Home Assistant cannot be written down: a rule that goes stays there',
      );
    }
  }
}
