/**
 * Messages that the broker has refused and that are neither accepted nor withdrawn since. While there are any,
 * something is stuck, whatever else is delivered.
 */
import type { DeliveryError } from './connection-errors.ts';

export class Refusals {
  /** Active refusals in the order in which they began. */
  readonly #active = new Map<string, DeliveryError>();
  readonly #onChange: () => void;

  /** The function `onChange` is called when the oldest one may have changed. It must not throw. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Refusal that has been active the longest. */
  get oldest(): DeliveryError | undefined {
    const [oldest] = this.#active.values();
    return oldest;
  }

  add(subject: string, refusal: DeliveryError): void {
    this.#active.set(subject, refusal);
    this.#onChange();
  }

  /** Removes a refusal whose message was accepted or dropped. */
  settle(subject: string): void {
    if (this.#active.delete(subject)) this.#onChange();
  }
}
