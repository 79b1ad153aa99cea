/**
 * Parts that start one after the other and stop in reverse; a start that fails takes back what had begun.
 *
 * INVARIANTS: a part is stopped only if its start was called, and once; whatever a stop throws, the others stop too.
 */
import { AgentError, messageOf } from './errors.ts';
import type { Logger } from './log.ts';

export interface Part {
  readonly name: string;
  start?(): void | Promise<void>;
  stop?(): void | Promise<void>;
}

export class Lifecycle {
  readonly #log: Logger;
  readonly #begun: Part[] = [];
  #stopping: Promise<void> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Rejects with what the failing part has thrown, once all before it have stopped. */
  async start(parts: readonly Part[]): Promise<void> {
    for (const part of parts) {
      if (this.#stopping !== undefined) return;
      this.#begun.push(part);
      try {
        await part.start?.();
      } catch (error) {
        await this.stop();
        throw error;
      }
    }
  }

  /** In reverse. Idempotent; never rejects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    for (let part = this.#begun.pop(); part !== undefined; part = this.#begun.pop()) {
      try {
        await part.stop?.();
      } catch (error) {
        const fields = error instanceof AgentError ? { reason: messageOf(error) } : { err: error };
        this.#log.error({ part: part.name, ...fields }, 'a part of the agent did not stop cleanly');
      }
    }
  }
}
