/**
 * What the broker has refused and has neither accepted nor been spared since: as long as anything is here, something is
 * stuck, whatever else goes through.
 */
import type { DeliveryError } from './faults.ts';

export class Refusals {
  /** In the order in which they began. */
  readonly #standing = new Map<string, DeliveryError>();
  readonly #onChange: () => void;

  /** `onChange`: the oldest may be another than before; must not throw. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** The one that has stood the longest. */
  get oldest(): DeliveryError | undefined {
    const [oldest] = this.#standing.values();
    return oldest;
  }

  add(what: string, refusal: DeliveryError): void {
    this.#standing.set(what, refusal);
    this.#onChange();
  }

  /** It was accepted, or let go. */
  settle(what: string): void {
    if (this.#standing.delete(what)) this.#onChange();
  }
}
