/** Tests the box's local pages: metrics in Prometheus format, reachable on the loopback only, without private data. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { gauge } from '../../agent/base/counters.ts';
import { AgentError } from '../../agent/base/errors.ts';
import { getLocal } from '../../agent/base/local-http.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import { LATENCY_BOUNDS_MS, Latency } from '../../agent/contract/latency.ts';
import { LOCAL_SOCKET, LocalStatus, METRICS_PATH, STATUS_PATH } from '../../agent/contract/local-status.ts';
import { Latencies } from '../../agent/local/latencies.ts';
import { LocalServer } from '../../agent/local/local-server.ts';
import { counterMetric } from '../../agent/local/metrics.ts';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { accepting } from '../lib/accepting.ts';
import { makeAgent, noStreet, streetConfig } from '../lib/agent.ts';
import { eventText } from '../lib/events.ts';
import { HandClock, keptLog, SILENT } from '../lib/outbox.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { makeRoom, waitUntil } from '../lib/room.ts';
import { unlessAll } from '../lib/run.ts';
import { SmallDisk } from '../lib/small-disk.ts';

const noDisk = SmallDisk.unavailable();

async function fetchPage(port: number, path: string, method = 'GET', host = '127.0.0.1'): Promise<string> {
  const response = await fetch(`http://${host}:${port}${path}`, { method });
  return `${response.status} ${response.headers.get('content-type')}\n${await response.text()}`;
}

/** Names of all samples, and all labels with their values. */
function read(metrics: string): { values: Map<string, number>; labels: Set<string> } {
  const values = new Map<string, number>();
  const labels = new Set<string>();
  for (const line of metrics.split('\n')) {
    const [, sample = '', inside = '', value = ''] = /^([a-z_]+(?:\{(.*)\})?) (\S+)$/.exec(line) ?? [];
    if (sample !== '') values.set(sample, Number(value));
    for (const label of inside.matchAll(/[a-z_]+="[^"]*"/g)) labels.add(label[0]);
  }
  return { values, labels };
}

t.test(
  'the agent’s metrics include each counter and stage, and what Prometheus asks for',
  { skip: unlessAll || noStreet },
  async (t) => {
    const room = await makeRoom(t);
    const port = await freePort();
    const stateDir = join(scratch(t), 'state');
    const agent = makeAgent(t, streetConfig(room, { metrics: { port } }), stateDir);
    await agent.start();
    const socket = join(stateDir, LOCAL_SOCKET);
    const now = async (): Promise<string> => getLocal(socket, METRICS_PATH);
    let metrics = '';
    const count = (stage: string): number =>
      read(metrics).values.get(`vigie_stage_duration_seconds_count{stage="${stage}"}`) ?? 0;
    const timer = setInterval(() => void now().then((text) => (metrics = text)), 200);
    t.teardown(() => clearInterval(timer));
    const stages = ['capture', 'detect', 'track', 'observe', 'redact', 'link', 'rules', 'snapshot', 'commit'];
    await waitUntil(t, 'every stage was measured', () => stages.every((stage) => count(stage) > 0), 60_000);
    await waitUntil(
      t,
      'an event was acknowledged',
      () => (read(metrics).values.get('vigie_frame_to_puback_seconds_count') ?? 0) > 0,
      60_000,
    );
    clearInterval(timer);
    const { values, labels } = read(metrics);
    const status = JSON.parse(await getLocal(socket, STATUS_PATH)) as LocalStatus;
    t.same([...Value.Errors(LocalStatus, status)], [], 'the status fits its schema');
    for (const name of Object.keys(status.report.counters)) {
      const metrics = [counterMetric(name, 0), counterMetric(name, gauge(0))];
      t.ok(
        metrics.some((metric) => values.has(metric)),
        name,
      );
    }
    t.ok((values.get('vigie_frames_analysed_total') ?? 0) > 0);
    t.equal(values.get('vigie_camera_state{state="streaming"}'), 1);
    t.equal(values.get('vigie_mqtt_phase{phase="online"}'), 1);
    t.equal(values.get('vigie_metrics_unserved'), 0);
    const { certificate, restraint } = status.report;
    for (const [metric, notAfter] of [
      ['vigie_order_expiry_timestamp_seconds', restraint.validUntil],
      ['vigie_certificate_expiry_timestamp_seconds{certificate="box"}', certificate?.notAfter],
      ['vigie_certificate_expiry_timestamp_seconds{certificate="ca"}', certificate?.caNotAfter],
    ] as const) {
      t.equal(values.get(metric), Date.parse(notAfter ?? '') / 1000, metric);
    }
    const buckets = [...values].filter(([name]) => name.includes('_bucket{stage="detect"'));
    t.equal(buckets.length, LATENCY_BOUNDS_MS.length + 1);
    t.same(
      buckets.map(([, n]) => n),
      buckets.map(([, n]) => n).sort((a, b) => a - b),
      'they add up',
    );
    t.ok(labels.size < 60, `${labels.size} labels in all`);
    for (const label of labels) t.match(label, /^[a-z]+="[A-Za-z0-9.+-]{1,20}"$/, label);
    t.notMatch(metrics, /vtest|passing|across|localhost/, 'no source, rule, line or broker');

    t.match(await fetchPage(port, METRICS_PATH), /^200 text\/plain; version=0.0.4; charset=utf-8\n# HELP /);
    t.match(await fetchPage(port, METRICS_PATH, 'POST'), /^405 /);
    t.match(await fetchPage(port, '/'), /^404 .*\none of: \/metrics\n/);
    t.match(await fetchPage(port, STATUS_PATH), /^404 /, 'the status is on the socket alone');
    t.match(await fetchPage(port, '/../etc/passwd'), /^404 /);
    t.match(await fetchPage(port, '/constructor'), /^404 /);
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((address) => address !== undefined && !address.internal && address.family === 'IPv4');
    if (outside === undefined) t.comment('this machine has no address but the loopback');
    else await t.rejects(fetchPage(port, METRICS_PATH, 'GET', outside.address), 'on no other address');
    checkMetrics(t, metrics);
    checkGuide(t, metrics);

    await agent.stop();
    await t.rejects(getLocal(socket, STATUS_PATH), { message: /agent\.sock/ }, 'gone with the agent');
    await t.rejects(fetchPage(port, METRICS_PATH));
  },
);

/** Checks the metrics with promtool(1), Prometheus' own checker. */
function checkMetrics(t: Test, metrics: string): void {
  const promtool = (text: string): { status: number | null; output: string } => {
    const { status, stdout, stderr, error } = spawnSync('promtool', ['check', 'metrics'], { input: text });
    return { status: error === undefined ? status : null, output: `${stdout}${stderr}` };
  };
  const missing = promtool('').status === null && 'promtool is missing: apt-get install promtool';
  void t.test('promtool accepts the metrics, and the guide explains them', { skip: missing }, async (t) => {
    t.same(promtool(metrics), { status: 0, output: '' });
    t.not(promtool(metrics.replace('# HELP vigie_events_total', '# HELP vigie_other_total')).status, 0);
    t.not(promtool(`${metrics}vigie_info{ 1\n`).status, 0, 'and does judge');
  });
}

/** Checks that the guide explains each metric and each event that is not an alert, and no others. */
function checkGuide(t: Test, metrics: string): void {
  const guide = readFileSync(join(ROOT, 'docs/guide/operations.md'), 'utf8');
  const rows = guide.split('\n').filter((line) => line.startsWith('| `'));
  const namesIn = (pattern: RegExp): string[] =>
    rows.flatMap((row) => [...(row.split(' | ')[0] ?? '').matchAll(pattern)].map(([, name = '']) => name));
  const metricRows = namesIn(/`(vigie_[a-z_]+)`/g);
  const shownNames = [...metrics.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
  // Present only where the board has a sensor.
  const sometimes = ['vigie_temperature_celsius'];
  for (const name of shownNames) t.ok(metricRows.includes(name), `operations.md has a row for ${name}`);
  for (const name of metricRows) t.ok([...shownNames, ...sometimes].includes(name), `${name} exists`);
  t.equal(new Set(metricRows).size, metricRows.length, 'one row each');
  // Kinds that are never an alert, whatever the configuration says.
  const kinds = EVENT_KINDS.filter(({ severities }) => !severities.includes('alert')).map(({ kind }) => kind);
  t.same(namesIn(/`([a-z-]+)`/g).sort(), [...kinds].sort(), 'a row for each event that is not an alert');
  for (const row of rows)
    t.ok(
      row.split(' | ').every((cell) => cell.trim().length > 2),
      row.slice(0, 40),
    );

  const rules = join(ROOT, 'docs/guide/prometheus-rules.yaml');
  const usedNames = [...readFileSync(rules, 'utf8').matchAll(/\bvigie_[a-z_]+/g)].map(([name]) => name);
  for (const name of new Set(usedNames)) {
    t.ok([...shownNames, ...sometimes].includes(name.replace(/_bucket$/, '')), `the rules’ ${name} exists`);
  }
  const { error, status, stdout } = spawnSync('promtool', ['check', 'rules', rules], { encoding: 'utf8' });
  const missing = error !== undefined && 'promtool is missing: apt-get install promtool';
  void t.test('promtool accepts the alert rules', { skip: missing }, async (t) => {
    t.match({ status, stdout }, { status: 0, stdout: /SUCCESS: \d+ rules found/ });
  });
}

t.test('the local server replaces a dead socket and keeps its limits', async (t) => {
  const socket = join(scratch(t), 'agent.sock');
  writeFileSync(socket, 'left by an earlier life');
  const { log, lines } = keptLog();
  let fail = false;
  const page = (): { contentType: string; body: string } => {
    if (fail) throw new AgentError('unavailable', 'the disk');
    return { contentType: 'text/plain', body: 'here' };
  };
  const clock = new HandClock();
  const server = new LocalServer({ port: 0, socket, pages: { '/page': page }, onPort: [], clock, log });
  await server.start();
  t.teardown(() => server.stop());
  t.equal(statSync(socket).mode & 0o777, 0o600, 'for its user and root alone');
  t.equal(await getLocal(socket, '/page'), 'here');
  await t.rejects(getLocal(socket, '/none'), { message: /404: one of: \/page/ });
  fail = true;
  t.equal(await getLocal(socket, '/page'), 'here', 'made once a second');
  for (let i = 0; i < 3; i += 1) {
    clock.advance(1000);
    await t.rejects(getLocal(socket, '/page'), { message: /500: the disk/ });
  }
  fail = false;
  clock.advance(1000);
  t.equal(await getLocal(socket, '/page'), 'here');
  t.equal(server.refusals, 0);
  // Ten connections that send nothing: the server closes those beyond the limit at once, the others after their time.
  let closed = 0;
  const idle = Array.from({ length: 10 }, () => {
    const one = request({ socketPath: socket, path: '/page' });
    one.on('error', ({ message }) => t.match(message, /hang up|ECONNRESET|EPIPE/));
    one.on('close', () => {
      closed += 1;
    });
    // Headers that do not end.
    one.on('socket', (connection) => connection.write('GET /page HTTP/1.1\r\n'));
    return one;
  });
  await waitUntil(t, 'connections beyond the limit are closed', () => closed >= 2);
  for (const one of idle) one.destroy();
  await waitUntil(t, 'room again', () => closed === idle.length);
  t.ok(server.refusals >= 2, `${server.refusals} refused`);
  t.equal(server.unserved, 0);
  t.match(lines, [/a local page could not be made/], 'told once');
  t.equal(lines.length, 1);
  await server.stop();
  await server.stop();

  const deep = join(scratch(t), 'd'.repeat(120));
  const noSocket = new LocalServer({ port: 0, socket: deep, pages: {}, onPort: [], clock, log });
  await noSocket.start();
  t.teardown(() => noSocket.stop());
  t.equal(noSocket.unserved, 1, 'a path that is too long for a socket');
  t.match(lines.at(-1), /vigie status is not answered: .*the agent runs on/);
});

t.test('a socket left on a disk that is now read-only stops nothing', { skip: noDisk }, async (t) => {
  const disk = new SmallDisk(scratch(t), 16);
  disk.mount();
  t.teardown(() => disk.unmount());
  const socket = join(disk.dir, 'agent.sock');
  writeFileSync(socket, 'left by an earlier life');
  disk.unmount();
  disk.mount(true);
  const port = await freePort();
  const { log, lines } = keptLog();
  const pages = { [METRICS_PATH]: () => ({ contentType: 'text/plain', body: 'here' }) };
  const server = new LocalServer({ port, socket, pages, onPort: [METRICS_PATH], clock: systemClock, log });
  await server.start();
  t.teardown(() => server.stop());
  t.equal(server.unserved, 1);
  t.match(lines, [/agent\.sock: vigie status is not answered: .*EROFS.*; the agent runs on/]);
  t.match(await fetchPage(port, METRICS_PATH), /^200 .*\nhere$/, 'the port still answers');
  await server.stop();
  disk.unmount();
  disk.mount();
  const later = new LocalServer({ port: 0, socket, pages, onPort: [], clock: systemClock, log });
  await later.start();
  t.equal(await getLocal(socket, METRICS_PATH), 'here', 'at the next start');
  await later.stop();
});

type Pages = ConstructorParameters<typeof LocalServer>[0]['pages'];

async function startServer(t: Test, port: number, socket: string, pages: Pages): Promise<LocalServer> {
  const server = new LocalServer({
    port,
    socket,
    pages,
    onPort: [METRICS_PATH],
    clock: systemClock,
    log: SILENT,
  });
  await server.start();
  t.teardown(() => server.stop());
  return server;
}

t.test('an invalid request gets one line and a closed connection', async (t) => {
  const port = await freePort();
  const socket = join(scratch(t), 'agent.sock');
  const pages = {
    [METRICS_PATH]: () => ({ contentType: 'text/plain', body: 'metrics' }),
    [STATUS_PATH]: () => ({ contentType: 'application/json', body: '{}' }),
  };
  const server = await startServer(t, port, socket, pages);
  const get = (host: string, path = METRICS_PATH): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  const cases: [string, string, RegExp][] = [
    ['127.0.0.1', get(`127.0.0.1:${port}`), /^HTTP\/1\.1 200 OK.*metrics$/s],
    ['localhost', get(`LocalHost:${port}`), /^HTTP\/1\.1 200 OK/],
    ['IPv6', get(`[::1]:${port}`), /^HTTP\/1\.1 200 OK/],
    ['another name', get(`rebound.example:${port}`), /^HTTP\/1\.1 421 /],
    ['another port', get('localhost:80'), /^HTTP\/1\.1 421 /],
    ['no name', `GET ${METRICS_PATH} HTTP/1.0\r\n\r\n`, /^HTTP\/1\.1 421 /],
    ['two names', get(`localhost:${port}\r\nHost: other`), /^HTTP\/1\.1 400 /],
    ['the status', get(`localhost:${port}`, STATUS_PATH), /^HTTP\/1\.1 404 .*one of: \/metrics\n$/s],
    ['another method', get(`localhost:${port}`).replace('GET', 'DELETE'), /^HTTP\/1\.1 405 .*Allow: GET/s],
    ['rubbish', '\0\0\0\x16\x03\x01\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['a head without end', `GET / HTTP/1.1\r\nX: ${'x'.repeat(9000)}`, /^HTTP\/1\.1 400 /],
  ];
  for (const [name, requestText, expected] of cases)
    t.match(await sendRaw({ port }, requestText), expected, name);
  t.equal(server.refusals, 6);
  const pipelined = await sendRaw({ port }, get(`localhost:${port}`).repeat(9));
  t.equal(pipelined.match(/200 OK/g)?.length, 1, 'one answer a connection');
  t.match(await sendRaw({ path: socket }, get('anything')), /^HTTP\/1\.1 200 OK/, 'any name on the socket');
  t.match(await sendRaw({ path: socket }, get('anything', STATUS_PATH)), /\{\}$/);

  // One request byte by byte, and half a request whose connection closes.
  const slow = connect({ path: socket });
  const closed = once(slow, 'close');
  let text = '';
  slow.on('data', (chunk) => {
    text += String(chunk);
  });
  for (const byte of get('box')) {
    slow.write(byte);
    await sleep(1);
  }
  await closed;
  t.match(text, /^HTTP\/1\.1 200 OK/);
  connect({ path: socket }).end('GET /met');
  t.match(await sendRaw({ path: socket }, get('box')), /metrics$/);
});

/** Everything received until the other end closes. */
async function sendRaw(at: { port: number } | { path: string }, requestText: string): Promise<string> {
  const socket = connect(at);
  let text = '';
  socket.on('data', (chunk) => {
    text += String(chunk);
  });
  socket.on('error', ({ message }) => {
    text += `(${message})`;
  });
  socket.write(requestText);
  await once(socket, 'close');
  return text;
}

t.test('latencies include nested stages and the way to the broker', async (t) => {
  const latency = new Latency();
  for (const ms of [0.2, 1, 1.1, 9999, 10_001]) latency.observe(ms);
  const { counts, sumMs } = latency.counts;
  t.equal(counts[0], 2, 'a bound belongs to its class');
  t.same([counts[1], counts.at(-2), counts.at(-1)], [1, 1, 1]);
  t.equal(Math.round(sumMs), 20_002);

  let nowMs = 1000;
  let wallMs = Date.parse('2026-11-24T12:00:01.000Z');
  const clock = { ...systemClock, nowMs: () => nowMs, wallMs: () => wallMs };
  const latencies = new Latencies(clock);
  const busy = (ms: number): void => {
    const untilMs = performance.now() + ms;
    while (performance.now() < untilMs);
  };
  const rulesTimer = latencies.begin('rules');
  const committing = latencies.begin('commit');
  busy(30);
  committing.stop();
  rulesTimer.stop();
  const { rules, commit } = latencies.stages;
  t.ok(commit.sumMs >= 30 && rules.sumMs < commit.sumMs, 'the commit is not booked on the rules as well');
  const full = new AgentError('exhausted', 'full');
  const nothing = (): void => undefined;
  const outbox = {
    append: () => {
      throw full;
    },
    peek: () => [],
    knownThrough: nothing,
  };
  const view = { committing: () => latencies.begin('commit'), accepted: nothing };
  const sink = accepting(outbox as never, { add: nothing, progress: () => 0 }, view);
  const alert = JSON.parse(eventText({ id: 'full', seq: 1 }));
  t.throws(() => sink.accept(alert, [], {}), full);
  t.equal(
    latencies.stages.commit.counts.reduce((a, b) => a + b),
    2,
    'a failure took its time too',
  );

  const event = (seq: number): VigieEvent =>
    ({
      time: '2026-11-24T12:00:00.000Z',
      sequence: String(seq).padStart(10, '0'),
      data: { severity: 'alert', phase: 'start' },
    }) as VigieEvent;
  latencies.committed(event(7));
  nowMs += 500;
  // Meanwhile the wall clock is corrected by hours.
  wallMs += 7_200_000;
  latencies.acknowledged('bulk', 7);
  latencies.acknowledged('alert', 8);
  latencies.acknowledged('alert', 7);
  latencies.acknowledged('alert', 7);
  t.equal(Math.round(latencies.puback.sumMs), 1500, 'once, and by the monotonic clock');
  for (let seq = 0; seq < 5000; seq += 1) latencies.committed(event(seq));
  latencies.acknowledged('alert', 0);
  t.equal(Math.round(latencies.puback.sumMs), 1500, 'the oldest were forgotten');
  latencies.recordRequest(1);
  nowMs += 40;
  latencies.answered(1);
  latencies.answered(2);
  t.equal(latencies.stages.snapshot.sumMs, 40);
});
