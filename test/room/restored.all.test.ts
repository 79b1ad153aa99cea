/** Tests a room whose database was restored from a backup: what is missing is reported. */
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { DATABASES } from '../lib/databases.ts';
import { scratch } from '../lib/paths.ts';
import { makeRoom, waitUntil } from '../lib/room.ts';
import { RoomProgram } from '../lib/room-program.ts';
import { StreetBox } from '../lib/street-boxes.ts';

void t.test('the archive reports what a restored database lacks', async (t) => {
  const room = await makeRoom(t, { persistent: true });
  const database = await DATABASES.sqlite(t);
  const archive = await RoomProgram.start(t, room, '--database', database.address);
  const box = await StreetBox.start(t, room, 'quay-1');
  const tell = async (from: number, to: number): Promise<void> => {
    for (let i = from; i <= to; i += 1) box.tell({ id: `e-${i}` });
    await waitUntil(t, `${to} are acknowledged`, () => box.waiting === 0);
  };
  const storedIds = async (): Promise<string[]> =>
    (await database.read('SELECT id FROM event ORDER BY id')).map(({ id }) => String(id));
  await tell(1, 5);
  const backup = join(scratch(t), 'backup.db');
  const db = new Database(database.address);
  await db.backup(backup);
  db.close();
  await tell(6, 9);
  t.equal((await storedIds()).length, 9);
  t.notMatch(archive.output, /are neither in this database/, 'all is there');

  t.equal(await archive.end('SIGTERM'), 0);
  for (const suffix of ['-wal', '-shm']) rmSync(`${database.address}${suffix}`, { force: true });
  copyFileSync(backup, database.address);
  const before = archive.output.length;
  archive.start();
  await tell(10, 10);
  const output = (): string => archive.output.slice(before);
  await waitUntil(t, 'it says so', () => output().includes('are neither in this database nor on the box'));
  t.match(output(), /4 messages of marseille-1\/quay-1 are neither in this database/);
  await tell(11, 12);
  t.strictSame(
    await storedIds(),
    ['e-1', 'e-10', 'e-11', 'e-12', 'e-2', 'e-3', 'e-4', 'e-5'],
    'what came since is stored',
  );
  t.equal(output().split('are neither in this database').length, 2, 'and it is said once');
  t.equal(await archive.end('SIGTERM'), 0);
  t.match(output(), /4 missing, which the boxes no longer have/);
});
