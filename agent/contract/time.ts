/** Timestamp format of every message, order and file: UTC, with millisecond precision. */
import { type TSchema, Type } from '@sinclair/typebox';

const LONG_MONTHS = '(0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])';
const SHORT_MONTHS = '(0[469]|11)-(0[1-9]|[12]\\d|30)';
const FEBRUARY = '02-(0[1-9]|1\\d|2[0-8])';
const LEAP_YEAR = '(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)';

/**
 * Matches only existing moments. JavaScript reads 30 February as 2 March and 24:00 as the next day, and other parsers
 * refuse them. With a pattern of digits only, two readers of one signed authorisation could see two dates.
 */
export const TIME_PATTERN = `^(\\d{4}-(${LONG_MONTHS}|${SHORT_MONTHS}|${FEBRUARY})|${LEAP_YEAR}-02-29)T([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d\\.\\d{3}Z$`;

/** Error message for a text that the pattern rejects. It does not quote the text, which is untrusted. */
export const TIME_RULE = 'must be a moment that exists, as 2026-11-24T08:00:00.000Z';

export const Time = Type.String({ pattern: TIME_PATTERN });

/** Returns the message for a person about a value that does not match its schema. */
export function schemaProblem({
  schema,
  message,
}: {
  readonly schema: TSchema;
  readonly message: string;
}): string {
  return schema['pattern'] === TIME_PATTERN ? TIME_RULE : message;
}
