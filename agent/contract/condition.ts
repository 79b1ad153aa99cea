/** A condition of the box or its camera as it is now: each that begins is an incident. */
export interface Condition {
  readonly kind: string;
  readonly active: boolean;
  readonly cause: Readonly<Record<string, unknown>>;
}
