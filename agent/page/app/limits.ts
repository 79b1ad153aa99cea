/**
 * Limits of the contract that the phone needs. Importing the files that define them would bundle the schema library.
 */

/** TRIAL_S of contract/config-trial.ts. */
export const TRIAL_SECONDS = 120;
/** PREVIEW_BYTES_MAX of contract/page-link.ts. */
export const JPEG_BYTES_MAX = 150_000;
/** Maximum number of passes of a walk test, as in PageAsk of contract/page-link.ts. */
export const PASSES_MAX = 20;
