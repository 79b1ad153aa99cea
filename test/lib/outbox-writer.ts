/**
 * Process that writes an outbox until it is killed, or until the disk refuses: `FILE LIMIT_MIB COUNT`. After each
 * append it prints the assigned numbers, as an accepted event would be reported. With `careless` as a fourth argument
 * it commits without waiting for the disk, as a control that must lose rows.
 */

import { writeSync } from 'node:fs';
import Database from 'better-sqlite3';
import { makeOutbox, snapshot, text } from './outbox.ts';

const [file = '', limitMiB = '4', count = '0', careless] = process.argv.slice(2);
if (careless !== undefined) {
  const db = new Database(file);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  // A checkpoint waits for the disk, and would save the rows before it.
  db.pragma('wal_autocheckpoint = 0');
  db.exec('CREATE TABLE IF NOT EXISTS row (seq INTEGER PRIMARY KEY, body TEXT)');
  const insert = db.prepare('INSERT INTO row (body) VALUES (?)');
  try {
    for (let i = 0; i < Number(count); i += 1) {
      writeSync(1, `bulk ${insert.run('x'.repeat(600)).lastInsertRowid}\n`);
    }
    process.exit(0);
  } catch {
    // The power is cut.
    process.exit(0);
  }
}
const { outbox } = makeOutbox(file, { limitMiB: Number(limitMiB), boot: `boot-${process.pid}` });
outbox.start();
for (let i = 0; i < Number(count); i += 1) {
  const items =
    i % 3 === 0 ? [text('alert', 'alert'), snapshot('alert', 20_000)] : [text('bulk', 'notice', 600)];
  const seqs = outbox.append(items);
  if (outbox.counters.store === 'memory') break;
  writeSync(1, `${items[0]?.lane} ${seqs.join(' ')}\n`);
  await new Promise((resolve) => setImmediate(resolve));
}
writeSync(1, `store ${outbox.counters.store}\n`);
await outbox.stop();
