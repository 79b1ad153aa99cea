/** Long tests, which run with VIGIE_TEST_FULL=1 only (`scripts/test --full`). */

export const FULL = process.env['VIGIE_TEST_FULL'] === '1';

/** Reason for skipping a test that an ordinary run omits; false in a full run. */
export const unlessFull: string | false = FULL ? false : 'set VIGIE_TEST_FULL=1';
