/** The words and limits that server and browser share; nothing in here needs a library. */
import type { RuleKind } from '../../../../agent/contract/rule-config.ts';

/** Of an incident. One way: what is closed is reopened as a new entry. */
export const STATES = ['new', 'claimed', 'dispatched', 'closed'] as const;

/** Reasons for which the room itself closes an incident: the certificates of its box were revoked. */
export const CLOSED_WHY = ['box-revoked'] as const;

/** How long a claim holds, s; the screen renews it while the incident is open there. */
export const CLAIM_S = 120;

/** After this long without an owner a new alert is escalated: it goes to the top and says so, s. */
export const ESCALATE_S = 60;

/** Of a note, characters. */
export const NOTE_CHARS_MAX = 1000;

/** 1 = people may be in danger now, 2 = somebody should go there, 3 = to be known. */
export type Priority = 1 | 2 | 3;

/** Of alerts. */
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

/** An alert of a kind that only a newer box knows has the middle priority. */
export function priorityOf(severity: string, kind: string): Priority {
  if (severity !== 'alert') return 3;
  return isRanked(kind) ? PRIORITIES[kind] : 2;
}

function isRanked(kind: string): kind is RuleKind {
  return Object.hasOwn(PRIORITIES, kind);
}

/** Of a camera, worst first; each has a colour and a shape of its own on the screen. */
export const CONDITIONS = ['offline', 'blind', 'suspended', 'impaired', 'ending', 'well'] as const;
export type Condition = (typeof CONDITIONS)[number];

/** What ends within this many days is told before it does; the box itself says so at 30, 7 and 1. */
export const ENDING_DAYS = 30;

/** A box that has said nothing for this long is offline, whatever it said last: its health comes every 30 s. */
export const SILENT_S = 120;

/**
 * How often the stream says something though nothing changes, s: proxies close what is silent for a minute (nginx:
 * proxy_read_timeout). It is also how fast a session's end is seen.
 */
export const BEAT_S = 15;

/** Where a browser goes to enter with OIDC (GET, a navigation), and where the identity provider sends it back to. */
export const ENTER_PATH = '/auth/enter';
export const BACK_PATH = '/auth/back';
