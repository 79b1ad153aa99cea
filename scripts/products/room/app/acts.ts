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
import { CLAIM_S, type PatrolAnswer } from '../contract/terms.ts';
import type { ActedIncident } from '../contract/undo.ts';
import { ApiProblem, newKey, post } from './api.ts';
import { noteStorm, openNext } from './queue/order.ts';
import { isRead, noteRead } from './queue/read-notes.ts';
import { begin, end, rowOf, settle } from './queue/store.ts';
import { go } from './router.ts';
import { nowMs, session } from './session.ts';
import { tell } from './toasts.ts';
import { offerUndo, trackAction } from './undo-offers.ts';
import { plain } from './words/plain.ts';
import { kindText, placeText } from './words/sentence.ts';
import { words } from './words/words.ts';

/** Last pending action of each incident, with the resulting revision. */
const chains = new Map<number, Promise<number>>();

interface Action {
  readonly incident: Incident;
  readonly change: Partial<Incident>;
  /** Rejects with ApiProblem. */
  readonly send: (revision: number) => Promise<ActedIncident>;
}

/** Performs an action and reports a refusal. Returns the answer, or the refusal. */
async function perform({ incident, change, send }: Action): Promise<ActedIncident | ApiProblem> {
  const { no } = incident;
  noteStorm(no);
  begin(no, change);
  let result: ActedIncident | ApiProblem | undefined;
  const attempt = revisionAfter(incident).then(async (revision) => {
    try {
      result = await send(revision);
      end(no, result, true);
      return result.revision;
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      result = error;
      end(no, error.incident, false);
      if (error.reason !== 'unseen') tell('bad', explain(error));
      return revision;
    }
  });
  chains.set(no, attempt);
  trackAction(attempt);
  await attempt;
  if (chains.get(no) === attempt) chains.delete(no);
  if (result === undefined) throw new Error(`incident ${no}: the action ended without a result`);
  return result;
}

/** Performs an action and offers its undo. Returns true if it was done. */
async function performAlone(action: Action, successText: (incident: Incident) => string): Promise<boolean> {
  const result = await perform(action);
  if (result instanceof ApiProblem) return false;
  offerUndo(successText(result), [result.undo], [result.no]);
  return true;
}

/** Resolves, after the pending actions on an incident, to the revision that the next one names. */
export async function revisionAfter({ no, revision }: Incident): Promise<number> {
  return Math.max(revision, (await chains.get(no)) ?? 0);
}

/** Returns one line for a person. An error that is not a server answer is a bug and is thrown again. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiProblem)) throw error;
  const { frame, conflict } = words.value;
  const { status, incident } = error;
  const title = plain(error.title);
  if (status === 0) return frame.unreached;
  if (status !== 409) return title === '' ? frame.refusal(status) : title;
  return `${conflict.head}${incident === undefined && title !== '' ? title : conflictText(incident)}`;
}

/** Describes the state of an incident that another person has changed. */
export function conflictText(incident: Incident | undefined): string {
  const { conflict, verdicts } = words.value;
  if (incident === undefined) return conflict.otherChange;
  const { state, claimedBy, dispatchedBy, verdict, closedReason } = incident;
  const me = session.value?.user;
  if (state === 'closed') {
    const verdictText = verdict === null ? '' : verdicts[verdict];
    return conflict.closed(
      closedReason === null ? verdictText : words.value.incident.closedBriefly[closedReason],
    );
  }
  if (state === 'dispatched' && dispatchedBy !== null) return conflict.dispatched(dispatchedBy);
  if (state === 'claimed' && claimedBy !== null && claimedBy !== me) return conflict.claimed(claimedBy);
  return state === 'new' ? conflict.new : conflict.otherChange;
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
  return performAlone(claimAction(incident), (now) => words.value.success.claim(incidentName(now)));
}

function claimAction(incident: Incident): Action {
  const claimedUntil = new Date(nowMs() + CLAIM_S * 1000).toISOString();
  const me = session.value?.user ?? '';
  const change = {
    claimedBy: me,
    claimedUntil,
    ...(incident.state === 'new' && { state: 'claimed' as const }),
  };
  return { incident, change, send: () => claimed(incident.no) };
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
  return performAlone(
    {
      incident,
      change: { state: 'new', claimedBy: null, claimedUntil: null },
      send: () => post<ActedIncident>(`/api/incidents/${incident.no}/release`, {}),
    },
    (now) => words.value.success.release(incidentName(now)),
  );
}

/** Claims the incident first if no one has it. One undo takes back both. */
export async function dispatch(incident: Incident, patrol: string | undefined): Promise<boolean> {
  const { no } = incident;
  const key = newKey();
  const isHeld = isMine(incident) && incident.state === 'claimed';
  const claiming = isHeld ? undefined : await perform(claimAction(incident));
  if (claiming instanceof ApiProblem) return false;
  const dispatching = await perform({
    incident: rowOf(no) ?? incident,
    change: {
      state: 'dispatched',
      dispatchedBy: session.value?.user ?? null,
      dispatchedAt: new Date(nowMs()).toISOString(),
      patrol: patrol ?? null,
      patrolAnswer: null,
      patrolAnswerAt: null,
    },
    send: (revision) =>
      post<ActedIncident>(
        `/api/incidents/${no}/dispatch`,
        { revision, ...(patrol !== undefined && { patrol }) },
        { key },
      ),
  });
  const { success } = words.value;
  if (!(dispatching instanceof ApiProblem)) {
    const undos = claiming === undefined ? [dispatching.undo] : [claiming.undo, dispatching.undo];
    const name = incidentName(dispatching);
    const text =
      patrol === undefined ? success.dispatch(name) : words.value.patrol.dispatched(plain(patrol), name);
    offerUndo(text, undos, [no]);
    return true;
  }
  if (claiming !== undefined) offerUndo(success.claim(incidentName(claiming)), [claiming.undo], [no]);
  return false;
}

/** Reports the answer of the dispatched patrol. */
export function reportPatrol(incident: Incident, answer: PatrolAnswer): Promise<boolean> {
  const patrol = incident.patrol ?? '';
  const at = new Date(nowMs()).toISOString();
  const { patrol: texts } = words.value;
  return performAlone(
    {
      incident,
      change: { patrolAnswer: answer, patrolAnswerAt: at, ...(answer === 'arrived' && { arrivedAt: at }) },
      send: () => post<ActedIncident>(`/api/incidents/${incident.no}/patrol`, { patrol, answer }),
    },
    () => texts.reported(plain(patrol), texts.answered[answer]),
  );
}

/** `unseen`: the server has no view of the picture by this person, so nothing was done. */
export type ReviewResult = 'done' | 'refused' | 'unseen';

/** Gives a verdict, and then opens the next incident. */
export async function review(
  incident: Incident,
  verdict: VerdictValue,
  withoutLooking: boolean,
): Promise<ReviewResult> {
  const at = new Date(nowMs()).toISOString();
  const result = await perform({
    incident,
    change: { state: 'closed', verdict, verdictAt: at, closedAt: at },
    send: (revision) =>
      post<ActedIncident>(`/api/incidents/${incident.no}/verdict`, {
        revision,
        verdict,
        ...(withoutLooking && { withoutLooking }),
      }),
  });
  if (result instanceof ApiProblem) return result.reason === 'unseen' ? 'unseen' : 'refused';
  const text = words.value.success.verdict(words.value.verdicts[verdict], incidentName(result));
  offerUndo(text, [result.undo], [incident.no]);
  openNext(incident);
  return 'done';
}

export function note(incident: Incident, text: string, key: string): Promise<boolean> {
  return performAlone(
    {
      incident,
      change: {},
      send: () => post<ActedIncident>(`/api/incidents/${incident.no}/note`, { text }, { key }),
    },
    (noted) => {
      // Its author knows the note, and those before it if they were read.
      if (isRead(incident)) noteRead(noted);
      return words.value.success.note;
    },
  );
}

export function reassign(incident: Incident, to: string): Promise<boolean> {
  return performAlone(
    {
      incident,
      change: { claimedBy: to },
      send: (revision) => post<ActedIncident>(`/api/incidents/${incident.no}/reassign`, { revision, to }),
    },
    () => words.value.success.reassign(to),
  );
}

/** Opens and shows a new entry; the closed one stays closed. */
export async function reopen({ no, revision }: Incident): Promise<void> {
  try {
    const { undo, ...entry } = await post<ActedIncident>(
      `/api/incidents/${no}/reopen`,
      { revision },
      { key: newKey() },
    );
    settle(entry);
    offerUndo(words.value.success.reopen(entry.no), [undo], [no]);
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

function claimed(no: number): Promise<ActedIncident> {
  return post<ActedIncident>(`/api/incidents/${no}/claim`, {});
}

export function incidentName({ kind, place, site, box }: Incident): string {
  return `${kindText(kind, words.value)}, ${placeText(place, words.value)}, ${site}/${box}`;
}
