/**
 * Tests delivery to brokers with low limits: each limit is honoured exactly and reported once, and no lane waits for
 * the other.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import t from 'tap';
import type { MqttConfig } from '../../agent/contract/config.ts';
import { GapEvent, type OutboxItem } from '../../agent/contract/outbox.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { type BrokerProbe, probeBroker } from '../../agent/mqtt/probe.ts';
import { eventItem, eventWithStill } from '../lib/events.ts';
import { keptLog, openedOutbox as opened, rowsOf } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, deliver, makeRoom, SITE, waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';
import { StrictBroker, type Strictness } from '../lib/strict-broker.ts';

const TOPICS = topicsOf(SITE, BOX);
const alert = (bytes?: number): OutboxItem => eventItem('alert', 'loitering', bytes);
const notice = (): OutboxItem => eventItem('notice', 'line-crossing');
const to = (broker: StrictBroker): MqttConfig => ({ url: broker.url, ack: 'broker' });

void t.test(
  'every event fits max_packet_size 20000 at Mosquitto, and large pictures become a gap',
  async (t) => {
    const { archive, config } = await makeRoom(t, { extra: ['max_packet_size 20000'] });
    await archive.start();
    const outbox = opened(t, join(scratch(t), 'outbox.db'));
    // The payload alone would fit.
    outbox.append(eventWithStill('first', 19_950));
    for (let i = 0; i < 35; i += 1) outbox.append(eventWithStill(`e-${i}`, i % 5 === 0 ? 12_000 : 40_000));
    outbox.append([alert()]);
    const { log, lines } = keptLog();
    const { delivery } = deliver(t, config, outbox, { log });
    await waitUntil(t, 'drained', () => rowsOf(outbox) === 0, 30_000);
    const stored = [...archive.stored.alert.values()];
    const events = stored.filter(({ topic }) => topic === TOPICS.event('alert', 'loitering'));
    t.equal(events.length, 37, 'every event');
    t.equal(stored.filter(({ topic }) => topic.includes('/snap/')).length, 7, 'every picture that fits');
    t.equal(archive.storedThrough('alert'), 73, 'every number is accounted for');
    const gaps = stored.filter(({ topic }) => topic === TOPICS.event('system', 'outbox-gap'));
    t.equal(gaps.length, 29);
    const gap: unknown = JSON.parse(gaps[0]?.payload.toString() ?? 'null');
    t.ok(Value.Check(GapEvent, gap));
    t.match(gap, { data: { from: 2, to: 2, reasons: ['too-large'], dropped: { snapshot: 1 } } });
    t.match(delivery.state, { reconnects: 0, fault: null });
    t.equal(outbox.counters.lanes.alert.tooLarge.snapshot, 29, 'counted');
    const limitLines = lines.filter((line) => line.includes('20000'));
    t.equal(limitLines.length, 1, 'told once');
    t.match(limitLines[0], /^error .*at most 20000 bytes.*max_packet_size/);
  },
);

for (const tooLarge of ['disconnect', 'puback'] as const) {
  void t.test(
    `a limit that the broker did not announce is learnt from ${tooLarge} 149`,
    { skip: unlessAll },
    async (t) => {
      const broker = await StrictBroker.start(t, { packetBytesMax: 50_000, silent: true, tooLarge });
      const outbox = opened(t, join(scratch(t), 'outbox.db'));
      for (let i = 0; i < 12; i += 1) {
        outbox.append(eventWithStill(`e-${i}`, i % 3 === 0 ? 30_000 : 60_000 - 100 * i));
      }
      const { log, lines } = keptLog();
      const { delivery } = deliver(t, to(broker), outbox, { log });
      await waitUntil(t, 'drained', () => rowsOf(outbox) === 0, 30_000);
      const eventSeqs = new Set(
        broker.received.filter(({ topic }) => topic.includes('/evt/alert/')).map(({ seq }) => seq),
      );
      t.equal(eventSeqs.size, 12, 'every event');
      const stills = new Set(
        broker.received.filter(({ topic }) => topic.includes('/snap/')).map(({ seq }) => seq),
      );
      t.equal(stills.size, 4, 'every picture that fits');
      t.equal(outbox.counters.lanes.alert.tooLarge.snapshot, 8);
      // Each ended connection teaches a lower limit; in the worst case each oversized picture ends one.
      t.ok(broker.endCodes.length <= 8, `${broker.endCodes.length} connections ended`);
      const before = broker.connections;
      outbox.append(eventWithStill('later', 70_000));
      delivery.wake();
      await waitUntil(t, 'drained', () => rowsOf(outbox) === 0);
      t.equal(broker.connections, before, 'the learnt limit applies');
      t.equal(delivery.state.phase, 'online');
      t.ok(
        lines.some((line) => /^error .*allow .* bytes/.test(line)),
        'reported with its remedy',
      );
    },
  );
}

void t.test(
  'a limit below the size of events loses none: smaller ones continue, the rest wait',
  { skip: unlessAll },
  async (t) => {
    const broker = await StrictBroker.start(t, { packetBytesMax: 2000 });
    const outbox = opened(t, join(scratch(t), 'outbox.db'));
    outbox.append([alert(), alert(4000), alert()]);
    const { delivery } = deliver(t, to(broker), outbox, { timing: { refusedRetryMs: 500 } });
    await waitUntil(t, 'the others', () => rowsOf(outbox) === 1);
    await waitUntil(t, 'told', () => delivery.state.fault !== null);
    t.match(delivery.state, {
      phase: 'online',
      reconnects: 0,
      fault: { code: 'protocol', message: /2000 bytes.*allow/ },
    });
    await sleep(700);
    t.equal(rowsOf(outbox), 1, 'the event is kept');
    broker.strictness = {};
    broker.cutConnections();
    await waitUntil(t, 'delivered when the broker allows it', () => rowsOf(outbox) === 0);
    t.equal(delivery.state.fault, null);
  },
);

for (const receiveMaximum of [1, 2, 5]) {
  void t.test(
    `Receive Maximum ${receiveMaximum} is never exceeded, and neither lane waits for the other`,
    { skip: receiveMaximum !== 1 && unlessAll },
    async (t) => {
      const broker = await StrictBroker.start(t, { receiveMaximum, pubackAfterMs: 10 });
      const outbox = opened(t, join(scratch(t), 'outbox.db'));
      const { delivery } = deliver(t, to(broker), outbox);
      delivery.publisher.journalHead('head', 'provenHead');
      for (let i = 0; i < 30; i += 1) outbox.append([alert()]);
      for (let i = 0; i < 10; i += 1) outbox.append([notice()]);
      let replies = 0;
      await waitUntil(t, 'online', () => delivery.state.phase === 'online');
      for (let i = 0; i < 10; i += 1) {
        delivery.publisher.mode('{}');
        delivery.publisher.journalHead(`head ${i}`, `provenHead ${i}`);
        if (delivery.publisher.reply(`${TOPICS.root}/reply/x`, '{}', undefined)) replies += 1;
        outbox.append([alert()]);
        delivery.wake();
        await sleep(20);
      }
      await waitUntil(t, 'drained', () => rowsOf(outbox) === 0, 30_000);
      await waitUntil(
        t,
        'all the rest',
        () =>
          broker.received
            .filter(({ topic }) => topic === TOPICS.journalProvenHead)
            .at(-1)
            ?.payload.toString() === 'provenHead 9',
      );
      t.same(broker.endCodes, [], 'the broker had no reason to end the connection');
      t.ok(broker.mostUnacknowledged <= receiveMaximum, `${broker.mostUnacknowledged} at most`);
      t.equal(broker.connections, 1);
      t.equal(broker.received.filter(({ topic }) => topic.includes('/reply/')).length, replies);
      const rows = broker.received.filter(({ topic }) => topic.includes('/evt/'));
      const lastNotice = rows.findLastIndex(({ topic }) => topic.includes('/notice/'));
      t.ok(lastNotice < 35, `the last of 10 notices was row ${lastNotice} of ${rows.length}`);
    },
  );
}

void t.test(
  'a broker without retained messages gets none, and this is reported once',
  { skip: unlessAll },
  async (t) => {
    const broker = await StrictBroker.start(t, { retain: false });
    const outbox = opened(t, join(scratch(t), 'outbox.db'));
    outbox.append([alert()]);
    const { log, lines } = keptLog();
    const { delivery } = deliver(t, to(broker), outbox, { log });
    await waitUntil(t, 'delivered', () => rowsOf(outbox) === 0);
    delivery.publisher.journalHead('head', 'provenHead');
    await waitUntil(t, 'published', () =>
      broker.received.some(({ topic }) => topic === TOPICS.journalProvenHead),
    );
    t.same(broker.endCodes, [154], 'the Last Will was refused once');
    t.same(
      broker.wills.map(({ retain }) => retain),
      [true, false],
    );
    t.ok(broker.received.every(({ retain }) => !retain));
    t.ok(broker.received.some(({ topic }) => topic === TOPICS.status));
    t.ok(delivery.state.unretained >= 3, `${delivery.state.unretained} counted`);
    t.equal(delivery.state.fault, null);
    broker.cutConnections();
    await waitUntil(t, 'back', () => broker.connections === 3 && delivery.state.phase === 'online');
    t.same(broker.endCodes, [154], 'not tried again');
    t.equal(lines.filter((line) => /retained/.test(line) && /allow/.test(line)).length, 1, 'told once');
  },
);

void t.test('a broker without QoS 1 is one clear fault', { skip: unlessAll }, async (t) => {
  const broker = await StrictBroker.start(t, { qosMax: 0 });
  const lax = await StrictBroker.start(t, { qosMax: 0, silent: true });
  const outbox = opened(t, join(scratch(t), 'outbox.db'));
  outbox.append([alert()]);
  for (const one of [broker, lax]) {
    const { log, lines } = keptLog();
    const { delivery } = deliver(t, to(one), outbox, { log });
    await waitUntil(t, 'tried several times', () => one.connections >= 4);
    t.match(delivery.state.fault, {
      code: 'protocol',
      message: /offers no QoS 1.*allow QoS 1/,
    });
    t.equal(lines.filter((line) => line.includes('QoS 1')).length, 1, 'told once');
    t.match(
      lines.find((line) => line.includes('QoS 1')),
      /^error/,
    );
    await delivery.stop();
  }
  t.equal(rowsOf(outbox), 1, 'kept');
});

void t.test('doctor names what a broker does not accept', { skip: unlessAll }, async (t) => {
  const name = { site: SITE, box: BOX };
  const probed = async (strictness: Strictness): Promise<BrokerProbe> =>
    probeBroker(to(await StrictBroker.start(t, strictness)), name, 5000);
  t.match(await probed({ qosMax: 0 }), { ok: false, reason: /offers no QoS 1/, fix: /allow QoS 1/ });
  const lacking = await probed({ packetBytesMax: 20_000, retain: false, receiveMaximum: 1 });
  t.match(lacking, { ok: true, detail: /at most 20000 bytes: .*allow 300000.*no retained messages/ });
  const well = await probed({ packetBytesMax: 300_000 });
  t.match(well, { ok: true, detail: /answered in \d+ ms; no certificate is used$/ });
});
