/** Tests the readers' broker: readers receive what the bridge copies, and their messages do not reach the room's broker. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { topicsOf } from '../../agent/contract/topics.ts';
import { TestRoom } from '../lib/enrolment.ts';
import { roomProgram, start } from '../lib/program.ts';
import { type ReadersBroker, readersBroker } from '../lib/readers-broker.ts';
import { answerTo, BOX, clientOf, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';

const DENIED = 135;
const topics = topicsOf(SITE, BOX);
const EVENT = topics.event('alert', 'loitering');
const ENTITY = `homeassistant/event/${BOX}/rule-x/config`;

interface Reader {
  readonly client: MqttClient;
  /** Messages with their topic. */
  readonly lines: string[];
}

async function readerOf(t: Test, room: Room, { url }: ReadersBroker, name: string): Promise<Reader> {
  const { cert, key } = await room.programs.client(name);
  const client = mqtt.connect(url, {
    protocolVersion: 5,
    ca: readFileSync(room.authority.ca),
    cert: readFileSync(cert),
    key: readFileSync(key),
    clientId: name,
    clean: false,
    properties: { sessionExpiryInterval: 3600 },
    reconnectPeriod: 0,
  });
  const lines: string[] = [];
  client.on('error', () => undefined);
  client.on('message', (topic, payload, { retain }) =>
    lines.push(`${topic} ${payload.toString()}${retain ? ' retained' : ''}`),
  );
  t.teardown(() => client.endAsync(true));
  await new Promise((resolve) => client.once('connect', resolve));
  return { client, lines };
}

void t.test('readers and Home Assistant receive their copy, and write nothing to the room', async (t) => {
  const room = await makeRoom(t, { persistent: true });
  const box = await clientOf(t, room, BOX);
  t.equal(await answerTo(box, topics.status, 'retained before', { retain: true }), 0);
  const broker = await readersBroker(t, room, ['reader.map', 'homeassistant.home']);
  const logs: string[] = [];
  const metrics = await clientOf(t, room, 'metrics.room');
  metrics.on('message', (topic, payload) => topic === 'readers/log/N' && logs.push(payload.toString()));
  await metrics.subscribeAsync('#', { qos: 1 });
  const witness = await clientOf(t, room, 'archive.room');
  const atRoom: string[] = [];
  witness.on('message', (topic) => atRoom.push(topic));
  await witness.subscribeAsync('#', { qos: 1 });

  const names = ['reader.map', 'homeassistant.home', 'reader.stranger'];
  const [reader, home, stranger] = (await Promise.all(
    names.map((name) => readerOf(t, room, broker, name)),
  )) as [Reader, Reader, Reader];
  for (const { client } of [reader, home, stranger])
    await client.subscribeAsync(['vigie/#', 'homeassistant/#'], { qos: 1 });
  const has =
    ({ lines }: Reader, line: string) =>
    (): boolean =>
      lines.includes(line);
  await waitUntil(t, 'a state from before', has(reader, `${topics.status} retained before retained`));
  for (const topic of [EVENT, ENTITY, topics.journalHead]) t.equal(await answerTo(box, topic, 'new'), 0);
  await waitUntil(t, 'the reader has the event', has(reader, `${EVENT} new`));
  await waitUntil(t, 'Home Assistant has its entity', has(home, `${ENTITY} new`));
  t.notOk(has(home, `${EVENT} new`)(), 'and no event');
  t.notOk(has(reader, `${topics.journalHead} new`)(), 'no reader has a journal');
  t.same(stranger.lines, [], 'a program without rules reads nothing');

  const before = atRoom.length;
  for (const topic of [EVENT, topics.status, topics.ack, topics.command, 'readers/log/N', 'elsewhere'])
    t.equal(await answerTo(reader.client, topic), DENIED, `a reader: ${topic}`);
  t.equal(
    await answerTo(home.client, 'homeassistant/status', 'online'),
    0,
    'Home Assistant writes its status here',
  );
  t.equal(await answerTo(home.client, ENTITY), DENIED);
  t.equal(await answerTo(box, EVENT, 'last'), 0);
  await waitUntil(t, 'the room has the last', () => atRoom.length > before);
  t.same(new Set(atRoom.slice(before)), new Set([EVENT]), 'it is all that came to the room');
  await waitUntil(t, 'the metrics learn who connects', () =>
    logs.some((line) => / as reader\.map \(/.test(line)),
  );

  await waitUntil(t, 'and the reader', has(reader, `${EVENT} last`));
  await reader.client.endAsync();
  t.equal(await answerTo(box, EVENT, 'while away'), 0);
  t.equal(await answerTo(box, ENTITY, 'after it'), 0);
  await waitUntil(t, 'and what came before it', has(home, `${ENTITY} after it`));
  await broker.stop();
  t.equal(await answerTo(box, topics.status, 'changed meanwhile', { retain: true }), 0);
  await broker.start();
  const returned = await readerOf(t, room, broker, 'reader.map');
  await waitUntil(t, 'its stored session survives a restart', has(returned, `${EVENT} while away`));
  await waitUntil(t, 'a state comes again', () =>
    returned.lines.some((line) => line.includes('changed meanwhile')),
  );
});

void t.test('a reader has no rights at the room’s broker', async (t) => {
  const room = await makeRoom(t);
  const [reader, box] = [await clientOf(t, room, 'reader.map'), await clientOf(t, room, BOX)];
  const received: string[] = [];
  reader.on('message', (topic) => received.push(topic));
  await reader.subscribeAsync('#', { qos: 1 });
  t.equal(await answerTo(box, EVENT), 0);
  t.equal(await answerTo(reader, EVENT), DENIED);
  t.same(received, []);
});

void t.test('one act puts a program out, and no other', async (t) => {
  const room = new TestRoom(t);
  const broker = await room.broker(t);
  const connect = async (name: string): Promise<MqttClient> => {
    const { cert, key } = room.program(name);
    await broker.reload();
    const files = { ca: room.ca, cert: readFileSync(cert), key: readFileSync(key) };
    const options = { protocolVersion: 5, reconnectPeriod: 100, ...files } as const;
    const client = await mqtt.connectAsync(broker.programsUrl, options);
    client.on('error', () => undefined);
    t.teardown(() => client.endAsync(true));
    return client;
  };
  const [hostile, honest] = [await connect('fleet.hostile'), await connect('fleet.honest')];
  const [hostileEnds, honestEnds]: [number[], number[]] = [[], []];
  hostile.on('close', () => hostileEnds.push(Date.now()));
  honest.on('close', () => honestEnds.push(Date.now()));
  // As the package's path unit does.
  const reloading = setInterval(() => void broker.signal('SIGHUP'), 500);
  t.teardown(() => clearInterval(reloading));
  const words = ['revoke-program', 'fleet.hostile', '--dir', room.dir, '--broker', broker.programsUrl];
  const program = start(t, process.execPath, [roomProgram('enrol'), ...words]);
  t.equal(await program.exit, 0, program.err);
  await waitUntil(t, 'it is out', () => hostileEnds.length > 0 && !hostile.connected);
  await sleep(500);
  t.notOk(hostile.connected, 'and does not come back');
  t.notMatch(readFileSync(room.list('broker.acl'), 'utf8'), 'fleet.hostile');
  t.equal(await answerTo(honest, topics.command), 0, 'another program of the role works on');
  t.same(honestEnds, []);
  const second = start(t, process.execPath, [roomProgram('enrol'), ...words]);
  t.equal(await second.exit, 2);
  t.match(second.err, /fleet\.hostile: no valid certificate; see list/);
});
