/** Tests searches over real brokers and archives: `scripts/room search` asks, and the boxes record each search. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import type { BucketLimits } from '../../agent/base/token-bucket.ts';
import type { CommandKey } from '../../agent/contract/config.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { SearchRecord } from '../../agent/contract/search.ts';
import { makeAgent, streetConfig } from '../lib/agent.ts';
import { makeSigner } from '../lib/commands.ts';
import { counterValue } from '../lib/counters.ts';
import { entry, eventAt, history } from '../lib/history.ts';
import { forbiddenIn, HOSTILE } from '../lib/hostile.ts';
import { MODEL_DIR } from '../lib/paths.ts';
import { roomProgram, start } from '../lib/program.ts';
import { clientOf, makeRoom, pairOf, type Room, SITE, waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';
import { SearchableBox } from '../lib/searchable-box.ts';
import { deskOf } from '../lib/signer-desk.ts';
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
  const signer = makeSigner();
  const { dir, args } = await deskOf(t, room, signer);
  const nowMs = Date.now();
  const basic = [
    ...[...args, '--case', '2026/1234', '--reason', 'theft'],
    ...['--from', new Date(nowMs - 24 * HOUR_MS).toISOString(), '--to', new Date(nowMs).toISOString()],
  ];
  const search = (...otherArgs: string[]): Promise<Output> => searchWith([...basic, ...otherArgs]);
  return { room, dir, signer, nowMs, basic, search };
}

const warm = new WarmProgram('scripts/products/room/search');
/** Runs the program in a thread. */
const searchWith = (args: string[]): Promise<Output> => warm.run(args);

/** Runs the program as a process. */
async function asProcess(t: Test, args: string[]): Promise<Output> {
  const program = start(t, process.execPath, [roomProgram('search'), ...args]);
  return { code: await program.exit, out: program.out, err: program.err };
}

async function startBox(t: Test, room: Room, box: string, keys: CommandKey[], limits?: BucketLimits) {
  const searchable = await SearchableBox.in(t, room, box, keys, limits);
  searchable.start();
  await waitUntil(t, `${box} online`, () => searchable.delivery.state.phase === 'online', 30_000);
  return searchable;
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

void t.test('many matches come page by page, at the pace the box allows', { skip: unlessAll }, async (t) => {
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

  const limitedSearch = await asProcess(t, [...basic, '--max', '150']);
  t.equal(limitedSearch.code, 1);
  t.match(limitedSearch.err, /not all was fetched \(--max\) from: alpha/);
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
  const { room, nowMs, search } = await makeSearch(t);
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
  const refusal = await search('--box', 'mallory', '--timeout', '20');
  t.match(refusal, { code: 1, err: /refused by mallory: not-permitted: \\x1b\[2J/ });
  t.strictSame(forbiddenIn(refusal.out + refusal.err), []);
  t.notMatch(refusal.err, /^room: all is well/m);
});

void t.test('the whole agent keeps its events and answers for them', { skip: unlessAll }, async (t) => {
  const { room, dir, signer, search } = await makeSearch(t);
  const models = join(dir, 'models');
  mkdirSync(models);
  for (const file of ['nanodet-g-city10.json', 'nanodet-g-city10.onnx'])
    copyFileSync(join(MODEL_DIR, file), join(models, file));
  writeFileSync(join(models, 'nanodet-g-city10.onnx'), 'damaged');
  const config = streetConfig(room, {
    camera: { source: 'test:pattern', fps: 5 },
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
