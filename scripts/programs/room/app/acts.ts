/**
 * Performs a person's actions on incidents: shows each at once, sends it, and reverts to the current state if another
 * person was first.
 *
 * INVARIANTS:
 * - Actions on one incident are sent in sequence.
 * - Each names the revision that the person saw, or the one that their previous action produced.
 */
import type { VerdictValue } from '../../../../agent/contract/verdict.ts';
import type { Incident } from '../contract/incident.ts';
import { CLAIM_S } from '../contract/terms.ts';
import { ApiProblem, newKey, post } from './api.ts';
import { begin, end, rowOf, settle } from './queue/store.ts';
import { go } from './router.ts';
import { nowMs, session } from './session.ts';
import { tell } from './toasts.ts';
import { plain } from './words/plain.ts';
import { kindText, placeText } from './words/sentence.ts';
import { words } from './words/words.ts';

/** Last pending action of each incident, with the resulting revision. */
const chains = new Map<number, Promise<number>>();

interface Action {
  readonly incident: Incident;
  readonly change: Partial<Incident>;
  /** Rejects with ApiProblem. */
  readonly send: (revision: number) => Promise<Incident>;
  readonly successText?: (incident: Incident) => string;
}

/** Performs an action and reports a refusal. Returns true if it was done. */
async function perform({ incident, change, send, successText }: Action): Promise<boolean> {
  const { no, revision } = incident;
  begin(no, change);
  const before = chains.get(no) ?? Promise.resolve(revision);
  let isDone = false;
  const attempt = before.then(async (previousRevision) => {
    try {
      const now = await send(Math.max(revision, previousRevision));
      end(no, now, true);
      isDone = true;
      if (successText !== undefined) tell('good', successText(now));
      return now.revision;
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      end(no, error.incident, false);
      tell('bad', explain(error));
      return previousRevision;
    }
  });
  chains.set(no, attempt);
  await attempt;
  if (chains.get(no) === attempt) chains.delete(no);
  return isDone;
}

/** Returns one line for a person. An error that is not a server answer is a bug and is thrown again. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiProblem)) throw error;
  const { frame, conflict, verdicts } = words.value;
  const { status, incident } = error;
  const title = plain(error.title);
  if (status === 0) return frame.unreached;
  if (status !== 409) return title === '' ? frame.refusal(status) : title;
  if (incident === undefined) return `${conflict.head}${title === '' ? conflict.otherChange : title}`;
  const { state, claimedBy, dispatchedBy, verdict, closedReason } = incident;
  const me = session.value?.user;
  if (state === 'closed') {
    const verdictText = verdict === null ? '' : verdicts[verdict];
    return `${conflict.head}${conflict.closed(closedReason === null ? verdictText : words.value.incident.boxRevoked)}`;
  }
  if (state === 'dispatched' && dispatchedBy !== null)
    return `${conflict.head}${conflict.dispatched(dispatchedBy)}`;
  if (state === 'claimed' && claimedBy !== null && claimedBy !== me)
    return `${conflict.head}${conflict.claimed(claimedBy)}`;
  return `${conflict.head}${state === 'new' ? conflict.new : conflict.otherChange}`;
}

/** Returns the reason as a full sentence, for texts that already say that nothing was done. */
export function reasonOf(error: unknown): string {
  const isRefusal = error instanceof ApiProblem && error.incident === undefined && error.title !== '';
  const text = isRefusal ? plain(error.title) : explain(error);
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

export function isMine({ claimedBy }: Incident): boolean {
  return claimedBy !== null && claimedBy === session.value?.user;
}

export function claim(incident: Incident): Promise<boolean> {
  const claimedUntil = new Date(nowMs() + CLAIM_S * 1000).toISOString();
  const me = session.value?.user ?? '';
  const change = {
    claimedBy: me,
    claimedUntil,
    ...(incident.state === 'new' && { state: 'claimed' as const }),
  };
  return perform({ incident, change, send: () => claimed(incident.no) });
}

/** Renews a claim silently. The stream reports a claim that cannot be kept. */
export async function renew({ no }: Incident): Promise<void> {
  try {
    settle(await claimed(no));
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (error.incident !== undefined) settle(error.incident);
  }
}

export function release(incident: Incident): Promise<boolean> {
  return perform({
    incident,
    change: { state: 'new', claimedBy: null, claimedUntil: null },
    send: () => post<Incident>(`/api/incidents/${incident.no}/release`, {}),
  });
}

/** Claims the incident first if no one has it. */
export async function dispatch(incident: Incident): Promise<boolean> {
  const key = newKey();
  if (!isMine(incident) && !(await claim(incident))) return false;
  const ownIncident = rowOf(incident.no) ?? incident;
  return perform({
    incident: ownIncident,
    change: {
      state: 'dispatched',
      dispatchedBy: session.value?.user ?? null,
      dispatchedAt: new Date(nowMs()).toISOString(),
    },
    send: (revision) => post<Incident>(`/api/incidents/${incident.no}/dispatch`, { revision }, { key }),
    successText: (now) => words.value.success.dispatch(nameOf(now)),
  });
}

export function review(incident: Incident, verdict: VerdictValue): Promise<boolean> {
  const at = new Date(nowMs()).toISOString();
  return perform({
    incident,
    change: { state: 'closed', verdict, verdictAt: at, closedAt: at },
    send: (revision) => post<Incident>(`/api/incidents/${incident.no}/verdict`, { revision, verdict }),
    successText: (now) => words.value.success.verdict(words.value.verdicts[verdict], nameOf(now)),
  });
}

export function note(incident: Incident, text: string, key: string): Promise<boolean> {
  return perform({
    incident,
    change: {},
    send: () => post<Incident>(`/api/incidents/${incident.no}/note`, { text }, { key }),
    successText: () => words.value.success.note,
  });
}

export function reassign(incident: Incident, to: string): Promise<boolean> {
  return perform({
    incident,
    change: { claimedBy: to },
    send: (revision) => post<Incident>(`/api/incidents/${incident.no}/reassign`, { revision, to }),
    successText: () => words.value.success.reassign(to),
  });
}

/** Opens and shows a new entry; the closed one stays closed. */
export async function reopen({ no, revision }: Incident): Promise<void> {
  try {
    const entry = await post<Incident>(`/api/incidents/${no}/reopen`, { revision }, { key: newKey() });
    settle(entry);
    tell('good', words.value.success.reopen(entry.no));
    go(`/incidents/${entry.no}`);
  } catch (error) {
    tell('bad', notReopened(error, no, revision));
  }
}

/** Explains why a closed incident was not reopened. Both states that it may have are closed ones. */
function notReopened(error: unknown, no: number, revision: number): string {
  if (!(error instanceof ApiProblem) || error.incident === undefined) return explain(error);
  const { conflict } = words.value;
  const { incident } = error;
  if (incident.no !== no) return conflict.head + conflict.reopened(incident.no);
  if (incident.state !== 'closed') return explain(error);
  return conflict.head + (incident.revision === revision ? conflict.boxRevoked : conflict.otherChange);
}

function claimed(no: number): Promise<Incident> {
  return post<Incident>(`/api/incidents/${no}/claim`, {});
}

function nameOf({ kind, place, site, box }: Incident): string {
  return `${kindText(kind, words.value)}, ${placeText(place, words.value)}, ${site}/${box}`;
}
