/** Limits concurrent requests: one for each person, SEARCHES_MAX for all together. */
import { SEARCHES_MAX } from '../contract/signer.ts';
import { Refusal } from './refusal.ts';

/**
 * Reserves a place. Returns a function that frees it.
 * @throws {Refusal} 429
 */
export function entered(running: Set<string>, user: string, kind: string): () => void {
  if (running.has(user))
    throw new Refusal(429, `a ${kind} of ${user} is running; ask again when it has ended`);
  if (running.size >= SEARCHES_MAX) {
    throw new Refusal(429, `${running.size} others have a ${kind} running; ask again when one has ended`);
  }
  running.add(user);
  return () => running.delete(user);
}
