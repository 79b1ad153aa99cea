/**
 * Tests a stolen box with a valid certificate against the shipped control room: broker files, enrolment and archive.
 *
 * After each attack the honest box is still connected, and its alerts are in the operators' queue. What the broker's
 * rules alone deny is in broker.test.ts.
 */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MqttClient } from 'mqtt';
import type { Test } from 'tap';
import { topicsOf } from '../../agent/contract/topics.ts';
import { queueOf } from '../../scripts/products/room/console/queue.ts';
import { ARCHIVE } from '../../scripts/products/room/contract/terms.ts';
import { displace } from '../../scripts/products/room/enrol/displace.ts';
import { onEachDatabase } from '../lib/databases.ts';
import { ask, csrOf, newKey, SITE } from '../lib/enrolment.ts';
import { alertOf, FAR, FAR_SITE, HONEST, HostileRoom, THIEF } from '../lib/hostile-room.ts';
import { answerTo, waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';

const DENIED = 135;
const EST = '/.well-known/est';
const honest = topicsOf(SITE, HONEST);
const own = topicsOf(SITE, THIEF);

const refusedTo = (connecting: Promise<MqttClient>): Promise<boolean> =>
  connecting.then(
    () => false,
    () => true,
  );

/** Topics of others that the thief receives on these filters while the honest box receives its own. */
async function topicsHeard(t: Test, room: HostileRoom, filters: readonly string[]): Promise<string[]> {
  const thief = await room.connect(THIEF);
  const topics: string[] = [];
  thief.on('message', (topic) => topics.push(topic));
  await thief.subscribeAsync([...filters], { qos: 1 });
  await room.checkHonestBox(t, 'while another client listens');
  await answerTo(thief, `${own.root}/probe`);
  await sleep(300);
  await thief.endAsync(true);
  return topics.filter((topic) => !topic.startsWith(`${own.root}/`));
}

type Attack = (t: Test, room: HostileRoom) => Promise<void>;

/** The attacks of every run, in this order. */
const ATTACKS: Readonly<Record<string, Attack>> = {
  'it connects under the client ids of the honest box and of the archive': async (t, room) => {
    for (const clientId of [HONEST, HONEST, ARCHIVE, 'archive']) {
      const thief = await room.connect(THIEF, { clientId });
      await thief.endAsync(true);
    }
    const old = await room.connect(THIEF, { clientId: HONEST, protocolVersion: 4 });
    t.ok(old.connected, 'and by MQTT 3.1.1; the broker takes it for itself');
    t.ok(await refusedTo(room.connect(THIEF, { url: room.broker.programsUrl })), 'the port of the programs');
    const pair = room.enrolment.program('reader.room');
    t.ok(await refusedTo(room.connect(HONEST, { pair })), 'a program at the port of the boxes');
  },

  'it publishes in the honest box’s name, clears its messages, and forges acknowledgements': async (
    t,
    room,
  ) => {
    const thief = await room.connect(THIEF);
    const topics = [honest.event('alert', 'loitering'), honest.snapshot('x'), honest.status, honest.health];
    for (const topic of [...topics, honest.ack, honest.command, honest.updateDesired])
      for (const body of ['{}', ''])
        t.equal(await answerTo(thief, topic, body, { retain: true }), DENIED, topic);
    for (const topic of [own.ack, own.command, own.verdict]) await answerTo(thief, topic, '{"alert":9e99}');
  },

  'it sends numbers out of range, times of other centuries, and messages other than events': async (
    t,
    room,
  ) => {
    const thief = await room.connect(THIEF);
    const numbers = ['0', '-1', '9007199254740993', '1e99', 'NaN', '', '18446744073709551616'];
    for (let i = 0; i < 70; i += 1) {
      const { topic, body } = alertOf(SITE, THIEF, `life-${i}`, 1);
      const seq = numbers[i % numbers.length] ?? '1';
      const userProperties = { seq, first: seq, lane: 'alert', epoch: `life-${i}` };
      const code = await answerTo(thief, topic, body, { properties: { userProperties } });
      if (code !== 0) t.fail(`${seq}: ${code}`);
    }
    for (const [i, year] of ['0001', '1970', '2999', '9999'].entries()) {
      const { topic, body, options } = alertOf(SITE, THIEF, `year-${i}`, i + 1, 'years');
      await answerTo(thief, topic, body.replaceAll(/"20\d\d-/g, `"${year}-`), options);
    }
    const rubbish = ['', 'null', '[', '{"__proto__":{"x":1}}', '['.repeat(50_000), '\u0000', '"\ud800"'];
    for (const [i, body] of rubbish.entries()) {
      const { topic, options } = alertOf(SITE, THIEF, 'none', i + 1, 'rubbish');
      await answerTo(thief, topic, body, options);
      await answerTo(thief, own.snapshot(`e-${i}`), body, options);
      for (const report of [own.status, own.health]) await answerTo(thief, report, body, { retain: true });
    }
    const large = await answerTo(thief, own.event('alert', 'x'), Buffer.alloc(700_000));
    t.equal(large, -1, 'a packet larger than any message ends its connection');
  },

  'it sends an event of the honest box under its own topic': async (t, room) => {
    const thief = await room.connect(THIEF);
    const { options } = alertOf(SITE, THIEF, 'copied', 1, 'copy');
    const { body } = alertOf(SITE, HONEST, 'copied', 1, 'copy');
    await answerTo(thief, own.event('alert', 'loitering'), body, options);
    await room.checkHonestBox(t, 'after a copy');
    const copied = "SELECT 1 AS there FROM incident WHERE episode = 'copied-e' AND box = $1";
    t.same(await room.sql.all(copied, [HONEST]), [], 'it is not taken for an alert of the honest box');
  },

  'it asks for certificates in the names of others': async (t, room) => {
    const { enrolment } = room;
    const key = newKey(join(enrolment.dir, 'stolen.key'));
    const pair = room.pemOf(THIEF);
    const est = async (path: string, name: string, more: Partial<Parameters<typeof ask>[2]> = {}) =>
      (await ask(enrolment, `${EST}/${path}`, { body: csrOf(key, name).toString('base64'), ...more })).status;
    for (const name of [HONEST, FAR])
      t.equal(await est('simplereenroll', name, { pair }), 403, `it renews as ${name}`);
    t.equal(await est('simpleenroll', HONEST, { pair }), 202, 'on a list, where a person looks');
    t.equal(
      await est('simpleenroll', HONEST, { login: `${HONEST}:${'A'.repeat(32)}` }),
      401,
      'a guessed token',
    );
    t.equal(await est('simpleenroll', ARCHIVE), 400, 'no box has a name with a dot');
    const { store } = enrolment;
    const refusal = { message: /enrolled at marseille-1: revoke/ };
    t.throws(() => store.makeToken(FAR_SITE, THIEF, Date.now()), refusal, 'at another site');
    t.throws(() => store.makeToken(SITE, FAR, Date.now()), { message: /enrolled at lyon-2: revoke/ });
  },
};

/** The dearer attacks of `--all`. */
const DEAR_ATTACKS: Readonly<Record<string, Attack>> = {
  'it leaves a Last Will in the honest box’s name': async (t, room) => {
    const reader = await room.operator('bridge.room');
    const topics: string[] = [];
    reader.on('message', (topic) => topics.push(topic));
    await reader.subscribeAsync('vigie/+/+/status', { qos: 1 });
    const payload = Buffer.from('{"state":"offline"}');
    const will = { topic: honest.status, payload, qos: 1, retain: true } as const;
    (await room.connect(THIEF, { will })).stream.destroy();
    await answerTo(await room.connect(THIEF), own.status);
    await waitUntil(t, 'its own topic arrives', () => topics.includes(own.status));
    t.notOk(topics.includes(honest.status), 'the other one is not');
  },

  'it joins shared subscriptions, and reads the orders of a box at another site': async (t, room) => {
    const fleet = await room.operator('fleet.room');
    const far = topicsOf(FAR_SITE, FAR);
    await fleet.publishAsync(far.updateDesired, '{}', { qos: 1, retain: true });
    await fleet.publishAsync(far.commandAll, '{}', { qos: 1 });
    const groups = ['room', 'archive', 'g-1', 'g-2'].flatMap((group) => [
      ...[`$share/${group}/vigie/#`, `$share/${group}/vigie/+/+/evt/#`],
    ]);
    const filters = [...groups, far.updateDesired, far.commandAll, `vigie/${FAR_SITE}/#`, '$SYS/#'];
    t.same(await topicsHeard(t, room, filters), []);
  },

  'it opens two hundred connections that never finish a handshake, and a hundred that do': async (
    t,
    room,
  ) => {
    const sockets = Array.from({ length: 200 }, () => connectTcp(room.broker.port, '127.0.0.1'));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    t.ok((await room.operator('desk.room')).connected, 'a program of the room comes in meanwhile');
    await room.checkHonestBox(t, 'beside them');
    for (const socket of sockets) socket.destroy();
    for (let i = 0; i < 100; i += 1) (await room.connect(THIEF)).stream.destroy();
  },

  'it sends thousands of alerts, each an incident of its own': async (t, room) => {
    const thief = await room.connect(THIEF);
    thief.setMaxListeners(500);
    const send = (i: number): Promise<number> => {
      const { topic, body, options } = alertOf(SITE, THIEF, `flood-${i}`, i + 1, 'flood');
      return answerTo(thief, topic, body, options);
    };
    for (let i = 0; i < 2500; i += 250) await Promise.all(Array.from({ length: 250 }, (_, k) => send(i + k)));
    await room.checkHonestBox(t, 'above them');
    const { incidents } = await queueOf(room.sql);
    t.ok(
      incidents.some(({ box }) => box === HONEST),
      `${incidents.length} are on the screen`,
    );
  },
};

/** The last attack: the theft is detected. */
const isRevoked: Attack = async (t, room) => {
  const thief = await room.connect(THIEF);
  t.equal(await answerTo(thief, own.health), 0, 'it is connected until then');
  const topics: string[] = [];
  thief.on('message', (topic) => topics.push(topic));
  room.enrolment.enrolment.revoke(THIEF, Date.now());
  await room.broker.reload();
  t.equal(await answerTo(thief, own.event('alert', 'loitering')), DENIED, 'it can no longer publish');
  const fleet = await room.operator('fleet.room');
  await fleet.publishAsync(own.command, '{}', { qos: 1 });
  await sleep(300);
  t.same(topics, [], 'it receives nothing any more');
  const { authority } = room.enrolment;
  await displace({ authority, name: THIEF, url: room.broker.url, ca: room.enrolment.ca });
  await waitUntil(t, 'its connection is ended', () => !thief.connected);
  t.ok(await refusedTo(room.connect(THIEF)), 'and it does not come back');
  const body = csrOf(room.pairOf(THIEF).key, THIEF).toString('base64');
  const renewal = await ask(room.enrolment, `${EST}/simplereenroll`, { body, pair: room.pemOf(THIEF) });
  t.equal(renewal.status, 403, 'nor does it renew');
  await room.leavesTheScreens(t, THIEF);
};

onEachDatabase(
  'a stolen box does no harm to an honest one, until it is revoked',
  async (t, database) => {
    const room = await HostileRoom.start(t, database);
    const run = async (attacks: Readonly<Record<string, Attack>>, skip: string | false): Promise<void> => {
      for (const [name, attack] of Object.entries(attacks)) {
        await t.test(name, { skip }, async (t) => {
          await attack(t, room);
          await room.checkHonestBox(t, 'afterwards');
        });
      }
    };
    await run(ATTACKS, false);
    await run(DEAR_ATTACKS, unlessAll);
    await run({ 'it is revoked while it is connected': isRevoked }, false);
    t.notMatch(room.archive.output, /Ended:|another program uses/, 'the archive ran all the time');
  },
  { timeout: 600_000 },
);
