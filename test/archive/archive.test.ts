/** Tests the box's event archive on real files: it is complete and bounded, and a wrong clock never purges an event. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { EventArchive } from '../../agent/archive/archive.ts';
import { SearchHandler } from '../../agent/archive/search.ts';
import { TrustedClock } from '../../agent/base/trusted-clock.ts';
import { CommandRefused } from '../../agent/contract/command.ts';
import { PAGE_BYTES_MAX, PurgeRecord, SearchRecord, SearchResult } from '../../agent/contract/search.ts';
import { accepting } from '../lib/accepting.ts';
import { bundledHelper } from '../lib/bundled.ts';
import { accepted, searchCommand } from '../lib/commands.ts';
import { counterValue, counterValues } from '../lib/counters.ts';
import { entry, eventAt, history } from '../lib/history.ts';
import { HandClock, makeOutbox, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { waitUntil } from '../lib/room.ts';
import { ALL, FULL } from '../lib/run.ts';

const WRITER = bundledHelper(new URL('../lib/archive-writer.js', import.meta.url));
const KILLS = FULL ? 300 : ALL ? 10 : 2;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

interface TestArchive {
  readonly archive: EventArchive;
  readonly clock: HandClock;
  readonly steady: TrustedClock;
  /** Advances the time in steps that upkeep can observe. */
  pass(ms: number): void;
  find(): string[];
}

function make(
  t: Test,
  file: string,
  options: { clock?: HandClock; synced?: () => boolean; limitMiB?: number; boot?: string } = {},
): TestArchive {
  const { clock = new HandClock(), synced = () => true, limitMiB = 8, boot = 'boot-1' } = options;
  const steady = new TrustedClock(clock, synced);
  const archive = new EventArchive({
    file,
    limitMiB,
    eventsDays: () => 30,
    boot,
    clock,
    log: SILENT,
    steady,
  });
  archive.start();
  t.teardown(() => archive.stop());
  const pass = (ms: number): void => {
    for (let remainingMs = ms; remainingMs > 0; remainingMs -= HOUR_MS / 2) {
      clock.advance(Math.min(remainingMs, HOUR_MS / 2));
      archive.upkeep();
    }
  };
  const query = { from: '1970-01-01T00:00:00.000Z', to: '2100-01-01T00:00:00.000Z' };
  return { archive, clock, steady, pass, find: () => archive.search(query).events.map(({ id }) => id) };
}

void t.test('a search finds each event once by time, kind and place, page by page', async (t) => {
  const { archive, clock } = make(t, join(scratch(t), 'archive.db'));
  const events = history(clock.epochMs, 10, 200);
  archive.add(events.map((event, i) => entry(i + 1, event)));
  archive.add([entry(1, events[0] ?? eventAt(0))]);
  t.equal(counterValue(archive, 'archive_events'), 2000, 'an event is there once');
  const iso = (ms: number): string => new Date(ms).toISOString();
  const query = { from: iso(clock.epochMs - 8 * DAY_MS), to: iso(clock.epochMs - 2 * DAY_MS) };
  const inside = events.filter(({ time }) => time >= query.from && time < query.to);

  const foundIds: string[] = [];
  let cursor: string | undefined;
  let pages = 0;
  do {
    const page = archive.search(query, cursor);
    t.ok(Value.Check(SearchResult, page), 'fits the schema');
    t.equal(page.matches, inside.length, 'each page says how many there are in all');
    t.ok(JSON.stringify(page.events).length < PAGE_BYTES_MAX + 4096, 'a page is bounded');
    foundIds.push(...page.events.map(({ id }) => id));
    cursor = page.next ?? undefined;
    pages += 1;
  } while (cursor !== undefined);
  t.same(
    foundIds,
    inside.map(({ id }) => id),
    'all of the period, in order',
  );
  t.ok(pages >= 6, `${pages} pages`);
  t.equal(archive.search(query).kept.oldest, events[0]?.time);

  const narrow = archive.search({ ...query, kinds: ['loitering', 'wrong-way'], zones: ['zone-3', 'zone-4'] });
  const expected = inside.filter(
    ({ subject, data }) =>
      ['loitering', 'wrong-way'].includes(data.rule.kind) && ['zone/zone-3', 'zone/zone-4'].includes(subject),
  );
  t.ok(expected.length > 100);
  t.equal(narrow.matches, expected.length);
  t.same(
    narrow.events.map(({ id }) => id),
    expected.slice(0, narrow.events.length).map(({ id }) => id),
  );
  const none = archive.search({ ...query, kinds: ['no-such-kind'] });
  t.match(none, { matches: 0, events: [], next: null });

  const at = clock.epochMs - HOUR_MS;
  archive.add(['a', 'b', 'c'].map((id, i) => entry(3000 + i, eventAt(at, { id, subject: 'camera' }))));
  const same = archive.search({ from: iso(at), to: iso(at + 1) });
  t.same(
    same.events.map(({ id }) => id),
    ['a', 'b', 'c'],
    'the same moment: in the order of arrival',
  );
  t.match(archive.search({ from: iso(at), to: iso(at + 1), zones: ['camera'] }), { matches: 3 });
});

void t.test(
  'events are purged with a record when retention ends, and no file keeps their text',
  async (t) => {
    const file = join(scratch(t), 'archive.db');
    const { archive, clock, pass, find } = make(t, file);
    archive.add([
      entry(1, eventAt(clock.epochMs - 29 * DAY_MS, { id: 'old-marker-7391' })),
      entry(2, eventAt(clock.epochMs - 28.9 * DAY_MS, { id: 'old-2' })),
      entry(3, eventAt(clock.epochMs, { id: 'new' })),
    ]);
    pass(DAY_MS - HOUR_MS);
    t.same(find(), ['old-marker-7391', 'old-2', 'new'], 'not before its time');
    pass(5 * HOUR_MS);
    t.same(find(), ['new']);
    const records = archive.records(0, 10).map(({ record }) => record);
    t.equal(records.length, 2);
    t.ok(records.every((record) => Value.Check(PurgeRecord, record)));
    t.match(records[0], {
      what: 'events',
      count: 1,
      from: '2026-10-26T00:00:00.000Z',
      to: '2026-10-26T00:00:00.000Z',
      why: 'retention',
      days: 30,
    });
    t.match(counterValues(archive), { archive_events: 1, archive_purged: 2, archive_evicted: 0 });
    await archive.stop();
    for (const suffix of ['', '-wal'].filter((end) => existsSync(file + end)))
      t.notOk(readFileSync(file + suffix).includes('old-marker-7391'), `archive.db${suffix}`);
    t.equal(statSync(file).mode & 0o077, 0, 'no other user may read it');
  },
);

void t.test('a clock that jumps deletes nothing, and retention continues when it is corrected', async (t) => {
  const { archive, clock, steady, pass, find } = make(t, join(scratch(t), 'archive.db'));
  archive.add([entry(1, eventAt(clock.epochMs, { id: 'kept' }))]);
  pass(3 * HOUR_MS);
  clock.epochMs += 400 * DAY_MS;
  pass(HOUR_MS / 2);
  t.equal(
    counterValue(archive, 'archive_events'),
    1,
    'a year ahead, said to be synchronised: nothing goes within the hour',
  );
  clock.epochMs -= 400 * DAY_MS;
  pass(DAY_MS);
  t.same(find(), ['kept']);
  t.match(counterValues(archive), { archive_purged: 0 });
  t.equal(counterValue(steady, 'clock_steps'), 2);
  pass(30 * DAY_MS);
  t.same(find(), [], 'and it expires');
});

void t.test('a clock that is not set deletes nothing; its events count from when it is', async (t) => {
  const file = join(scratch(t), 'archive.db');
  let synced = false;
  const clock = new HandClock();
  const trueMs = clock.epochMs;
  clock.epochMs = 0;
  const before = make(t, file, { clock, synced: () => synced, boot: 'boot-0' });
  before.archive.add([entry(1, eventAt(1000, { id: 'earlier-boot', synced: false }))]);
  await before.archive.stop();
  const { archive, pass } = make(t, file, { clock, synced: () => synced });
  archive.add([entry(2, eventAt(2000, { id: 'this-boot', synced: false }))]);
  pass(29 * DAY_MS);
  t.match(counterValues(archive), { archive_events: 2, archive_purged: 0 });
  pass(2 * DAY_MS);
  t.match(
    counterValues(archive),
    { archive_events: 1, archive_purged: 1 },
    'of this boot: 31 days old, whatever the wall clock says',
  );
  archive.add([entry(3, eventAt(3000, { id: 'later', synced: false }))]);
  pass(9 * DAY_MS);
  clock.epochMs = trueMs;
  synced = true;
  pass(20 * DAY_MS);
  t.equal(
    counterValue(archive, 'archive_events'),
    2,
    'of an earlier boot: counted from when the clock was set',
  );
  pass(2 * DAY_MS);
  t.equal(counterValue(archive, 'archive_events'), 1, 'of this boot: when its time has come');
  pass(7 * DAY_MS);
  t.equal(counterValue(archive, 'archive_events'), 1);
  pass(2 * DAY_MS);
  t.equal(counterValue(archive, 'archive_events'), 0);
});

void t.test('a full archive drops the oldest events with a record and stays within its limit', async (t) => {
  const file = join(scratch(t), 'archive.db');
  const { archive, clock } = make(t, file, { limitMiB: 2 });
  for (let day = 0; day < 20; day += 1) {
    const events = history(clock.epochMs + day * DAY_MS, 1, 200);
    archive.add(events.map((event, i) => entry(day * 200 + i, { ...event, id: `${day}-${i}` })));
  }
  const counted = (name: string): number => counterValue(archive, `archive_${name}`);
  const [events, evicted, missed] = [counted('events'), counted('evicted'), counted('missed')];
  t.ok(evicted > 1000 && events + evicted === 4000 && missed === 0, `${events} kept, ${evicted} evicted`);
  t.ok(statSync(file).size <= 2 * 1_048_576, `${statSync(file).size} bytes`);
  const query = { from: '2000-01-01T00:00:00.000Z', to: '2100-01-01T00:00:00.000Z' };
  clock.advance(20 * DAY_MS);
  t.equal(archive.search(query).matches, events);
  t.not(archive.search(query).events[0]?.id, '0-0');
  const records = archive.records(0, 1000).map(({ record }) => record);
  const sum = records.reduce((total, record) => total + (record.record === 'purge' ? record.count : 0), 0);
  t.equal(sum, evicted, 'every one of them is on record');
  t.match(records[0], { why: 'limit', count: 100 });
});

void t.test('every event that the outbox accepted is in the archive, also after a failure', async (t) => {
  const dir = scratch(t);
  const clock = new HandClock();
  const { outbox } = makeOutbox(join(dir, 'outbox.db'));
  outbox.start();
  t.teardown(() => outbox.stop());
  const first = make(t, join(dir, 'archive.db'), { clock });
  const { sequence: _, ...event } = eventAt(clock.epochMs, { id: 'one' });
  accepting(outbox, first.archive).accept(event, [], {});
  t.match(first.archive.search({ from: event.time, to: '2100-01-01T00:00:00.000Z' }).events, [
    { id: 'one', sequence: '0000000001' },
  ]);
  await first.archive.stop();
  // The process dies between the two commits, many times.
  const interrupted = accepting(outbox, { add: () => undefined, progress: () => undefined });
  for (let i = 0; i < 250; i += 1) interrupted.accept({ ...event, id: `lost-${i}` }, [], {});
  const second = make(t, join(dir, 'archive.db'), { clock, boot: 'boot-2' });
  t.equal(counterValue(second.archive, 'archive_events'), 1);
  accepting(outbox, second.archive).completeAccepted();
  t.equal(counterValue(second.archive, 'archive_events'), 251, 'taken from the outbox');
  accepting(outbox, second.archive).completeAccepted();
  t.equal(counterValue(second.archive, 'archive_added'), 250, 'once');
  await second.archive.stop();

  writeFileSync(join(dir, 'archive.db'), 'damaged'.repeat(4000));
  const third = make(t, join(dir, 'archive.db'), { clock });
  t.ok(existsSync(join(dir, 'archive.db.damaged')), 'a damaged file is moved aside');
  accepting(outbox, third.archive).completeAccepted();
  t.equal(counterValue(third.archive, 'archive_events'), 251, 'and what the outbox still has is there again');
  utimesSync(join(dir, 'archive.db.damaged'), clock.epochMs / 1000, clock.epochMs / 1000);
  third.pass(29 * DAY_MS);
  t.ok(existsSync(join(dir, 'archive.db.damaged')));
  third.pass(2 * DAY_MS);
  t.notOk(
    existsSync(join(dir, 'archive.db.damaged')),
    'the damaged file goes when its events would have gone',
  );
});

void t.test('an outbox that was deleted continues its numbers after a gap', async (t) => {
  const dir = scratch(t);
  const { archive, clock } = make(t, join(dir, 'archive.db'));
  const lives = [1, 2].map((life) => makeOutbox(join(dir, `outbox-${life}.db`)).outbox);
  const [first, second] = lives as [(typeof lives)[0], (typeof lives)[0]];
  first.start();
  const { sequence: _, ...event } = eventAt(clock.epochMs);
  for (const id of ['a', 'b', 'c']) accepting(first, archive).accept({ ...event, id }, [], {});
  await first.stop();
  second.start();
  t.teardown(() => second.stop());
  accepting(second, archive).completeAccepted();
  t.match(second.peek('alert', 0, 1), [{ kind: 'gap', gap: { from: 1, reasons: ['store-lost'] } }]);
  accepting(second, archive).accept({ ...event, id: 'd' }, [], {});
  t.ok((second.peek('alert', 0, 9).at(-1)?.seq ?? 0) > 3, 'no number is given out twice');
});

void t.test(`outbox and archive agree after ${KILLS} kills during acceptance`, async (t) => {
  const dir = scratch(t);
  const accepted = new Set<string>();
  for (let kill = 0; kill < KILLS; kill += 1) {
    const writer = start(t, process.execPath, [WRITER, dir, `boot-${kill}`]);
    await waitUntil(t, 'accepting', () => writer.out.includes('\n'), 30_000);
    await sleep(Math.random() * 200);
    writer.child.kill('SIGKILL');
    await writer.exit;
    for (const id of writer.out.split('\n').slice(0, -1)) accepted.add(id);
  }
  const { outbox } = makeOutbox(join(dir, 'outbox.db'), { limitMiB: 16 });
  outbox.start();
  t.teardown(() => outbox.stop());
  const clock = new HandClock();
  clock.epochMs = Date.now();
  const { archive } = make(t, join(dir, 'archive.db'), { clock, limitMiB: 16 });
  const added = counterValue(archive, 'archive_added');
  accepting(outbox, archive).completeAccepted();
  const archivedIds = new Set<string>();
  const query = { from: '2000-01-01T00:00:00.000Z', to: '2100-01-01T00:00:00.000Z' };
  for (let cursor: string | undefined = ''; cursor !== undefined; ) {
    const page = archive.search(query, cursor === '' ? undefined : cursor);
    for (const { id } of page.events) archivedIds.add(id);
    cursor = page.next ?? undefined;
  }
  const lostIds = [...accepted].filter((id) => !archivedIds.has(id));
  t.same(
    lostIds,
    [],
    `${accepted.size} accepted, ${counterValue(archive, 'archive_added') - added} taken from the outbox at last`,
  );
  t.equal(outbox.counters.lanes.alert.rows, archivedIds.size, 'and both hold the same events');
  t.ok(accepted.size >= KILLS, 'each life has accepted something');
});

void t.test('a disk that refuses writes keeps events in memory and refuses searches', async (t) => {
  const folder = join(scratch(t), 'state');
  writeFileSync(folder, 'a file where the folder should be');
  const { archive, clock, find } = make(t, join(folder, 'archive.db'));
  for (let i = 0; i < 1200; i += 1) archive.add([entry(1 + i, eventAt(clock.epochMs + i, { id: `w-${i}` }))]);
  t.match(
    counterValues(archive),
    { archive_events: 0, archive_pending: 1000, archive_missed: 200 },
    'bounded and counted',
  );
  const handler = new SearchHandler({ archive, clock, record: (record) => archive.record(record) });
  const command = accepted('search', searchCommand().args);
  t.throws(() => handler.answer(command), { code: 'unavailable' }, 'no search without its record');
  rmSync(folder);
  mkdirSync(folder);
  archive.upkeep();
  t.match(counterValues(archive), { archive_pending: 0, archive_events: 1000 });
  t.equal(find()[0], 'w-200', 'the newest were kept');
});

void t.test('each search is journaled and counted, and one too many learns when to retry', async (t) => {
  const { archive, clock } = make(t, join(scratch(t), 'archive.db'));
  archive.add([entry(1, eventAt(clock.epochMs - 1000, { id: 'hit' }))]);
  const handler = new SearchHandler({
    archive,
    clock,
    limits: { burst: 2, perS: 0.5 },
    record: (record) => archive.record(record),
  });
  const { args } = searchCommand({}, clock.epochMs);
  const ask = (change: object = {}) =>
    handler.answer(accepted('search', { ...args, ...change }, { counter: 7 }));
  t.match(ask(), { matches: 1, events: [{ id: 'hit' }] });
  const [firstRecord] = archive.records(0, 9);
  t.ok(Value.Check(SearchRecord, firstRecord?.record));
  t.match(firstRecord?.record, {
    record: 'search',
    key: 'judge-desk',
    case: '2026/1234',
    reason: 'theft on the forecourt',
    matches: 1,
    given: 1,
    at: '2026-11-24T00:00:00.000Z',
  });
  for (const bad of [
    { case: '' },
    { case: ' ' },
    { reason: '\u200b' },
    { reason: undefined },
    { cursor: '1;2' },
    { query: {} },
    { more: 1 },
  ])
    t.throws(() => ask(bad), { code: 'bad-arguments', message: /^search: \// }, JSON.stringify(bad));
  const { from } = args['query'] as { from: string };
  t.throws(() => ask({ query: { from, to: from } }), { code: 'bad-arguments', message: /is not a period/ });
  ask();
  try {
    ask();
    t.fail('must be refused');
  } catch (error) {
    t.match(error, { code: 'rate-limited', retryAfterS: 2 });
    t.ok(error instanceof CommandRefused);
  }
  clock.advance(2000);
  t.match(ask(), { matches: 1 }, 'then it is answered');
  t.same(handler.counters, { searches: 3, search_events_given: 3, searches_limited: 1 });
  t.equal(archive.records(0, 9).length, 3);
});
