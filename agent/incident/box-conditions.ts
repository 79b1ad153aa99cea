/** Conditions of the box's storage, journal and broker that a person must fix; each is an event. */
import type { Condition, StateCondition } from '../contract/condition.ts';

export interface BoxConditionsOptions {
  readonly outbox: { readonly refusedBy: string | undefined };
  readonly journal: { readonly downBecause: string | undefined };
  /** Undefined if no broker is configured. */
  readonly delivery:
    | { readonly state: { readonly fault: { readonly code: string; readonly message: string } | null } }
    | undefined;
  readonly flow: { conditionsAre(conditions: readonly Condition[]): void };
}

export class BoxConditions {
  readonly #options: BoxConditionsOptions;

  constructor(options: BoxConditionsOptions) {
    this.#options = options;
  }

  /** Reports the current conditions; must be called often. */
  tick(): void {
    this.#options.flow.conditionsAre(conditionsOf(this.#options));
  }
}

function conditionsOf({ outbox, journal, delivery }: BoxConditionsOptions): Condition[] {
  const fault = delivery?.state.fault;
  const condition = (kind: StateCondition, reason: string | undefined): Condition => ({
    kind,
    active: reason !== undefined,
    cause: reason === undefined ? {} : { reason },
  });
  const because = (code: string): string | undefined => (fault?.code === code ? fault?.message : undefined);
  return [
    condition('storage-readonly', outbox.refusedBy),
    condition('journal-down', journal.downBecause),
    condition('identity-conflict', because('identity-conflict')),
    condition('certificate-refused', because('certificate')),
  ];
}
