/** Implements the calls that are answered from the room's database. */
import type { Audited } from '../contract/audit.ts';
import { record } from '../database/audit.ts';
import { iso, type Sql } from '../database/sql.ts';
import { claim, dispatch, note, reassign, release } from './acts.ts';
import { auditOf, auditPage, ChainCheck, headOf } from './audit.ts';
import { allCameras, camerasOf } from './cameras.ts';
import { closedOf, closedPage } from './closed.ts';
import { csvLines } from './csv.ts';
import { statisticsOf } from './figures.ts';
import { handOverOf } from './hand-over.ts';
import { type Account, CallError, type Handlers } from './handler.ts';
import { detailOf, incidentsOf, notesOf, pageOf } from './incidents.ts';
import { incidentsParquet } from './parquet.ts';
import type { Patrol } from './patrol-settings.ts';
import { patrolsOf, reportPatrol } from './patrols.ts';
import { QueueReader } from './queue.ts';
import { refusedMessages, resend } from './refused-messages.ts';
import { reopen, reopenAll } from './reopening.ts';
import { actorOf } from './rows.ts';
import { stillOf } from './stills.ts';
import { runningOf, suppress, unsuppress } from './suppressions.ts';
import {
  AUDIT,
  CAMERAS,
  CLOSED,
  INCIDENTS,
  lineOfDispatch,
  rowsOf,
  SHIFT_LINES,
  STATISTICS,
  type Table,
  WEEK,
} from './tables-out.ts';
import { undo } from './undo.ts';
import { review, reviewAll } from './verdicts.ts';
import { weekOf, weekRows } from './week.ts';

export type RoomHandlers = Pick<
  Handlers,
  | ('queue' | 'incidents' | 'incidentsCsv' | 'incidentsParquet' | 'incident' | 'notes' | 'still')
  | ('closed' | 'closedCsv' | 'week' | 'weekCsv')
  | (
      | 'claim'
      | 'release'
      | 'dispatch'
      | 'judge'
      | 'note'
      | 'reassign'
      | 'reopen'
      | 'reopenings'
      | 'verdicts'
      | 'undo'
    )
  | ('refusedMessages' | 'resend')
  | ('patrols' | 'patrol' | 'suppressions' | 'suppress' | 'unsuppress')
  | (
      | 'cameras'
      | 'camerasCsv'
      | 'plan'
      | 'figures'
      | 'figuresCsv'
      | 'handOver'
      | 'handOverCsv'
      | 'audit'
      | 'auditCsv'
    )
>;

export interface DataOptions {
  /** IANA time zone of the room: timeZoneOf(db). */
  readonly timeZone: string;
  /** Returns the account names that can receive an incident. */
  people(): Promise<readonly string[]>;
  /** GeoJSON of the map, if the room has one. */
  readonly plan: string | undefined;
  /** Patrols that can be dispatched. */
  readonly patrols: readonly Patrol[];
}

export function dataHandlers(db: Sql, { timeZone, people, plan, patrols }: DataOptions): RoomHandlers {
  const chain = new ChainCheck(db);
  const queue = new QueueReader(db);
  const table = <T>(form: Table<T>, all: AsyncIterable<T> | Iterable<T>): AsyncIterable<string> =>
    csvLines(form.columns, rowsOf(form, all));
  /** Records an export in the audit log before its first row is sent: its content and the account. */
  const exported = (account: Account, nowMs: number, subject: string, query: object = {}): Promise<void> =>
    db.transaction(async (transaction) => {
      const act: Audited = 'export';
      await record(transaction, { ...actorOf(account), act, more: { table: subject, ...query } }, nowMs);
    });
  return {
    queue: ({ nowMs }) => queue.read(nowMs),
    incidents: ({ query }) => pageOf(db, query),
    incidentsCsv: async ({ account, query, nowMs }) => {
      // Refuses invalid queries before the first line is sent.
      await pageOf(db, { ...query, limit: 1 });
      await exported(account, nowMs, 'incidents', query);
      return table(INCIDENTS, incidentsOf(db, query));
    },
    incidentsParquet: async ({ account, query, nowMs }) => {
      await pageOf(db, { ...query, limit: 1 });
      await exported(account, nowMs, 'incidents', query);
      return incidentsParquet(incidentsOf(db, query));
    },
    closed: ({ account, query }) => closedPage(db, query, account),
    closedCsv: async ({ account, query, nowMs }) => {
      await closedPage(db, { ...query, limit: 1 }, account);
      await exported(account, nowMs, 'closed', query);
      return table(CLOSED, closedOf(db, query, account));
    },
    incident: ({ params, nowMs }) => detailOf(db, params.no, { timeZone, nowMs }),
    notes: ({ params, query }) => notesOf(db, params.no, query.before),
    still: (call) => stillOf(db, call),
    claim: (call) => claim(db, call, timeZone),
    release: (call) => release(db, call),
    dispatch: (call) => dispatch(db, call, patrols),
    patrol: (call) => reportPatrol(db, call, timeZone),
    patrols: async () => ({ patrols: await patrolsOf(db, patrols) }),
    suppressions: async ({ nowMs }) => ({ now: iso(nowMs), suppressions: await runningOf(db) }),
    suppress: (call) => suppress(db, call),
    unsuppress: (call) => unsuppress(db, call),
    judge: (call) => review(db, call, timeZone),
    note: (call) => note(db, call),
    reassign: async (call) => reassign(db, call, await people()),
    reopen: (call) => reopen(db, call),
    reopenings: (call) => reopenAll(db, call),
    verdicts: (call) => reviewAll(db, call, timeZone),
    refusedMessages: () => refusedMessages(db),
    resend: (call) => resend(db, call),
    undo: (call) => undo(db, call, timeZone),
    cameras: ({ nowMs }) => camerasOf(db, nowMs),
    camerasCsv: async ({ nowMs }) => table(CAMERAS, allCameras(db, nowMs)),
    plan: async () => {
      if (plan === undefined) throw new CallError(404, 'a map is not configured in this room');
      return plan;
    },
    figures: ({ query }) => statisticsOf(db, query, timeZone),
    figuresCsv: async ({ account, query, nowMs }) => {
      const { rows } = await statisticsOf(db, query, timeZone);
      await exported(account, nowMs, 'figures', query);
      return table(STATISTICS, rows);
    },
    week: ({ query, nowMs }) => weekOf(db, query, { timeZone, nowMs }),
    weekCsv: async ({ account, query, nowMs }) => {
      const rows = await weekRows(db, query, { timeZone, nowMs });
      await exported(account, nowMs, 'week', query);
      return table(WEEK, rows);
    },
    handOver: ({ query, nowMs }) => handOverOf(db, query, nowMs),
    handOverCsv: async ({ account, query, nowMs }) => {
      const { open, dispatches } = await handOverOf(db, query, nowMs);
      await exported(account, nowMs, 'hand-over', query);
      return table(SHIFT_LINES, [...open, ...dispatches.map(lineOfDispatch)]);
    },
    audit: async ({ query, nowMs }) => ({
      ...(await auditPage(db, query)),
      ...(await chain.check(nowMs)),
      head: await headOf(db),
    }),
    auditCsv: async ({ account, nowMs }) => {
      await exported(account, nowMs, 'audit');
      return table(AUDIT, auditOf(db));
    },
  };
}
