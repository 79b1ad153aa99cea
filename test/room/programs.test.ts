/** Tests the interfaces to other programs: signed webhooks from both databases. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import t, { type Test } from 'tap';
import { refusedCounts } from '../../scripts/products/room/console/refused-messages.ts';
import type { WebhookSettings } from '../../scripts/products/room/console/webhook-sender.ts';
import { Webhooks } from '../../scripts/products/room/console/webhooks.ts';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { callOf } from '../lib/console-room.ts';
import { addIncident, addIncidents, changeIncident, putCamera, recordsOf } from '../lib/console-rows.ts';
import { DATABASES, onEachDatabase } from '../lib/databases.ts';
import { keptLog } from '../lib/outbox.ts';
import { ROOT } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import { handlersOf } from '../lib/room-acts.ts';
import { unlessAll } from '../lib/run.ts';
import { hook, type Receiver, receiverFor, SECRET, startWriter } from '../lib/webhook-receiver.ts';

const room = async (t: Test): Promise<Sql> => (await DATABASES.sqlite(t)).prepared();

async function startWebhooks(t: Test, db: Sql, settings: WebhookSettings[]) {
  const { log, lines } = keptLog();
  const webhooks = new Webhooks(db, settings, log);
  t.teardown(() => webhooks.stop());
  await webhooks.start();
  return { webhooks, lines };
}

void t.test('a webhook of a patrol reports only the incidents to which it is dispatched', async (t) => {
  const db = await room(t);
  const [receiver, patrolReceiver] = [await receiverFor(t), await receiverFor(t)];
  await startWebhooks(t, db, [
    hook(receiver),
    hook(patrolReceiver, { name: 'north', patrols: ['Patrol north'] }),
  ]);
  const no = await addIncident(db);
  await addIncident(db, Date.now(), { state: 'dispatched', patrol: 'Patrol south' });
  await putCamera(db, 'b-1', Date.now());
  await waitUntil(t, 'all is sent', () => receiver.all.length === 3);
  await changeIncident(db, no, { state: 'dispatched', patrol: 'Patrol north' });
  await waitUntil(t, 'the dispatch is sent', () => patrolReceiver.all.length > 0);
  const [message, ...otherMessages] = patrolReceiver.all;
  t.match(message, { message: { type: 'incident.changed', data: { no, patrol: 'Patrol north' } } });
  t.same(otherMessages, []);
});

const idsOf = ({ all }: Receiver): string[] => all.map(({ id }) => id);

onEachDatabase('webhooks are signed, in order, and name no user', async (t, { prepared }) => {
  const db = await prepared();
  await addIncident(db, Date.now(), { claimed_by: 'before' });
  const receiver = await receiverFor(t);
  const closings = await receiverFor(t);
  const { webhooks, lines } = await startWebhooks(t, db, [
    hook(receiver),
    hook(closings, { name: 'archive', types: ['incident.closed'] }),
  ]);
  const no = await addIncident(db, Date.now(), {
    claimed_by: 'ada',
    dispatched_by: 'bob',
    state: 'dispatched',
    box: 'b-12',
    cause: '{"seconds":60}',
  });
  await waitUntil(t, 'the incident is sent', () => receiver.all.length === 1);
  // While the receiver has not answered, all changes count as one moment, on any machine.
  let answer: () => void = () => undefined;
  receiver.answer = (response) => {
    answer = () => response.writeHead(204).end();
  };
  await putCamera(db, 'b-1', Date.now(), { state: 'offline' });
  await waitUntil(t, 'the camera is sent', () => receiver.all.length === 2);
  await changeIncident(db, no);
  await changeIncident(db, no, { state: 'closed' });
  receiver.answer = (response) => response.writeHead(204).end();
  answer();
  const { city, archive } = webhooks.counts;
  await waitUntil(
    t,
    'both took that it is closed',
    () => archive?.deliveries === 1 && (city?.deliveries ?? 0) >= 3,
  );
  t.strictSame(
    receiver.all.map(({ message }) => message.type),
    ['incident.received', 'camera.changed', 'incident.closed'],
    'two quick changes are sent once, and older ones are not',
  );
  t.strictSame(idsOf(receiver), [
    `incident-${no}-2-received`,
    'camera-lyon-b-1-3',
    `incident-${no}-5-closed`,
  ]);
  for (const { headers, text } of receiver.all) {
    t.match(new Webhook(SECRET).verify(text, headers as Record<string, string>), { timestamp: /Z$/ });
    t.notMatch(text, /ada|bob|claimedBy|dispatchedBy/);
  }
  const [first] = receiver.all;
  t.match(first?.message, { data: { no, state: 'dispatched', box: 'b-12', cause: { seconds: 60 } } });
  t.throws(() => new Webhook(SECRET).verify(`${first?.text} `, first?.headers as Record<string, string>));
  t.match(webhooks.counts, {
    city: { deliveries: 3, failures: 0, setAside: 0 },
    archive: { deliveries: 1, failures: 0, setAside: 0 },
  });
  await webhooks.stop();
  await webhooks.stop();
  await changeIncident(db, no, { verdict: 'confirmed' });
  const secondSender = await startWebhooks(t, db, [hook(receiver)]);
  await waitUntil(t, 'changes during the outage are sent after a restart', () => receiver.all.length === 4);
  t.strictSame([...lines, ...secondSender.lines], []);
});

onEachDatabase(
  'a message refused by its content delays no other, and is sent again by a click',
  async (t, { prepared }) => {
    const db = await prepared();
    const receiver = await receiverFor(t);
    const refusing =
      (status: number): Receiver['answer'] =>
      (response, { message: { data } }) =>
        void response.writeHead(data.box === 'b-odd' ? status : 204).end();
    const { webhooks, lines } = await startWebhooks(t, db, [hook(receiver)]);
    receiver.answer = refusing(422);
    const [poisonNo = 0] = await addIncidents(db, [{ box: 'b-odd' }, {}]);
    const otherNos = await addIncidents(db, [{}, {}, {}]);
    await waitUntil(t, 'the others are sent', () => webhooks.counts['city']?.deliveries === 4, 30_000);
    t.same(
      idsOf(receiver).filter((id) => id.startsWith(`incident-${poisonNo}-`)).length,
      3,
      'after three tries',
    );
    t.match(
      idsOf(receiver).slice(-3),
      otherNos.map((no) => new RegExp(`^incident-${no}-`)),
    );
    t.match(webhooks.counts, { city: { failures: 3, setAside: 1 } });
    const id = idsOf(receiver)[0] ?? '';
    const stored = { webhook: 'city', id, status: 422, incident: poisonNo, isDue: false };
    const handlers = handlersOf(db);
    const list = () => handlers.refusedMessages(callOf('supervisor', Date.now()));
    t.match(await list(), { messages: [stored], more: 0 });
    t.match(await refusedCounts(db), { city: 1 });
    t.match(lines.join('\n'), /warn .*a webhook message was refused and set aside.*"webhook":"city"/);

    const sendAgain = () => handlers.resend(callOf('supervisor', Date.now(), { body: { webhook: 'city' } }));
    receiver.answer = refusing(400);
    t.same(await sendAgain(), { count: 1 });
    while ((await list()).messages[0]?.status !== 400) await sleep(50);
    receiver.answer = refusing(204);
    await sendAgain();
    while ((await list()).messages.length > 0) await sleep(50);
    t.equal(idsOf(receiver).at(-1), id);
    t.match(await recordsOf(db, 'resend-webhooks'), [{ more: { webhook: 'city', count: 1 } }, {}]);

    receiver.answer = refusing(503);
    await changeIncident(db, poisonNo);
    const tries = receiver.all.length;
    await waitUntil(
      t,
      'a failure of the receiver is repeated',
      () => receiver.all.length >= tries + 4,
      30_000,
    );
    t.same((await list()).messages, [], 'and not set aside');
    await webhooks.stop();
  },
);

void t.test('a message that the receiver refuses is repeated, and logged once', async (t) => {
  const db = await room(t);
  const [receiver, thief] = [await receiverFor(t), await receiverFor(t)];
  receiver.answer = (response) => response.writeHead(307, { location: thief.url }).end();
  const settings = hook({ url: `${receiver.url}?token=hidden` });
  const { webhooks, lines } = await startWebhooks(t, db, [settings]);
  const no = await addIncident(db);
  await waitUntil(t, 'it is sent again', () => receiver.all.length >= 2);
  receiver.answer = (response) => response.writeHead(500).end('<b>no</b>'.repeat(100_000));
  const [tries] = [receiver.all.length];
  await waitUntil(t, 'and again', () => receiver.all.length > tries);
  receiver.answer = (response) => response.writeHead(204).end();
  await changeIncident(db, no);
  await waitUntil(t, 'it is accepted', () => webhooks.counts['city']?.deliveries === 1, 20_000);
  t.strictSame(thief.all, [], 'no redirect is followed');
  t.equal(
    receiver.all.at(-1)?.id,
    `incident-${no}-2-received`,
    'in its current state, and still as a new one',
  );
  t.equal(new Set(idsOf(receiver)).size, 2, 'the same message has the same id');
  await waitUntil(t, 'the log says so', () => lines.length === 2);
  t.match(lines[0], /^warn .*retrying until it succeeds.*"webhook":"city".*answers 307, a redirect/);
  t.match(lines[1], /^info .*works again.*"failures":\d/);
  t.notMatch(lines.join('\n'), /hidden|<b>/);
  t.notOk(lines.join('\n').includes(SECRET.slice(6, 20)), 'no secret in it');
  await webhooks.stop();
});

void t.test('wrong settings are refused in one line, without the secret', async (t) => {
  const db = await room(t);
  const cases: [WebhookSettings[], RegExp][] = [
    [[hook({ url: 'http://city.example/hook' })], /webhook city: url must be https/],
    [[hook({ url: 'https://user:pass@city.example/' })], /without a user or a password/],
    [[hook({ url: 'city.example' })], /url must be https/],
    [[hook({ url: 'http://127.0.0.1.city.example/' })], /url must be https/],
    [
      [hook({ url: 'https://city.example' }, { secret: 'whsec_c2hvcnQ=' })],
      /secret must be whsec_ and 24 to 64 bytes/,
    ],
    [[hook({ url: 'https://city.example' }, { secret: 'open sesame' })], /secret must be whsec_/],
    [[hook({ url: 'https://a.example' }), hook({ url: 'https://b.example' })], /the name is used twice/],
  ];
  for (const [settings, line] of cases) {
    const webhooks = new Webhooks(db, settings, keptLog().log);
    const error = await webhooks.start().then(
      () => undefined,
      (error: Error) => error,
    );
    t.match(error, { kind: 'config', message: line });
    t.notMatch(error?.message, /c2hvcnQ|sesame|pass@|\n/);
    await webhooks.stop();
  }
});

void t.test('the guide’s manual signature check accepts exactly what was sent', async (t) => {
  const db = await room(t);
  const receiver = await receiverFor(t);
  await startWebhooks(t, db, [hook(receiver)]);
  await addIncident(db, Date.now(), { place: 'zone/déposé' });
  await waitUntil(t, 'a message has come', () => receiver.all.length === 1);
  const { headers = {}, text = '' } = receiver.all[0] ?? {};
  const guide = readFileSync(join(ROOT, 'docs/guide/room-api.md'), 'utf8');
  const [, code = ''] = /```python\n([\s\S]*?)```/.exec(guide) ?? [];
  const calls: readonly [secret: string, headers: object, body: string][] = [
    [SECRET, headers, text],
    [SECRET, headers, `${text} `],
    [SECRET, { ...headers, 'webhook-id': 'incident-2-2-closed' }, text],
    [SECRET, { ...headers, 'webhook-timestamp': '1700000000' }, text],
    [`whsec_${randomBytes(32).toString('base64')}`, headers, text],
  ];
  const calling =
    'import json, sys\nprint([verified(*a[:2], a[2].encode()) for a in json.loads(sys.argv[1])])';
  const { stdout, stderr } = spawnSync('python3', ['-c', `${code}\n${calling}`, JSON.stringify(calls)]);
  t.equal(stdout.toString().trim(), '[True, False, False, False, False]', stderr.toString());
});

void t.test('changes after an outage of PostgreSQL are sent', { skip: unlessAll }, async (t) => {
  const { server, prepared } = await DATABASES.postgres(t);
  const db = await prepared();
  const receiver = await receiverFor(t);
  const { lines } = await startWebhooks(t, db, [hook(receiver)]);
  const no = await addIncident(db);
  await waitUntil(t, 'it is sent', () => receiver.all.length === 1);
  await server?.kill();
  await waitUntil(t, 'it is seen at the next look', () => lines.length === 1, 20_000);
  await server?.start();
  await changeIncident(db, no);
  await waitUntil(t, 'the change is sent', () => receiver.all.length === 2, 20_000);
  t.strictSame(idsOf(receiver), [`incident-${no}-1-received`, `incident-${no}-2-changed`]);
  t.match(lines[0], /^warn .*retrying until it succeeds/);
});

/** Ends the lease, as thirty seconds would: a killed holder has released it. */
const leaseEnded = (db: Sql): Promise<number> =>
  db.run('UPDATE webhook SET until = $1 WHERE holder IS NOT NULL', ['2020-01-01T00:00:00.000Z']);

onEachDatabase(
  'a console that is killed before it stores the cursor sends again',
  async (t, database) => {
    const { address } = database;
    const db = await database.prepared();
    const receiver = await receiverFor(t);
    receiver.answer = () => undefined;
    const first = await startWriter(t, address, [hook(receiver)]);
    const no = await addIncident(db);
    await waitUntil(t, 'it is received, and not answered', () => receiver.all.length === 1);
    first.kill('SIGKILL');
    await once(first, 'close');
    receiver.answer = (response) => response.writeHead(204).end();
    const second = await startWriter(t, address, [hook(receiver)]);
    await sleep(1000);
    t.equal(receiver.all.length, 1, 'as long as the dead one might tell, the other does not');
    await leaseEnded(db);
    await addIncident(db);
    await waitUntil(t, 'it is sent again, and then the next', () => receiver.all.length === 3);
    t.strictSame(idsOf(receiver), [
      ...[`incident-${no}-1-received`, `incident-${no}-1-received`, `incident-${no + 1}-2-received`],
    ]);
    second.kill('SIGTERM');
    await once(second, 'close');
    const [row] = await db.all('SELECT rev, incident, holder FROM webhook');
    t.strictSame(row, { rev: 2, incident: no + 1, holder: null }, 'a clean end releases the lease');
  },
  { skip: unlessAll },
);
