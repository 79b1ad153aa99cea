/**
 * Sends requests to the room's server.
 *
 * A call after the end of the session waits until the same person has logged in again, and is then repeated. Actions
 * are also stored in the tab's storage, because a login may leave this page and return.
 *
 * INVARIANTS: an action is never sent under the name of another person.
 * LIMITS: KEPT_MAX actions are stored; a further one is refused with the ApiProblem of its 401.
 */
import type { Problem } from '../contract/api.ts';
import type { Incident } from '../contract/incident.ts';
import { expired, session } from './session.ts';

/** Time limit in ms: a restarting database answers within seconds, and no one waits longer than this at a screen. */
const ANSWER_MS = 20_000;
/**
 * Time limit in ms of a box that answers in many pages. The signer requests no further page after 45 s, and waits at
 * most 30 s for the last.
 */
export const LONG_ANSWER_MS = 80_000;
/** Maximum number of stored actions, more than a person does before noticing the end of a session. */
const KEPT_MAX = 20;
const ACTIONS_KEY = 'kept-acts';
/** A refusal of this path concerns the login itself. */
const LOGIN = '/api/login';

/** A refusal of the server, or a failed connection (status 0). */
export class ApiProblem extends Error {
  readonly status: number;
  readonly title: string;
  /** Current incident, if another person was first. */
  readonly incident: Incident | undefined;
  /** Reason that a screen answers in its own way. */
  readonly reason: Problem['reason'];

  constructor(status: number, title: string, { incident, reason }: Partial<Problem> = {}) {
    super(title);
    this.status = status;
    this.title = title;
    this.incident = incident;
    this.reason = reason;
  }
}

export interface StoredAction {
  readonly id: string;
  readonly user: string;
  readonly path: string;
  readonly body: unknown;
  readonly key: string | undefined;
}

/** Rejects with ApiProblem. */
export function get<T>(path: string): Promise<T> {
  return requestJson<T>(path, {});
}

interface Posting {
  /** Idempotency key of an action that must not be repeated. */
  readonly key?: string | undefined;
  /** Time limit of the answer in ms. */
  readonly withinMs?: number;
}

/** Rejects with ApiProblem. */
export function post<T>(path: string, body: unknown, { key, withinMs }: Posting = {}): Promise<T> {
  const { user } = session.value ?? {};
  const action = user === undefined ? undefined : { id: newKey(), user, path, body, key };
  return requestJson<T>(path, posting(body, key), action, withinMs);
}

/** Returns a random, unique key. Works also if the page is not a secure context. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}

/** Takes the actions that were stored because a login left the page. */
export function takeKept(): StoredAction[] {
  const actions = storedActions();
  sessionStorage.removeItem(ACTIONS_KEY);
  return actions;
}

function posting(body: unknown, key: string | undefined): RequestInit {
  return {
    method: 'POST',
    body: JSON.stringify(body),
    headers: {
      'content-type': 'application/json',
      ...(key !== undefined && { 'idempotency-key': key }),
    },
  };
}

async function requestJson<T>(
  path: string,
  init: RequestInit,
  action?: StoredAction,
  withinMs = ANSWER_MS,
): Promise<T> {
  for (;;) {
    const response = await reached(path, init, withinMs);
    if (response.ok) return (await jsonOf(response)) as T;
    const problem = await problemOf(response);
    const user = session.value?.user;
    if (response.status !== 401 || user === undefined || path === LOGIN) throw problem;
    if (action !== undefined && !keep(action)) throw problem;
    expired.value = true;
    await entered();
    // The action of another person stays stored. The page reloads for the new person and reports it as not sent.
    if (session.value?.user !== user) throw problem;
    if (action !== undefined) forget(action);
  }
}

async function reached(path: string, init: RequestInit, withinMs: number): Promise<Response> {
  try {
    const signal = AbortSignal.timeout(withinMs);
    return await fetch(path, { cache: 'no-store', credentials: 'same-origin', signal, ...init });
  } catch {
    throw new ApiProblem(0, '');
  }
}

async function jsonOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    throw new ApiProblem(0, '');
  }
}

async function problemOf(response: Response): Promise<ApiProblem> {
  try {
    const problem = (await response.json()) as Partial<Problem>;
    return new ApiProblem(response.status, String(problem.title ?? ''), problem);
  } catch {
    return new ApiProblem(response.status, '');
  }
}

function entered(): Promise<void> {
  return new Promise((resolve) => {
    const stop = expired.subscribe((over) => {
      if (over) return;
      resolve();
      queueMicrotask(() => stop());
    });
  });
}

function storedActions(): StoredAction[] {
  return JSON.parse(sessionStorage.getItem(ACTIONS_KEY) ?? '[]') as StoredAction[];
}

function keep(action: StoredAction): boolean {
  const otherActions = storedActions().filter(({ id }) => id !== action.id);
  if (otherActions.length >= KEPT_MAX) return false;
  sessionStorage.setItem(ACTIONS_KEY, JSON.stringify([...otherActions, action]));
  return true;
}

function forget(action: StoredAction): void {
  sessionStorage.setItem(ACTIONS_KEY, JSON.stringify(storedActions().filter(({ id }) => id !== action.id)));
}
