/** Searches for an altered input that a verifier accepts. Shared by the tests of everything that is signed. */
import fc from 'fast-check';
import type { Test } from 'tap';
import { CommandRefused, type RefusalCode } from '../../agent/contract/command.ts';
import { SEED } from './random.ts';
import { ALL, FULL } from './run.ts';

export const REFUSAL_RUNS = FULL ? 1_000_000 : ALL ? 1_500 : 300;
/** Distance of the flipped bits; a prime, so that each place in a byte has its turn. */
const FLIP_STEP = ALL ? 1 : 7;
export const REFUSAL_TIMEOUT_S = FULL ? 7200 : 600;

export type Verdict = RefusalCode | 'accepted';

export interface Wrong {
  readonly bytes: Buffer;
  /** Codes with which it may be refused; empty accepts any code. */
  readonly codes: readonly RefusalCode[];
}

/** Refusal code of `open`, or `accepted`. */
export function verdictOf(open: () => unknown): Verdict {
  try {
    open();
    return 'accepted';
  } catch (error) {
    if (error instanceof CommandRefused && error.message !== '') return error.code;
    throw error;
  }
}

/** Counts the verdicts of single-bit flips: of every bit, in the default run of every seventh. */
export function flips(original: Buffer, verdict: (bytes: Buffer) => Verdict): ReadonlyMap<Verdict, number> {
  const counts = new Map<Verdict, number>();
  for (let bit = 0; bit < original.length * 8; bit += FLIP_STEP) {
    const flipped = Buffer.from(original);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const outcome = verdict(flipped);
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
  return counts;
}

/** Inputs with bytes changed, cut off, or made up. */
export function mutations(original: Buffer): fc.Arbitrary<Wrong>[] {
  return [
    fc
      .record({
        at: fc.nat(original.length - 1),
        value: fc.integer({ min: 1, max: 255 }),
        variant: fc.nat(20),
      })
      .map(({ at, value, variant }) => {
        const bytes = Buffer.from(variant === 0 ? original.subarray(0, at) : original);
        if (variant !== 0) bytes[at] = (bytes[at] ?? 0) ^ value;
        return { bytes, codes: [] };
      }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => ({ bytes: Buffer.from(bytes), codes: [] })),
  ];
}

/** Checks that none of REFUSAL_RUNS wrong inputs is accepted, and each is refused for its reason. */
export function noneAccepted(
  t: Test,
  wrong: fc.Arbitrary<Wrong>[],
  verdict: (bytes: Buffer) => Verdict,
): void {
  t.comment(`seed ${SEED}`);
  let refusedCount = 0;
  fc.assert(
    fc.property(fc.oneof(...wrong), ({ bytes, codes }) => {
      const outcome = verdict(bytes);
      if (outcome === 'accepted') return false;
      refusedCount += 1;
      return codes.length === 0 || codes.includes(outcome);
    }),
    { numRuns: REFUSAL_RUNS, seed: SEED },
  );
  t.equal(refusedCount, REFUSAL_RUNS, 'each refused, for the right reason');
}
