/**
 * Handles an approver's approval of a query about people: signs it into a file, on the approver's machine, and checks one
 * in the room before it is sent. The authorisation of the box names the approvers and their keys.
 */
import type { KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../../agent/base/json.ts';
import { wrong } from '../../../../../agent/cli/bad-option.ts';
import type { Envelope } from '../../../../../agent/contract/command.ts';
import {
  approvalProblem,
  TRACK_APPROVAL_MS_MAX,
  TRACK_APPROVAL_TYPE,
  TrackApproval,
} from '../../../../../agent/contract/track-approval.ts';
import { TRACK_APPROVAL_BYTES_MAX, type TrackArgs } from '../../../../../agent/contract/track-log.ts';
import { envelopeReader, keyIdOf, signEnvelope } from '../../../../../agent/orders/dsse.ts';
import { CLOCKS_APART_MS } from '../../../../lib/room-link/signed-command.ts';

const read = envelopeReader({
  payloadType: TRACK_APPROVAL_TYPE,
  bytesMax: TRACK_APPROVAL_BYTES_MAX,
  signatures: 1,
});

/** Query to be approved, and its box. */
export interface ApprovalSubject {
  readonly site: string;
  readonly box: string;
  readonly args: TrackArgs;
}

/** Returns the envelope as JSON text, and its expiry. */
export function signedApproval(
  { site, box, args }: ApprovalSubject,
  key: KeyObject,
  nowMs: number,
): { readonly text: string; readonly notAfter: string } {
  const fromMs = nowMs - CLOCKS_APART_MS;
  const { case: number, reason, question } = args;
  const approval: TrackApproval = {
    site,
    box,
    case: number,
    reason,
    question,
    notBefore: new Date(fromMs).toISOString(),
    notAfter: new Date(fromMs + TRACK_APPROVAL_MS_MAX).toISOString(),
  };
  const text = signEnvelope(TRACK_APPROVAL_TYPE, JSON.stringify(approval), key);
  if (text.length > TRACK_APPROVAL_BYTES_MAX) {
    const limitText = `a box reads ${TRACK_APPROVAL_BYTES_MAX}`;
    throw wrong('--area', `the approval would have ${text.length} bytes, ${limitText}; draw fewer corners`);
  }
  return { text, notAfter: approval.notAfter };
}

/**
 * Reads the file of an approval.
 * @throws {AgentError} `config`, one line
 */
export function approvalIn(file: string): Envelope {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw wrong('--approval', `${file} cannot be read (${messageOf(error).slice(0, 200)})`);
  }
  try {
    read(Buffer.from(text.trim()));
  } catch (error) {
    throw wrong('--approval', `${file} is not an approval (${messageOf(error)}); --approve FILE makes one`);
  }
  return jsonOf(text) as Envelope;
}

/**
 * Checks that the approval is for this query, signed with another key and still valid, so that the box is not asked in
 * vain. The box itself checks that an approver of its authorisation has signed.
 * @throws {AgentError} `config`, one line
 */
export function assertApproves(
  envelope: Envelope,
  { site, box, args }: ApprovalSubject,
  key: KeyObject,
  nowMs: number,
): void {
  const { payload, signed } = parsedApproval(envelope);
  const approval = jsonOf(payload.toString());
  if (!Value.Check(TrackApproval, approval)) throw wrong('--approval', 'is not of the form of an approval');
  if (signed.some(({ keyid }) => keyid === keyIdOf(key))) {
    throw wrong('--approval', 'is signed by the key that asks; another person must sign it with theirs');
  }
  const validity = approvalProblem(approval, nowMs);
  if (validity !== undefined) throw wrong('--approval', validity);
  const { case: number, reason, question } = args;
  const differs = difference(approval, { site, box, case: number, reason, question });
  if (differs !== undefined) throw wrong('--approval', `is for another question: ${differs} is not the same`);
}

function parsedApproval(envelope: Envelope): ReturnType<typeof read> {
  try {
    return read(Buffer.from(JSON.stringify(envelope)));
  } catch (error) {
    throw new AgentError('config', `--approval: ${messageOf(error)}`, error);
  }
}

type Content = Omit<TrackApproval, 'notBefore' | 'notAfter'>;

/** Returns the name of the first member that differs. */
function difference(approved: Content, request: Content): string | undefined {
  const name = (['site', 'box', 'case', 'reason'] as const).find((one) => approved[one] !== request[one]);
  if (name !== undefined) return name;
  const [a, b] = [approved.question, request.question] as Readonly<Record<string, unknown>>[];
  const members = [...new Set([...Object.keys(a ?? {}), ...Object.keys(b ?? {})])];
  return members.find((member) => !isDeepStrictEqual(a?.[member], b?.[member]));
}
