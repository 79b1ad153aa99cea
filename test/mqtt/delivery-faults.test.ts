/**
 * Tests delivery while the link, the broker or a certificate fails: each fault is one line in the log, and no event is
 * lost.
 */
import { once } from 'node:events';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import t from 'tap';
import type { StatusReport } from '../../agent/contract/health.ts';
import type { OutboxItem } from '../../agent/contract/outbox.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { probeBroker } from '../../agent/mqtt/probe.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { eventItem } from '../lib/events.ts';
import { openedOutbox as opened, rowsOf } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { TcpProxy } from '../lib/proxy.ts';
import { BOX, deliver, makeRoom, SITE, waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';

const TOPICS = topicsOf(SITE, BOX);
const alert = (bytes?: number): OutboxItem => eventItem('alert', 'loitering', bytes);
const notice = (bytes?: number): OutboxItem => eventItem('notice', 'line-crossing', bytes);

/** Interval in ms at which a delivery notices the end of its connection. */
const DELIVERY_TICK_MS = 250;

/** Tells when these waits are over: timers like the box's, and as late on a busy machine. */
function timeLimit(...waitsMs: number[]): () => boolean {
  let isOver = false;
  void (async () => {
    for (const ms of waitsMs) await sleep(ms);
    isOver = true;
  })();
  return () => isOver;
}

void t.test(
  'a half-open link is detected within 1.5 keepalives, and the room gets the Last Will',
  async (t) => {
    const { archive, config, broker } = await makeRoom(t);
    await archive.start();
    const proxy = new TcpProxy(broker.port);
    await proxy.start();
    t.teardown(() => proxy.stop());
    const outbox = opened(t, join(scratch(t), 'outbox.db'));
    const url = `mqtts://localhost:${proxy.port}`;
    const { delivery, states } = deliver(t, { ...config, url }, outbox, { timing: { keepaliveS: 2 } });
    // Afterwards no acknowledgement is on its way.
    outbox.append([alert()]);
    await waitUntil(t, 'acknowledged', () => rowsOf(outbox) === 0 && delivery.state.phase === 'online');
    const stateCount = states.length;
    const { reconnects } = delivery.state;
    proxy.hold(true, true);
    const isOver = timeLimit(1000, 1000, 1000, DELIVERY_TICK_MS);
    await sleep(1500);
    outbox.append([alert()]);
    delivery.wake();
    await waitUntil(t, 'an end', () => isOver() || delivery.state.phase !== 'online');
    t.notOk(isOver(), 'detected within 1.5 keepalives of 2 s, whatever is sent meanwhile');
    await waitUntil(
      t,
      'will',
      // No message may have arrived yet: the link can fail before the first status is sent.
      () => (archive.retained.get(TOPICS.status) as StatusReport | undefined)?.state === 'offline',
      5000,
    );
    t.pass('the status is offline');
    // The next attempt to connect may have begun, which has no error yet.
    const isReported = (): boolean =>
      states.slice(stateCount).some(({ fault }) => fault?.code === 'unreachable');
    await waitUntil(t, 'the error of the link', isReported);
    proxy.hold(false, false);
    await waitUntil(t, 'back', () => delivery.state.phase === 'online');
    t.equal(delivery.state.reconnects, reconnects + 1);
    await waitUntil(t, 'the alert', () => rowsOf(outbox) === 0);

    proxy.hold(true, true);
    outbox.append([alert()]);
    delivery.wake();
    const beganMs = performance.now();
    await delivery.stop();
    t.ok(performance.now() - beganMs < 3000, 'stopping does not wait for a dead link');
    t.equal(rowsOf(outbox), 1, 'and keeps what was not delivered');
  },
);

void t.test('a slow line on which a ping waits behind events is not taken for a dead one', async (t) => {
  const { config, broker } = await makeRoom(t);
  const proxy = new TcpProxy(broker.port, 100_000);
  await proxy.start();
  t.teardown(() => proxy.stop());
  const outbox = opened(t, join(scratch(t), 'outbox.db'));
  for (let i = 0; i < 30; i += 1) outbox.append([alert(12_000), notice(12_000)]);
  const slowConfig = { ...config, ack: 'broker', url: `mqtts://localhost:${proxy.port}` } as const;
  // A ping waits for two seconds behind a full window; its answer is due in one.
  const { states } = deliver(t, slowConfig, outbox, { timing: { keepaliveS: 2 } });
  const took = await waitUntil(t, 'delivered', () => rowsOf(outbox) === 0);
  t.ok(took > 4000, 'longer than two keepalives');
  t.notOk(
    states.some(({ fault }) => fault?.message.includes('Keepalive timeout')),
    'the box did not end the connection',
  );
});

void t.test(
  'a publish that the ACL denies (135) is reported once, kept, and delivered when allowed',
  async (t) => {
    const { archive, config, broker, authority } = await makeRoom(t);
    await archive.start();
    const outbox = opened(t, join(scratch(t), 'outbox.db'));
    const foreignTopic = `vigie/${SITE}/another-box/evt/alert/loitering`;
    outbox.append([{ ...alert(), topic: foreignTopic }]);
    outbox.append([notice()]);
    const { delivery, states } = deliver(t, config, outbox);
    await waitUntil(t, 'refused', () => delivery.state.fault !== null);
    const { fault } = delivery.state;
    t.equal(fault?.code, 'denied');
    t.match(fault?.message, new RegExp(`publishing to ${foreignTopic}.*ACL`));
    await waitUntil(t, 'the other lane', () => outbox.counters.lanes.bulk.rows === 0);
    await sleep(1000);
    t.equal(delivery.state.refused, 1, 'not tried again and again');
    t.equal(outbox.counters.lanes.alert.rows, 1, 'kept');
    t.equal(states.filter(({ fault }) => fault !== null).length, 1, 'told once');
    t.equal(delivery.state.phase, 'online', 'the connection stays open');
    outbox.append([notice()]);
    delivery.wake();
    await waitUntil(t, 'goes on', () => outbox.counters.lanes.bulk.rows === 0);

    const spy = await authority.client('another-box');
    await broker.enrol({ site: SITE, box: 'another-box' });
    const client = await mqtt.connectAsync(broker.url, {
      protocolVersion: 5,
      ca: readFileSync(authority.ca),
      cert: readFileSync(spy.cert),
      key: readFileSync(spy.key),
    });
    t.teardown(() => client.endAsync(true));
    let heardCount = 0;
    client.on('message', () => {
      heardCount += 1;
    });
    await client.subscribeAsync(`vigie/${SITE}/${BOX}/#`, { qos: 1 });
    outbox.append([notice()]);
    delivery.wake();
    await waitUntil(t, 'delivered', () => outbox.counters.lanes.bulk.rows === 0);
    t.equal(heardCount, 0, 'another box reads no message of this one, retained status included');
    const refusal = await probeBroker(
      { ...config, cert: spy.cert, key: spy.key },
      { site: SITE, box: BOX },
      5000,
    );
    t.match(refusal, { ok: false, reason: /CN is another-box/ });
  },
);

void t.test(
  'a refusal stays until the refused message is accepted, whatever else is delivered',
  { skip: unlessAll },
  async (t) => {
    const { config, broker } = await makeRoom(t);
    const outbox = opened(t, join(scratch(t), 'outbox.db'));
    const foreignTopic = `vigie/${SITE}/another-box/evt/alert/loitering`;
    outbox.append([{ ...alert(), topic: foreignTopic }]);
    outbox.append([notice()]);
    const { delivery } = deliver(t, { ...config, ack: 'broker' }, outbox, {
      timing: { refusedRetryMs: 1000 },
    });
    await waitUntil(t, 'refused', () => delivery.state.fault !== null);
    const report = { made: 'up' } as never;
    for (let i = 0; i < 5; i += 1) {
      delivery.publisher.health(report);
      delivery.publisher.mode('{}');
      delivery.publisher.journalHead(`head ${i}`, `provenHead ${i}`);
      outbox.append([notice()]);
      delivery.wake();
      await waitUntil(t, 'the other lane', () => outbox.counters.lanes.bulk.rows === 0);
      await sleep(150);
      t.match(delivery.state, { phase: 'online', fault: { code: 'denied' } }, 'it is still stuck');
    }
    await waitUntil(t, 'offered again', () => delivery.state.refused > 1);
    t.match(delivery.state.fault, { code: 'denied' }, 'a second refusal changes nothing');
    broker.signal('SIGKILL');
    await waitUntil(t, 'away', () => delivery.state.phase !== 'online');
    await broker.stop();
    await broker.start();
    await waitUntil(t, 'back', () => delivery.state.phase === 'online');
    await sleep(500);
    t.match(delivery.state.fault, { code: 'denied' }, 'nor does a new connection');
    // The line extends the last block of the file, which belongs to the box.
    appendFileSync(broker.aclFile, `topic write vigie/${SITE}/another-box/#\n`);
    await broker.reload();
    await waitUntil(t, 'accepted', () => delivery.state.fault === null);
    await waitUntil(t, 'delivered', () => rowsOf(outbox) === 0);
  },
);

void t.test(
  'a refusal ends when the room acknowledges the refused message',
  { skip: unlessAll },
  async (t) => {
    const { archive, config } = await makeRoom(t);
    await archive.start();
    const outbox = opened(t, join(scratch(t), 'outbox.db'));
    outbox.append([{ ...alert(), topic: `vigie/${SITE}/another-box/evt/alert/loitering` }]);
    const { delivery } = deliver(t, config, outbox);
    await waitUntil(t, 'refused', () => delivery.state.fault?.code === 'denied');
    await archive.publish(TOPICS.ack, '{"alert":1}');
    await waitUntil(t, 'let go', () => delivery.state.fault === null);
    t.equal(rowsOf(outbox), 0, 'and the row has gone');
  },
);

void t.test(
  'another client under the same name is an identity conflict, and the box stays silent',
  async (t) => {
    const { config, broker, authority, box } = await makeRoom(t);
    const outbox = opened(t, join(scratch(t), 'outbox.db'));
    const { delivery } = deliver(t, config, outbox);
    await waitUntil(t, 'online', () => delivery.state.phase === 'online');
    const twin = await mqtt.connectAsync(broker.url, {
      protocolVersion: 5,
      clientId: BOX,
      ca: readFileSync(authority.ca),
      cert: readFileSync(box.cert),
      key: readFileSync(box.key),
      reconnectPeriod: 0,
    });
    t.teardown(() => twin.endAsync(true));
    await waitUntil(t, 'conflict', () => delivery.state.phase === 'waiting');
    t.match(delivery.state.fault, { code: 'identity-conflict', message: /another client.*its own/ });
    await sleep(2500);
    t.equal(delivery.state.phase, 'waiting', 'no ping-pong');
    t.equal(twin.connected, true);
  },
);

void t.test(
  'every way in which a broker can refuse is one clear line, for doctor and while running',
  async (t) => {
    const { config, authority, broker } = await makeRoom(t);
    const dir = scratch(t);
    const otherAuthority = new CertificateAuthority(join(dir, 'other'));
    await otherAuthority.start();
    const forged = await otherAuthority.client(BOX);
    const expired = await authority.client(BOX.replace('017', '018'), {
      notBefore: '20240101000000Z',
      notAfter: '20240201000000Z',
    });
    const plain = new Mosquitto({ dir: join(dir, 'plain') });
    t.teardown(() => plain.stop());
    await plain.start();
    const silent = createServer();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    t.teardown(() => silent.close());
    const silentPort = (silent.address() as { port: number }).port;
    const foreignProxy = new TcpProxy(broker.port);
    t.teardown(() => foreignProxy.stop());
    await foreignProxy.start('127.0.0.2');

    const refusals: [string, Partial<typeof config>, string, RegExp][] = [
      [
        'a port without TLS',
        { url: plain.url.replace('mqtt:', 'mqtts:') },
        'unreachable|protocol',
        /TLS|closed/,
      ],
      ['a port that says nothing', { url: `mqtts://localhost:${silentPort}` }, 'unreachable', /no answer/],
      ['a broker of another authority', { ca: otherAuthority.ca }, 'certificate', /not trusted/],
      [
        'a broker of another name',
        { url: `mqtts://127.0.0.2:${foreignProxy.port}` },
        'certificate',
        /another host/,
      ],
      [
        'a forged certificate',
        { cert: forged.cert, key: forged.key },
        'certificate',
        /refuses the box’s certificate/,
      ],
      ['an expired certificate', { cert: expired.cert, key: expired.key }, 'certificate', /has expired/],
      ['a foreign key', { key: forged.key }, 'configuration', /does not belong to the certificate/],
    ];
    const outbox = opened(t, join(dir, 'outbox.db'));
    outbox.append([alert()]);
    await Promise.all(
      refusals.map(async ([name, change, codes, line]) => {
        const changedConfig = { ...config, ...change };
        const box = change.cert === expired.cert ? BOX.replace('017', '018') : BOX;
        const probed = await probeBroker(changedConfig, { site: SITE, box }, 3000);
        if (probed.ok) {
          t.fail(`${name}: was accepted`);
          return;
        }
        const doctorText = `${probed.reason}; ${probed.fix}`;
        t.match(
          doctorText,
          name.startsWith('an expired') ? /expired/ : line,
          `doctor: ${name}: ${doctorText}`,
        );
        const timing = { connectTimeoutMs: 1500 };
        const { delivery, states } = deliver(t, changedConfig, outbox, { box, timing });
        await waitUntil(t, name, () => states.some(({ phase }) => phase === 'waiting'));
        const fault = states.find(({ phase }) => phase === 'waiting')?.fault;
        t.match(
          fault?.code,
          new RegExp(`^(${codes})$`),
          `running: ${name}: ${fault?.code} ${fault?.message}`,
        );
        t.match(fault?.message, line);
        t.notMatch(fault?.message, /\n/, 'one line');
        await delivery.stop();
      }),
    );
    t.equal(rowsOf(outbox), 1, 'nothing was lost by any of it');
    t.notOk(readFileSync(plain.logFile, 'utf8').includes(BOX), 'and nothing said in plaintext');
    const { delivery } = deliver(t, { ...config, ack: 'broker' }, outbox);
    await waitUntil(t, 'a good one', () => rowsOf(outbox) === 0);
    t.equal(delivery.state.fault, null, 'a good connection clears the fault');
    broker.kill();
    await waitUntil(t, 'away', () => delivery.state.phase !== 'online');
  },
);

void t.test('a renewed certificate is used at the next connection', async (t) => {
  const { config, authority } = await makeRoom(t);
  const dir = scratch(t);
  const [cert, key] = [join(dir, 'box.crt'), join(dir, 'box.key')];
  const old = await authority.client(BOX, { notBefore: '20240101000000Z', notAfter: '20240201000000Z' });
  writeFileSync(cert, readFileSync(old.cert));
  writeFileSync(key, readFileSync(old.key));
  const outbox = opened(t, join(dir, 'outbox.db'));
  outbox.append([alert()]);
  const { delivery } = deliver(t, { ...config, cert, key, ack: 'broker' }, outbox);
  await waitUntil(t, 'refused', () => delivery.state.fault?.code === 'certificate');
  const renewed = await authority.client(BOX);
  writeFileSync(cert, readFileSync(renewed.cert));
  writeFileSync(key, readFileSync(renewed.key));
  await waitUntil(t, 'delivered', () => rowsOf(outbox) === 0);
  t.equal(delivery.state.phase, 'online');
});
