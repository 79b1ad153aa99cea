/** Tests an outbox whose file is damaged or belongs to a newer program. */
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { keptLog, makeOutbox, snapshot, text } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';

void t.test('a damaged file is moved aside and reported, and the numbers continue', async (t) => {
  const damages: Record<string, (file: string) => void> = {
    'pages of garbage': (file) => {
      const bytes = readFileSync(file);
      bytes.fill(0xa5, 8192, 40_960);
      writeFileSync(file, bytes);
    },
    'pages of garbage further on': (file) => {
      const bytes = readFileSync(file);
      bytes.fill(0xa5, 200_000, 400_000);
      writeFileSync(file, bytes);
    },
    'a header of garbage': (file) => {
      const bytes = readFileSync(file);
      bytes.fill(0x5a, 0, 4096);
      writeFileSync(file, bytes);
    },
    'cut short': (file) => truncateSync(file, 12_288),
  };
  // No number is skipped where the table of numbers is still readable.
  const readable = 'pages of garbage further on';
  for (const [name, damage] of Object.entries(damages)) {
    const file = join(scratch(t), 'outbox.db');
    const before = makeOutbox(file);
    before.outbox.start();
    for (let i = 0; i < 40; i += 1)
      before.outbox.append([text('alert', 'alert', 1500), snapshot('alert', 20_000)]);
    await before.outbox.stop();
    damage(file);

    const { log, lines } = keptLog();
    const after = makeOutbox(file, { log });
    after.outbox.start();
    t.equal(after.outbox.counters.damaged, 1, `${name}: counted`);
    t.ok(existsSync(`${file}.damaged`), `${name}: kept for a person to examine`);
    t.match(
      lines.find((line) => line.startsWith('error')),
      /outbox\.db\.damaged/,
      `${name}: the log names it`,
    );
    const [gap] = after.outbox.peek('alert', 0, 1);
    t.match(
      gap,
      { kind: 'gap', gap: { from: 1, reasons: ['store-lost'] } },
      `${name}: a record says what went`,
    );
    const [next = 0] = after.outbox.append([text('alert', 'alert')]);
    t.equal(next, (gap?.seq ?? 0) + 1);
    if (name === readable) t.equal(next, 81, `${name}: the next number`);
    else t.ok(next > 1_700_000_000, `${name}: ${next} was never used before`);
    await after.outbox.stop();
  }
});

void t.test('damage that shows while running costs the rows, not the agent', async (t) => {
  const file = join(scratch(t), 'outbox.db');
  const { outbox } = makeOutbox(file, { limitMiB: 16 });
  outbox.start();
  t.teardown(() => outbox.stop());
  for (let i = 0; i < 300; i += 1) outbox.append([text('alert', 'alert', 1500), snapshot('alert', 20_000)]);
  const bytes = readFileSync(file);
  const wal = readFileSync(`${file}-wal`);
  writeFileSync(file, bytes.fill(0xa5, 4096));
  writeFileSync(`${file}-wal`, wal.fill(0xa5));
  const [nextSeq = 0] = outbox.append([text('alert', 'alert')]);
  t.equal(nextSeq, 601, 'the numbers continue, whether the damage shows at once or not');
  outbox.peek('alert', 0, 9);
  const [next] = outbox.append([text('alert', 'alert')]);
  t.equal(next, 602);
  t.equal(outbox.counters.damaged, 1);
  const rows = outbox.peek('alert', 0, 9);
  t.match(rows[0], { kind: 'gap', gap: { from: 1, reasons: ['store-lost'] } }, 'a record says what went');
  t.ok((rows[0]?.seq ?? 0) >= 600);
  t.match(rows.at(-1), { kind: 'message', seq: 602 });
});

void t.test('a file of a newer program is refused in one line', async (t) => {
  const file = join(scratch(t), 'outbox.db');
  const older = makeOutbox(file);
  older.outbox.start();
  await older.outbox.stop();
  const bytes = readFileSync(file);
  bytes.writeUInt32BE(99, 60);
  writeFileSync(file, bytes);
  t.throws(() => makeOutbox(file).outbox.start(), { kind: 'config', message: /version 99/ });
});
