/** People's actions in a room, as its console's handlers do them, and the state that they change. */
import { dataHandlers, type RoomHandlers } from '../../scripts/products/room/console/handlers.ts';
import type { Incident } from '../../scripts/products/room/contract/incident.ts';
import type { ActedIncident, BulkAnswer, UndoAnswer } from '../../scripts/products/room/contract/undo.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { TIME_ZONE } from './console.ts';
import { callOf } from './console-room.ts';

const PEOPLE = ['anna', 'ben', 'supervisor'];

/** An action's time in s after the start of the test, and its other parts. */
export interface Acting {
  readonly atS?: number;
  readonly revision?: number;
  readonly key?: string;
  readonly withoutLooking?: boolean;
}

export interface Person {
  claim(no: number, acting?: Acting): Promise<ActedIncident>;
  release(no: number, acting?: Acting): Promise<ActedIncident>;
  dispatch(no: number, acting: Acting): Promise<ActedIncident>;
  review(no: number, verdict: string, acting?: Acting): Promise<ActedIncident>;
  note(no: number, text: string, acting: Acting): Promise<ActedIncident>;
  reassign(no: number, to: string, acting: Acting): Promise<ActedIncident>;
  reopen(no: number, acting: Acting): Promise<ActedIncident>;
  reviewAll(
    incidents: readonly { readonly no: number; readonly revision: number }[],
    verdict: string,
    acting?: Acting,
  ): Promise<BulkAnswer>;
  reopenAll(
    incidents: readonly { readonly no: number; readonly revision: number }[],
    acting?: Acting,
  ): Promise<BulkAnswer>;
  undo(acts: readonly number[], acting?: Acting): Promise<UndoAnswer>;
  open(no: number, acting?: Acting): Promise<unknown>;
}

export const handlersOf = (db: Sql, people = PEOPLE): RoomHandlers =>
  dataHandlers(db, { timeZone: TIME_ZONE, people: async () => people, plan: undefined, patrols: [] });

/** A person whose clock starts at `startMs`. */
export function personIn(db: Sql, name: string, startMs: number, people = PEOPLE): Person {
  const handlers = handlersOf(db, people);
  const call = (params: object, acting: Acting, body: object): never =>
    callOf(name, startMs + (acting.atS ?? 0) * 1000, {
      params,
      body,
      key: acting.key ?? '',
    } as never) as never;
  const revisionOf = ({ revision = 0 }: Acting): object => ({ revision });
  const looking = ({ withoutLooking }: Acting): object =>
    withoutLooking === undefined ? {} : { withoutLooking };
  return {
    claim: (no, acting = {}) => handlers.claim(call({ no }, acting, {})),
    release: (no, acting = {}) => handlers.release(call({ no }, acting, {})),
    dispatch: (no, acting) => handlers.dispatch(call({ no }, acting, revisionOf(acting))),
    review: (no, verdict, acting = {}) =>
      handlers.judge(call({ no }, acting, { verdict, ...revisionOf(acting), ...looking(acting) })),
    note: (no, text, acting) => handlers.note(call({ no }, acting, { text })),
    reassign: (no, to, acting) => handlers.reassign(call({ no }, acting, { to, ...revisionOf(acting) })),
    reopen: (no, acting) => handlers.reopen(call({ no }, acting, revisionOf(acting))),
    reviewAll: (incidents, verdict, acting = {}) =>
      handlers.verdicts(call({}, acting, { incidents, verdict, ...looking(acting) })),
    reopenAll: (incidents, acting = {}) => handlers.reopenings(call({}, acting, { incidents })),
    undo: (acts, acting = {}) => handlers.undo(call({}, acting, { acts })),
    open: (no, acting = {}) => handlers.still(call({ no, moment: 'snapshot' }, acting, {})),
  };
}

/** All that people's actions change, without the numbers that only grow. */
export async function stateOf(db: Sql): Promise<object> {
  const incidents = await db.all<Record<string, unknown>>(
    'SELECT * FROM incident WHERE entry > 0 ORDER BY no',
  );
  return {
    incidents: incidents.map(({ rev: _rev, revision: _revision, ...incident }) => incident),
    notes: await db.all('SELECT * FROM note ORDER BY no'),
    verdicts: await db.all('SELECT * FROM verdict_due ORDER BY no'),
    statistics: await db.all(
      'SELECT * FROM day_figure WHERE confirmed + false_alarms + unclear + claims > 0 ORDER BY day, hour, box, rule',
    ),
  };
}

export const incidentIn = async (db: Sql, no: number): Promise<Incident> =>
  (await handlersOf(db).incident(callOf<'incident'>('anna', 0, { params: { no } }))).incident;

/** Accounts and actions of an incident's entries in the audit log. */
export const auditLines = async (db: Sql, no: number): Promise<string[]> => {
  const rows = await db.all<{ account: string; act: string }>(
    'SELECT account, act FROM audit WHERE incident = $1 ORDER BY no',
    [no],
  );
  return rows.map(({ account, act }) => `${account} ${act}`);
};
