/**
 * Checks whether the masks that run equal those of the configuration on disk. A technician who has just drawn a mask
 * must not see the area that it would hide. An unreadable configuration may contain any mask.
 *
 * LIMITS: reads the disk at most every CHECK_EVERY_MS, and only on request.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { rethrowBug } from '../base/errors.ts';
import type { MaskConfig } from '../contract/config.ts';

const CHECK_EVERY_MS = 2000;

export interface MasksOptions {
  readonly running: readonly MaskConfig[];
  /** Reads the file. Throws AgentError if it cannot be read or is refused. */
  onDisk(): readonly MaskConfig[];
  readonly clock: Pick<Clock, 'nowMs'>;
}

export class Masks {
  readonly #options: MasksOptions;
  #checkedMs = Number.NEGATIVE_INFINITY;
  #problem: string | undefined;

  constructor(options: MasksOptions) {
    this.#options = options;
  }

  /** Reason why a picture may lack a mask, or undefined. */
  get problem(): string | undefined {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#checkedMs >= CHECK_EVERY_MS) {
      this.#problem = this.#check();
      this.#checkedMs = nowMs;
    }
    return this.#problem;
  }

  #check(): string | undefined {
    const { running, onDisk } = this.#options;
    try {
      if (isDeepStrictEqual(onDisk(), running)) return undefined;
      return 'the configured masks are not the active ones; restart the agent';
    } catch (error) {
      rethrowBug(error);
      return `the configuration’s masks cannot be read: ${error.message}`;
    }
  }
}
