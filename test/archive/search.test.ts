/** Tests searches over real brokers and archives: `scripts/room search` asks, and the boxes record each search. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { SiteTime } from '../../agent/base/site-time.ts';
import type { BucketLimits } from '../../agent/base/token-bucket.ts';
import { CommandReply } from '../../agent/contract/command.ts';
import type { CommandKey } from '../../agent/contract/config.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { SearchRecord } from '../../agent/contract/search.ts';
import { configOf, makeAgent } from '../lib/agent.ts';
import { makeSigner, searchCommand, signed } from '../lib/commands.ts';
import { counterValue } from '../lib/counters.ts';
import { FLEET } from '../lib/fleet-keyholders.ts';
import { entry, eventAt, history } from '../lib/history.ts';
import { forbiddenIn, HOSTILE } from '../lib/hostile.ts';
import { makeOutbox } from '../lib/outbox.ts';
import { MODEL_DIR, scratch } from '../lib/paths.ts';
import { roomProgram } from '../lib/program.ts';
import { SEED } from '../lib/random.ts';
import { clientOf, makeRoom, pairOf, type Room, SITE, waitUntil } from '../lib/room.ts';
import { SearchableBox } from '../lib/searchable-box.ts';
import { type Output, WarmProgram } from '../lib/warm-program.ts';

const HOUR_MS = 3_600_000;

interface Answer {
  readonly boxes: {
    box: string;
    state: string;
    note: string | null;
    matches: number;
    receivedCount: number;
  }[];
  readonly events: VigieEvent[];
}

/** Makes a room with room.yaml and a signing key; `search` runs the program. */
async function makeSearch(t: Test) {
  const room = await makeRoom(t);
  const dir = scratch(t);
  const signer = makeSigner();
  const key = join(dir, 'desk.pem');
  writeFileSync(key, signer.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const pair = await pairOf(room, 'room');
  const tls = { ca: room.authority.ca, cert: pair.cert, key: pair.key };
  writeFileSync(
    join(dir, 'room.yaml'),
    JSON.stringify({ site: SITE, mqtt: { url: room.broker.programsUrl, ...tls } }),
  );
  const nowMs = Date.now();
  const basic = [
    ...['--room', join(dir, 'room.yaml'), '--sign', key, '--case', '2026/1234', '--reason', 'theft'],
    ...['--from', new Date(nowMs - 24 * HOUR_MS).toISOString(), '--to', new Date(nowMs).toISOString()],
  ];
  const search = (...otherArgs: string[]): Promise<Output> => searchWith([...basic, ...otherArgs]);
  return { room, dir, signer, key, tls, nowMs, basic, search };
}

const warm = new WarmProgram('scripts/programs/room/search');
/** Runs the program in a thread. */
const searchWith = (args: string[]): Promise<Output> => warm.run(args);

/** Runs a program as a process. */
async function runToEnd(args: string[]): Promise<Output> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    output.out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output.err += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...output };
}

/**
 * Resolves when the box reports itself online. The box publishes its status after it has subscribed, so it can be asked
 * then.
 */
async function online(t: Test, room: Room, box: string): Promise<void> {
  const client = await clientOf(t, room, 'room');
  let isOnline = false;
  client.on('message', () => {
    isOnline = true;
  });
  await client.subscribeAsync(`vigie/${SITE}/${box}/status`, { qos: 1 });
  await waitUntil(t, `${box} online`, () => isOnline, 30_000);
  await client.endAsync(true);
}

async function startBox(t: Test, room: Room, box: string, keys: CommandKey[], limits?: BucketLimits) {
  const dir = scratch(t);
  const { outbox } = makeOutbox(join(dir, 'outbox.db'));
  outbox.start();
  t.teardown(() => outbox.stop());
  const { cert, key } = await pairOf(room, box);
  const config = { ...room.config, cert, key };
  const searchableBox = new SearchableBox({
    site: SITE,
    box,
    stateDir: join(dir, 'state'),
    mqtt: config,
    keys,
    outbox,
    ...(limits && { limits }),
  });
  t.teardown(() => searchableBox.stop());
  searchableBox.start();
  await online(t, room, box);
  return searchableBox;
}

void t.test('a search asks all boxes and reports which answer, which do not, and why', async (t) => {
  const { room, signer, nowMs, search } = await makeSearch(t);
  const boxes: SearchableBox[] = [];
  for (const name of ['alpha', 'beta', 'gamma']) {
    const keys = name === 'gamma' ? [makeSigner('other').config] : [signer.config];
    boxes.push(await startBox(t, room, name, keys));
  }
  const [alpha, beta, gamma] = boxes as [SearchableBox, SearchableBox, SearchableBox];
  const offlineBox = await startBox(t, room, 'delta', [signer.config]);
  await offlineBox.stop();
  const at = (hours: number, id: string, box: string, change: object = {}) =>
    entry(1, eventAt(nowMs - hours * HOUR_MS, { id, box, ...change }));
  alpha.archive.add([at(30, 'too-old', 'alpha'), at(3, 'a-1', 'alpha'), at(1, 'a-2', 'alpha')]);
  beta.archive.add([at(2, 'b-1', 'beta'), at(2, 'b-2', 'beta', { kind: 'wrong-way', subject: 'zone/lane' })]);

  const text = await search('--timeout', '20');
  t.equal(text.code, 1, 'not all have answered');
  t.match(
    text.out.split('\n').map((line) => line.split(/ {2,}/)),
    [
      [/:\d\d[+-]\d\d:\d\d$/, 'alpha', 'loitering start', 'zone/forecourt', 'person', 'a-1'],
      [/:\d\d$/, 'beta', 'loitering start', 'zone/forecourt', 'person', 'b-1'],
      [/:\d\d$/, 'beta', 'wrong-way start', 'zone/lane', 'person', 'b-2'],
      [/:\d\d$/, 'alpha', 'loitering start', 'zone/forecourt', 'person', 'a-2'],
    ],
    'in the order of time, over the boxes',
  );
  t.match(text.err, /case 2026\/1234: 4 events of 2 boxes, .*; 2 of 4 boxes answered in/);
  t.match(text.err, /not connected: delta \(stopped, /);
  t.match(text.err, /refused by gamma: unknown-key: no key [0-9a-f]{16}… in commands.keys of this box/);

  const narrow = await search('--box', 'alpha', 'beta', '--kind', 'wrong-way', '--zone', 'lane', '--json');
  t.match(narrow, { code: 0, err: '' }, 'both have answered');
  const answer = JSON.parse(narrow.out) as Answer;
  t.same(
    answer.events.map(({ id }) => id),
    ['b-2'],
  );
  t.match(answer.boxes, [
    { box: 'alpha', state: 'done', matches: 0 },
    { box: 'beta', state: 'done', matches: 1, receivedCount: 1 },
  ]);
  t.match(answer, { case: '2026/1234', query: { kinds: ['wrong-way'], zones: ['lane'] } });

  const missingBox = await search('--box', 'delta', '--timeout', '20');
  t.match(missingBox, { code: 1, out: '', err: /not connected: delta \(stopped, / });
  const silent = await search('--box', 'nobody', '--timeout', '1');
  t.match(silent, { code: 1, out: '', err: /no answer within 1 s: nobody/ });

  const records = beta.archive.records(0, 9).map(({ record }) => record);
  t.equal(records.length, 2, 'each search is on record');
  t.ok(records.every((record) => Value.Check(SearchRecord, record)));
  t.match(records[1], { key: 'judge-desk', case: '2026/1234', reason: 'theft', matches: 1, given: 1 });
  t.match(beta.search.counters, { searches: 2, search_events_given: 3 });
  t.match(gamma.dispatcher.counters, { commands_accepted: 0, commands_refused: 1 });
});

void t.test('times are those of the site, and say so', async (t) => {
  const { room, dir, signer, key, tls, search } = await makeSearch(t);
  const box = await startBox(t, room, 'alpha', [signer.config]);
  const atMs = Math.floor((Date.now() - 5 * HOUR_MS) / 1000) * 1000;
  box.archive.add([entry(1, eventAt(atMs, { id: 'a-1', box: 'alpha' }))]);
  const local = (zone: string): string => new SiteTime(zone).rfc3339(atMs);
  const localSearch = await search('--box', 'alpha');
  t.equal(
    localSearch.out.split('  ')[0],
    local(Intl.DateTimeFormat().resolvedOptions().timeZone),
    'in this machine’s time zone',
  );
  const zonedSearch = await search('--box', 'alpha', '--time-zone', 'America/St_Johns');
  t.equal(zonedSearch.out.split('  ')[0], local('America/St_Johns'), 'as asked');
  t.match(zonedSearch.out, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-0[23]:30 {2}alpha/);
  t.match(zonedSearch.err, /1 event of 1 box, \S+-0[23]:30 to \S+-0[23]:30;/);
  // The room's file has the site's time zone. A time typed without an offset is in that zone.
  const content = { site: SITE, timeZone: 'Asia/Kolkata', mqtt: { url: room.broker.programsUrl, ...tls } };
  writeFileSync(join(dir, 'india.yaml'), JSON.stringify(content));
  const inIndia = (...otherArgs: string[]) =>
    searchWith([
      '--room',
      join(dir, 'india.yaml'),
      '--sign',
      key,
      '--case',
      '1',
      '--reason',
      'r',
      ...otherArgs,
    ]);
  const [from, to] = [atMs, atMs + 1000].map((ms) => new SiteTime('Asia/Kolkata').rfc3339(ms).slice(0, 19));
  const india = await inIndia('--from', from ?? '', '--to', to ?? '');
  t.match(india, { code: 0, err: /1 event of 1 box/ });
  t.equal(india.out.split('  ')[0], local('Asia/Kolkata'));
  const json = await inIndia('--from', from ?? '', '--to', to ?? '', '--json');
  t.equal(
    (JSON.parse(json.out) as Answer).events[0]?.time,
    new Date(atMs).toISOString(),
    'RFC 3339 for programs',
  );
  const none = await searchWith(['--room', 'x', '--case', '1', '--reason', 'r', '--from', '1', '--to', '2']);
  t.match(none, { code: 2, err: /^room: required option '--sign <file>' not specified\n$/ });
});

void t.test('many matches come page by page, at the pace the box allows', async (t) => {
  const { room, signer, nowMs, basic, search } = await makeSearch(t);
  const box = await startBox(t, room, 'alpha', [signer.config], { burst: 2, perS: 0.5 });
  const events = history(nowMs, 1, 600, 'alpha');
  box.archive.add(events.map((event, i) => entry(i + 1, event)));
  const all = await search('--json');
  t.equal(all.code, 0);
  const answer = JSON.parse(all.out) as Answer;
  const expected = events.filter(({ time }) => time >= new Date(nowMs - 24 * HOUR_MS).toISOString());
  t.same(
    answer.events.map(({ id }) => id),
    expected.map(({ id }) => id),
    'each once, in order',
  );
  t.match(answer.boxes, [
    { box: 'alpha', state: 'done', matches: expected.length, receivedCount: expected.length },
  ]);
  const [searches, limited] = [
    counterValue(box.search, 'searches'),
    counterValue(box.search, 'searches_limited'),
  ];
  t.ok(searches >= 4 && limited >= 1, `${searches} pages, rate limited ${limited} times`);
  t.equal(box.archive.records(0, 99).length, searches, 'each page is on record');

  const limitedSearch = await runToEnd([roomProgram('search'), ...basic, '--max', '150']);
  t.equal(limitedSearch.code, 1);
  t.match(limitedSearch.err, /not all was fetched \(--max\) from: alpha/);
});

void t.test('no message on the command topics harms a box', async (t) => {
  const { room, signer, search } = await makeSearch(t);
  const box = await startBox(t, room, 'alpha', [signer.config]);
  const client = await clientOf(t, room, 'room');
  const replies: unknown[] = [];
  client.on('message', (topic, payload) => {
    if (topic.includes('/reply/')) replies.push(JSON.parse(payload.toString()));
  });
  const strange: string[] = [];
  client.on('message', (topic) => {
    if (!/^vigie\/[^/]+\/alpha\/(cmd|status|reply\/[A-Za-z0-9_-]+)$/.test(topic)) strange.push(topic);
  });
  await client.subscribeAsync(`vigie/${SITE}/alpha/#`, { qos: 1, nl: true });
  await client.subscribeAsync(`vigie/${SITE}/alpha/reply/#`, { qos: 1 });
  const good = signed(signer, searchCommand({ box: 'alpha' }));
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 3000 }),
    fc.json(),
    // Never the whole message, which is a valid command.
    fc.nat(good.length - 1).map((length) => good.subarray(0, length)),
    fc.constant(Buffer.alloc(60_000, 0x7b)),
  );
  const responseTopic = fc.oneof(
    fc.constant(undefined),
    fc.constantFrom('x', 'y-1', 'z_2', '0').map((token) => `vigie/${SITE}/all/reply/${token}`),
    fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).map((token) => `vigie/${SITE}/alpha/reply/${token}`),
    fc.constant(`vigie/${SITE}/other/reply/x`),
    fc.constant(`vigie/${SITE}/alpha/status`),
    fc.constant(`vigie/${SITE}/alpha/evt/alert/loitering`),
  );
  const messages = fc.sample(
    fc.record({
      payload,
      responseTopic,
      to: fc.constantFrom('alpha', 'all'),
      data: fc.uint8Array({ maxLength: 99 }),
    }),
    { numRuns: 300, seed: SEED },
  );
  for (const message of messages) {
    // Slow enough for the box to read each message.
    await sleep(25);
    await client.publishAsync(`vigie/${SITE}/${message.to}/cmd`, Buffer.from(message.payload), {
      qos: 1,
      properties: {
        ...(message.responseTopic !== undefined && { responseTopic: message.responseTopic }),
        correlationData: Buffer.from(message.data),
      },
    });
  }
  await waitUntil(
    t,
    'all refused',
    () => counterValue(box.dispatcher, 'commands_refused') >= messages.length,
    30_000,
  );
  t.equal(counterValue(box.dispatcher, 'commands_refused'), messages.length);
  t.equal(counterValue(box.dispatcher, 'commands_accepted'), 0);
  t.match(await search('--box', 'alpha', '--json'), { code: 0 }, 'and it answers as before');
  t.equal(box.delivery.state.reconnects, 0);
  await waitUntil(t, 'some refusals arrived', () => replies.length > 0);
  t.ok(replies.every((reply) => Value.Check(CommandReply, reply)));
  t.ok(replies.length <= 40, `${replies.length} answers to ${messages.length} messages`);
  t.same(strange, [], 'and nowhere else');
});

void t.test('only a client that may write commands and holds a key can search', async (t) => {
  const { room, dir, signer, basic } = await makeSearch(t);
  const box = await startBox(t, room, 'alpha', [signer.config]);
  const pair = await pairOf(room, 'beta');
  const asBox = { url: room.broker.url, ca: room.authority.ca, cert: pair.cert, key: pair.key };
  writeFileSync(join(dir, 'box.yaml'), JSON.stringify({ site: SITE, mqtt: asBox }));
  const args = [...basic, '--room', join(dir, 'box.yaml')];
  for (const to of [[], ['--box', 'alpha']]) {
    const denied = await searchWith([...args, ...to, '--timeout', '3']);
    t.match(denied, { code: 1, out: '', err: /^room: .*does not authorise/ }, 'with a box’s certificate');
    t.equal(denied.err.trim().split('\n').length, 1);
  }
  // A box receives neither commands for another box nor replies of another box.
  const topics: string[] = [];
  const spy = await clientOf(t, room, 'beta');
  spy.on('message', (topic) => topics.push(topic));
  await spy.subscribeAsync('vigie/#', { qos: 1 });
  t.match(await searchWith([...basic, '--box', 'alpha']), { code: 0 });
  t.match(await searchWith(basic), { code: 0 });
  await waitUntil(t, 'the broadcast', () => topics.length > 0);
  t.same([...new Set(topics)], [`vigie/${SITE}/all/cmd`], 'a box hears only the commands for all');
  t.equal(counterValue(box.search, 'searches'), 2);
});

/** A compromised box: it answers every command with `reply`, and its status is hostile as well. */
async function hostileBox(t: Test, room: Room, box: string, reply: () => object): Promise<void> {
  const client = await clientOf(t, room, box, { reconnectPeriod: 0 });
  client.on('message', (topic, _payload, { properties }) => {
    const to = properties?.responseTopic?.replace('/all/', `/${box}/`);
    if (!topic.endsWith('/cmd') || to === undefined) return;
    const envelope = { site: SITE, box, time: new Date().toISOString(), ...reply() };
    const correlationData = properties?.correlationData;
    client.publish(to, JSON.stringify(envelope), {
      qos: 1,
      properties: { ...(correlationData && { correlationData }) },
    });
  });
  await client.subscribeAsync([`vigie/${SITE}/${box}/cmd`, `vigie/${SITE}/all/cmd`], { qos: 1 });
  const status = { state: 'online', boot: HOSTILE, time: HOSTILE };
  await client.publishAsync(`vigie/${SITE}/${box}/status`, JSON.stringify(status), { qos: 1, retain: true });
}

void t.test('a hostile box cannot send control characters to a terminal', async (t) => {
  const { room, basic, dir, tls, nowMs, search } = await makeSearch(t);
  const from = eventAt(nowMs - HOUR_MS, { id: HOSTILE.slice(0, 60), box: 'mallory' });
  const event = { ...from, subject: HOSTILE.slice(0, 80) };
  let reply: object = {
    result: { events: [event], matches: 1, next: null, kept: { days: 30, oldest: null } },
  };
  await hostileBox(t, room, 'mallory', () => reply);
  // Another box that is offline, with a hostile text as its reason.
  const offlineBox = await clientOf(t, room, 'away', { reconnectPeriod: 0 });
  const status = JSON.stringify({ state: HOSTILE, time: HOSTILE });
  await offlineBox.publishAsync(`vigie/${SITE}/away/status`, status, { qos: 1, retain: true });

  const answer = await search('--timeout', '20');
  t.equal(answer.code, 1, answer.err);
  t.equal(answer.out.trim().split('\n').length, 1, answer.out);
  t.strictSame(forbiddenIn(answer.out + answer.err), []);
  t.match(answer.out, /mallory {2}loitering start {2}\\x1b\[2J/);
  t.match(answer.err, /not connected: away \(\\x1b/);
  const json = await search('--json', '--timeout', '20');
  t.strictSame(forbiddenIn(json.out + json.err), []);
  t.equal((JSON.parse(json.out) as Answer).events[0]?.id, event.id, 'JSON for programs is unchanged');

  reply = { refused: { code: 'not-permitted', message: HOSTILE } };
  const to = ['--box', 'mallory', '--timeout', '20'];
  const key = basic[3] ?? '';
  const room1 = ['--room', join(dir, 'room.yaml')];
  const case1 = ['--sign', key, '--case', '1', '--reason', 'r'];
  mkdirSync(join(dir, 'fleet'));
  const mqtt = { url: room.broker.programsUrl, ...tls };
  writeFileSync(join(dir, 'fleet/fleet.yaml'), JSON.stringify({ mqtt, sign: key }));
  const suspend = [FLEET, 'suspend', `${SITE}/mallory`, '--dir', join(dir, 'fleet'), '--reason', 'r'];
  const commands = [
    [roomProgram('search'), ...basic, ...to],
    [roomProgram('unseal'), ...room1, ...case1, ...to, '--event', 'e-1', '--out', join(dir, 'e-1.age')],
    suspend,
  ];
  for (const args of commands) {
    const { code, out, err } = await runToEnd(args);
    t.equal(code, 1, `${args[1]}: ${err}`);
    t.match(err, /refused by mallory: not-permitted: \\x1b\[2J/);
    t.strictSame(forbiddenIn(out + err), []);
    t.notMatch(err, /^(?:room|fleet): all is well/m);
  }
  reply = { result: { mode: HOSTILE } };
  const strange = await runToEnd(suspend);
  t.match(strange, { code: 1, err: /another form/ });
  t.strictSame(forbiddenIn(strange.err), []);
});

void t.test('a mistyped search is one line and exit code 2', async (t) => {
  const { dir, basic, key, tls } = await makeSearch(t);
  writeFileSync(join(dir, 'bad.yaml'), 'site: X\n');
  writeFileSync(join(dir, 'bad.pem'), 'no key');
  const cases: [string[], RegExp][] = [
    [['--room', join(dir, 'none.yaml')], /--room: .*none\.yaml cannot be read/],
    [['--room', join(dir, 'bad.yaml')], /--room: .*bad\.yaml: \/(site|mqtt)/],
    [['--room', 'mqtts://room.example:8883'], /--site: is needed/],
    [['--room', 'mqtt://room.example:1883', '--site', 'x'], /must be mqtts:/],
    [['--sign', join(dir, 'none.pem')], /--sign: .*none\.pem cannot be read/],
    [['--sign', join(dir, 'bad.pem')], /--sign: .*openssl genpkey -algorithm ed25519/],
    [['--from', 'yesterday'], /--from: invalid time "yesterday"; use/],
    [['--from', '2026-02-30'], /--from: invalid time "2026-02-30"/],
    [['--from', '2026-11-24', '--to', '2026-11-23'], /--to: .* is not after/],
    [['--kind', 'loitring'], /--kind: .*did you mean "loitering"/],
    [['--zone', 'The Square'], /invalid name "The Square"/],
    [['--time-zone', 'Europe/Marseille'], /--time-zone: "Europe\/Marseille" is not a time zone/],
    [['--case', ''], /--case: /],
    [['--reason', 'x'.repeat(201)], /--reason: /],
    [['--room', 'mqtts://localhost:1', '--site', SITE, '--ca', join(dir, 'none')], /none cannot be read/],
  ];
  for (const [at, [args, message]] of cases.entries()) {
    const words = [...basic, ...args];
    const { code, out, err } = await (at === 0
      ? runToEnd([roomProgram('search'), ...words])
      : searchWith(words));
    t.match({ code, out, err }, { code: /^[12]$/, out: '', err: message }, args.join(' ').slice(0, 80));
    t.match(err, /^room: [^\n]+\n$/, 'one line');
  }
  const nobody = ['--room', 'mqtts://localhost:1', '--site', SITE, '--ca', tls.ca, '--cert', tls.cert];
  const { code, err } = await searchWith([...basic, ...nobody, '--cert-key', tls.key]);
  t.match(
    { code, err },
    { code: 1, err: /^room: broker mqtts:\/\/localhost:1: nothing listens there; [^\n]*\n$/ },
  );
  t.ok(key);
});

void t.test('the whole agent keeps its events and answers for them', async (t) => {
  const { room, dir, signer, search } = await makeSearch(t);
  const models = join(dir, 'models');
  mkdirSync(models);
  for (const file of ['nanodet-g-city10.json', 'nanodet-g-city10.onnx'])
    copyFileSync(join(MODEL_DIR, file), join(models, file));
  writeFileSync(join(models, 'nanodet-g-city10.onnx'), 'damaged');
  const config = configOf({
    site: SITE,
    box: 'canebiere-017',
    camera: { source: 'test:pattern', fps: 5 },
    mqtt: { ...room.config, ack: 'broker' },
    commands: { keys: [signer.config] },
  });
  const agent = makeAgent(t, config, join(dir, 'state'), { modelDir: models });
  await agent.start();
  const to = ['--to', new Date(Date.now() + HOUR_MS).toISOString(), '--kind', 'detector-down', '--json'];
  let answer: Answer | undefined;
  for (let i = 0; i < 40 && (answer?.events.length ?? 0) === 0; i += 1) {
    const { out, err } = await search(...to);
    if (out === '') throw new Error(err);
    answer = JSON.parse(out) as Answer;
    await sleep(500);
  }
  t.match(answer?.events[0], {
    subject: 'camera',
    data: { rule: { kind: 'detector-down' }, phase: 'start' },
  });
});
