/** Tests the whole agent with a real broker: a street clip goes in, events and redacted snapshots come out. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import type { Config } from '../../agent/contract/config.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { Agent } from '../../agent/main.ts';
import { JOURNAL_KEY_FILE, readJournalKey } from '../../agent/restraint/journal/key.ts';
import { openCheckpoint, parseVerifierKey, verifierKey } from '../../agent/restraint/journal/note.ts';
import { Contract } from '../../scripts/lib/contract.ts';
import { verifyJournal } from '../../scripts/lib/journal/verification.ts';
import { configOf, makeAgent } from '../lib/agent.ts';
import { withFakeElement } from '../lib/element-vision.ts';
import { calmSource } from '../lib/encoded-clip.ts';
import { unlessFull } from '../lib/run.ts';
import { copyUsual, elementConfig, noCompiler, writeScript } from '../lib/inference-element.ts';
import { MODEL_DIR, ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { BOX, clientOf, makeRoom, type Room, SITE, waitUntil } from '../lib/room.ts';

const skip = !existsSync(STREET_CLIP) && 'no street clip: run scripts/setup';

interface ReceivedMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly lane: string | undefined;
  readonly seq: number;
}

const boxAt = (room: Room, source: string): Config =>
  configOf({
    site: SITE,
    box: BOX,
    camera: { source, fps: 5 },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
    mqtt: { ...room.config, ack: 'broker' },
  });

async function listen(t: Test, room: Room): Promise<{ received: ReceivedMessage[]; client: MqttClient }> {
  const client = await clientOf(t, room, 'room');
  const received: ReceivedMessage[] = [];
  const contract = new Contract();
  client.on('message', (topic, payload, packet) => {
    for (const problem of contract.problems(packet)) t.fail(problem);
    const user = packet.properties?.userProperties ?? {};
    received.push({ topic, payload, lane: user['lane'] as string | undefined, seq: Number(user['seq']) });
  });
  await client.subscribeAsync('vigie/#', { qos: 1, rap: true });
  return { received, client };
}

function startAgent(t: Test, config: Config, stateDir: string): { agent: Agent; unusable: string[] } {
  const unusable: string[] = [];
  const agent = makeAgent(t, config, stateDir, { onUnusable: ({ message }) => unusable.push(message) });
  return { agent, unusable };
}

t.test(
  'the agent publishes events, snapshots, status and health from the first frame to a clean end',
  { skip },
  async (t) => {
    const room = await makeRoom(t);
    const { received } = await listen(t, room);
    const stateDir = join(scratch(t), 'state');
    const { agent } = startAgent(t, boxAt(room, `file:${STREET_CLIP}`), stateDir);
    await agent.start();
    const starts = (): VigieEvent[] =>
      received
        .filter(({ topic }) => topic.includes('/evt/alert/'))
        .map(({ payload }) => JSON.parse(String(payload)) as VigieEvent)
        .filter(({ data }) => data.phase === 'start');
    const pictures = (): ReceivedMessage[] => received.filter(({ topic }) => topic.includes('/snap/'));
    await waitUntil(
      t,
      'an alert with its snapshot',
      () => starts().length > 0 && pictures().length > 0,
      40_000,
    );
    const health = (): ReceivedMessage | undefined => received.find(({ topic }) => topic.endsWith('/health'));
    await waitUntil(t, 'a health report', () => health() !== undefined, 40_000);

    const event = starts()[0] as VigieEvent;
    t.match(event.data, {
      rule: { id: 'passing' },
      line: { id: 'across', purpose: 'counting' },
      phase: 'start',
    });
    const picture = pictures().find(({ topic }) => topic === `vigie/${SITE}/${BOX}/snap/${event.id}`);
    t.equal(
      picture?.payload.length,
      event.data.evidence.snapshot?.bytes,
      'the snapshot that the event names',
    );
    t.same([...(picture?.payload.subarray(0, 2) ?? [])], [0xff, 0xd8]);

    await agent.stop();
    await waitUntil(t, 'the status `stopped`', () => {
      const last = received.filter(({ topic }) => topic.endsWith('/status')).at(-1);
      return last !== undefined && JSON.parse(String(last.payload)).state === 'stopped';
    });
    const seqs = received.filter(({ lane }) => lane === 'alert').map(({ seq }) => seq);
    t.same(
      [...new Set(seqs)].sort((a, b) => a - b),
      seqs.map((_, i) => i + 1).slice(0, new Set(seqs).size),
      'gapless',
    );
    const key = readJournalKey(join(stateDir, JOURNAL_KEY_FILE));
    const verifier = parseVerifierKey(verifierKey(`vigie/${SITE}/${BOX}`, key));
    const head = received.filter(({ topic }) => topic.endsWith('/journal/head')).at(-1);
    const knownHead = { file: 'head', note: String(head?.payload) };
    const { wrong, checkpoint } = verifyJournal(join(stateDir, 'journal'), verifier, { heads: [knownHead] });
    t.same(wrong, [], 'the journal is valid, and agrees with the head at the broker');
    t.equal(openCheckpoint(knownHead.note, verifier).size, checkpoint?.size, 'it signs the last head');
    const contents = readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8');
    for (const type of ['start', 'model', 'stop']) t.match(contents, `"type":"${type}"`);
    for (const { topic, payload } of received.filter(({ topic }) => topic.includes('/evt/alert/'))) {
      t.match(contents, createHash('sha256').update(payload).digest('hex'), `the hash of ${topic}`);
    }
  },
);

/** Copies the real model to a folder of its own and flips one bit. */
function copySpoiltModels(dir: string): string {
  const models = join(dir, 'models');
  mkdirSync(models);
  for (const file of ['nanodet-g-city10.json', 'nanodet-g-city10.onnx'])
    copyFileSync(join(MODEL_DIR, file), join(models, file));
  const model = readFileSync(join(models, 'nanodet-g-city10.onnx'));
  model[model.length >> 1] = (model[model.length >> 1] as number) ^ 1;
  writeFileSync(join(models, 'nanodet-g-city10.onnx'), model);
  return models;
}

t.test('a broken model raises an event and does not end the agent', { skip }, async (t) => {
  const room = await makeRoom(t);
  const { received } = await listen(t, room);
  const dir = scratch(t);
  const config = boxAt(room, calmSource());
  const agent = makeAgent(t, config, join(dir, 'state'), { modelDir: copySpoiltModels(dir) });
  await agent.start();
  const down = (): ReceivedMessage[] =>
    received.filter(({ topic }) => topic.endsWith('/evt/system/detector-down'));
  await waitUntil(t, 'detector-down', () => down().length > 0, 20_000);
  const event = JSON.parse(String(down()[0]?.payload)) as VigieEvent;
  t.match(event.data.cause, { reason: /nanodet-g-city10/ });
  t.notOk(
    received.some(({ topic }) => topic.includes('/snap/')),
    'no snapshot without a detector',
  );
});

t.test('a broken model gives way to the one that ran last, and the room is informed', async (t) => {
  const room = await makeRoom(t);
  const { received } = await listen(t, room);
  const dir = scratch(t);
  process.env['CACHE_DIRECTORY'] = join(dir, 'cache');
  t.teardown(() => delete process.env['CACHE_DIRECTORY']);
  const config = boxAt(room, calmSource());
  const run = async (modelDir: string, topic: RegExp): Promise<VigieEvent['data']> => {
    received.length = 0;
    const agent = makeAgent(t, config, join(dir, 'state'), { modelDir });
    await agent.start();
    const message = (): ReceivedMessage | undefined => received.find((one) => topic.test(one.topic));
    const analysed = (): boolean => agent.report().frames.analysed > 0;
    await waitUntil(t, `${topic}`, () => message() !== undefined && analysed(), 20_000);
    await agent.stop();
    return (JSON.parse(String(message()?.payload)) as VigieEvent).data;
  };
  await run(MODEL_DIR, /health$/);
  const began = await run(copySpoiltModels(dir), /detector-fallback$/);
  t.match(began, { phase: 'start', cause: { reason: /altered.*the model that ran last/ } });
  const endEvent = await run(MODEL_DIR, /detector-fallback$/);
  t.match(endEvent, { phase: 'end', episode: began.episode }, 'over when the installed one runs again');
});

t.test(
  'an inference element that fails raises an event until it runs again',
  { skip: noCompiler },
  async (t) => {
    const room = await makeRoom(t);
    const { received } = await listen(t, room);
    const dir = scratch(t);
    const [modelDir, cacheDir, fault] = ['models', 'cache', 'fault'].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    for (const folder of [modelDir, cacheDir]) mkdirSync(folder);
    writeFileSync(fault, '');
    copyUsual(modelDir);
    writeScript(modelDir, ['fault error', 'from 5', `while ${fault}`]);
    withFakeElement(t, dir);
    process.env['CACHE_DIRECTORY'] = cacheDir;
    t.teardown(() => delete process.env['CACHE_DIRECTORY']);
    const config = { ...boxAt(room, calmSource(5)), detector: elementConfig('tfliteinference', 'fake') };
    const agent = makeAgent(t, config, join(dir, 'state'), { modelDir });
    await agent.start();
    const eventOf = (phase: string): VigieEvent['data'] | undefined =>
      received
        .filter(({ topic }) => topic.endsWith('/evt/system/detector-fallback'))
        .map(({ payload }) => (JSON.parse(String(payload)) as VigieEvent).data)
        .find((data) => data.phase === phase);
    await waitUntil(t, 'it begins', () => eventOf('start') !== undefined, 20_000);
    t.match(eventOf('start')?.cause, { reason: /the device was unplugged.*it is tried again at/ });
    const analysed = agent.report().frames.analysed;
    await waitUntil(t, 'frames go on', () => agent.report().frames.analysed > analysed + 5, 20_000);
    rmSync(fault);
    // Removes the record of the trial, so that the next vision process tries the element again.
    rmSync(join(cacheDir, 'models', 'element-trial'));
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
    const isVision = (pid: string): boolean =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('vision/main');
    process.kill(Number(children.find(isVision)), 'SIGKILL');
    await waitUntil(t, 'it ends', () => eventOf('end') !== undefined, 20_000);
    t.equal(eventOf('end')?.episode, eventOf('start')?.episode);
  },
);

t.test('a refused configuration raises an event until one is accepted', async (t) => {
  const room = await makeRoom(t);
  const { received } = await listen(t, room);
  const state = join(scratch(t), 'state');
  const events = (): VigieEvent[] =>
    received
      .filter(({ topic }) => topic.endsWith('/config-refused'))
      .map(({ payload }) => JSON.parse(String(payload)) as VigieEvent);
  for (const [configRefused, phase] of [
    ['vigie.yaml:3:1 box: …', 'start'],
    [undefined, 'end'],
  ] as const) {
    const agent = makeAgent(t, boxAt(room, calmSource()), state, { configRefused });
    await agent.start();
    await waitUntil(t, phase, () => events().some(({ data }) => data.phase === phase), 20_000);
    await agent.stop();
  }
  const [start, end] = events();
  t.match(start?.data.cause, { reason: 'vigie.yaml:3:1 box: …' });
  t.equal(end?.data.episode, start?.data.episode);
});

t.test('a camera that cannot work is reported at once', async (t) => {
  const room = await makeRoom(t);
  const { agent, unusable } = startAgent(
    t,
    boxAt(room, 'file:/nonexistent/clip.mp4'),
    join(scratch(t), 'state'),
  );
  await agent.start();
  await waitUntil(t, 'the reason', () => unusable.length > 0);
  t.match(unusable[0], /\/nonexistent\/clip\.mp4/);
});

t.test(
  'a detection that is impossibly small for its place is not tracked',
  { skip: skip || unlessFull },
  async (t) => {
    const dir = scratch(t);
    const replayed = (name: string, people?: object[]): { detections: string; tracks: string } => {
      const config = join(dir, `${name}.json`);
      writeFileSync(
        config,
        JSON.stringify({ site: 'lab', box: 'lab-1', ...(people && { groundPlane: { people } }) }),
      );
      const out = join(dir, name);
      const main = join(ROOT, 'dist/agent/cli/main.js');
      const output = execFileSync(
        process.execPath,
        [main, 'replay', STREET_CLIP, '--config', config, '--out', out, '--fps', '2'],
        { stdio: 'pipe', encoding: 'utf8' },
      );
      t.match(
        output,
        /^\S+: 159 frames in 79\.\d s of the clip, 0 events; in events\.jsonl, .* and summary\.json\n$/,
      );
      t.ok(output.startsWith(`${out}: `), 'the output names its folder');
      const read = (file: string): string => readFileSync(join(out, file), 'utf8');
      return { detections: read('detections.txt'), tracks: read('tracks.txt') };
    };
    const plain = replayed('plain');
    t.ok(plain.tracks.split('\n').length > 500);
    const giants = replayed('giants', [
      { feet: [0.5, 1], head: [0.5, 0] },
      { feet: [0.5, 0.5], head: [0.5, 0] },
    ]);
    t.equal(giants.detections, plain.detections, 'they are detected, and so redacted, as before');
    const feet = giants.tracks
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(',').map(Number));
    // At these places a person would be as tall as the feet are low. Tracks at the frame's edges are left out.
    const wrong = feet.filter(
      ([, , left = 0, top = 0, width = 0, height = 0]) =>
        height < 0.3 * (top + height) && top + height < 560 && left > 15 && left + width < 753,
    );
    t.same(wrong, [], 'no track is less than a third as tall as people would be there');
  },
);

t.test('replay answers wrong input with one line on stderr and exit code 2', { skip }, async (t) => {
  const dir = scratch(t);
  const config = join(dir, 'c.json');
  writeFileSync(config, JSON.stringify({ site: 'lab', box: 'lab-1' }));
  const text = join(dir, 'text.mp4');
  writeFileSync(text, 'this is no video\n'.repeat(100));
  const short = join(dir, 'short.avi');
  writeFileSync(short, readFileSync(STREET_CLIP).subarray(0, 2000));
  const replay = (...args: string[]): { status: number; stderr: string } => {
    try {
      execFileSync(process.execPath, [join(ROOT, 'dist/agent/cli/main.js'), 'replay', ...args], {
        stdio: 'pipe',
      });
      return { status: 0, stderr: '' };
    } catch (error) {
      const { status, stderr } = error as { status: number; stderr: Buffer };
      return { status, stderr: String(stderr) };
    }
  };
  const cases: [string, string[], RegExp][] = [
    ['missing clip', [join(dir, 'none.mp4'), '--config', config, '--out', dir], /none\.mp4: no such clip/],
    ['a folder', [dir, '--config', config, '--out', dir], /is not a file/],
    ['not a video', [text, '--config', config, '--out', dir], /text\.mp4/],
    ['cut off', [short, '--config', config, '--out', dir], /short\.avi/],
    ['missing configuration', [STREET_CLIP, '--config', join(dir, 'none.yaml'), '--out', dir], /none\.yaml/],
    [
      'no place to write',
      [STREET_CLIP, '--config', config, '--out', join(text, 'out')],
      /text\.mp4\/out: cannot write/,
    ],
  ];
  for (const [name, args, line] of cases) {
    const { status, stderr } = replay(...args);
    t.equal(status, 2, `${name}: exit code`);
    t.match(stderr, line, `${name}: ${stderr.trim()}`);
    t.equal(stderr.trim().split('\n').length, 1, `${name}: one line`);
  }
});
