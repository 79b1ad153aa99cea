/**
 * Questions to the room's server. A call that finds the session over waits until the same person has entered again, and
 * is then sent once more; an act is also kept in the tab's storage, since a login may leave this page and come back.
 *
 * INVARIANTS: an act is never sent under another name than that of the person who did it.
 * LIMITS: KEPT_MAX acts are kept; one more is refused aloud by the ApiProblem of its 401.
 */
import type { Problem } from '../contract/api.ts';
import type { Incident } from '../contract/incident.ts';
import { expired, session } from './session.ts';

/** A database that is being restarted answers after seconds; longer than this nobody waits at a screen. */
const ANSWER_MS = 20_000;
/** A box may answer in many pages; the signer asks for no further one after 45 s, and waits 30 s at most for the last. */
export const LONG_ANSWER_MS = 80_000;
/** More than a person does between the end of a session and noticing it. */
const KEPT_MAX = 20;
const KEPT = 'kept-acts';
/** What it refuses is about the login itself. */
const LOGIN = '/api/login';

/** What the server refused, or that it was not reached (status 0). */
export class ApiProblem extends Error {
  readonly status: number;
  readonly title: string;
  /** What is true now, where somebody else was first. */
  readonly incident: Incident | undefined;

  constructor(status: number, title: string, incident?: Incident) {
    super(title);
    this.status = status;
    this.title = title;
    this.incident = incident;
  }
}

export interface KeptAct {
  readonly id: string;
  readonly user: string;
  readonly path: string;
  readonly body: unknown;
  readonly key: string | undefined;
}

/** Rejects with ApiProblem. */
export function get<T>(path: string): Promise<T> {
  return asked<T>(path, {});
}

interface Posting {
  /** Of an act that must not be done twice. */
  readonly key?: string | undefined;
  /** How long the answer is waited for, ms. */
  readonly withinMs?: number;
}

/** Rejects with ApiProblem. */
export function post<T>(path: string, body: unknown, { key, withinMs }: Posting = {}): Promise<T> {
  const { user } = session.value ?? {};
  const act = user === undefined ? undefined : { id: newKey(), user, path, body, key };
  return asked<T>(path, posting(body, key), act, withinMs);
}

/** Random and never used before; also where the page is not a secure context. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}

/** Takes what a login that left the page has kept from being sent. */
export function takeKept(): KeptAct[] {
  const kept = keptActs();
  sessionStorage.removeItem(KEPT);
  return kept;
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

async function asked<T>(path: string, init: RequestInit, act?: KeptAct, withinMs = ANSWER_MS): Promise<T> {
  for (;;) {
    const response = await reached(path, init, withinMs);
    if (response.ok) return (await jsonOf(response)) as T;
    const problem = await problemOf(response);
    const user = session.value?.user;
    if (response.status !== 401 || user === undefined || path === LOGIN) throw problem;
    if (act !== undefined && !keep(act)) throw problem;
    expired.value = true;
    await entered();
    // What is another person's stays kept, and is told as not sent when the page begins anew for the one who came.
    if (session.value?.user !== user) throw problem;
    if (act !== undefined) forget(act);
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
    const { title, incident } = (await response.json()) as Partial<Problem>;
    return new ApiProblem(response.status, String(title ?? ''), incident);
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

function keptActs(): KeptAct[] {
  return JSON.parse(sessionStorage.getItem(KEPT) ?? '[]') as KeptAct[];
}

function keep(act: KeptAct): boolean {
  const kept = keptActs().filter(({ id }) => id !== act.id);
  if (kept.length >= KEPT_MAX) return false;
  sessionStorage.setItem(KEPT, JSON.stringify([...kept, act]));
  return true;
}

function forget(act: KeptAct): void {
  sessionStorage.setItem(KEPT, JSON.stringify(keptActs().filter(({ id }) => id !== act.id)));
}
