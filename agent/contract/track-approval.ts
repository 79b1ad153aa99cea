/**
 * Approval of a question about persons: an approver, whom the authorisation names, signs the same question as who asks.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Time } from './time.ts';
import { TrackArgs } from './track-log.ts';

const { case: number, reason, question } = TrackArgs.properties;
const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });

/** DSSE payload type of an approver's approval of a question about persons. */
export const TRACK_APPROVAL_TYPE = 'application/vnd.vigie.track-approval+json';
/** Longest validity of an approval, in ms: who approves knows the case of today. */
export const TRACK_APPROVAL_MS_MAX = 86_400_000;

/** Payload signed by an approver: the same question in the same case, for this box. */
export const TrackApproval = Type.Object(
  {
    site: Name,
    box: Name,
    notBefore: Time,
    notAfter: Time,
    case: number,
    reason,
    question,
  },
  { additionalProperties: false },
);
export type TrackApproval = Static<typeof TrackApproval>;

/** Returns why the approval does not count at this time, or undefined if it does. */
export function approvalProblem(
  { notBefore, notAfter }: Pick<TrackApproval, 'notBefore' | 'notAfter'>,
  nowMs: number,
): string | undefined {
  const [fromMs, untilMs] = [Date.parse(notBefore), Date.parse(notAfter)];
  if (!(untilMs - fromMs <= TRACK_APPROVAL_MS_MAX))
    return `is valid for more than 24 hours, from ${notBefore} to ${notAfter}; have the question signed again`;
  if (!(fromMs <= nowMs && nowMs <= untilMs))
    return `is valid from ${notBefore} to ${notAfter}, and not now; have the question signed again`;
  return undefined;
}
