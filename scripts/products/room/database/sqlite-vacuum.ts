/**
 * Rewrites an SQLite file in a separate thread. This process continues; writers to the file wait.
 *
 * A page that was split holds rows twice: at their new place, and unreachable at the old one. `secure_delete`
 * overwrites the deleted row, not its copy. Only a rewritten file contains just its current rows.
 * LIMITS: files up to SIZE_MAX. Twice the size must be free next to the file and in TMPDIR.
 */
import { statSync } from 'node:fs';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { type ScrubLimits, SIZE_MAX } from './sql.ts';

/** Wait for a current writer, in ms. A transaction of the room takes less than a second. */
const BUSY_MS = 10_000;

/** Rewrites the file. Resolves with one line if that was not possible. */
export async function vacuum(file: string, limits: Partial<ScrubLimits>): Promise<string | undefined> {
  const { sizeMax = SIZE_MAX } = limits;
  const warning = 'pages in use may still contain deleted data';
  if (statSync(file).size > sizeMax) {
    const mb = Math.round(sizeMax / 1e6);
    return `${file}: more than ${mb} MB; ${warning}: VACUUM it by hand, see docs/guide/room.md`;
  }
  try {
    await new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { vacuum: file } });
      worker.once('error', reject);
      worker.once('exit', () => resolve());
    });
    return undefined;
  } catch (error) {
    return `${file}: cannot be rewritten (${error instanceof Error ? error.message : String(error)}); ${warning} until the next night`;
  }
}

if (!isMainThread) {
  const job = Object(workerData) as { readonly vacuum?: unknown };
  if (typeof job.vacuum === 'string') {
    const db = new Database(job.vacuum, { timeout: BUSY_MS, fileMustExist: true });
    try {
      db.pragma('secure_delete = ON');
      db.exec('VACUUM');
    } finally {
      db.close();
    }
  }
}
