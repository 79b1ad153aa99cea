/**
 * Writes a file of SQLite anew, in a thread of its own: this process goes on, and whoever writes to the file waits.
 *
 * A page that was divided has rows twice: where they went, and unseen where they were. `secure_delete` overwrites the one
 * that is deleted, not the other; only a file that is written anew holds nothing but its rows.
 * LIMITS: SIZE_MAX of a file; twice its size must be free beside it and where TMPDIR is.
 */
import { statSync } from 'node:fs';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { type ScrubLimits, SIZE_MAX } from './sql.ts';

/** For whoever writes at this moment; a transaction of ours takes less than a second. */
const BUSY_MS = 10_000;

/** Resolves with a line where it was not done. */
export async function vacuum(file: string, limits: Partial<ScrubLimits>): Promise<string | undefined> {
  const { sizeMax = SIZE_MAX } = limits;
  const left = 'what was deleted may stand in pages in use';
  if (statSync(file).size > sizeMax) {
    const mb = Math.round(sizeMax / 1e6);
    return `${file}: more than ${mb} MB; ${left}: VACUUM it by hand, see docs/guide/room.md`;
  }
  try {
    await new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { vacuum: file } });
      worker.once('error', reject);
      worker.once('exit', () => resolve());
    });
    return undefined;
  } catch (error) {
    return `${file}: cannot be written anew (${error instanceof Error ? error.message : String(error)}); ${left} until the next night`;
  }
}

if (!isMainThread) {
  const asked = Object(workerData) as { readonly vacuum?: unknown };
  if (typeof asked.vacuum === 'string') {
    const db = new Database(asked.vacuum, { timeout: BUSY_MS, fileMustExist: true });
    try {
      db.pragma('secure_delete = ON');
      db.exec('VACUUM');
    } finally {
      db.close();
    }
  }
}
