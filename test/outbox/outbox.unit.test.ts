/**
 * Tests the outbox's store, where every number is covered exactly once, and files that are damaged or of a newer program.
 */

import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import {
  type GapRecord,
  LANES,
  type Lane,
  type OutboxItem,
  RANKS,
  sequenceText,
} from '../../agent/contract/outbox.ts';
import { openDatabase } from '../../agent/outbox/database.ts';
import { gapOf, mergeGaps } from '../../agent/outbox/gap.ts';
import { Store } from '../../agent/outbox/store.ts';
import { HandClock, keptLog, makeOutbox, picture, SILENT, snapshot, text } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';

const LIMIT_MIB = 1;

function memoryStore(clock = new HandClock()): Store {
  return new Store(openDatabase(':memory:', LIMIT_MIB, SILENT), { boot: 'b', clock, log: SILENT });
}

/** Each number of a lane with the message or gap that covers it; throws where two cover one number. */
function coverage(store: Store, lane: Lane): Map<number, 'message' | GapRecord> {
  const bySeq = new Map<number, 'message' | GapRecord>();
  const cover = (seq: number, by: 'message' | GapRecord): void => {
    if (bySeq.has(seq)) throw new Error(`${lane} ${seq} is covered twice`);
    bySeq.set(seq, by);
  };
  for (const row of store.peek(lane, 0, 1e6)) {
    if (row.kind === 'message') cover(row.seq, 'message');
    else for (let seq = row.gap.from; seq <= row.gap.to; seq += 1) cover(seq, row.gap);
  }
  return bySeq;
}

const item: fc.Arbitrary<OutboxItem> = fc.oneof(
  fc
    .record({
      lane: fc.constantFrom(...LANES),
      rank: fc.constantFrom('notice', 'alert'),
      bytes: fc.integer({ min: 0, max: 5000 }),
    })
    .map(({ lane, rank, bytes }) => text(lane, rank as 'notice' | 'alert', bytes)),
  fc
    .record({ lane: fc.constantFrom(...LANES), bytes: fc.integer({ min: 1, max: 150_000 }) })
    .map(({ lane, bytes }) => snapshot(lane, bytes, 3600)),
);

const operation = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .array(item, { minLength: 1, maxLength: 12 })
      .map((items) => ({ do: 'append', items }) as const),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ lane: fc.constantFrom(...LANES), part: fc.double({ min: 0, max: 1, noNaN: true }) })
      .map((fields) => ({ do: 'through', ...fields }) as const),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ lane: fc.constantFrom(...LANES), part: fc.double({ min: 0, max: 1, noNaN: true }) })
      .map((one) => ({ do: 'one', ...one }) as const),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ lane: fc.constantFrom(...LANES), part: fc.double({ min: 0, max: 1, noNaN: true }) })
      .map((large) => ({ do: 'too-large', ...large }) as const),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'expire' } as const) },
);

void t.test(
  'every number is covered exactly once, after any appends, releases, expiries and drops',
  async (t) => {
    fc.assert(
      fc.property(fc.array(operation, { minLength: 5, maxLength: 60 }), (operations) => {
        const clock = new HandClock();
        const store = memoryStore(clock);
        const released: Record<Lane, Set<number>> = { alert: new Set(), bulk: new Set() };
        const givenSeqs: Record<Lane, number> = { alert: 0, bulk: 0 };
        try {
          for (const step of operations) {
            clock.advance(1000);
            if (step.do === 'append') {
              const seqs = store.append(step.items);
              step.items.forEach(({ lane }, i) => {
                givenSeqs[lane] += 1;
                if (seqs[i] !== givenSeqs[lane])
                  throw new Error(`${lane}: ${String(seqs[i])} after ${givenSeqs[lane]}`);
              });
            } else if (step.do === 'expire') {
              clock.advance(3_600_000);
              store.expire();
            } else {
              const { first, last } = store.range(step.lane);
              const seq = first + Math.floor(step.part * Math.max(0, last - first));
              const releasedSeqs = new Set(coverage(store, step.lane).keys());
              if (step.do === 'too-large') store.dropTooLarge(step.lane, seq);
              else if (step.do === 'through') store.releaseThrough(step.lane, seq);
              else store.release(step.lane, [seq]);
              for (const presentSeq of coverage(store, step.lane).keys()) releasedSeqs.delete(presentSeq);
              for (const seq of releasedSeqs) released[step.lane].add(seq);
            }
          }
          for (const lane of LANES) {
            const bySeq = coverage(store, lane);
            for (let seq = 1; seq <= givenSeqs[lane]; seq += 1) {
              if (bySeq.has(seq) === released[lane].has(seq))
                throw new Error(`${lane} ${seq} is not covered once`);
            }
            const gaps = store.peek(lane, 0, 1e6).flatMap((row) => (row.kind === 'gap' ? [row.gap] : []));
            for (const [i, gap] of gaps.entries()) {
              if (gaps[i + 1]?.from === gap.to + 1) throw new Error('two gap records are neighbours');
              const droppedCount = Object.values(gap.dropped).reduce((sum, n) => sum + n, 0);
              if (droppedCount !== gap.to - gap.from + 1)
                throw new Error('a gap record does not say what went');
            }
          }
        } finally {
          store.close();
        }
      }),
      { numRuns: 30 },
    );
    t.pass('30 runs of up to 60 operations');
  },
);

void t.test('a full store drops snapshots, then notices, and alerts last', async (t) => {
  const store = memoryStore();
  t.teardown(() => store.close());
  const droppedOf = (rank: (typeof RANKS)[number]): number =>
    LANES.reduce((sum, lane) => sum + store.counters(lane).dropped[rank], 0);
  store.append(Array.from({ length: 3 }, () => snapshot('bulk', 100_000)));
  store.append(Array.from({ length: 120 }, () => text('bulk', 'notice', 2000)));
  t.same([droppedOf('snapshot'), droppedOf('notice')], [0, 0], 'it all fits');

  const order: string[] = [];
  for (let i = 0; i < 600; i += 1) {
    const before = RANKS.map(droppedOf);
    store.append([text('alert', 'alert', 2000)]);
    RANKS.forEach((rank, r) => {
      if (droppedOf(rank) > (before[r] ?? 0) && order.at(-1) !== rank) order.push(rank);
    });
  }
  t.same(order, ['snapshot', 'notice', 'alert'], 'one class after the other');
  const [oldest] = store.peek('alert', 0, 1);
  t.equal(oldest?.kind, 'gap', 'the oldest alerts were dropped');

  const seqs = store.append([text('alert', 'alert', 10), snapshot('alert', 150_000)]);
  const born = store.peek('alert', (seqs[0] ?? 0) - 1, 2);
  t.same(
    born.map(({ kind }) => kind),
    ['message', 'gap'],
    'a snapshot never displaces an alert: it goes itself',
  );
  const { rows, lastSeq } = store.counters('alert');
  t.ok(rows < lastSeq, 'rows were dropped');
  t.equal(lastSeq, 602, 'and their numbers are accounted for');
});

void t.test('a picture expires by the monotonic clock', async (t) => {
  const clock = new HandClock();
  const store = memoryStore(clock);
  t.teardown(() => store.close());
  store.append([text('alert', 'alert'), snapshot('alert', 1000, 60)]);
  clock.epochMs += 30 * 86_400_000;
  t.equal(store.expire(), 0, 'a clock that is set a month ahead deletes nothing');
  clock.monoMs += 45_000;
  const row = store.peek('alert', 1, 1)[0];
  t.equal(row?.kind === 'message' && row.expiryS, 15, 'the rest of its time is what the broker may keep it');
  clock.monoMs += 20_000;
  t.equal(store.expire(), 1);
  const [, gapRow] = store.peek('alert', 0, 2);
  t.match(gapRow, {
    kind: 'gap',
    seq: 2,
    gap: { from: 2, to: 2, reasons: ['expired'], dropped: { snapshot: 1 } },
  });
  t.equal(store.counters('alert').expired, 1);
});

void t.test('a message that the broker does not accept becomes a gap that says so', async (t) => {
  const store = memoryStore();
  t.teardown(() => store.close());
  store.append([
    text('alert', 'alert'),
    snapshot('alert', 1000),
    snapshot('alert', 1000),
    text('alert', 'alert'),
  ]);
  t.equal(store.dropTooLarge('alert', 2), true);
  const gap = { lane: 'alert', from: 2, to: 2, reasons: ['too-large'], dropped: { snapshot: 1 } };
  t.match(store.peek('alert', 1, 1), [{ kind: 'gap', seq: 2, gap }]);
  t.equal(store.dropTooLarge('alert', 2), false, 'once');
  t.equal(store.dropTooLarge('alert', 3), true);
  t.match(store.peek('alert', 1, 1), [{ seq: 3, gap: { ...gap, to: 3, dropped: { snapshot: 2 } } }]);
  t.equal(store.dropTooLarge('alert', 4), true);
  t.equal(store.dropTooLarge('alert', 5), false, 'no such row');
  store.releaseThrough('alert', 9);
  t.equal(store.dropTooLarge('alert', 1), false, 'the row has gone');
  t.match(store.counters('alert'), {
    tooLarge: { snapshot: 2, notice: 0, alert: 1 },
    dropped: { snapshot: 0, notice: 0, alert: 0 },
    expired: 0,
  });
});

void t.test('a body that throws or is too long uses no number', async (t) => {
  const store = memoryStore();
  t.teardown(() => store.close());
  const bad = { ...text('alert', 'alert'), body: () => 'x'.repeat(300_000) } as OutboxItem;
  t.throws(() => store.append([text('alert', 'alert'), bad]), AgentError);
  t.same(store.range('alert'), { first: 1, last: 0 }, 'no number was used');
  t.equal(store.counters('alert').appended, 0);
  t.same(store.append([text('alert', 'alert')]), [1]);
});

void t.test('gap records join in any order', async (t) => {
  const a = gapOf('alert', 7, 'snapshot', 'overflow', Date.UTC(2026, 0, 2));
  const b = gapOf('alert', 8, 'notice', 'expired', Date.UTC(2026, 0, 1));
  const joined = {
    lane: 'alert',
    from: 7,
    to: 8,
    dropped: { snapshot: 1, notice: 1 },
    since: '2026-01-01T00:00:00.000Z',
    until: '2026-01-02T00:00:00.000Z',
  };
  t.match(mergeGaps(a, b), joined);
  t.match(mergeGaps(b, a), joined);
  t.same(new Set(mergeGaps(a, b).reasons), new Set(['overflow', 'expired']));
  t.equal(sequenceText(42), '0000000042');
});

void t.test('raw bytes are not a picture, by type', async (t) => {
  const raw: OutboxItem = {
    lane: 'alert',
    rank: 'snapshot',
    topic: 'vigie/a/b/snap/1',
    contentType: 'image/jpeg',
    // @ts-expect-error only a RedactedJpeg is accepted; should this line compile, the build fails
    jpeg: Buffer.from([0xff, 0xd8]),
  };
  // @ts-expect-error nor can a picture's type be given to text
  const disguised: OutboxItem = { ...text('alert', 'alert'), contentType: 'image/jpeg' };
  t.ok(raw && disguised, 'both lines above are refused by the compiler');
  t.ok(picture(10).sha256, 'a redacted one exists');
});

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
