/** Tests the shipped Mosquitto configuration: each client reaches its own topics and no others. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IClientPublishOptions, MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { BODY_BYTES_MAX } from '../../agent/contract/outbox.ts';
import { NAMES_OF_OTHERS, topicsOf } from '../../agent/contract/topics.ts';
import { PROGRAM_RULES } from '../../scripts/lib/broker-acl.ts';
import { ROOT } from '../lib/paths.ts';
import { clientOf, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';

interface Client {
  readonly client: MqttClient;
  readonly receivedTopics: string[];
  /** Publishes, and returns the reason code of the PUBACK: 0 = accepted. */
  publish(topic: string, payload?: string | Buffer, options?: IClientPublishOptions): Promise<number>;
}

async function connect(t: Test, room: Room, name: string): Promise<Client> {
  const client = await clientOf(t, room, name, { reconnectPeriod: 0 });
  const receivedTopics: string[] = [];
  client.on('message', (topic) => receivedTopics.push(topic));
  return {
    client,
    receivedTopics,
    publish: (topic, payload = '{}', options = {}) =>
      new Promise((resolve, reject) => {
        client.publish(topic, payload, { qos: 1, ...options }, (error) => {
          const code = error != null && 'code' in error ? error.code : undefined;
          if (error == null) resolve(0);
          else if (typeof code === 'number') resolve(code);
          else reject(error);
        });
      }),
  };
}

const DENIED = 135;

void t.test('a box reaches only its own topics, and the room reads and acknowledges', async (t) => {
  const room = await makeRoom(t);
  const [a, b, operator] = await Promise.all(
    ['box-a', 'box-b', 'room'].map((name) => connect(t, room, name)),
  );
  if (a === undefined || b === undefined || operator === undefined) throw new Error('three clients');
  await operator.client.subscribeAsync('#', { qos: 1 });
  await b.client.subscribeAsync(['#', `vigie/${SITE}/box-a/#`, 'vigie/+/+/#', 'homeassistant/#'], { qos: 1 });

  const own = ['evt/alert/loitering', 'snap/e-1', 'status', 'health', 'probe', 'onvif-ej/x/&1'];
  for (const rest of own) t.equal(await a.publish(`vigie/${SITE}/box-a/${rest}`), 0, `own ${rest}`);
  t.equal(await a.publish('homeassistant/sensor/box-a/health-camera/config', '{}', { retain: true }), 0);
  const denied: [string, Client, string][] = [
    ['another box’s event', a, `vigie/${SITE}/box-b/evt/alert/loitering`],
    ['another box’s acknowledgement', a, `vigie/${SITE}/box-b/ack`],
    ['another box’s command', a, `vigie/${SITE}/box-b/cmd`],
    ['another box’s retained status', a, `vigie/${SITE}/box-b/status`],
    ['another box’s entities', a, 'homeassistant/sensor/box-b/health-camera/config'],
    ['Home Assistant’s own status', a, 'homeassistant/status'],
    ['a topic of no one', a, 'elsewhere'],
    ['a site without a box', a, `vigie/${SITE}`],
    ['the room as a box', operator, `vigie/${SITE}/box-a/evt/alert/loitering`],
    ['the room as a status', operator, `vigie/${SITE}/box-a/status`],
  ];
  for (const [name, client, topic] of denied) {
    t.equal(await client.publish(topic, '{}', { retain: true }), DENIED, `${name} is refused with 135`);
  }
  t.equal(await a.publish('elsewhere', '{}', { qos: 0 }), 0, 'with QoS 0 it is dropped without an answer');
  for (const rest of ['ack', 'cmd']) {
    t.equal(await operator.publish(`vigie/${SITE}/box-a/${rest}`), 0, `the room may ${rest}`);
  }
  await waitUntil(t, 'the room reads', () => operator.receivedTopics.length >= own.length + 1);
  t.ok(a.client.connected && operator.client.connected, 'a refusal ends no connection');
  t.equal(await b.publish(`vigie/${SITE}/box-b/evt/alert/loitering`), 0);
  await waitUntil(t, 'b hears itself', () => b.receivedTopics.length > 0);
  t.strictSame(
    [...new Set(b.receivedTopics)],
    [`vigie/${SITE}/box-b/evt/alert/loitering`],
    'b hears only itself',
  );
  const late = await connect(t, room, 'box-c');
  await late.client.subscribeAsync('#', { qos: 1 });
  t.equal(await late.publish(`vigie/${SITE}/box-c/probe`), 0);
  await waitUntil(t, 'c hears itself', () => late.receivedTopics.length > 0);
  t.strictSame(late.receivedTopics, [`vigie/${SITE}/box-c/probe`], 'nothing retained of others either');
});

void t.test('each program’s topics are open to their owners and to no one else', async (t) => {
  const room = await makeRoom(t);
  const client = (name: string): Promise<Client> => connect(t, room, name);
  const [box, operator, witness] = [await client('box-a'), await client('room'), await client('witness')];
  const [fleet, metrics] = [await client('fleet'), await client('metrics')];
  await metrics.client.subscribeAsync('#', { qos: 1 });
  await fleet.client.subscribeAsync('vigie/+/+/evt/#', { qos: 1 });
  const topics = topicsOf(SITE, 'box-a');
  const ofBox = [
    ...[
      topics.status,
      topics.health,
      topics.mode,
      topics.probe,
      topics.journalHead,
      topics.journalProvenHead,
      topics.updateReported,
    ],
    ...[topics.event('alert', 'loitering'), topics.snapshot('e-1')],
    topics.replyTo(`${topics.root}/reply/token`) ?? '',
  ];
  const ofRoom = [topics.ack, topics.command, topics.commandAll, topics.verdict];
  const ofFleet = [topics.updateDesired, topics.configDesired];
  const checkDenied = async (client: Client, written: readonly string[], owner: string): Promise<void> => {
    for (const topic of written) t.equal(await client.publish(topic), DENIED, `${topic} is not ${owner}`);
  };
  for (const topic of ofBox) t.equal(await box.publish(topic), 0, topic);
  for (const topic of ofRoom) t.equal(await operator.publish(topic), 0, topic);
  t.equal(await witness.publish(topics.journalWitnessed), 0);
  for (const topic of [...ofFleet, topics.command, topics.commandAll]) {
    t.equal(await fleet.publish(topic), 0, topic);
  }
  await checkDenied(operator, [...ofBox, ...ofFleet, topics.journalWitnessed], 'the room’s');
  await checkDenied(witness, [...ofBox, ...ofRoom, ...ofFleet], 'the witness’s');
  await checkDenied(fleet, [...ofBox, topics.ack, topics.verdict, topics.journalWitnessed], 'the fleet’s');
  await checkDenied(metrics, [...ofBox, ...ofRoom, ...ofFleet, topics.journalWitnessed], 'the metrics’');
  const read = [topics.status, topics.health, topics.mode, topics.updateReported];
  // Everyone may read a message to all boxes of a site, since it is signed and contains nothing about one box.
  const metricsTopics = (): string[] =>
    metrics.receivedTopics.filter((topic) => topic !== topics.commandAll).sort();
  await waitUntil(
    t,
    'both have read',
    () => metricsTopics().length >= read.length && fleet.receivedTopics.length > 0,
  );
  t.strictSame(metricsTopics(), [...read].sort(), 'the metrics read only these topics of the boxes');
  await checkDenied(box, [topics.commandAll], 'a box’s');
});

void t.test('Home Assistant reads its entities, and only their states and pictures', async (t) => {
  const room = await makeRoom(t);
  const [box, assistant] = [await connect(t, room, 'box-a'), await connect(t, room, 'homeassistant')];
  await assistant.client.subscribeAsync('#', { qos: 1 });
  const root = `vigie/${SITE}/box-a`;
  const entities = ['binary_sensor', 'event', 'image', 'sensor'].map(
    (component) => `homeassistant/${component}/box-a/rule-x/config`,
  );
  const own = [
    ...['home-assistant/x', 'home-assistant/x/event', 'home-assistant/box/image', 'status', 'health'].map(
      (rest) => `${root}/${rest}`,
    ),
  ];
  for (const topic of ['evt/alert/loitering', 'snap/e-1', 'mode', 'update/reported']) {
    t.equal(await box.publish(`${root}/${topic}`), 0, topic);
  }
  for (const topic of [...entities, ...own]) t.equal(await box.publish(topic), 0, topic);
  t.equal(await assistant.publish('homeassistant/status', 'online'), 0, 'its own status');
  for (const topic of [...entities, ...own, `${root}/cmd`, `${root}/ack`, `${root}/update/desired`]) {
    t.equal(await assistant.publish(topic), DENIED, `${topic} is not Home Assistant’s`);
  }
  const expectedTopics = [...entities, ...own, 'homeassistant/status'].sort();
  await waitUntil(t, 'it has read', () => assistant.receivedTopics.length >= expectedTopics.length);
  t.strictSame([...assistant.receivedTopics].sort(), expectedTopics);
});

void t.test('a reader receives events, stills and health, and cannot publish', async (t) => {
  const room = await makeRoom(t);
  const [box, reader] = [await connect(t, room, 'box-a'), await connect(t, room, 'reader')];
  await reader.client.subscribeAsync(['#', 'vigie/#', 'homeassistant/#'], { qos: 1 });
  const topics = topicsOf(SITE, 'box-a');
  const readTopics = [
    topics.event('alert', 'loitering'),
    topics.event('system', 'frozen'),
    topics.snapshot('e-1'),
  ];
  readTopics.push(topics.status, topics.health);
  const otherTopics = [topics.mode, topics.journalHead, topics.updateReported, topics.probe];
  otherTopics.push(`${topics.root}/reply/token`, `${topics.root}/home-assistant/x`);
  for (const topic of [...otherTopics, ...readTopics]) t.equal(await box.publish(topic), 0, topic);
  const ofOthers = [topics.ack, topics.verdict, topics.command, topics.commandAll, topics.journalWitnessed];
  ofOthers.push(topics.updateDesired, topics.configDesired, `vigie/${SITE}/other/evt/alert/x`, 'elsewhere');
  for (const topic of [...readTopics, ...otherTopics, ...ofOthers, 'homeassistant/status']) {
    t.equal(await reader.publish(topic), DENIED, `${topic} is not a reader’s`);
  }
  await waitUntil(t, 'it has read', () => new Set(reader.receivedTopics).size >= readTopics.length);
  t.strictSame([...new Set(reader.receivedTopics)].sort(), readTopics.sort(), 'these topics only');
  t.ok('reader' in NAMES_OF_OTHERS, 'no box is called so');
});

void t.test('a reader may read all that the guide of the broker subscribes to', async (t) => {
  const guide = readFileSync(join(ROOT, 'docs/guide/broker.md'), 'utf8');
  const [command = ''] = /mosquitto_sub [^`]*/.exec(guide) ?? [];
  const [, rules = ''] = /^user reader\n((?:topic .*\n)+)/m.exec(PROGRAM_RULES) ?? [];
  const readable = [...rules.matchAll(/^topic read (.*)$/gm)].map(([, topic]) => topic);
  const subscribed = [...command.matchAll(/-t '([^']+)'/g)].map(([, topic]) => topic);
  t.ok(subscribed.length >= 3, subscribed.join(' '));
  t.strictSame(
    subscribed.filter((topic) => !readable.includes(topic)),
    [],
  );
  t.match(command, / -c -x \d+ -q 1 /, 'the broker keeps messages for it');
  t.match(command, / -i [\w-]+\.[\w-]+ /, 'its client id cannot be the name of a box');
});

void t.test('the guide of the broker shows the shipped rules', async (t) => {
  const rules = (text: string): string[] =>
    text.split('\n').filter((line) => /^(user|topic|pattern) /.test(line));
  const shipped = rules(PROGRAM_RULES);
  const guide = rules(readFileSync(join(ROOT, 'docs/guide/broker.md'), 'utf8'));
  t.strictSame(guide, shipped);
});

void t.test('the retained messages of 1,500 boxes arrive completely, also after a restart', async (t) => {
  const room = await makeRoom(t, { persistent: true });
  const box = await connect(t, room, 'box-a');
  const topics = Array.from({ length: 1500 }, (_, i) =>
    ['status', 'health', 'mode'].map((kind) => `vigie/${SITE}/box-a/${kind}-${i}`),
  ).flat();
  const codes = await Promise.all(
    topics.map((topic) => box.publish(topic, 'x'.repeat(200), { retain: true })),
  );
  t.strictSame([...new Set(codes)], [0]);
  const all = async (): Promise<void> => {
    const reader = await connect(t, room, 'room');
    await reader.client.subscribeAsync('vigie/+/+/+', { qos: 1 });
    await waitUntil(t, 'all of them', () => reader.receivedTopics.length >= topics.length, 20_000);
    t.equal(
      new Set(reader.receivedTopics).size,
      topics.length,
      `${reader.receivedTopics.length} retained messages`,
    );
    await reader.client.endAsync(true);
  };
  await all();
  await room.broker.stop();
  await room.broker.start();
  await all();
});

void t.test('the largest valid message passes, and a larger one ends the connection', async (t) => {
  const room = await makeRoom(t);
  const box = await connect(t, room, 'box-a');
  const topic = `vigie/${SITE}/box-a/evt/alert/loitering`;
  t.equal(await box.publish(topic, Buffer.alloc(BODY_BYTES_MAX)), 0);
  let closed = false;
  box.client.on('close', () => {
    closed = true;
  });
  box.client.on('error', () => undefined);
  box.client.publish(topic, Buffer.alloc(610_000), { qos: 1 });
  await waitUntil(t, 'the connection is ended', () => closed);
  t.ok(closed, 'larger than any message of the contract');
});
