/** Names of the test files that take longest on two cores, the longest first; the others take less than 15 s each. */
export const LONGEST: readonly string[] = ['root/release-booted'];
