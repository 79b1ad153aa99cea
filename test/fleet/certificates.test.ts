/**
 * Tests `fleet cert`: certificates of the enrolment compared with boxes' reports, and a box that is revoked at a real
 * broker.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { topicsOf } from '../../agent/contract/topics.ts';
import { Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { FleetStore } from '../../scripts/products/fleet/store.ts';
import { bundled } from '../lib/bundled.ts';
import { csrOf, newKey, TestRoom } from '../lib/enrolment.ts';
import { messagesOf } from '../lib/fleet-reports.ts';
import { openedOutbox } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { BOX, deliver, SITE, waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';
import { WarmProgram } from '../lib/warm-program.ts';

const program = new WarmProgram('scripts/products/fleet');
const DAY_MS = 86_400_000;

interface Ops {
  readonly room: TestRoom;
  readonly broker: Mosquitto;
  readonly dir: string;
  fleet(...args: string[]): Promise<{ code: number | null; out: string; err: string }>;
  /** Issues a box's certificate by the enrolment. */
  issue(name: string, days: number): { cert: string; key: string };
  client(name: string, clientId: string): Promise<MqttClient>;
}

async function makeOps(t: Test, usesLists = true): Promise<Ops> {
  const room = new TestRoom(t);
  room.server('broker');
  const file = (name: string): string => join(room.dir, name);
  const tls = {
    cert: file('broker.crt'),
    key: file('broker.key'),
    ca: file('ca.crt'),
    programsCa: file('programs/ca.crt'),
  };
  const broker = usesLists
    ? new Mosquitto({
        dir: scratch(t),
        tls: { ...tls, crl: room.list('revoked.pem') },
        aclFile: room.list('broker.acl'),
      })
    : new Mosquitto({ dir: scratch(t), tls, boxes: [{ site: SITE, box: BOX }] });
  t.teardown(() => broker.stop());
  await broker.start();
  const issue = (name: string, days: number): { cert: string; key: string } => {
    const key = newKey(file(`${name}.key`));
    const profile = { use: 'client', commonName: name, days } as const;
    const { authority } = room;
    const issued = authority.issue(csrOf(key, name), profile, Date.now());
    const asking = { box: name, key: issued.serial.padEnd(64, '0'), nowMs: Date.now(), issue: () => issued };
    room.store.byToken(room.token(name), asking);
    room.enrolment.writeBoxes();
    writeFileSync(file(`${name}.crt`), issued.pem);
    return { cert: file(`${name}.crt`), key };
  };
  const certificates = ['fleet.room', 'fleet.ops'].map((name) => room.program(name).cert);
  const dir = join(scratch(t), 'fleet');
  mkdirSync(dir);
  const yaml = {
    mqtt: { url: broker.programsUrl, ca: tls.ca, certificates },
    sign: newKey(join(room.dir, 'sign.key')),
    enrolment: room.dir,
  };
  writeFileSync(join(dir, 'fleet.yaml'), JSON.stringify(yaml));
  return {
    room,
    broker,
    dir,
    issue,
    fleet: (...args) => {
      const port = args[0] === 'revoke' ? ['--boxes-port', String(broker.port)] : [];
      return program.run(['cert', ...args, ...port, '--dir', dir]);
    },
    client: async (name, clientId) => {
      const isProgram = name.includes('.');
      const pair = isProgram ? room.program(name) : { cert: file(`${name}.crt`), key: file(`${name}.key`) };
      if (isProgram) await broker.admit(name);
      await broker.reload();
      const client = await mqtt.connectAsync(isProgram ? broker.programsUrl : broker.url, {
        protocolVersion: 5,
        ca: room.ca,
        clientId,
        reconnectPeriod: 300,
        cert: readFileSync(pair.cert),
        key: readFileSync(pair.key),
      });
      client.on('error', () => undefined);
      t.teardown(() => client.endAsync(true));
      return client;
    },
  };
}

t.test(
  'the list shows expiry by the enrolment and by the boxes side by side',
  { skip: unlessAll },
  async (t) => {
    const { room, broker, dir, fleet, issue, client } = await makeOps(t);
    for (const [name, days] of [
      [BOX, 20],
      ['box-late', 1],
      ['box-fresh', 365],
      ['box-gone', 30],
    ] as const) {
      issue(name, days);
    }
    room.store.revoke('box-gone', Date.now());
    for (const [name, n] of [
      [BOX, 5],
      ['by-hand', 40],
    ] as const) {
      if (name === 'by-hand') {
        issue(name, 30);
        // Like one that was signed elsewhere.
        new FleetStore(dir).close();
      }
      const box = await client(name, `${SITE}.${name}.test`);
      for (const [topic, body] of messagesOf({ site: SITE, box: name, n }, Date.now())) {
        await box.publishAsync(topic, body, { qos: 1, retain: true });
      }
    }
    const listing = await fleet('list');
    t.equal(listing.code, 0, listing.err);
    const lines = listing.out.split('\n').map((line) => line.split(/ {2,}/));
    const day = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);
    t.same(lines.slice(0, 6), [
      ['BOX', 'SITE', 'ENDS', 'THE BOX SAYS'],
      ['box-late', '-', day(1), '-', 'ENDS WITHIN 1 DAY; has not reported'],
      [BOX, SITE, day(20), day(5), 'ENDS WITHIN 7 DAYS; the box uses another'],
      ['by-hand', SITE, day(30), day(40), 'ENDS WITHIN 30 DAYS; the box uses another'],
      ['box-fresh', '-', day(365), '-', 'has not reported'],
      ['box-gone', '-', '-', '-', 'revoked'],
    ]);
    const soon = await fleet('list', '--ends', '10', '--json');
    const json = soon.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { box: string; says: string });
    t.same(
      json.map(({ box }) => box),
      ['box-late', BOX],
    );
    t.match(json[1]?.says, /^\d{4}-\d\d-\d\dT/);
    await broker.stop();
    t.match(await fleet('list'), { code: 0, out: /box-late/, err: /this is what was known before/ });
  },
);

t.test('a stolen box is disconnected at once and stays out', async (t) => {
  const { room, broker, dir, fleet, issue, client } = await makeOps(t);
  const { cert, key } = issue(BOX, 365);
  room.token(BOX);
  const config = { url: broker.url, ca: join(room.dir, 'ca.crt'), cert, key, ack: 'broker' } as const;
  const { delivery } = deliver(t, config, openedOutbox(t, join(scratch(t), 'outbox.db')), {
    timing: { reconnect: { firstMs: 100, maxMs: 500 }, conflict: { firstMs: 300, maxMs: 600 } },
  });
  await waitUntil(t, 'online', () => delivery.state.phase === 'online');
  const other = issue('box-2', 365);
  const second = await client('box-2', `${SITE}.box-2`);
  const topics = topicsOf(SITE, BOX);
  const publisher = await client('fleet.other', 'fleet-test');
  for (const topic of [topics.updateDesired, topics.configDesired]) {
    await publisher.publishAsync(topic, '{"an":"order"}', { qos: 1, retain: true });
  }
  const retained = new Map<string, string>();
  publisher.on('message', (topic, payload) => retained.set(topic, payload.toString()));
  await publisher.subscribeAsync('vigie/#', { qos: 1 });
  const store = new FleetStore(dir);
  store.addBox(SITE, BOX, Date.now());
  store.close();

  t.match(await fleet('revoke', 'box-9', '--yes'), { code: 2, err: /^fleet: box-9: neither .* knows/ });
  t.match(await fleet('revoke', BOX), { code: 1, err: /This needs a terminal/ });
  t.equal(delivery.state.phase, 'online', 'until a person confirms');
  t.match(await fleet('revoke', BOX, '--yes'), { code: 2, err: /the broker does not know them yet/ });
  t.equal(delivery.state.phase, 'online', 'a list does not end an open connection');
  const revoked = await fleet('revoke', BOX, '--yes', '--broker-pid', String(broker.pid), '--watch', '4');
  t.match(revoked, { code: 0, out: /is out; nothing was heard of it for 4 s\n$/, err: /^$/ }, revoked.err);
  t.equal(delivery.state.phase === 'online', false);
  await waitUntil(t, 'with a reason', () => delivery.state.fault?.code === 'certificate');
  t.equal(delivery.state.reconnects, 0, 'it was connected once, and never again');
  t.equal(retained.get(topics.updateDesired), '', 'no order lies there for it');
  t.equal(retained.get(topics.configDesired), '');
  t.match(retained.get(topics.status), /"offline"/);
  t.equal(room.store.tokens().length, 1, 'its tokens are gone, the other box’s is there');
  t.ok(second.connected && existsSync(other.cert), 'the other box is unchanged');
  const after = new FleetStore(dir);
  t.type(after.boxesNamed(BOX)[0]?.revoked_at, 'number');
  t.match(after.audit(1)[0]?.action, /certificates revoked/);
  after.close();
  t.match((await fleet('list')).out, new RegExp(`${BOX} .*revoked`));
});

t.test('a broker that does not use the lists is reported', { skip: unlessAll }, async (t) => {
  const { fleet, issue, client } = await makeOps(t, false);
  issue(BOX, 365);
  const box = await client(BOX, `${SITE}.${BOX}`);
  const { health } = topicsOf(SITE, BOX);
  const timer = setInterval(() => void (box.connected && box.publish(health, '{}', { qos: 0 })), 600);
  t.teardown(() => clearInterval(timer));
  const still = await fleet(
    'revoke',
    BOX,
    '--yes',
    '--reload',
    'test -s "$VIGIE_BOXES/broker.acl"',
    '--watch',
    '3',
  );
  t.match(still, { code: 1, err: /canebiere-017: is still heard at the broker .*revoked\.pem/ }, still.out);
  t.match(await fleet('revoke', BOX, '--yes', '--reload', 'false'), { code: 1, err: /--reload: / });
  t.match(await fleet('revoke', BOX, '--yes', '--broker-pid', '999999999'), {
    code: 2,
    err: /--broker-pid 999999999: /,
  });
  await box.endAsync(true);
});

t.test('each command that runs has a certificate of its own, and one more is refused', async (t) => {
  const { dir } = await makeOps(t);
  const watching = ['status', '--watch', '--dir', dir];
  const programs = [1, 2].map(() =>
    start(t, process.execPath, [bundled('scripts/products/fleet'), ...watching]),
  );
  for (const one of programs) await waitUntil(t, 'it runs', () => one.out !== '' || one.code !== undefined);
  const third = await program.run(['status', '--dir', dir]);
  t.match(third, {
    code: 0,
    err: /mqtt\.certificates: other commands use all 2; wait until one ends, or add/,
  });
  t.equal((await program.run(['audit', '--dir', dir])).code, 0, 'a command without the broker needs none');
  await sleep(3000);
  for (const { code, err } of programs) t.equal(code, undefined, `it is not disturbed: ${err}`);
  programs[0]?.child.kill('SIGTERM');
  await programs[0]?.exit;
  t.equal((await program.run(['status', '--dir', dir])).code, 0, 'the next command takes the free one');
});
