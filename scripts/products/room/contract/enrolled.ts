/**
 * Defines the file of enrolled boxes (boxes.json), which the enrolment writes and the archive reads. It contains no
 * secrets.
 *
 * INVARIANT: a box name is listed once, whatever its site, because the name is the CN of its certificate.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Name, OneOf, strict, Time } from './schema.ts';

export const EnrolledBox = Type.Object(
  {
    site: Name,
    box: Name,
    /** `revoked`: its certificates were revoked, and none was issued since. */
    state: OneOf(['enrolled', 'revoked']),
    /** Time of the last change of state. */
    changedAt: Time,
  },
  strict,
);
export type EnrolledBox = Static<typeof EnrolledBox>;

export const EnrolledBoxes = Type.Object(
  { version: Type.Literal(1), boxes: Type.Array(EnrolledBox) },
  strict,
);
export type EnrolledBoxes = Static<typeof EnrolledBoxes>;
