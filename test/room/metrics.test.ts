/** Tests `scripts/room metrics` with many boxes, some hostile, over a real Mosquitto and with a real Prometheus. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import type { HealthReport } from '../../agent/contract/health.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { freePort, listening, Mosquitto } from '../../scripts/lib/mosquitto.ts';
import { bundled } from '../lib/bundled.ts';
import { CONDITIONS, healthOf, messagesOf, type SimulatedBox, simulatedBoxes } from '../lib/fleet-reports.ts';
import { forbiddenIn, HOSTILE } from '../lib/hostile.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { type Program, start } from '../lib/program.ts';
import { clientOf, makeRoom, pairOf, waitUntil } from '../lib/room.ts';
import { FULL, unlessAll } from '../lib/run.ts';

const PROGRAM = bundled('scripts/products/room/metrics');
const RULES = join(ROOT, 'docs/guide/prometheus-fleet-rules.yaml');
const FLEET = 1500;

async function plainBroker(t: Test): Promise<{ broker: Mosquitto; client: MqttClient }> {
  const broker = new Mosquitto({ dir: scratch(t) });
  t.teardown(() => broker.stop());
  await broker.start();
  const client = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
  t.teardown(() => client.endAsync(true));
  return { broker, client };
}

async function startExporter(t: Test, ...args: string[]): Promise<{ program: Program; url: string }> {
  const program = start(t, process.execPath, [PROGRAM, '--port', '0', ...args]);
  await waitUntil(t, 'it listens', () => program.out.includes('Ctrl-C'));
  return { program, url: /http:\/\/\S+\/metrics/.exec(program.out)?.[0] ?? '' };
}

/** Publishes all messages; later rounds publish the health only, as between changes. */
async function publish(client: MqttClient, boxes: readonly SimulatedBox[], round = 0): Promise<void> {
  const all = boxes.flatMap((box) =>
    round === 0
      ? messagesOf(box, Date.now())
      : [[topicsOf(box.site, box.box).health, JSON.stringify(healthOf(box, Date.now(), round))] as const],
  );
  await Promise.all(all.map(([topic, text]) => client.publishAsync(topic, text, { qos: 1, retain: true })));
}

/** Loads the page, which is made once a second. */
async function loadPage(url: string): Promise<string> {
  await sleep(1050);
  return (await fetch(url)).text();
}

function valueIn(text: string, series: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? Number.NaN : Number(line.slice(series.length + 1));
}

async function pageWith(t: Test, url: string, series: string, value: number): Promise<string> {
  for (let i = 0; i < 15; i += 1) {
    const text = await loadPage(url);
    if (valueIn(text, series) === value) return text;
  }
  const last = await loadPage(url);
  t.equal(valueIn(last, series), value, series);
  return last;
}

function promtool(...args: string[]): { status: number | null; output: string } {
  const input = args.includes('metrics') ? args.pop() : undefined;
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

t.test('the metrics of 1,500 boxes fit one page', { skip: unlessAll }, async (t) => {
  const { broker, client } = await plainBroker(t);
  const boxes = simulatedBoxes(FLEET);
  await publish(client, boxes);
  const { program, url } = await startExporter(t, '--broker', broker.url);
  await pageWith(t, url, 'vigie_fleet_boxes', FLEET);
  for (let i = 0; i < 3; i += 1)
    await (await mqtt.connectAsync(broker.url, { protocolVersion: 5, clientId: 'reader.map' })).endAsync();
  const connections = 'vigie_fleet_broker_client_connections_total{broker="room",client="reader.map"}';
  await pageWith(t, url, connections, 3);
  // Each box has a new report, as 30 s later.
  await publish(client, boxes, 1);
  await sleep(1050);
  const beganMs = performance.now();
  const text = await (await fetch(url)).text();
  const tookMs = performance.now() - beganMs;
  const memory = valueIn(text, 'vigie_fleet_resident_memory_bytes') / 1_048_576;
  t.comment(
    `${(text.length / 1e6).toFixed(1)} MB, ${Math.round(tookMs)} ms, ${Math.round(memory)} MiB resident`,
  );
  t.ok(tookMs < 5000, 'within the 10 s of a scrape');
  t.ok(text.length < 16e6 && memory < 400);
  t.equal(valueIn(text, 'vigie_fleet_messages_total'), 5 * FLEET, 'no retained message is missing');
  t.equal(valueIn(text, 'vigie_box_frames_analysed_total{site="site-2",box="box-1497"}'), 1140);
  const root = 'site="site-1",box="box-6",what="root"';
  const target = 'rollout="october-root",seq="403",version="0.2.2"';
  for (const [series, value] of Object.entries({
    [`update_phase{${root},phase="rolled-back"}`]: 1,
    [`release_seq{${root}}`]: 398,
    [`update_failures_total{${root}}`]: 1,
    [`update_failures_total{${root.replace('root', 'release')}}`]: 0,
    [`update_target_info{${root},${target}}`]: 1,
  }))
    t.equal(valueIn(text, `vigie_box_${series}`), value, 'of root’s program too');
  const names = [...text.matchAll(/^([a-z_]+)\{(.*?)\} /gm)].filter(([, name = '']) =>
    name.startsWith('vigie_box_'),
  );
  t.ok(names.length > 30 * FLEET);
  t.same(
    names.filter(([, , labels = '']) => !labels.startsWith('site="site-')),
    [],
    'site and box on everything',
  );
  const guide = readFileSync(join(ROOT, 'docs/guide/fleet-metrics.md'), 'utf8');
  const metricNames = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
  for (const name of metricNames) t.ok(guide.includes(`\`${name}\``), `fleet-metrics.md has ${name}`);
  for (const file of [RULES, join(ROOT, 'docs/guide/grafana-dashboard.json')]) {
    const usedNames = new Set(
      [...readFileSync(file, 'utf8').matchAll(/\bvigie_[a-z_]+/g)].map(([name]) => name),
    );
    // Metrics of a rollout come from another program (fleet/vanish.test.ts).
    for (const name of usedNames)
      if (!name.startsWith('vigie_rollout_')) t.ok(metricNames.includes(name), `${name} exists`);
  }
  program.child.kill('SIGTERM');
  t.equal(await program.exit, 0, 'ends cleanly');
});

t.test('a hostile box does not disturb the metrics of the others', async (t) => {
  const { broker, client } = await plainBroker(t);
  const limits = ['--boxes', '20', '--forget-days', '5'];
  const { program, url } = await startExporter(t, '--broker', broker.url, ...limits);
  const boxes = simulatedBoxes(13, 1);
  await publish(client, boxes);
  await pageWith(t, url, 'vigie_fleet_boxes', 13);
  const say = (topic: string, payload: string | Buffer | object): Promise<unknown> => {
    const body = typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload);
    return client.publishAsync(topic, body, { qos: 1, retain: true });
  };
  const own = (n: number, branch: string): string => `vigie/site-0/box-${n}/${branch}`;
  const health = (n: number): object => healthOf({ site: 'site-0', box: `box-${n}`, n }, Date.now(), 1);
  const bodyOf = (n: number, branch: string): string => {
    const all = messagesOf({ site: 'site-0', box: `box-${n}`, n }, Date.now());
    return all.find(([topic]) => topic === own(n, branch))?.[1] ?? '';
  };
  const wrong: ((n: number) => [string, string | Buffer | object])[] = [
    () => ['health', '{"time":'],
    () => ['health', '[]'],
    (n) => ['health', { ...health(n), time: '2026-99-99T00:00:00.000Z' }],
    (n) => ['health', { ...health(n), mode: 'awake' }],
    (n) => ['health', { ...health(n), frames: { read: 1, analysed: '7"} 1\nvigie_box_up 1', dropped: 0 } }],
    (n) => ['health', { ...health(n), conditions: Array.from({ length: 1000 }, (_, i) => `c-${i}`) }],
    (n) => ['health', { ...health(n), box: 'box-0' }],
    () => ['status', Buffer.from([0xff, 0xfe, 0x00])],
    (n) => ['mode', bodyOf(n, 'update/reported')],
    () => ['update/reported', '{"payloadType":"x","payload":"e30=","signatures":[]}'],
    () => ['health', Buffer.alloc(70_000, 0x20)],
  ];
  for (const [i, make] of wrong.entries()) {
    const [branch, payload] = make(i);
    await say(own(i, branch), payload);
  }
  await say('vigie/SITE/box-9/status', '{}');
  await say('vigie/site-0/box.9/status', '{}');
  await say('vigie/site-0/all/status', '{}');
  await say(`vigie/site-0/${'x'.repeat(33)}/status`, '{}');
  const status = bodyOf(0, 'status');
  // A box that may write for any site.
  for (let i = 0; i < 50; i += 1) await say(`vigie/elsewhere-${i}/box-1/status`, status);
  for (let i = 0; i < 20; i += 1) await say(`vigie/site-0/many-${i}/status`, status);
  const text = await pageWith(t, url, 'vigie_fleet_refused_total{reason="boxes"}', 15);
  for (const [reason, count] of Object.entries({ topic: 4, size: 1, form: 9, identity: 1, sites: 48 })) {
    t.equal(valueIn(text, `vigie_fleet_refused_total{reason="${reason}"}`), count, reason);
  }
  for (const [n] of wrong.entries()) {
    const labels = `{site="site-0",box="box-${n}"}`;
    t.equal(valueIn(text, `vigie_box_messages_refused_total${labels}`), 1, `of box-${n}`);
    t.equal(valueIn(text, `vigie_box_frames_analysed_total${labels}`), 1000, 'existing data stays');
    t.equal(valueIn(text, `vigie_box_up${labels}`), 1);
  }

  // Well-formed values that are meant to break the page.
  const versions = { vigie: HOSTILE.slice(0, 300), node: '"} 1\nvigie_box_up{site="x"} 0' };
  const report = health(0) as HealthReport;
  await say(own(0, 'health'), {
    ...report,
    versions,
    conditions: ['moved', 'moved', 'never-heard-of', 'nor-of-this'],
    temperatureC: -273.15,
    later: { a: 'member of a newer version' },
    camera: { ...report.camera, later: 1, reason: HOSTILE.slice(0, 300) },
  });
  const flood = Array.from({ length: 2000 }, (_, i) =>
    client.publishAsync(own(0, 'status'), '{'.repeat(i), { qos: 0, retain: true }),
  );
  await Promise.all(flood);
  await say(own(0, 'status'), status);
  const labels = '{site="site-0",box="box-0"}';
  const hostile = await pageWith(t, url, `vigie_box_temperature_celsius${labels}`, -273.15);
  t.match(promtool('check', 'metrics', hostile), { status: 0, output: '' });
  t.same(forbiddenIn(hostile), []);
  t.same(
    hostile.split('\n').filter((line) => line.startsWith('vigie_box_condition{site="site-0",box="box-0"')),
    ['moved', 'other'].map((kind) => `vigie_box_condition{site="site-0",box="box-0",condition="${kind}"} 1`),
  );
  t.equal(valueIn(hostile, 'vigie_box_up{site="site-0",box="box-1"}'), 1, 'the other box is unchanged');

  // Removed messages free their place, and old ones expire.
  const longAgo = Date.now() - 6 * 86_400_000;
  for (const name of ['many-0', 'many-1']) await say(`vigie/site-0/${name}/status`, '');
  for (const [topic, body] of messagesOf({ site: 'site-0', box: 'lone', n: 14 }, longAgo)) {
    await say(topic, body);
  }
  const lone = await pageWith(t, url, 'vigie_box_up{site="site-0",box="lone"}', 0);
  t.equal(valueIn(lone, 'vigie_fleet_boxes'), 19);
  program.child.kill('SIGTERM');
  await program.exit;
  const restarted = await startExporter(t, '--broker', broker.url, '--forget-days', '5');
  const forgets = await pageWith(t, restarted.url, 'vigie_fleet_boxes_forgotten', 1);
  t.notMatch(forgets, /box="lone"/, 'retained, and of six days ago');
  const { hostname, port } = new URL(restarted.url);
  const idle = Array.from({ length: 40 }, () => connect(Number(port), hostname).on('error', () => undefined));
  t.teardown(() => idle.map((socket) => socket.destroy()));
  await Promise.all(idle.map((socket) => once(socket, 'connect')));
  const displaced = await pageWith(t, restarted.url, 'vigie_fleet_connections_displaced_total', 25);
  t.ok(displaced, 'idle connections give way');
  const request = await fetch(restarted.url, { method: 'POST' });
  t.equal(request.status, 405);
  const rebound = spawnSync('curl', ['-s', '-H', 'Host: evil.example', `http://${hostname}:${port}/metrics`]);
  t.match(rebound.stdout.toString(), /^this is 127/, 'no page for a browser that was led here');
});

t.test(
  'the broker’s user for metrics suffices, and its outage keeps the last data',
  { skip: unlessAll },
  async (t) => {
    const room = await makeRoom(t, { persistent: true });
    const [box] = simulatedBoxes(1);
    if (box === undefined) throw new Error('one box');
    await room.broker.enrol(box);
    const client = await clientOf(t, room, box.box, { reconnectPeriod: 0 });
    await publish(client, [box]);
    const { cert, key } = await pairOf(room, 'metrics.room');
    const tls = ['--ca', room.authority.ca, '--cert', cert, '--key', key];
    const { program, url } = await startExporter(t, '--broker', room.broker.programsUrl, ...tls);
    const labels = `{site="${box.site}",box="${box.box}"}`;
    await pageWith(t, url, `vigie_box_up${labels}`, 1);
    const retained = async (): Promise<number> =>
      valueIn(await loadPage(url), 'vigie_fleet_broker_retained_messages');
    // The broker says every ten seconds how much it keeps.
    while (!((await retained()) > 0)) await sleep(1000);
    await room.broker.stop();
    const outagePage = await pageWith(t, url, 'vigie_fleet_broker_connected', 0);
    t.equal(valueIn(outagePage, `vigie_box_up${labels}`), 1, 'its last report');
    t.ok(valueIn(outagePage, `vigie_box_health_age_seconds${labels}`) >= 1);
    await room.broker.start();
    await pageWith(t, url, 'vigie_fleet_broker_connected', 1);
    t.match(program.err, /^room: broker: the connection was closed.*\nroom: .*connected again\n$/);
    const at = ['--broker', room.broker.programsUrl];
    for (const [args, reason] of [
      [['--broker', 'https://room'], /--broker takes mqtts/],
      [at, /needs --ca, --cert and --key/],
      [[...at, ...tls.slice(0, 4), '--key', '/nowhere'], /\/nowhere cannot be read/],
      [[...at, ...tls, '--host', '203.0.113.9'], /cannot be listened on/],
    ] as const) {
      const wrong = start(t, process.execPath, [PROGRAM, ...args]);
      t.equal(await wrong.exit, 2);
      t.match(wrong.err, reason);
      t.equal(wrong.err.trim().split('\n').length, 1, 'one line');
    }
  },
);

const missing =
  spawnSync('prometheus', ['--version']).error !== undefined &&
  'prometheus is missing: apt-get install prometheus promtool';

t.test('promtool accepts the fleet’s rules and their tests', { skip: unlessAll || missing }, async (t) => {
  t.match(promtool('test', 'rules', join(ROOT, 'test/fixtures/fleet-rules.test.yaml')), {
    status: 0,
    output: /SUCCESS/,
  });
});

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data: { readonly result: readonly { readonly metric: Record<string, string> }[] };
}

async function startPrometheus(t: Test, target: string): Promise<(query: string) => Promise<Answer>> {
  const dir = scratch(t);
  const port = await freePort();
  const config = {
    global: { scrape_interval: FULL ? '10s' : '2s', evaluation_interval: '1s' },
    rule_files: [RULES],
    scrape_configs: [{ job_name: 'vigie-fleet', static_configs: [{ targets: [new URL(target).host] }] }],
  };
  writeFileSync(join(dir, 'prometheus.yml'), JSON.stringify(config));
  const args = [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`, '--log.level=warn'];
  const command = ['--pdeathsig', 'KILL', 'prometheus', ...args, `--web.listen-address=127.0.0.1:${port}`];
  const child = spawn('setpriv', command, { stdio: ['ignore', 'ignore', 'inherit'] });
  t.teardown(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  });
  t.equal(await listening(port, 20_000), undefined);
  // It answers before it has read its storage.
  while (!(await fetch(`http://127.0.0.1:${port}/-/ready`)).ok) await sleep(100);
  return async (query) => {
    const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`;
    return (await (await fetch(url)).json()) as Answer;
  };
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

t.test('every query of dashboard and rules has data', { skip: unlessAll || missing }, async (t) => {
  const { broker, client } = await plainBroker(t);
  const boxes = simulatedBoxes(FULL ? FLEET : 120);
  await publish(client, boxes);
  const { url } = await startExporter(t, '--broker', broker.url);
  const ask = await startPrometheus(t, url);
  const checkHasData = async (query: string): Promise<void> => {
    for (let i = 0; i < 200; i += 1) {
      if ((await ask(query)).data.result.length > 0) return;
      await sleep(250);
    }
    t.fail(`${query} has nothing`);
  };
  const hasScraped = (round: number): Promise<void> =>
    checkHasData(`count(vigie_box_frames_read_total == ${1000 + 150 * round})`);
  await hasScraped(0);
  await publish(client, boxes, 1);
  await client.publishAsync('vigie/site-0/Box/status', '{}', { qos: 1 });
  await hasScraped(1);
  await checkHasData('ALERTS{alertstate="firing"}');
  const { panels } = JSON.parse(readFileSync(join(ROOT, 'docs/guide/grafana-dashboard.json'), 'utf8')) as {
    panels: readonly Panel[];
  };
  let queries = 0;
  for (const { title, targets = [] } of panels) {
    for (const { expr } of targets) {
      queries += 1;
      const answer = await ask(expr.replaceAll('$site', '.*').replaceAll('$__rate_interval', '1m'));
      t.equal(answer.status, 'success', `${title}: ${answer.error ?? ''}`);
      t.ok(answer.data.result.length > 0, `${title}: ${expr} has data`);
      const none = await ask(expr.replaceAll('$site', 'nowhere').replaceAll('$__rate_interval', '1m'));
      t.equal(none.status, 'success', `${title} of a site that is not there`);
    }
  }
  t.ok(queries >= 40, `${queries} queries`);
  t.equal((await ask('vigie_box_nothing')).data.result.length, 0, 'a query can be empty (control)');
  t.equal((await ask('vigie_box_up{')).status, 'error', 'and wrong (control)');

  const firing = (await ask('ALERTS{alertstate="firing"}')).data.result.map(({ metric }) => metric);
  for (const kind of CONDITIONS.filter((one) => one !== 'covered')) {
    const name = `VigieBox${kind.replace(/(^|-)([a-z])/g, (_all, _dash, letter: string) => letter.toUpperCase())}`;
    const ones = firing.filter(({ alertname }) => alertname === name);
    const n = CONDITIONS.indexOf(kind);
    t.equal(ones.length, boxes.filter((box) => box.n % 12 === n).length, `${name} fires of each`);
    t.match(ones[0], { box: /^box-\d+$/, site: /^site-\d$/ });
  }
  const scrape = (await ask('scrape_duration_seconds{job="vigie-fleet"}')).data.result[0] as unknown;
  t.comment(`scrape of ${boxes.length} boxes by Prometheus: ${JSON.stringify(scrape)}`);
});
