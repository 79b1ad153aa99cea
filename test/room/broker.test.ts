/**
 * Tests the shipped Mosquitto configuration, where each client reaches its own topics only, and programs without a broker.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { BODY_BYTES_MAX } from '../../agent/contract/outbox.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { roomBrokerProblem } from '../../agent/mqtt/connection-errors.ts';
import { PROGRAM_RULES, ROLES } from '../../scripts/lib/broker-acl.ts';
import { CertificateAuthority, RoomAuthorities } from '../../scripts/lib/certificates.ts';
import { freePort, Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { bundled } from '../lib/bundled.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { type Program, start } from '../lib/program.ts';
import { answerTo, clientOf, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';

const DENIED = 135;
const topics = topicsOf(SITE, 'box-a');
const { root } = topics;

/** Topics that a box writes, by what they are; the names of those who may write the others. */
const REPORTS = [topics.status, topics.health];
const EVENTS = [topics.event('alert', 'loitering'), topics.event('system', 'frozen'), topics.snapshot('e-1')];
const STATES = [topics.mode, topics.updateReported];
const ENTITIES = ['binary_sensor', 'event', 'image', 'sensor'].map(
  (component) => `homeassistant/${component}/box-a/rule-x/config`,
);
const HOME = ['home-assistant/x', 'home-assistant/x/event', 'home-assistant/box/image'].map(
  (rest) => `${root}/${rest}`,
);
const OTHER_TOPICS = [topics.probe, topics.journalHead, topics.journalProvenHead, `${root}/reply/token`];
const OF_BOX = [
  ...REPORTS,
  ...EVENTS,
  ...STATES,
  ...ENTITIES,
  ...HOME,
  ...OTHER_TOPICS,
  `${root}/onvif-ej/x/&1`,
];
const WRITERS: Readonly<Record<string, readonly string[]>> = {
  archive: [topics.ack, topics.verdict],
  desk: [topics.command, topics.commandAll],
  witness: [topics.journalWitnessed],
  fleet: [topics.updateDesired, topics.configDesired, topics.command, topics.commandAll],
  metrics: [],
  bridge: ['readers/log/N'],
  // At the readers' broker they have rights (readers.test.ts).
  homeassistant: [],
  reader: [],
};
const ALL = [...OF_BOX, ...new Set(Object.values(WRITERS).flat())];

/** Topics that a program which subscribes to everything receives of a box. */
const READERS: Readonly<Record<string, readonly string[]>> = {
  desk: [topics.status, OTHER_TOPICS.at(-1) ?? ''],
  metrics: [...REPORTS, ...STATES, 'readers/log/N'],
  bridge: [...REPORTS, ...EVENTS, ...ENTITIES, ...HOME],
  homeassistant: [],
  reader: [],
};

interface Client {
  readonly client: MqttClient;
  readonly received: string[];
  /** Publishes, and returns the reason code of the PUBACK: 0 = accepted. */
  publish(topic: string, payload?: string | Buffer, options?: { qos?: 0; retain?: true }): Promise<number>;
}

async function connect(t: Test, room: Room, name: string, ...filters: string[]): Promise<Client> {
  const client = await clientOf(t, room, name, { reconnectPeriod: 0 });
  const received: string[] = [];
  client.on('message', (topic) => received.push(topic));
  if (filters.length > 0) await client.subscribeAsync(filters, { qos: 1 });
  return {
    client,
    received,
    publish: (topic, payload, options) => answerTo(client, topic, payload, options),
  };
}

void t.test(
  'each client writes its own topics and no one else’s, and reads no more than it needs',
  async (t) => {
    const room = await makeRoom(t);
    const other = topicsOf(SITE, 'box-b');
    const box = await connect(t, room, 'box-a');
    const neighbour = await connect(
      t,
      room,
      'box-b',
      '#',
      `${root}/#`,
      'vigie/+/+/#',
      'homeassistant/#',
      '$SYS/#',
    );
    const programs = new Map<string, Client>();
    t.same(Object.keys(WRITERS).sort(), [...ROLES].sort());
    for (const name of Object.keys(WRITERS)) programs.set(name, await connect(t, room, `${name}.x`, '#'));

    for (const topic of OF_BOX) t.equal(await box.publish(topic), 0, `box-a writes ${topic}`);
    for (const topic of [
      ...[other.event('alert', 'loitering'), other.status, other.ack, other.command],
      ...['homeassistant/sensor/box-b/health-camera/config', 'homeassistant/status', 'elsewhere'],
      ...[`vigie/${SITE}`, topics.commandAll, topicsOf('elsewhere', 'box-a').status],
      ...[`vigie//box-a/status`, `/${root}/status`, '$CONTROL/dynamic-security/v1'],
    ]) {
      t.equal(await box.publish(topic, '{}', { retain: true }), DENIED, `box-a is refused ${topic}`);
    }
    t.equal(
      await box.publish('elsewhere', '{}', { qos: 0 }),
      0,
      'with QoS 0 it is dropped without an answer',
    );
    for (const [name, { publish }] of programs) {
      const own = WRITERS[name] ?? [];
      for (const topic of [...ALL, 'elsewhere'])
        t.equal(await publish(topic), own.includes(topic) ? 0 : DENIED, `${name}: ${topic}`);
    }
    // Everyone may read a message to all boxes of a site, since it is signed and contains nothing about one box.
    const readBy = (name: string): string[] =>
      [...new Set(programs.get(name)?.received)].filter((topic) => topic !== topics.commandAll).sort();
    for (const [name, expected] of Object.entries(READERS)) {
      const all = [...expected].sort();
      await waitUntil(t, `${name} has read`, () => readBy(name).length >= all.length);
      t.strictSame(readBy(name), all, `${name} reads these topics only`);
    }
    await waitUntil(t, 'the archive reads all', () =>
      OF_BOX.every((topic) => readBy('archive').includes(topic)),
    );
    t.equal(await neighbour.publish(other.status), 0);
    await waitUntil(t, 'the neighbour hears itself', () => neighbour.received.includes(other.status));
    t.strictSame(
      neighbour.received.filter((topic) => ![other.status, topics.commandAll].includes(topic)),
      [],
      'and only itself',
    );
    const late = await connect(t, room, 'box-c', '#');
    t.equal(await late.publish(`vigie/${SITE}/box-c/probe`), 0);
    await waitUntil(t, 'a new box hears itself', () => late.received.length > 0);
    t.strictSame(late.received, [`vigie/${SITE}/box-c/probe`], 'nothing retained of others either');

    t.equal(await box.publish(topics.event('alert', 'loitering'), Buffer.alloc(BODY_BYTES_MAX)), 0);
    t.ok(box.client.connected, 'the largest valid message passes');
    box.client.on('error', () => undefined);
    const larger = await box.publish(topics.event('alert', 'loitering'), Buffer.alloc(610_000));
    t.equal(larger, -1, 'one larger than any of the contract ends the connection');
  },
);

void t.test(
  'the guide of the broker shows the shipped rules, and a reader may read what it subscribes to',
  async (t) => {
    const guide = readFileSync(join(ROOT, 'docs/guide/broker.md'), 'utf8');
    const rulesIn = (text: string): string[] =>
      text.split('\n').filter((line) => /^(user|topic|pattern) /.test(line));
    t.strictSame(rulesIn(guide), rulesIn(PROGRAM_RULES));
    const [command = ''] = /mosquitto_sub [^`]*/.exec(guide) ?? [];
    const [, rules = ''] = /^user reader\n((?:topic .*\n)+)/m.exec(PROGRAM_RULES) ?? [];
    const readable = [...rules.matchAll(/^topic read (.*)$/gm)].map(([, topic]) => topic);
    const subscribed = [...command.matchAll(/-t '([^']+)'/g)].map(([, topic]) => topic);
    t.ok(subscribed.length >= 3, subscribed.join(' '));
    t.ok(subscribed.every((topic) => readable.includes(topic)));
    t.match(command, / -c -x \d+ -q 1 /, 'the broker keeps messages for it');
    t.match(command, / -i [\w-]+\.[\w-]+ /, 'its client id cannot be the name of a box');
  },
);

void t.test(
  'the retained messages of 1,500 boxes arrive, also after a restart',
  { skip: unlessAll },
  async (t) => {
    const room = await makeRoom(t, { persistent: true });
    const box = await connect(t, room, 'box-a');
    const all = Array.from({ length: 4500 }, (_, i) => `vigie/${SITE}/box-a/status-${i}`);
    const codes = await Promise.all(
      all.map((topic) => box.publish(topic, 'x'.repeat(200), { retain: true })),
    );
    t.strictSame([...new Set(codes)], [0]);
    for (const moment of ['at once', 'after a restart']) {
      const reader = await connect(t, room, 'archive.reader', 'vigie/+/+/+');
      await waitUntil(t, moment, () => reader.received.length >= all.length);
      t.equal(new Set(reader.received).size, all.length, moment);
      await reader.client.endAsync(true);
      await room.broker.stop();
      await room.broker.start();
    }
  },
);

const programOf = (name: string): string => bundled(`scripts/products/room/${name}`);

/** Returns the program's first line on standard error, and ends it. */
async function firstErrorLine(t: Test, name: string, ...args: string[]): Promise<string> {
  const program: Program = start(t, process.execPath, [programOf(name), ...args]);
  await waitUntil(t, 'a fault', () => program.err.includes('\n') || program.code !== undefined, 30_000);
  program.child.kill('SIGTERM');
  await program.exit;
  return program.err.split('\n')[0] ?? '';
}

void t.test('an unreachable broker is one line with its address and the fix', async (t) => {
  const port = await freePort();
  const database = join(scratch(t), 'room.db');
  t.equal(
    await firstErrorLine(t, 'archive', '--broker', `mqtt://127.0.0.1:${port}`, '--database', database),
    `room: broker mqtt://127.0.0.1:${port}: nothing listens there; start the broker, or correct --broker`,
  );
  const brokerArgs = ['--broker', `mqtt://user:hunter2@127.0.0.1:${port}`, '--port', '0'];
  t.equal(
    await firstErrorLine(t, 'metrics', ...brokerArgs),
    `room: broker mqtt://***:***@127.0.0.1:${port}: nothing listens there; start the broker, or correct --broker`,
  );
});

void t.test(
  'a broker certificate of another authority is one line with the options',
  { skip: unlessAll },
  async (t) => {
    const dir = scratch(t);
    const [own, other] = [
      new RoomAuthorities(join(dir, 'own')),
      new CertificateAuthority(join(dir, 'other')),
    ];
    await Promise.all([own.start(), other.start()]);
    const broker = new Mosquitto({ dir, tls: await own.brokerTls() });
    t.teardown(() => broker.stop());
    await broker.start();
    const { cert, key } = await own.programs.client('archive.room');
    const files = ['--ca', other.ca, '--cert', cert, '--key', key];
    const database = join(dir, 'room.db');
    t.match(
      await firstErrorLine(t, 'archive', '--broker', broker.programsUrl, ...files, '--database', database),
      /^room: broker mqtts:\S+: the broker’s certificate is not trusted \(\w+\); check --ca and the broker’s certificate; there is no fallback to plaintext$/,
    );
  },
);

void t.test(
  'an unreachable database is one line with its address and the fix',
  { skip: unlessAll },
  async (t) => {
    const port = await freePort();
    const database = `postgres://user:hunter2@127.0.0.1:${port}/room`;
    t.equal(
      await firstErrorLine(t, 'archive', '--broker', 'mqtt://127.0.0.1:1', '--database', database),
      `room: archive: PostgreSQL on 127.0.0.1:${port}: nothing listens there; start it, or put host and port of the database right; tried again until it works`,
    );
  },
);

void t.test('a program’s broker errors name its own options', async (t) => {
  const coded = (code: string | number): string =>
    roomBrokerProblem(Object.assign(new Error('x'), { code }), 'mqtts://broker:8883');
  t.match(coded('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'), /refuses this machine’s certificate .*--cert, --key/);
  t.match(coded(135), /does not authorise this program; check the certificate’s CN and the ACL/);
  for (const code of ['ERR_TLS_CERT_ALTNAME_INVALID', 'CERT_NOT_YET_VALID', 'ECONNRESET', 134, 142]) {
    t.notMatch(coded(code), /mqtt\.|\bbox\b/, String(code));
  }
});
