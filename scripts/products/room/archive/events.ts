/** Inserts events as rows. */
import { documentIn } from '../database/document.ts';
import { type Dialect, iso, type Queries } from '../database/sql.ts';
import type { EventArrival } from './message.ts';

/** Maximum age of an event in days. A box cannot have delayed an older one, because retention is at most 366 days. */
const OLDEST_DAYS = 366;

/** Columns and their types in a batch's JSON. */
const COLUMNS = {
  site: 'text',
  box: 'text',
  epoch: 'text',
  lane: 'text',
  seq: 'integer',
  id: 'text',
  type: 'text',
  time: 'time',
  at: 'time',
  body: 'json',
  unread: 'text',
  received: 'time',
} as const;

/** Returns the time under which an event is stored, in ms: its own if credible, else the time of arrival. */
export function momentOf(time: string, receivedMs: number): number {
  const ms = Date.parse(time);
  const isBelieved = ms <= receivedMs + 86_400_000 && ms > receivedMs - OLDEST_DAYS * 86_400_000;
  return isBelieved ? ms : receivedMs;
}

/** Inserts events and returns the new ones. Their lanes must be locked. */
export async function insertEvents(
  transaction: Queries,
  dialect: Dialect,
  events: readonly EventArrival[],
  receivedMs: number,
): Promise<EventArrival[]> {
  if (events.length === 0) return [];
  const received = iso(receivedMs);
  const rows = events.map(({ place, id, type, time, body, unread = null }) => {
    const { from: _from, first: _first, ...placeColumns } = place;
    const at = iso(momentOf(time, receivedMs));
    return {
      ...placeColumns,
      id,
      type,
      at,
      unread,
      received,
      time: time === '' ? null : time,
      body: documentIn(body),
    };
  });
  // Events stored under their time of arrival would be new each time, because their key contains it.
  const unmoored = rows.filter(({ time, at }) => time !== at);
  const storedKeys =
    unmoored.length === 0 ? new Set<string>() : await knownAmong(transaction, dialect, unmoored);
  const newRows = rows.filter(({ site, box, id }) => !storedKeys.has(`${site}/${box}/${id}`));
  const insertedRows = await transaction.all<{ site: string; box: string; id: string }>(
    `INSERT INTO event (${Object.keys(COLUMNS).join(', ')})
     SELECT ${Object.keys(COLUMNS).join(', ')} FROM ${dialect.rows('$1', 'new', COLUMNS)} WHERE true
     ON CONFLICT DO NOTHING RETURNING site, box, id`,
    [JSON.stringify(newRows)],
  );
  const insertedKeys = new Set(insertedRows.map(({ site, box, id }) => `${site}/${box}/${id}`));
  return events.filter(({ place, id }) => insertedKeys.has(`${place.site}/${place.box}/${id}`));
}

async function knownAmong(
  transaction: Queries,
  dialect: Dialect,
  rows: readonly { readonly site: string; readonly box: string; readonly id: string }[],
): Promise<Set<string>> {
  const columns = { site: 'text', box: 'text', id: 'text' } as const;
  const storedRows = await transaction.all<{ site: string; box: string; id: string }>(
    `SELECT event.site, event.box, event.id FROM event
     JOIN ${dialect.rows('$1', 'asked', columns)} USING (site, box, id)`,
    [JSON.stringify(rows.map(({ site, box, id }) => ({ site, box, id })))],
  );
  return new Set(storedRows.map(({ site, box, id }) => `${site}/${box}/${id}`));
}
