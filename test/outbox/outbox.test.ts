/** Tests the outbox on real files and disks. The contract suite runs against both of its stores. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { LANES, type Lane, type OutboxRow } from '../../agent/contract/outbox.ts';
import { bundledHelper } from '../lib/bundled.ts';
import { HandClock, makeOutbox, snapshot, text } from '../lib/outbox.ts';
import { carelessRows, survivors } from '../lib/outbox-rows.ts';
import { scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { waitUntil } from '../lib/room.ts';
import { ALL, FULL, unlessAll } from '../lib/run.ts';
import { SmallDisk } from '../lib/small-disk.ts';

const WRITER = bundledHelper(new URL('../lib/outbox-writer.js', import.meta.url));

const bodies = (rows: OutboxRow[]): unknown[] =>
  rows.map((row) =>
    row.kind === 'message' ? (JSON.parse(Buffer.from(row.body).toString()) as { seq: number }).seq : row.gap,
  );

const STORES = {
  disk: (dir: string) => join(dir, 'outbox.db'),
  memory: (dir: string) => join('/proc', dir, 'outbox.db'),
};

for (const [store, path] of Object.entries(STORES)) {
  void t.test(`an outbox kept on ${store} fulfils the contract`, async (t) => {
    const { outbox } = makeOutbox(path(scratch(t)), { limitMiB: 2 });
    outbox.start();
    t.teardown(() => outbox.stop());
    t.equal(outbox.counters.store, store);
    const base = outbox.range('alert').last;
    t.same(outbox.range('alert'), { first: base + 1, last: base }, 'an empty lane');
    t.same(outbox.peek('alert', 0, 10), []);

    const seqs = outbox.append([
      text('alert', 'alert'),
      snapshot('alert', 5000, 3600),
      text('alert', 'notice'),
    ]);
    t.same(seqs, [base + 1, base + 2, base + 3], 'numbers without a gap');
    const other = outbox.append([text('bulk', 'notice')])[0] ?? 0;
    t.equal(other, outbox.range('bulk').last, 'each lane counts for itself');
    const [event, picture] = outbox.peek('alert', 0, 2);
    t.match(event, { kind: 'message', seq: base + 1, boot: 'boot-1', topic: /evt\/alert/, expiryS: null });
    t.match(picture, { kind: 'message', contentType: 'image/jpeg', expiryS: 3600 });
    t.equal(picture?.kind === 'message' && picture.body.length, 5000);
    t.same(bodies(outbox.peek('alert', base + 2, 9)), [base + 3], 'the body carries its number');
    t.match(outbox.counters.lanes.alert, { rows: 3, lastSeq: base + 3, appended: 3, released: 0 });
    t.ok(outbox.counters.lanes.alert.bytes > 5600);

    t.equal(outbox.release('alert', [base + 2]), 1, 'one in the middle');
    t.equal(outbox.release('alert', [base + 2, base + 99]), 0, 'released once only');
    t.same(outbox.range('alert'), { first: base + 1, last: base + 3 });
    t.equal(outbox.releaseThrough('alert', base + 3), 2);
    t.same(outbox.range('alert'), { first: base + 4, last: base + 3 }, 'empty again');
    t.equal(outbox.counters.lanes.bulk.rows, 1, 'the other lane is unchanged');

    outbox.append([text('bulk', 'notice')], { b: 'two', a: 'one', 'c/1': 'three' });
    t.same(outbox.notes(''), [
      { key: 'a', text: 'one' },
      { key: 'b', text: 'two' },
      { key: 'c/1', text: 'three' },
    ]);
    outbox.append([], { b: null, a: 'more' });
    t.same(outbox.notes('a'), [{ key: 'a', text: 'more' }], 'stored, changed and removed');
    t.same(
      outbox.notes('').map(({ key }) => key),
      ['a', 'c/1'],
    );

    const ten = Array.from({ length: 10 }, () => text('bulk', 'notice', 3000));
    for (let i = 0; i < 100; i += 1) outbox.append(ten);
    const { rows, dropped, bytes } = outbox.counters.lanes.bulk;
    t.ok(rows > 400 && bytes < 2 * 1_048_576, `bounded: ${rows} rows, ${bytes} bytes`);
    t.ok(dropped.notice > 100, 'the oldest went');
    t.match(
      outbox.peek('bulk', 0, 1)[0],
      { kind: 'gap', gap: { reasons: ['overflow'] } },
      'and a record says so',
    );
    t.equal(outbox.refusedBy === undefined, store === 'disk', 'with the reason it is not on disk');
    await outbox.stop();
    await outbox.stop();
  });
}

void t.test('numbers and rows survive a restart; the file is private and bounded', async (t) => {
  const file = join(scratch(t), 'outbox.db');
  const first = makeOutbox(file);
  first.outbox.start();
  t.same(first.outbox.append([text('alert', 'alert'), text('alert', 'alert')]), [1, 2]);
  first.outbox.append([text('bulk', 'notice')], { 'standing/e1': 'told' });
  first.outbox.releaseThrough('alert', 2);
  const { epoch } = first.outbox;
  t.match(epoch, /^[0-9a-f]{8}$/);
  await first.outbox.stop();

  const second = makeOutbox(file, { boot: 'boot-2' });
  second.outbox.start();
  t.teardown(() => second.outbox.stop());
  t.equal(second.outbox.epoch, epoch, 'the same counting');
  const other = makeOutbox(join(scratch(t), 'outbox.db'));
  other.outbox.start();
  t.not(other.outbox.epoch, epoch, 'a new file counts from the start, and says so');
  await other.outbox.stop();
  t.same(second.outbox.append([text('alert', 'alert')]), [3], 'a released number does not come back');
  t.match(second.outbox.peek('bulk', 0, 9), [{ seq: 1, boot: 'boot-1' }]);
  t.same(second.outbox.notes('standing/'), [{ key: 'standing/e1', text: 'told' }], 'and what was remembered');
  t.match(second.outbox.peek('alert', 0, 9), [{ seq: 3, boot: 'boot-2' }]);
  t.equal(statSync(file).mode & 0o077, 0, 'no other user may read it');
  t.ok(statSync(file).blocks * 512 >= 4 * 1_048_576, 'its space is reserved');
});

/** Runs a writer, killed after `killAfterMs`; returns the numbers it reported by lane. */
async function write(
  t: Test,
  file: string,
  limitMiB: number,
  count: number,
  killAfterMs: number,
  { cutPower, careless = false }: { cutPower?: () => void; careless?: boolean } = {},
): Promise<Record<Lane, number[]>> {
  const args = [WRITER, file, String(limitMiB), String(count), ...(careless ? ['careless'] : [])];
  const writer = start(t, process.execPath, args);
  await waitUntil(t, 'it writes', () => writer.out !== '' || writer.code !== undefined);
  await sleep(killAfterMs);
  // A sync under way at the moment of the cut may return success (as ext4 does for a plain write and fdatasync). In a
  // real cut the caller would be dead by then, so only earlier reports count.
  const outBefore = writer.out;
  cutPower?.();
  if (cutPower !== undefined) await sleep(50);
  writer.child.kill('SIGKILL');
  await writer.exit;
  const accepted: Record<Lane, number[]> = { alert: [], bulk: [] };
  // A last line without its newline does not count as reported.
  for (const line of (cutPower === undefined ? writer.out : outBefore).split('\n').slice(0, -1)) {
    const [lane, ...seqs] = line.split(' ');
    if (lane === 'alert' || lane === 'bulk') accepted[lane].push(...seqs.map(Number));
  }
  return accepted;
}

void t.test('kill -9 of the writer loses no accepted row', async (t) => {
  const kills = FULL ? 300 : ALL ? 6 : 1;
  const file = join(scratch(t), 'outbox.db');
  const all: Record<Lane, Set<number>> = { alert: new Set(), bulk: new Set() };
  const seed = Date.now() % 1000;
  for (let i = 0; i < kills; i += 1) {
    const accepted = await write(t, file, 512, 1e6, (seed * (i + 1) * 37) % 90);
    for (const lane of LANES) {
      for (const seq of accepted[lane]) {
        if (all[lane].has(seq)) t.fail(`${lane} ${seq} was given out twice`);
        all[lane].add(seq);
      }
    }
  }
  const { outbox } = makeOutbox(file, { limitMiB: 512 });
  outbox.start();
  t.teardown(() => outbox.stop());
  let lostCount = 0;
  for (const lane of LANES) {
    const rows = outbox.peek(lane, 0, 1e6);
    const seqs = new Set(rows.map(({ seq }) => seq));
    for (const seq of all[lane]) if (!seqs.has(seq)) lostCount += 1;
    t.equal(rows.length, outbox.range(lane).last, `${lane}: every number from 1 to the last is there`);
  }
  t.equal(
    lostCount,
    0,
    `seed ${seed}: 0 of ${all.alert.size + all.bulk.size} accepted rows lost in ${kills} kills`,
  );
});

const skip = SmallDisk.unavailable();

void t.test('power cuts lose no accepted row, and a careless writer loses some', { skip }, async (t) => {
  const cuts = FULL ? 100 : ALL ? 2 : 1;
  for (const careless of [false, true]) {
    let lostCount = 0;
    let accepted = 0;
    for (let i = 0; i < cuts; i += 1) {
      const disk = new SmallDisk(scratch(t), 24);
      disk.mount();
      const file = join(disk.dir, 'outbox.db');
      const cutPower = (): void => disk.cutPower();
      const report = await write(t, file, 8, 1e6, 40 + ((i * 61) % 120), { cutPower, careless });
      disk.powerBack();
      const survived = careless ? carelessRows(file) : survivors(file);
      for (const lane of LANES) {
        accepted += report[lane].length;
        lostCount += report[lane].filter((seq) => !survived[lane].has(seq)).length;
      }
      disk.unmount();
    }
    if (careless)
      t.ok(lostCount > 0, `control: ${lostCount} of ${accepted} rows lost without waiting for the disk`);
    else t.equal(lostCount, 0, `0 of ${accepted} accepted rows lost in ${cuts} power cuts`);
  }
});

void t.test('a disk that others fill does not stop the outbox', { skip: unlessAll || skip }, async (t) => {
  const disk = mountDisk(t, 24);
  const file = join(disk.dir, 'outbox.db');
  const first = makeOutbox(file, { limitMiB: 8 });
  first.outbox.start();
  disk.fill();
  t.teardown(() => first.outbox.stop());
  const four = Array.from({ length: 4 }, () => [
    text('alert', 'alert', 1000),
    snapshot('alert', 40_000),
  ]).flat();
  let last = 0;
  for (let i = 0; i < 150; i += 1) last = first.outbox.append(four).at(-1) ?? 0;
  t.equal(last, 1200, 'all were accepted');
  t.equal(first.outbox.counters.store, 'disk', 'on the disk');
  t.ok(first.outbox.counters.lanes.alert.dropped.snapshot > 300, 'within the limit: old snapshots went');
  t.equal(first.outbox.counters.lanes.alert.dropped.alert, 0, 'no alert did');
  first.outbox.releaseThrough('alert', last);
  t.equal(first.outbox.append([text('alert', 'alert')]).length, 1);
});

void t.test(
  'the outbox uses memory on a full disk until there is room again',
  { skip: unlessAll || skip },
  async (t) => {
    const disk = mountDisk(t, 24);
    const file = join(disk.dir, 'outbox.db');
    const earlier = makeOutbox(file, { limitMiB: 1 });
    earlier.outbox.start();
    earlier.outbox.append([text('alert', 'alert'), text('alert', 'alert')]);
    await earlier.outbox.stop();
    disk.fill();
    const clock = new HandClock();
    const { outbox } = makeOutbox(file, { limitMiB: 8, clock });
    outbox.start();
    t.teardown(() => outbox.stop());
    t.equal(outbox.counters.store, 'memory');
    const { epoch } = outbox;
    t.same(outbox.append([text('alert', 'alert'), text('alert', 'alert')]), [3, 4], 'the numbers go on');
    t.same(bodies(outbox.peek('alert', 0, 9)), [1, 2, 3, 4], 'disk and memory read as one lane');
    t.equal(outbox.release('alert', [1, 3]), 2);
    clock.advance(31_000);
    await sleep(1500);
    t.equal(outbox.counters.store, 'memory', 'still full');
    disk.free();
    clock.advance(31_000);
    await sleep(1500);
    t.equal(outbox.counters.store, 'disk', 'back on the disk');
    t.equal(outbox.epoch, epoch, 'which now has the numbers given out in memory');
    t.same(bodies(outbox.peek('alert', 0, 9)), [2, 4], 'with everything, and without what was released');
    t.equal(outbox.refusedBy, undefined);
    t.same(outbox.append([text('alert', 'alert')]), [5]);
  },
);

void t.test(
  'the outbox survives a worn SD card that turns read-only and is repaired at a later boot',
  { skip: unlessAll || skip },
  async (t) => {
    const disk = mountDisk(t, 24);
    const file = join(disk.dir, 'outbox.db');
    const first = makeOutbox(file);
    first.outbox.start();
    first.outbox.append([text('alert', 'alert'), text('alert', 'alert')]);
    disk.fail();
    t.same(first.outbox.append([text('alert', 'alert')]), [3], 'accepted, in memory');
    t.equal(first.outbox.counters.store, 'memory');
    const { epoch } = first.outbox;
    t.match(first.outbox.refusedBy, /the disk refuses|no room/, 'with the reason');
    t.same(bodies(first.outbox.peek('alert', 0, 9)), [1, 2, 3], 'old and new are delivered');
    t.equal(first.outbox.dropTooLarge('alert', 1), false, 'a row on the disk cannot become a gap now');
    t.same(bodies(first.outbox.peek('alert', 0, 9)), [1, 2, 3], 'and stays');
    await first.outbox.stop();
    disk.unmount();
    disk.repair();

    disk.mount(true);
    const clock = new HandClock();
    const second = makeOutbox(file, { clock, boot: 'boot-2' });
    second.outbox.start();
    t.equal(second.outbox.counters.store, 'memory', 'mounted read-only at the start');
    t.same(bodies(second.outbox.peek('alert', 0, 9)), [1, 2], 'rows on the disk are still delivered');
    t.same(second.outbox.append([text('alert', 'alert')]), [3], 'and the numbers go on');
    t.not(second.outbox.epoch, epoch, 'under another epoch: 3 was given out before, in memory');
    t.equal(second.outbox.release('alert', [1]), 1);
    t.equal(second.outbox.releaseThrough('alert', 2), 1);
    t.same(bodies(second.outbox.peek('alert', 0, 9)), [3], 'released, though the disk cannot forget it yet');
    await second.outbox.stop();
    disk.unmount();

    disk.mount();
    const third = makeOutbox(file, { clock });
    third.outbox.start();
    t.teardown(() => third.outbox.stop());
    t.equal(third.outbox.counters.store, 'disk');
    t.same(
      bodies(third.outbox.peek('alert', 0, 9)),
      [1, 2],
      'they come again: duplicates, which the room knows by id',
    );
  },
);

void t.test(
  'an outbox on a disk that cannot be read at the start uses numbers above all earlier ones',
  { skip: unlessAll || skip },
  async (t) => {
    const disk = new SmallDisk(scratch(t), 16);
    const file = join(disk.dir, 'outbox.db');
    disk.mount();
    const first = makeOutbox(file);
    first.outbox.start();
    first.outbox.append([text('alert', 'alert')]);
    await first.outbox.stop();
    disk.unmount();

    const clock = new HandClock();
    const { outbox } = makeOutbox(join(disk.dir, 'outbox.db', 'x'), { clock });
    writeFileSync(join(disk.dir, 'outbox.db'), 'in the way');
    outbox.start();
    const [seq = 0] = outbox.append([text('alert', 'alert')]);
    t.ok(seq > 1_700_000_000, `${seq}: above anything used before`);
    await outbox.stop();
  },
);

function mountDisk(t: Test, mib: number): SmallDisk {
  const disk = new SmallDisk(scratch(t), mib);
  disk.mount();
  t.teardown(() => {
    try {
      disk.unmount();
    } catch {
      t.comment('the small disk was not mounted any more');
    }
  });
  return disk;
}
