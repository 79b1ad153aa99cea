/**
 * Every counter of the agent by name: parts are registered here once, each says what it counts.
 *
 * INVARIANT: no two parts count under one name.
 */

import type { Counters, Counting } from '../base/counters.ts';
import { assert } from '../base/errors.ts';

export class CounterRegistry implements Counting {
  readonly #parts: Counting[] = [];

  register(...parts: readonly Counting[]): void {
    this.#parts.push(...parts);
  }

  /** Throws AgentError `bug` where two parts count under one name. */
  get counters(): Counters {
    const all = this.#parts.flatMap(({ counters }) => Object.entries(counters));
    const counters = Object.fromEntries(all);
    assert(Object.keys(counters).length === all.length, 'two parts count under one name');
    return counters;
  }
}
