/**
 * The list of enrolled boxes as a file (boxes.json): the enrolment writes it, the archive reads it. It holds nothing secret.
 *
 * INVARIANT: a box's name stands in the list once, whatever its site: the name is the CN of its certificate.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Name, OneOf, strict, Time } from './schema.ts';

export const EnrolledBox = Type.Object(
  {
    site: Name,
    box: Name,
    /** `revoked`: its certificates were taken back, and none was given since. */
    state: OneOf(['enrolled', 'revoked']),
    /** Of the state. */
    since: Time,
  },
  strict,
);
export type EnrolledBox = Static<typeof EnrolledBox>;

export const EnrolledBoxes = Type.Object(
  { version: Type.Literal(1), boxes: Type.Array(EnrolledBox) },
  strict,
);
export type EnrolledBoxes = Static<typeof EnrolledBoxes>;
