/** Client of the box's page server. */
import type { PairRefused, Refusal } from '../../contract/page-api.ts';

/** Covers a changed configuration, which waits for a check of the whole configuration. */
const ANSWER_MS = 60_000;

export class RefusalError extends Error {
  /** HTTP status; 0 if there was no response. */
  readonly status: number;
  readonly refusal: Refusal & Pick<PairRefused, 'left' | 'retryInS'>;

  constructor(status: number, refusal: Refusal) {
    super(refusal.error);
    this.status = status;
    this.refusal = refusal;
  }
}

/** Rejects with RefusalError only. */
export async function ask<T>(
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
  withinMs = ANSWER_MS,
): Promise<T> {
  const response = await fetched(path, {
    method,
    signal: AbortSignal.timeout(withinMs),
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  });
  try {
    return (await response.json()) as T;
  } catch {
    throw new RefusalError(0, { error: 'unreachable' });
  }
}

/** Returns a response that is not a refusal. Rejects with RefusalError. */
export async function fetched(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { cache: 'no-store', credentials: 'same-origin', ...init });
  } catch {
    throw new RefusalError(0, { error: 'unreachable' });
  }
  if (response.ok) return response;
  let refusal: Refusal;
  try {
    refusal = (await response.json()) as Refusal;
  } catch {
    refusal = { error: 'bad', reason: String(response.status) };
  }
  throw new RefusalError(response.status, refusal);
}
