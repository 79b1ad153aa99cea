/**
 * Reads the changes that may leave the room: each incident without its actions that can still be undone.
 *
 * INVARIANTS:
 * - An action is in no change before its window is closed. The closing gives the incident a new `rev`, so its final
 *   state follows.
 * - A box's events are not delayed: an incident with an open window is in the changes, in the state before the action.
 * - An incident that the room itself has closed is in the changes at once: no action on it can be undone any more.
 * - A new entry is in no change while its reopening can be undone, nor after it was undone.
 */
import type { Queries } from '../database/sql.ts';
import type { Former } from '../database/undo-window.ts';
import { changesAs } from './queue.ts';
import type { IncidentRow } from './rows.ts';
import type { Changes } from './webhook-messages.ts';

interface OpenWindow {
  readonly incident: number;
  readonly name: string;
  readonly former: string;
}

/** Returns the changes after `rev`, in order, up to the answer's `rev`. */
export function finalChangesSince(db: Queries, rev: number, nowMs: number): Promise<Changes> {
  return changesAs(db, { after: rev, nowMs }, async () => {
    // The newest first: the oldest open action is applied last, and leaves the state before all of them.
    const windows = await db.all<OpenWindow>(
      'SELECT incident, name, former FROM undo_window WHERE incident IS NOT NULL ORDER BY act DESC',
    );
    const byIncident = new Map<number, OpenWindow[]>();
    for (const window of windows)
      byIncident.set(window.incident, [...(byIncident.get(window.incident) ?? []), window]);
    return (row) => finalRow(row, byIncident.get(row.no) ?? []);
  });
}

function finalRow(row: IncidentRow, windows: readonly OpenWindow[]): IncidentRow | undefined {
  if (row.closed_reason !== null) return row.closed_reason === 'reopening-undone' ? undefined : row;
  let final = row;
  for (const { name, former } of windows) {
    if (name === 'reopen') return undefined;
    const { revision = final.revision, columns = {} } = JSON.parse(former) as Former;
    final = Object.assign({}, final, columns, { revision });
  }
  return final;
}
