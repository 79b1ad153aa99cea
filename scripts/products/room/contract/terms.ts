/** Terms and limits shared by server and browser. This module imports no library. */
import type { RuleKind } from '../../../../agent/contract/rule-config.ts';

/** States of an incident, in order. A closed incident stays closed; reopening creates a new entry. */
export const STATES = ['new', 'claimed', 'dispatched', 'closed'] as const;

/**
 * Reasons for which the room closes an incident.
 *
 * - `box-revoked`: the certificates of its box were revoked.
 * - `reopening-undone`: its reopening was undone, so the entry is in no list.
 */
export const CLOSED_REASONS = ['box-revoked', 'reopening-undone'] as const;

/**
 * Reasons of a refusal that a screen answers in its own way.
 *
 * - `unseen`: the account has not opened the current picture.
 * - `undo-over`: the time to undo is over, or the action is not one of this account.
 */
export const REFUSAL_REASONS = ['unseen', 'undo-over'] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** Name of the certificate, and so client id at the broker, of the archive and its standby. */
export const ARCHIVE = 'archive.room';

/** Time in s within which an action can be undone. It leaves the room only afterwards. */
export const UNDO_S = 10;

/** Tolerated clock difference in ms, between two consoles on one database or after a clock correction. */
export const CLOCKS_APART_MS = 60_000;

/** Maximum number of incidents of a bulk verdict, and of actions of one undo: 500 take 0.1 s of two cores. */
export const BULK_MAX = 500;

/** Duration of a claim in s. The screen renews it while the incident is open there. */
export const CLAIM_S = 120;

/**
 * Maximum number of valid claims of one account. A person looks at one incident at a time, and an unattended claim ends
 * after CLAIM_S: 20 are one in six seconds.
 */
export const CLAIMS_OF_ONE_MAX = 20;

/**
 * Time in s within which the room ends an expired claim, and by which the clock of a screen may differ from the room's.
 */
export const CLAIM_ENDS_WITHIN_S = 5;

/** Reports whether a claim that a screen no longer sees has expired. One that was given up or taken back has time left. */
export const hasClaimExpired = (endMs: number, nowMs: number): boolean =>
  endMs <= nowMs + CLAIM_ENDS_WITHIN_S * 1000;

/** Time without an owner after which a new alert is escalated, in s: it moves to the top and is marked. */
export const ESCALATE_S = 60;

/** Duration of a suppression in s. */
export const SUPPRESSION_S = 3600;

/** Maximum number of suppressions that run at once: more than a strip of the screen can show, and a sign of a fault. */
export const SUPPRESSIONS_MAX = 20;

/** Maximum number of them of one account: a few rules in low sun. Four people may use all. */
export const SUPPRESSIONS_OF_ONE_MAX = 5;

/**
 * Maximum number of incidents that one account closes in CLOSINGS_WITHIN_S: the largest bulk verdict, which is a storm of
 * one rule. Who looks at each closes 100 in that time at most.
 */
export const CLOSINGS_OF_ONE_MAX = 500;
export const CLOSINGS_WITHIN_S = 300;

/** Maximum number of refused messages of a webhook: beyond it the receiver takes nothing, and the next message waits. */
export const WEBHOOK_REFUSED_MAX = 1000;

/** Length of the reason of a suppression in characters. */
export const SUPPRESSION_REASON_CHARS = { min: 3, max: 200 } as const;

/** Answers of a patrol to a dispatch, as an operator or a program reports them. */
export const PATROL_ANSWERS = ['accepted', 'declined', 'arrived'] as const;
export type PatrolAnswer = (typeof PATROL_ANSWERS)[number];

/** Answers that are possible after each. `sent`: the patrol has not answered yet. */
export const NEXT_ANSWERS: Readonly<Record<PatrolAnswer | 'sent', readonly PatrolAnswer[]>> = {
  sent: ['accepted', 'declined', 'arrived'],
  accepted: ['arrived', 'declined'],
  declined: [],
  arrived: [],
};

/** Maximum length of the name of a patrol in characters. */
export const PATROL_CHARS_MAX = 40;

/** Maximum number of notes of one account on one incident. */
export const NOTES_OF_ONE_MAX = 20;

/** Number of notes of a page: 50 of 1,000 characters take 50 kB. */
export const NOTES_PAGE = 50;

/** Maximum length of a note in characters. */
export const NOTE_CHARS_MAX = 1000;

/**
 * Urgency of an incident.
 *
 * - 1 = people may be in danger now
 * - 2 = someone should go there
 * - 3 = for information
 */
export type Priority = 1 | 2 | 3;

/** Priority of each kind of alert. */
const PRIORITIES: Readonly<Record<RuleKind, Priority>> = {
  'vehicle-in-pedestrian-zone': 1,
  loitering: 2,
  'line-crossing': 2,
  'wrong-way': 1,
  'crowd-gathering': 1,
  'illegal-dumping': 2,
  graffiti: 2,
  'illegal-parking': 2,
};

/** Returns the priority of an incident. An alert of an unknown kind (from a newer box) has the middle priority. */
export function priorityOf(severity: string, kind: string): Priority {
  if (severity !== 'alert') return 3;
  return isRanked(kind) ? PRIORITIES[kind] : 2;
}

function isRanked(kind: string): kind is RuleKind {
  return Object.hasOwn(PRIORITIES, kind);
}

/** Conditions of a camera, the worst first. Each has its own colour and shape on the screen. */
export const CONDITIONS = ['offline', 'blind', 'suspended', 'impaired', 'ending', 'well'] as const;
export type Condition = (typeof CONDITIONS)[number];

/** Days before expiry from which the room warns. The box itself reports at 30, 7 and 1 days. */
export const ENDING_DAYS = 30;

/** Days for which sums by day and hour are kept: a year and a day, so that a day has its like of the previous year. */
export const STATISTICS_DAYS = 366;

/** Silence in s after which a box is offline, whatever its last status. Its health report comes every 30 s. */
export const SILENT_S = 120;

/**
 * Interval of the stream's heartbeat in s. Proxies close a connection that is silent for a minute (nginx:
 * proxy_read_timeout). It is also the delay after which the end of a session is noticed.
 */
export const BEAT_S = 15;

/** Path of the OIDC login (GET, a navigation), and path to which the identity provider redirects back. */
export const ENTER_PATH = '/auth/enter';
export const BACK_PATH = '/auth/back';
