/**
 * Starts parts in sequence and stops them in reverse order. If a start fails, the parts already started are stopped.
 *
 * INVARIANTS:
 * - A part is stopped only if its start was called, and only once.
 * - If a stop throws, the other parts are still stopped.
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
  readonly #startedParts: Part[] = [];
  #stopping: Promise<void> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Starts the parts. If one fails, rejects with its error after all earlier ones have stopped. */
  async start(parts: readonly Part[]): Promise<void> {
    for (const part of parts) {
      if (this.#stopping !== undefined) return;
      this.#startedParts.push(part);
      try {
        await part.start?.();
      } catch (error) {
        await this.stop();
        throw error;
      }
    }
  }

  /** Stops in reverse order. Idempotent; never rejects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    for (let part = this.#startedParts.pop(); part !== undefined; part = this.#startedParts.pop()) {
      try {
        await part.stop?.();
      } catch (error) {
        const fields = error instanceof AgentError ? { reason: messageOf(error) } : { err: error };
        this.#log.error({ part: part.name, ...fields }, 'a part of the agent did not stop cleanly');
      }
    }
  }
}
