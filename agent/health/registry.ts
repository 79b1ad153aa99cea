/**
 * Registry of all counters of the agent by name. Each part registers once and supplies its own.
 *
 * INVARIANT: no two parts use the same name.
 */

import type { Counters, Counting } from '../base/counters.ts';
import { assert } from '../base/errors.ts';

export class CounterRegistry implements Counting {
  readonly #parts: Counting[] = [];

  register(...parts: readonly Counting[]): void {
    this.#parts.push(...parts);
  }

  /** @throws AgentError `bug` if two parts use the same name */
  get counters(): Counters {
    const all = this.#parts.flatMap(({ counters }) => Object.entries(counters));
    const counters = Object.fromEntries(all);
    assert(Object.keys(counters).length === all.length, 'two parts count under one name');
    return counters;
  }
}
