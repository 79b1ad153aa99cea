/** What is by chance and can be had again: a test prints its seed, and VIGIE_TEST_SEED sets it. */
export const SEED = Number(process.env['VIGIE_TEST_SEED'] ?? Date.now() % 1_000_000);

/** Mulberry32 (Tommy Ettinger, public domain): small, and good enough to pick faults. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
