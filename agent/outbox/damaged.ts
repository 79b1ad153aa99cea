/**
 * Handles a damaged outbox: reads its last numbers, and deletes the file that was moved aside for inspection after a
 * time.
 */
import Database from 'better-sqlite3';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { damagedPath, forgetDamaged } from '../base/sqlite.ts';
import { LANES, type Lane } from '../contract/outbox.ts';
import { outboxFile } from './database.ts';

/** Equals the longest retention of the configuration, because the file may hold redacted pictures. */
const KEEP_DAYS = 30;

/** Deletes a file that was moved aside KEEP_DAYS ago. */
export function forgetOld(path: string, wallMs: number, log: Logger): void {
  const file = damagedPath(path);
  try {
    const forgotten = forgetDamaged(outboxFile(path), wallMs - KEEP_DAYS * 86_400_000);
    if (forgotten) log.info({ file }, 'an old damaged outbox was deleted');
  } catch (error) {
    log.warn({ file, reason: messageOf(error) }, 'an old damaged outbox could not be deleted');
  }
}

/**
 * Returns the last number of each lane in a damaged database, if it can be read. Otherwise returns the time in seconds,
 * which no lane reaches while it carries less than one message a second over the years.
 */
export function lastNumbers(file: string, wallMs: number, log: Logger): Record<Lane, number> {
  const fallback = Math.floor(wallMs / 1000);
  const last: Record<Lane, number> = { alert: fallback, bulk: fallback };
  try {
    const db = new Database(file, { readonly: true, fileMustExist: true });
    try {
      for (const lane of LANES) {
        const row = db.prepare('SELECT last FROM sequence WHERE lane = ?').get(lane) as
          | { last: number }
          | undefined;
        if (row !== undefined && Number.isSafeInteger(row.last) && row.last >= 0) last[lane] = row.last;
      }
    } finally {
      db.close();
    }
  } catch (error) {
    log.warn({ file, reason: messageOf(error) }, 'the numbers in the damaged outbox cannot be read');
  }
  return last;
}
