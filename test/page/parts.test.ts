/**
 * Tests the technician's page with its neighbours: agent, helper, preview, cameras, certificate and the `vigie page`
 * command.
 */
import { spawn, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import t from 'tap';
import type { ConfigReply } from '../../agent/contract/config-trial.ts';
import type { PreviewHeader } from '../../agent/contract/page-api.ts';
import type { AgentView } from '../../agent/contract/page-link.ts';
import { FrameReader } from '../../agent/kit/frames.ts';
import { hostPort, isPrivate } from '../../agent/page/server/private-address.ts';
import { secondProfile } from '../../agent/page/server/second-profile.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { forbiddenIn, HOSTILE } from '../lib/hostile.ts';
import { encoderOf, OnvifCamera, PASSWORD } from '../lib/onvif-camera.ts';
import { openPage, openPaired, type Page, type Phone, REPLY, VIEW } from '../lib/page.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { PROPOSAL } from '../lib/proposal.ts';
import { waitUntil } from '../lib/room.ts';
import { ALL, unlessAll } from '../lib/run.ts';

void t.test('the state is checked and combines agent, helper and enrolment', async (t) => {
  const { page, phone } = await openPaired(t);
  const { sha256: _, ...reply } = REPLY;
  const { configSha256: __, ...view } = VIEW;
  t.match(await phone.get('/api/state'), {
    json: { agent: view, agentReason: null, config: reply, configReason: null, enrolment: { state: 'none' } },
  });
  await phone.get('/api/state');
  t.equal(page.helper.requests.length, 1, 'root’s helper is not started for every request');
  const time = '2026-11-24T00:00:00.000Z';
  writeFileSync(
    join(page.dir, 'status.json'),
    JSON.stringify({ state: 'enrolled', reason: null, notAfter: time, time }),
  );
  page.helper.answer = () => 'nonsense';
  page.clock.advance(10_000);
  t.match((await phone.get('/api/state')).json, {
    enrolment: { state: 'enrolled', notAfter: time },
    config: null,
    configReason: /unexpected answer/,
  });

  page.agent.say({ kind: 'answer', request: 'one' });
  await waitUntil(t, 'a link with invalid messages is cut and opened again', () =>
    page.lines.some((line) => /does not answer; tried again.*link message refused/.test(line)),
  );
  t.match((await phone.get('/api/state')).json, { agent: null, agentReason: /the agent does not answer/ });
  await waitUntil(t, 'again', () => page.agent.connected);
  await sleep(20);
  t.match((await phone.get('/api/state')).json, { agent: { box: VIEW.box } });
  page.agent.answer = () => ({ refused: { code: 'busy', reason: 'a walk test runs' }, state: null });
  const start = { rule: 'long-stay', passes: 3 };
  t.match(await phone.post('/api/walk/start', start), {
    status: 409,
    json: { error: 'busy', reason: /walk/ },
  });
  page.agent.answer = () => ({ refused: null, state: null });
  t.match(await phone.post('/api/walk/start', start), { status: 200, json: {} });
  t.match(await phone.post('/api/walk/answer', { answer: 'go' }), { status: 200 });
  t.match(await phone.post('/api/walk/answer', { answer: 'sudo' }), {
    status: 400,
    json: { error: 'malformed' },
  });
  t.match(await phone.post('/api/view/confirm'), { status: 200 });
  t.strictSame(
    page.agent.requests.slice(-3).map(({ ask }) => ask),
    [{ op: 'walk-start', ...start }, { op: 'walk-answer', answer: 'go' }, { op: 'confirm-view' }],
  );
  await page.agent.stop();
  await waitUntil(t, 'gone', () => !page.agent.connected);
  t.match(await phone.post('/api/view/confirm'), { status: 503, json: { error: 'unavailable' } });
});

void t.test('a configuration goes to root’s helper, and its answer comes back', async (t) => {
  const { page, phone } = await openPaired(t);
  const { zones, lines, masks, rules } = REPLY.installed ?? {};
  const proposal = { zones, lines, masks, rules: [] };
  const trial = { id: '0123456789abcdef', leftS: 120 };
  page.helper.answer = ({ op }) => (op === 'try' ? { ...REPLY, trial } : REPLY);
  t.match(await phone.post('/api/config/check', proposal), { json: { problems: [], trial: null } });
  t.match(await phone.post('/api/config/try', proposal), { json: { trial } });
  page.clock.advance(9_000);
  t.match(
    (await phone.get('/api/state')).json,
    { config: { trial: { leftS: 111 } } },
    'counted down meanwhile',
  );
  t.match(await phone.post('/api/config/keep', { trial: trial.id }), { json: { trial: null } });
  t.match(await phone.post('/api/config/revert', { trial: '../x' }), { status: 400 });
  t.match(
    await phone.post('/api/config/try', { ...proposal, mqtt: {} }),
    { status: 400 },
    'no other part of it',
  );
  t.strictSame(page.helper.requests, [
    { op: 'check', proposal },
    { op: 'try', proposal },
    { op: 'keep', trial: trial.id },
  ]);
  t.match(rules, [{ id: 'long-stay' }]);
  page.helper.stop();
  page.clock.advance(10_000);
  t.match((await phone.get('/api/state')).json, {
    config: null,
    configReason:
      /tried by vigie-root, which is not here \(.*config\.sock is missing\): .*vigie-config\.socket/,
  });
  t.match(await phone.post('/api/config/check', proposal), { status: 503 });
});

void t.test(
  'no answer holds the SHA-256 of the configuration, which would allow to test passwords',
  async (t) => {
    const { page, phone } = await openPaired(t);
    const marks = async (): Promise<string[]> => {
      page.clock.advance(10_000);
      const { json } = (await phone.get('/api/state')) as { json: { agent: AgentView; config: ConfigReply } };
      return [String(json.agent.configSha256), String(json.config.sha256)];
    };
    const [agents = '', helpers] = await marks();
    t.match(agents, /^[0-9a-f]{64}$/);
    t.equal(agents, helpers, 'the same configuration has the same mark');
    t.not(agents, REPLY.sha256, 'the mark is not the hash');
    const trial = { trial: 'a'.repeat(16) };
    for (const [op, body] of Object.entries({ check: PROPOSAL, try: PROPOSAL, keep: trial, revert: trial })) {
      const answer = await phone.post(`/api/config/${op}`, body);
      t.match(answer, { status: 200, json: { sha256: agents } }, op);
    }
    page.helper.answer = () => ({ ...REPLY, sha256: 'c'.repeat(64) });
    const [same, changedMark] = await marks();
    t.equal(same, agents);
    t.not(changedMark, agents, 'another configuration has another');
    page.helper.answer = () => REPLY;
    await page.restart();
    await waitUntil(t, 'the agent is back', () => page.agent.connected);
    t.same(await marks(), [agents, agents], 'and keeps it over a restart of the page');
    const key = join(page.dir, 'state', 'config-mark.key');
    t.equal(statSync(key).mode & 0o777, 0o600);
    writeFileSync(key, 'short');
    await page.restart();
    await waitUntil(t, 'the agent is back', () => page.agent.connected);
    const [newMark = '', its] = await marks();
    t.equal(newMark, its, 'a damaged key is made again');
    t.not(newMark, agents);
  },
);

/** Opens a preview; returns the received headers with the size of each picture. */
async function openPreview(
  { port }: Page,
  { cookie }: Phone,
): Promise<{ socket: Socket; frames: [PreviewHeader, number][] }> {
  const frames: [PreviewHeader, number][] = [];
  const reader = new FrameReader({ headerBytesMax: 10_000, bodyBytesMax: 200_000 });
  const headers = { Host: `localhost:${port}`, Cookie: cookie };
  const at = { host: '127.0.0.1', port, path: '/api/preview', agent: false, rejectUnauthorized: false };
  const outgoing = request({ ...at, headers }, (response) => {
    response.on('data', (chunk: Buffer) => {
      for (const { header, body } of reader.take(chunk)) frames.push([header as PreviewHeader, body.length]);
    });
    response.on('error', () => socket.destroy());
  }).end();
  outgoing.on('error', () => socket.destroy());
  const [socket] = (await once(outgoing, 'socket')) as [Socket];
  return { socket, frames };
}

void t.test('the preview sends the newest picture or none to two phones', async (t) => {
  const { page, phone } = await openPaired(t);
  const second = page.phone();
  await second.pair((await phone.post('/api/code')).json.code);
  page.agent.answer = ({ ask }) =>
    ask.op === 'preview-start' && ask.viewer === 2
      ? { refused: { code: 'day-is-up', reason: 'an hour a day' }, state: null }
      : { refused: null, state: null };
  const one = await openPreview(page, phone);
  await waitUntil(t, 'asked', () => page.agent.requests.some(({ ask }) => ask.op === 'preview-start'));
  const two = await openPreview(page, second);
  const picture = { kind: 'picture', widthPx: 960, heightPx: 540, atMs: 5, tracks: [] };
  await waitUntil(t, 'refused', () => two.frames.length === 1);
  t.strictSame(two.frames[0], [{ picture: false, why: 'day-is-up', reason: 'an hour a day' }, 0]);
  page.agent.say(picture, Buffer.alloc(90_000, 7));
  await waitUntil(t, 'both', () => one.frames.length === 1 && two.frames.length === 2);
  t.strictSame(one.frames[0], [{ picture: true, widthPx: 960, heightPx: 540, atMs: 5, tracks: [] }, 90_000]);
  page.agent.say(picture, Buffer.alloc(150_001));
  page.agent.say(picture);
  page.agent.say({ kind: 'no-picture', why: 'suspended', reason: 'by the court', viewer: null });
  page.agent.say({ kind: 'no-picture', why: 'time-is-up', reason: '10 min', viewer: 1 });
  await waitUntil(t, 'told', () => one.frames.length === 3 && two.frames.length === 3);
  t.match(one.frames.slice(1), [
    [{ why: 'suspended' }, 0],
    [{ why: 'time-is-up' }, 0],
  ]);

  await page.agent.stop();
  await waitUntil(t, 'taken away', () => one.frames.length === 4 && two.frames.length === 4);
  t.match(
    one.frames.at(-1),
    [{ picture: false, why: 'not-started' }, 0],
    'an agent that is gone shows nothing',
  );
  await page.agent.start();
  const starts = (): number => page.agent.requests.filter(({ ask }) => ask.op === 'preview-start').length;
  await waitUntil(t, 'asked again', () => starts() === 4);

  const third = await openPreview(page, phone);
  await waitUntil(t, 'one a phone', () => one.socket.destroyed);
  page.agent.say(picture, Buffer.alloc(1000));
  await waitUntil(t, 'goes on', () => third.frames.length >= 1);
  await phone.post('/api/unpair');
  await waitUntil(t, 'ends with the session', () => third.socket.destroyed);
  const stops = (): unknown[] => page.agent.requests.filter(({ ask }) => ask.op === 'preview-stop');
  await waitUntil(t, 'and the agent knows', () => stops().length === 2);
  two.socket.destroy();
  await waitUntil(t, 'a phone that goes, too', () => stops().length === 3);
});

void t.test('a phone that reads nothing gets no queue and is cut', async (t) => {
  const { page, phone } = await openPaired(t);
  const socket = await page.raw();
  const head = `Host: localhost:${page.port}\r\nCookie: ${phone.cookie}`;
  socket.write(`GET /api/preview HTTP/1.1\r\n${head}\r\n\r\n`);
  await waitUntil(t, 'asked', () => page.agent.requests.some(({ ask }) => ask.op === 'preview-start'));
  socket.pause();
  for (let count = 0; count < 200; count += 1) {
    page.agent.say(
      { kind: 'picture', widthPx: 960, heightPx: 540, atMs: count, tracks: [] },
      Buffer.alloc(150_000),
    );
    await sleep(2);
  }
  page.clock.advance(20_000);
  await waitUntil(t, 'cut', () => page.agent.requests.some(({ ask }) => ask.op === 'preview-stop'));
  socket.destroy();
  await page.stop();
  t.match(page.lines.at(-1), /"skippedPictures":1\d\d,"stuckViewers":1/, 'most of the 200 were left out');
});

void t.test('cameras are found and asked by ONVIF in the box’s own networks only', async (t) => {
  const { page, phone } = await openPaired(t);
  const camera = new OnvifCamera(`Entr%C3%A9e${encodeURIComponent(HOSTILE.replaceAll('\ud800', ''))}`);
  // A text that would end the library's process, a text that is not XML, and a device that answers for another.
  camera.strays.push('<Envelope><Body><ProbeMatches/></Body></Envelope>', '<', 'x'.repeat(60_000));
  await camera.start();
  t.teardown(() => camera.stop());
  const [discovery, busy] = await Promise.all([
    phone.post('/api/cameras'),
    sleep(300).then(() => phone.post('/api/cameras')),
  ]);
  const address = `127.0.0.1:${camera.port}`;
  t.match(discovery.json, { cameras: [{ name: /^Entrée/, address }] });
  t.equal(discovery.json.cameras.length, 1);
  t.strictSame(forbiddenIn(discovery.json.cameras[0].name), [], 'its name is fit for a screen');
  t.match(busy, { status: 429, json: { error: 'busy' } }, 'one search at a time');

  const ask = (change = {}): ReturnType<Phone['post']> =>
    phone.post('/api/cameras/stream', { address, user: 'admin', password: PASSWORD, ...change });
  const { json } = await ask();
  const login = `admin:${encodeURIComponent(PASSWORD)}`;
  t.equal(
    json.source,
    `rtsp://${login}@127.0.0.1:8554/stream1?profile=main`,
    'at the requested address, not at the one it names',
  );
  t.notOk('substream' in json, 'it has one stream');
  t.ok(camera.actions.includes('GetStreamUri'), 'its services were asked there too');
  const streamUri = 'rtsp://203.0.113.9:8554/stream2?profile=sub';
  camera.further.push(
    { token: 'p2', encoder: encoderOf('H264', 640, 360, 10), streamUri },
    { token: '3', encoder: encoderOf('JPEG', 320, 180), streamUri: 'rtsp://203.0.113.9:8554/jpeg' },
  );
  t.strictSame((await ask()).json, {
    source: json.source,
    substream: `rtsp://${login}@127.0.0.1:8554/stream2?profile=sub`,
  });
  // Each request starts a process of the page's.
  const unusable = [camera.streamUri, 'http://203.0.113.9/x', 'rtsp://203.0.113.9/stream2', 'x'.repeat(3000)];
  for (const no of unusable.slice(0, ALL ? 4 : 1)) {
    camera.further.splice(0, 1, { token: 'p2', encoder: encoderOf('H264', 640, 360), streamUri: no });
    t.strictSame((await ask()).json, { source: json.source }, `not a second stream: ${no.slice(0, 40)}`);
  }
  camera.further.length = 0;
  t.match(await ask({ password: 'wrong' }), { status: 503, json: { reason: /camera refuses/ } });
  camera.streamUri = 'http://127.0.0.1/snapshot.jpg';
  t.match(await ask(), { status: 503, json: { reason: /no RTSP stream/ } });
  camera.replacement = '<x'.repeat(5000);
  t.match(await ask(), { status: 503 });
  const otherAddresses = [
    '8.8.8.8',
    'camera.example',
    '169.254.169.254/latest',
    '127.0.0.2',
    '[::1]',
    '10.0.0.1:0',
    '',
  ];
  for (const other of otherAddresses)
    t.match(await ask({ address: other }), { status: 400, json: { error: 'denied' } }, other);
  t.notOk(page.lines.join().includes(PASSWORD));

  const own = ['10.1.2.3', '172.31.0.1', '192.168.1.9', '169.254.7.7', 'fd00::9', 'fe80::1'];
  const foreign = ['127.0.0.1', '0.0.0.0', '172.32.0.1', '::1', '::ffff:8.8.8.8', '2001:db8::1', '224.0.0.1'];
  t.same(
    [...own, ...foreign, '10.9.9.9', '::ffff:10.9.9.9', '::ffff:a09:909', 'fd00:0::8'].filter((host) =>
      isPrivate(host, ['10.9.9.9', 'fd00::8']),
    ),
    own,
  );
  t.strictSame(hostPort('[fd00::9]:8080'), { host: 'fd00::9', port: 8080 });
});

function shownBy(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  return once(socket, 'secureConnect').then(() => {
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  });
}

void t.test('the page uses its own certificate, or the room’s as soon as it exists', async (t) => {
  const page = await openPage(t, { certificateEveryMs: 50 });
  const state = join(page.dir, 'state');
  // One that no other test has seen.
  for (const name of ['page.key', 'page.crt']) rmSync(join(state, name));
  await page.restart();
  const own = new X509Certificate(readFileSync(join(state, 'page.crt')));
  t.equal(statSync(join(state, 'page.key')).mode & 0o777, 0o600);
  t.match(own.subjectAltName, /DNS:\S+\.local, DNS:localhost.*IP Address:127\.0\.0\.1/);
  t.ok(Date.parse(own.validTo) > Date.now() + 3600 * 86_400_000, 'for ten years');
  t.equal(readFileSync(join(state, 'fingerprint.txt'), 'utf8'), `SHA-256 ${own.fingerprint256}\n`);
  t.ok(
    page.lines.some((line) => line.includes(own.fingerprint256)),
    'and in the log',
  );
  await page.restart();
  t.equal(await shownBy(page.port), own.fingerprint256, 'kept');

  const authority = new CertificateAuthority(join(page.dir, 'ca'));
  await authority.start();
  const pair = await authority.broker();
  copyFileSync(join(state, 'page.key'), join(page.dir, 'room', 'page.key'));
  copyFileSync(pair.cert, join(page.dir, 'room', 'page.crt'));
  await waitUntil(t, 'refused', () =>
    page.lines.some((line) => /room’s certificate.*is not the key of/.test(line)),
  );
  t.equal(await shownBy(page.port), own.fingerprint256, 'a pair that does not fit is not shown');
  copyFileSync(pair.key, join(page.dir, 'room', 'page.key'));
  const rooms = new X509Certificate(readFileSync(pair.cert)).fingerprint256;
  await waitUntil(t, 'taken', () => readFileSync(join(state, 'fingerprint.txt'), 'utf8').includes(rooms));
  t.equal(await shownBy(page.port), rooms);
});

void t.test('vigie page runs with a socket of systemd', { skip: unlessAll }, async (t) => {
  const dir = scratch(t);
  for (const name of ['index.html', 'app.js', 'style.css']) writeFileSync(join(dir, name), name);
  const port = await freePort();
  const main = join(ROOT, 'dist/agent/cli/main.js');
  const files = ['--agent', join(dir, 'page.sock'), '--setup-code', join(dir, 'setup-code.json')];
  const options = ['page', ...files, '--state', dir, '--app', dir, '--port', String(port)];
  const handed = ['-l', `127.0.0.1:${port}`, process.execPath, main, ...options];
  const program = spawn('systemd-socket-activate', handed, { stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  program.stderr.on('data', (chunk) => {
    output += String(chunk);
  });
  t.teardown(() => program.kill('SIGKILL'));
  await waitUntil(t, 'listens', () => /Listening on/.test(output));
  t.match(await shownBy(port), /^[0-9A-F:]{95}$/);
  const portInUse = spawnSync(process.execPath, [main, ...options, '--host', '127.0.0.1'], {
    encoding: 'utf8',
  });
  t.equal(portInUse.status, 2);
  t.match(
    portInUse.stderr,
    /^vigie: --host 127\.0\.0\.1 --port \d+: cannot listen there \(.*EADDRINUSE.*\)$/m,
  );
  program.kill('SIGTERM');
  const [code] = (await once(program, 'exit')) as [number];
  t.equal(code, 0, output);
});

interface ProfileFields {
  readonly token?: unknown;
  readonly source?: string;
  readonly encoding?: string;
  readonly width?: number;
  readonly fps?: unknown;
}

const profile = ({
  token = 'sub',
  source = 'vs1',
  encoding = 'H264',
  width = 640,
  fps,
}: ProfileFields): object => ({
  $: { token },
  videoSourceConfiguration: { sourceToken: source },
  videoEncoderConfiguration: {
    encoding,
    resolution: { width, height: (width * 9) / 16 },
    ...(fps !== undefined && { rateControl: { frameRateLimit: fps } }),
  },
});
const main = profile({ token: 'main', width: 1920, fps: 25 });

void t.test('the second profile is the smallest of the same source with five frames a second', async (t) => {
  const secondOf = (...fields: ProfileFields[]): string | undefined =>
    secondProfile([main, ...fields.map(profile)], 'main');
  t.equal(secondOf({}), 'sub', 'a camera that names no frame rate is accepted');
  t.equal(secondOf({ fps: 5, encoding: 'H265' }), 'sub');
  t.equal(secondOf({ token: 7 }), '7');
  t.equal(
    secondOf({ token: 'd1', width: 704 }, { token: 'cif', width: 352 }, { token: 'hd', width: 1280 }),
    'cif',
  );
  t.equal(secondOf({ token: 'slow', width: 320, fps: 4 }, { token: 'd1', width: 704, fps: 12 }), 'd1');
  for (const other of [
    { fps: 4 },
    { encoding: 'JPEG' },
    { source: 'vs2' },
    { width: 1920 },
    { width: 2560 },
    { token: { a: 1 } },
  ])
    t.equal(secondOf(other), undefined, JSON.stringify(other));
  for (const odd of [undefined, null, 'x', [], [null, 3, {}], [profile({})]])
    t.equal(secondProfile(odd, 'main'), undefined, 'an invalid list of profiles');
});
