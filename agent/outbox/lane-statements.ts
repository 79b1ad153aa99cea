/** Prepared statements on the table of one lane, and the form of its rows. */
import type { Statement } from 'better-sqlite3';
import { type Db, sqliteCall } from '../base/sqlite.ts';
import type { Lane } from '../contract/outbox.ts';
import { outboxFile } from './database.ts';

export interface StoredRow {
  readonly seq: number;
  readonly rank: number;
  readonly bytes: number;
  readonly boot: string;
  readonly wall_ms: number;
  readonly mono_ms: number;
  readonly expiry_s: number | null;
  readonly topic: string;
  readonly content_type: string;
  readonly body: Buffer;
  readonly gap: string | null;
}

export type Statements = Record<
  | 'insert'
  | 'peek'
  | 'first'
  | 'delete'
  | 'deleteThrough'
  | 'count'
  | 'countBetween'
  | 'victim'
  | 'get'
  | 'before'
  | 'after'
  | 'setGap'
  | 'expired'
  | 'setLast'
  | 'getLast',
  Statement
>;

/** Throws AgentError `corrupt` if the table does not have the expected form. */
export function statementsOf(db: Db, lane: Lane): Statements {
  const prepare = (sql: string): Statement => sqliteCall(outboxFile(db.name), () => db.prepare(sql));
  return {
    insert: prepare(
      `INSERT INTO ${lane} VALUES (@seq, @rank, @bytes, @boot, @wall_ms, @mono_ms, @expiry_s, @topic, @content_type, @body, @gap)`,
    ),
    peek: prepare(`SELECT * FROM ${lane} WHERE seq > ? ORDER BY seq LIMIT ?`),
    first: prepare(`SELECT seq, gap FROM ${lane} ORDER BY seq LIMIT 1`),
    delete: prepare(`DELETE FROM ${lane} WHERE seq = ?`),
    deleteThrough: prepare(`DELETE FROM ${lane} WHERE seq <= ?`),
    count: prepare(`SELECT count(*) AS rows, sum(bytes) AS bytes FROM ${lane}`),
    countBetween: prepare(`SELECT count(*) AS rows FROM ${lane} WHERE seq > ? AND seq <= ?`),
    victim: prepare(`SELECT seq, rank, wall_ms FROM ${lane} WHERE rank <= ? ORDER BY rank, seq LIMIT 1`),
    get: prepare(`SELECT * FROM ${lane} WHERE seq = ?`),
    before: prepare(`SELECT seq, gap FROM ${lane} WHERE seq < ? ORDER BY seq DESC LIMIT 1`),
    after: prepare(`SELECT seq, gap FROM ${lane} WHERE seq > ? ORDER BY seq LIMIT 1`),
    setGap: prepare(`UPDATE ${lane} SET gap = ? WHERE seq = ?`),
    expired: prepare(
      `SELECT seq, boot, wall_ms, mono_ms, expiry_s FROM ${lane} WHERE expiry_s IS NOT NULL AND
       CASE WHEN boot = @boot THEN mono_ms + expiry_s * 1000 <= @monoMs ELSE wall_ms + expiry_s * 1000 <= @wallMs END`,
    ),
    setLast: prepare('UPDATE sequence SET last = ? WHERE lane = ?'),
    getLast: prepare('SELECT last FROM sequence WHERE lane = ?'),
  };
}
