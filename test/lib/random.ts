export { randomOf } from '../../scripts/lib/random.ts';

/** What is by chance and can be had again: a test prints its seed, and VIGIE_TEST_SEED sets it. */
export const SEED = Number(process.env['VIGIE_TEST_SEED'] ?? Date.now() % 1_000_000);
