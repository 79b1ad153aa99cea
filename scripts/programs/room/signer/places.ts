/** Limits concurrent requests: one for each person, SEARCHES_MAX for all together. */
import { SEARCHES_MAX } from '../contract/signer.ts';
import { Refusal } from './refusal.ts';

/**
 * Reserves a place. Returns a function that frees it.
 * @throws {Refusal} 429
 */
export function entered(running: Set<string>, who: string, what: string): () => void {
  if (running.has(who)) throw new Refusal(429, `a ${what} of ${who} is running; ask again when it has ended`);
  if (running.size >= SEARCHES_MAX) {
    throw new Refusal(429, `${running.size} others have a ${what} running; ask again when one has ended`);
  }
  running.add(who);
  return () => running.delete(who);
}
