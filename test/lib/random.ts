/** Seeded random numbers for tests. */
export { randomOf } from '../../scripts/lib/random.ts';

/** Seed of random values, for reproduction: a test prints it, and VIGIE_TEST_SEED sets it. */
export const SEED = Number(process.env['VIGIE_TEST_SEED'] ?? Date.now() % 1_000_000);
