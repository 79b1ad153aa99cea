/**
 * Stores in the state folder which topics the broker retains for Home Assistant. If a rule is deleted from the
 * configuration, the next run of the agent removes its topics from the broker.
 *
 * INVARIANTS:
 * - A topic is recorded before it is published, and deleted from the record only after its removal has been sent.
 * - A removal is sent again with each further connection of this run of the agent.
 * - Only this box's own topics are read back.
 *
 * LIMITS: TOPICS_MAX topics; further ones are not recorded, and counted.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { hasCode, messageOf } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import type { Logger } from '../base/log.ts';

/** File name in the state folder. */
const RETAINED_TOPICS_FILE = 'home-assistant.json';

/** Three per rule and four per box, for 64 rules, and five times as many that were deleted and could not be removed. */
const TOPICS_MAX = 1176;

const StoredTopics = Type.Object(
  {
    version: Type.Literal(1),
    topics: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: TOPICS_MAX }),
  },
  { additionalProperties: false },
);

export interface RetainedTopicsOptions {
  readonly stateDir: string;
  readonly log: Logger;
  /** Reports whether the topic may be one of this box's. */
  own(topic: string): boolean;
}

export class RetainedTopics {
  readonly #options: RetainedTopicsOptions;
  readonly #file: string;
  /** Recorded topics; undefined until they are read. */
  #storedTopics: readonly string[] | undefined;
  /** Topics removed in this run of the agent. */
  readonly #removed = new Set<string>();
  /** The disk refused the last write. */
  #unwritten = false;
  #forgotten = 0;

  constructor(options: RetainedTopicsOptions) {
    this.#options = options;
    this.#file = join(options.stateDir, RETAINED_TOPICS_FILE);
  }

  /** Number of topics that could not be recorded, and that will never be removed. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Records the topics that are about to be published. Returns those no longer published, for removal. */
  fill(topics: readonly string[]): string[] {
    this.#storedTopics ??= this.#read();
    const currentTopics = new Set(topics);
    const staleTopics = this.#storedTopics.filter((topic) => !currentTopics.has(topic));
    for (const topic of staleTopics) this.#removed.add(topic);
    for (const topic of currentTopics) this.#removed.delete(topic);
    this.#write([...currentTopics, ...staleTopics]);
    return [...this.#removed];
  }

  /** Confirms that all of them have been removed. */
  removed(): void {
    this.#write((this.#storedTopics ?? []).filter((topic) => !this.#removed.has(topic)));
  }

  #read(): string[] {
    const { log, own } = this.#options;
    const file = this.#file;
    try {
      const content: unknown = jsonOf(readFileSync(file, 'utf8'));
      if (Value.Check(StoredTopics, content)) return content.topics.filter(own);
      log.warn(
        { file },
        'the list of topics sent to Home Assistant cannot be read; removed entities stay there',
      );
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) {
        log.warn(
          { file, reason: messageOf(error) },
          'the list of topics sent to Home Assistant cannot be read',
        );
      }
    }
    return [];
  }

  #write(topics: readonly string[]): void {
    const file = this.#file;
    const before = this.#storedTopics ?? [];
    const storedTopics = topics.slice(0, TOPICS_MAX);
    this.#forgotten += topics.length - storedTopics.length;
    this.#storedTopics = storedTopics;
    const same =
      storedTopics.length === before.length && storedTopics.every((topic, index) => topic === before[index]);
    if (same && !this.#unwritten) return;
    try {
      writeAtomically(
        file,
        JSON.stringify({ version: 1, topics: storedTopics } satisfies Static<typeof StoredTopics>),
      );
      this.#unwritten = false;
    } catch (error) {
      this.#unwritten = true;
      this.#options.log.warn(
        { file, reason: messageOf(error) },
        'the list of topics sent to Home Assistant cannot be written; removed rules stay there',
      );
    }
  }
}
