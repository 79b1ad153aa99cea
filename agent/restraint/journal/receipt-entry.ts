/** Makes the journal's entry of an installation's receipt. */
import type { VigieEvent } from '../../contract/event.ts';
import type { JournalEntry } from '../../contract/journal.ts';

/** Returns the entry; undefined for any other event. */
export function receiptEntry({ id, data }: VigieEvent): JournalEntry | undefined {
  const { rule, phase, cause, evidence } = data;
  if (rule.kind !== 'installed' || phase !== 'start') return undefined;
  const { session, order } = cause;
  const picture = evidence.snapshot?.sha256 ?? null;
  return { type: 'receipt', id, session: String(session), order: String(order), picture };
}
