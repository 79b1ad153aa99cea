/** Unit tests of the archive's sequence tracking and message parsing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { IPublishPacket } from 'mqtt';
import t from 'tap';
import { GapEvent } from '../../agent/contract/outbox.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { messageOfRow } from '../../agent/mqtt/messages.ts';
import { AlertFeed } from '../../scripts/products/room/archive/alert-feed.ts';
import { FloodGuard } from '../../scripts/products/room/archive/flood.ts';
import { arrivalOf as arrivalAt } from '../../scripts/products/room/archive/message.ts';
import { advance, missingOf, NOTHING, type Progress } from '../../scripts/products/room/archive/numbers.ts';
import { eventText } from '../lib/events.ts';
import { scratch } from '../lib/paths.ts';
import { packet as outboxPacket } from '../lib/room-alerts.ts';

void t.test('the tracker finds the last complete number in any order and batches', async (t) => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 4 }))
    .map(([from, length]) => [from, from + length] as const);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.array(range, { maxLength: 8 })), {
        maxLength: 12,
      }),
      (batches) => {
        let progress: Progress = NOTHING;
        const received = new Set<number>();
        for (const [first, ranges] of batches) {
          const isNew = progress.contiguousSeq === 0;
          const counted = missingOf(progress, first, ranges);
          progress = advance(progress, first, ranges);
          for (const [from, to] of ranges) for (let seq = from; seq <= to; seq += 1) received.add(seq);
          let missing = 0;
          for (let seq = 1; seq < first; seq += 1) missing += received.has(seq) ? 0 : 1;
          if (counted !== (isNew ? 0 : missing))
            throw new Error(`${counted} instead of ${missing} are missing`);
          for (let seq = 1; seq < first; seq += 1) received.add(seq);
          let lastComplete = 0;
          while (received.has(lastComplete + 1)) lastComplete += 1;
          if (progress.contiguousSeq !== lastComplete)
            throw new Error(`${progress.contiguousSeq} instead of ${lastComplete}`);
          const aheadSeqs = new Set<number>();
          for (const [from, to] of progress.laterRanges) {
            if (from <= progress.contiguousSeq + 1 || aheadSeqs.has(from - 1))
              throw new Error('ranges touch');
            for (let seq = from; seq <= to; seq += 1) aheadSeqs.add(seq);
          }
          for (const seq of received)
            if (seq > lastComplete && !aheadSeqs.has(seq)) throw new Error(`${seq} is forgotten`);
        }
      },
    ),
    { numRuns: 500 },
  );
  t.pass('500 lives of a lane');
});

/** The seventh message of an outbox whose third is its oldest. */
const packet = (
  topic: string,
  payload: string | Buffer,
  change: Record<string, string> = {},
): IPublishPacket => outboxPacket(topic, payload, { seq: '7', first: '3', epoch: '1f00ab32', ...change });
const NOW_MS = Date.parse('2026-11-24T15:00:00.000Z');
const arrivalOf = (of: IPublishPacket) => arrivalAt(of, NOW_MS);
const EVENT_TOPIC = 'vigie/lyon/b-1/evt/alert/loitering';

/** A record of the lost numbers 2 to 7, as an agent sends it. */
function gapMessage() {
  const moment = '2026-11-24T14:00:00.000Z';
  const lostRange = { lane: 'alert', from: 2, to: 7, reasons: ['overflow'], dropped: { notice: 6 } } as const;
  const gap = { ...lostRange, reasons: [...lostRange.reasons], since: moment, until: moment };
  const row = { kind: 'gap', seq: 7, boot: 'b', gap } as const;
  const place = { site: 'lyon', box: 'b-1' };
  return messageOfRow({ lane: 'alert', epoch: '1f00ab32', first: 2 }, row, place, topicsOf('lyon', 'b-1'), 0);
}

void t.test('events, gaps, snapshots and reports are parsed as the agent writes them', async (t) => {
  const body = eventText({ site: 'lyon', box: 'b-1', id: 'a1-7', seq: 7 });
  const place = { site: 'lyon', box: 'b-1', epoch: '1f00ab32', lane: 'alert', from: 7, seq: 7, first: 3 };
  const event = arrivalOf(packet(EVENT_TOPIC, body));
  t.match(event, { kind: 'event', place, id: 'a1-7', type: 'vigie.loitering.v1', body });
  t.equal(event.kind === 'event' && event.unread, undefined);

  const message = gapMessage();
  const read = arrivalOf(packet(message.topic, message.payload, { ...message.userProperties }));
  t.match(read, {
    kind: 'event',
    place: { ...place, from: 2, first: 2 },
    type: GapEvent.properties.type.const,
  });

  const jpeg = Buffer.from([0xff, 0xd8, 0, 1]);
  t.match(arrivalOf(packet('vigie/lyon/b-1/snap/a1-7.before', jpeg)), {
    kind: 'snapshot',
    name: 'a1-7.before',
    place,
  });
  t.match(arrivalOf(outboxPacket('vigie/lyon/b-1/status', '{"state":"online"}', null)), {
    kind: 'report',
    topic: 'status',
    body: '{"state":"online"}',
  });
});

void t.test('a gap record that contradicts its topic or properties is kept unread', async (t) => {
  const record = JSON.parse(gapMessage().payload.toString()) as GapEvent;
  const gapOf = (event: object, data: object = {}) =>
    JSON.stringify({ ...record, ...event, data: { ...record.data, from: 4, ...data } });
  const read = (body: string) => {
    const arrival = arrivalOf(packet('vigie/lyon/b-1/evt/system/outbox-gap', body));
    if (arrival.kind !== 'event') throw new Error('an event is expected');
    return arrival;
  };
  t.match(read(gapOf({})), { place: { from: 4, seq: 7 }, unread: undefined });
  for (const [name, body] of [
    ['another box', gapOf({ source: 'urn:vigie:lyon:b-2' })],
    ['another site', gapOf({ source: 'urn:vigie:paris:b-1' })],
    ['another lane', gapOf({}, { lane: 'bulk' })],
    ['an end before its begin', gapOf({}, { from: 8 })],
    ['another end', gapOf({}, { to: 8 })],
    ['no time', gapOf({ time: '2026-02-30T00:00:00.000Z' })],
  ] as const) {
    const { place, unread } = read(body);
    t.match(place, { from: 7, seq: 7 }, `${name}: it covers its own number only`);
    t.ok(unread, `${name}: ${unread}`);
  }
});

const eventAt = (time: string): string => eventText({ site: 'lyon', box: 'b-1', id: 'a1-7', seq: 7, time });

void t.test('an event from the future is kept and shown without a time', async (t) => {
  const read = (time: string) => arrivalOf(packet(EVENT_TOPIC, eventAt(time)));
  const near = '2026-11-25T14:59:59.000Z';
  t.match(
    read(near),
    { time: near, id: 'a1-7', event: { time: near } },
    'a day ahead does not prove a fault',
  );
  t.equal(Object.hasOwn(read(near), 'unread'), false);
  t.match(read('2026-11-25T15:00:01.000Z'), {
    id: 'a1-7',
    time: '',
    event: { id: 'a1-7' },
    unread: /^\/time: 2026-11-25T15:00:01\.000Z is more than a day ahead of this room's clock, 2026-11-24T15/,
  });
  t.match(
    read('1970-01-01T00:00:00.000Z'),
    { time: '1970-01-01T00:00:00.000Z' },
    'an old time is not a fault',
  );
});

void t.test('an unreadable message is kept, and one without a number is refused', async (t) => {
  const unreadCases: [string, string, RegExp][] = [
    ['no JSON', '{"specversion":', /JSON/],
    [
      'a later version',
      eventText({ site: 'lyon', box: 'b-1', id: 'a1-7', seq: 7 }).replace('loitering.v1', 'loitering.v9'),
      /type/,
    ],
    [
      'another box',
      eventText({ site: 'lyon', box: 'b-2', id: 'a1-7', seq: 7 }),
      /source.*urn:vigie:lyon:b-2/,
    ],
    ['bytes that no text has', '\0\ufffd', /JSON/],
    ['no time', eventAt('2026-13-01T00:00:00.000Z'), /^\/time: must be a moment that exists, as /],
    ['no day', eventAt('2027-02-29T00:00:00.000Z'), /^\/time: must be a moment that exists/],
    ['no hour', eventAt('2026-11-24T24:00:00.000Z'), /^\/time: must be a moment that exists/],
  ];
  for (const [name, body, reason] of unreadCases) {
    const arrival = arrivalOf(packet(EVENT_TOPIC, body));
    if (arrival.kind !== 'event') throw new Error('an event is expected');
    t.match(arrival, { id: 'unread-1f00ab32-alert-7', place: { from: 7, seq: 7 } }, name);
    t.match(arrival.unread, reason, name);
    t.notMatch(arrival.body, /\0/, 'every database takes it');
  }
  const refusedCases: [string, Record<string, string>, RegExp][] = [
    [EVENT_TOPIC, { seq: '' }, /seq is not a number/],
    [EVENT_TOPIC, { seq: '1e3' }, /seq is not a number/],
    [EVENT_TOPIC, { seq: '0' }, /seq is not a number/],
    [EVENT_TOPIC, { seq: '9999999999999999' }, /seq is not a number/],
    [EVENT_TOPIC, { first: '8' }, /7 is below 8/],
    [EVENT_TOPIC, { lane: 'fast' }, /lane/],
    [EVENT_TOPIC, { epoch: '' }, /epoch/],
    ['vigie/lyon/b-1/journal/head', {}, /neither an event nor a snapshot/],
    ['other/lyon/b-1/evt/x/y', {}, /not a topic of a box/],
    ...['lyon/..', 'Lyon/b-1', `lyon/${'b'.repeat(33)}`, 'lyon/<b>'].map(
      (place): [string, Record<string, string>, RegExp] => [
        `vigie/${place}/status`,
        {},
        /not a topic of a box/,
      ],
    ),
  ];
  for (const [topic, user, reason] of refusedCases)
    t.throws(() => arrivalOf(packet(topic, '{}', user)), { message: reason });
});

void t.test('an event is shown once, with its still or the reason for its absence', async (t) => {
  const dir = scratch(t);
  const jpeg = Buffer.from('a still');
  const time = '2026-11-24T14:00:00.000Z';
  const body = eventText({ site: 'lyon', box: 'b-1', id: 'a1-7', seq: 7, jpeg, time });
  const arrivals = [
    arrivalOf(packet('vigie/lyon/b-1/snap/a1-7', jpeg)),
    arrivalOf(packet(EVENT_TOPIC, body)),
    arrivalOf(
      packet(
        EVENT_TOPIC,
        eventText({ site: 'lyon', box: 'b-1', id: 'a1-8', seq: 8, jpeg: Buffer.from('another') }),
      ),
    ),
    arrivalOf(packet('vigie/lyon/b-1/snap/a1-8', jpeg)),
  ];
  const shownLines = (folder: string | undefined): string[] => {
    const lines: string[] = [];
    const feed = new AlertFeed(folder, ({ id }, path, note) => lines.push(`${id} ${path ?? note}`));
    feed.take(arrivals);
    feed.stop();
    return lines;
  };
  const path = join(dir, '2026-11-24-140000-waiting-a1-7.jpg');
  const foreign = 'a1-8 the snapshot that came is not the one that the event names';
  t.same(shownLines(dir), [`a1-7 ${path}`, foreign]);
  t.same(readFileSync(path), jpeg, 'the file is the still');
  t.same(shownLines(undefined), ['a1-7 undefined', 'a1-8 undefined'], 'without a folder no still is awaited');
  t.match(shownLines(join(dir, 'no-folder')), [/^a1-7 not saved: ENOENT/, foreign], 'a bad disk is said');
});

/** An admission guard with a clock of its own. */
function makeGuard() {
  let nowMs = 1000;
  const guard = new FloodGuard(() => nowMs);
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { guard, pass };
}

void t.test('a box that drains its backlog and waits for acknowledgements is never dropped', async (t) => {
  const { guard, pass } = makeGuard();
  let [outstanding, sentCount, holdCount] = [0, 0, 0];
  // 65,000 messages, 2,000 of them unacknowledged, with an archive that stores 1,500 a second.
  while (sentCount < 65_000) {
    for (let i = 0; i < 150 && outstanding < 2000; i += 1) {
      if (guard.leavesOut('s/b', sentCount % 2 === 0 ? 9000 : 150_000))
        t.fail(`message ${sentCount} is left out`);
      sentCount += 1;
      outstanding += 1;
    }
    pass(100);
    if (guard.holds('s/b', outstanding < 2000 ? 0 : 400)) holdCount += 1;
    else outstanding = 0;
    if (holdCount > 10_000) throw new Error('held back indefinitely');
  }
  t.ok(holdCount > 0, 'it was queried');
  t.ok(sentCount >= 65_000);
});

void t.test('a box that sends on without an acknowledgement is dropped until it pauses', async (t) => {
  const { guard, pass } = makeGuard();
  const second = (perS: number): number => {
    let takenCount = 0;
    for (let i = 0; i < perS; i += 1) {
      pass(1000 / perS);
      if (!guard.leavesOut('s/flood', 500)) takenCount += 1;
    }
    t.notOk(guard.leavesOut('s/quiet', 500), 'another is not');
    return takenCount;
  };
  const first = second(10_000);
  t.ok(first < 5100, `${first} of the first 10,000 are taken`);
  t.ok(guard.holds('s/flood', 0) === false);
  t.ok(second(10_000) <= 501, 'then 500 a second');
  pass(60_000);
  t.equal(second(10), 10, 'after a rest as any other');
});

void t.test(
  'a box that sends large messages without an acknowledgement is dropped by their size',
  async (t) => {
    const { guard, pass } = makeGuard();
    let takenBytes = 0;
    for (let i = 0; i < 3394; i += 1) {
      pass(1);
      if (!guard.leavesOut('s/flood', 500_000)) takenBytes += 500_000;
    }
    t.ok(takenBytes < 230e6, `${takenBytes / 1e6} MB of 1,697 are taken`);
    t.notOk(guard.leavesOut('s/quiet', 150_000), 'another is not');
  },
);

void t.test('traffic of other boxes shows that a box waits for its acknowledgement', async (t) => {
  const { guard, pass } = makeGuard();
  for (let i = 0; i < 2100; i += 1) guard.leavesOut('s/b', 500);
  t.ok(guard.holds('s/b', 0), 'much at once: it is asked');
  pass(400);
  guard.leavesOut('s/other', 500);
  t.notOk(guard.holds('s/b', 0), 'later messages follow it');
  pass(100);
  for (let i = 0; i < 3000; i += 1) if (guard.leavesOut('s/b', 500)) t.fail('it is trusted for a while');
  t.notOk(guard.holds('s/b', 0));
});
