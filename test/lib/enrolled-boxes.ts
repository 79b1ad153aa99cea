/** The enrolment's list of boxes as a file, as the archive reads it. */
import { renameSync, writeFileSync } from 'node:fs';
import type { EnrolledBox } from '../../scripts/products/room/contract/enrolled.ts';

export const ENROLLED_AT = '2026-11-24T12:00:00.000Z';

export const enrolled = (site: string, box: string): EnrolledBox => ({
  site,
  box,
  state: 'enrolled',
  changedAt: ENROLLED_AT,
});
export const revoked = (site: string, box: string, sinceTime = ENROLLED_AT): EnrolledBox => ({
  site,
  box,
  state: 'revoked',
  changedAt: sinceTime,
});

/** Writes the list atomically, as the enrolment does. */
export function writeBoxes(file: string, boxes: readonly EnrolledBox[]): void {
  writeFileSync(`${file}.new`, JSON.stringify({ version: 1, boxes }));
  renameSync(`${file}.new`, file);
}
