/** Content of an outbox file that an outbox-writer left behind. */
import Database from 'better-sqlite3';
import type { Lane } from '../../agent/contract/outbox.ts';

/** The numbers in an outbox, read once by a program other than its writer. */
export function survivors(file: string): Record<Lane, Set<number>> {
  const db = new Database(file);
  const numbers = (lane: Lane): Set<number> =>
    new Set(db.prepare(`SELECT seq FROM ${lane}`).pluck().all() as number[]);
  try {
    if (db.pragma('integrity_check', { simple: true }) !== 'ok') throw new Error('the outbox is corrupt');
    return { alert: numbers('alert'), bulk: numbers('bulk') };
  } finally {
    db.close();
  }
}

/** The same for the file that outbox-writer makes with `careless`. */
export function carelessRows(file: string): Record<Lane, Set<number>> {
  const db = new Database(file);
  try {
    // Even the table may be lost.
    const hasTable = db.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'row'").pluck().get() === 1;
    const seqs = hasTable ? (db.prepare('SELECT seq FROM row').pluck().all() as number[]) : [];
    return { alert: new Set(), bulk: new Set(seqs) };
  } finally {
    db.close();
  }
}
