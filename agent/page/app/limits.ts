/** Limits of the contract that a phone must know; the files that hold them would bring the schema library along. */

/** TRIAL_S of contract/config-trial.ts. */
export const TRIAL_SECONDS = 120;
/** PREVIEW_BYTES_MAX of contract/page-link.ts. */
export const JPEG_BYTES_MAX = 150_000;
/** Passes of a walk test: as in PageAsk of contract/page-link.ts. */
export const PASSES_MAX = 20;
