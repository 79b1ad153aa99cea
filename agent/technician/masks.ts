/**
 * Whether the masks of the configuration on the disk are those that run: a technician who has drawn one must not be shown
 * what it would hide, and what cannot be read may hold any.
 * LIMITS: looked at every LOOK_EVERY_MS at most, and only while it is asked for.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { rethrowBug } from '../base/errors.ts';
import type { MaskConfig } from '../contract/config.ts';

const LOOK_EVERY_MS = 2000;

export interface MasksOptions {
  readonly running: readonly MaskConfig[];
  /** Reads the file. Throws AgentError where it cannot be read or is refused. */
  onDisk(): readonly MaskConfig[];
  readonly clock: Pick<Clock, 'nowMs'>;
}

export class Masks {
  readonly #options: MasksOptions;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #fault: string | undefined;

  constructor(options: MasksOptions) {
    this.#options = options;
  }

  /** Why a picture may lack a mask; undefined where it cannot. */
  get fault(): string | undefined {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#lookedMs >= LOOK_EVERY_MS) {
      this.#fault = this.#look();
      this.#lookedMs = nowMs;
    }
    return this.#fault;
  }

  #look(): string | undefined {
    const { running, onDisk } = this.#options;
    try {
      if (isDeepStrictEqual(onDisk(), running)) return undefined;
      return 'the masks of the configuration are not those that run; the agent must be started anew';
    } catch (error) {
      rethrowBug(error);
      return `the configuration’s masks cannot be read: ${error.message}`;
    }
  }
}
