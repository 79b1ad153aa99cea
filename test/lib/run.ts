/** Tells a test which run it belongs to: the default one, `scripts/test --all`, or `--full` with the long versions. */

const RUN = process.env['VIGIE_TEST_RUN'] ?? 'default';
if (!['default', 'all', 'full'].includes(RUN))
  throw new Error(`VIGIE_TEST_RUN is ${JSON.stringify(RUN)}; it takes default, all or full`);

export const FULL = RUN === 'full';
export const ALL = FULL || RUN === 'all';

/** Reason for skipping a test that the default run omits; false in `--all` and `--full`. */
export const unlessAll: string | false = ALL ? false : 'set VIGIE_TEST_RUN=all';

/** Reason for skipping a test that only `--full` runs; false there. */
export const unlessFull: string | false = FULL ? false : 'set VIGIE_TEST_RUN=full';
