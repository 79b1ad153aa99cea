/** Configuration trials as processes: the unit's program for each request, and a program that serves them beside a plain run. */
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { StateLock } from '../../agent/base/state-lock.ts';
import { LAST_GOOD_FILE } from '../../agent/config/last-good.ts';
import type { ConfigReply } from '../../agent/contract/config-trial.ts';
import { AT_ALL_TIMES, authoriseFile } from '../lib/authority.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { type Program, start, VIGIE, VIGIE_ROOT } from '../lib/program.ts';
import { PROPOSAL } from '../lib/proposal.ts';
import { until } from '../lib/room.ts';

const WAIT_MS = 60_000;
const FORMER = `site: s
box: box-1
camera: { source: "test:pattern" }
zones: [{ id: yard, polygon: [[0, 0], [1, 0], [1, 1]] }]
rules: [{ id: stay, kind: loitering, zone: yard, afterS: 9, purpose: safety }]
mqtt: { url: "mqtt://127.0.0.1:1", ack: broker }
`;
const textOf = (file: string): string => readFileSync(file, 'utf8');

/** Says what systemd would be asked. */
const SYSTEMCTL = '#!/bin/sh\necho "$@" >>"$0.log"\n';

void t.test('the unit’s program: one request each', async (t) => {
  const dir = scratch(t);
  const file = join(dir, 'vigie.yaml');
  writeFileSync(file, FORMER);
  const bin = join(dir, 'systemctl');
  writeFileSync(bin, SYSTEMCTL, { mode: 0o755 });
  const [lib, state, agentState] = [join(dir, 'lib'), join(dir, 'root'), join(dir, 'agent')];
  const release = join(lib, 'releases/1-0.1.0');
  for (const folder of [release, agentState]) mkdirSync(folder, { recursive: true });
  symlinkSync('releases/1-0.1.0', join(lib, 'current'));
  symlinkSync(join(ROOT, 'dist'), join(release, 'dist'));
  // The release is asked as another user where this is root.
  chmodSync(dir, 0o711);
  const helper = (name: string): Program =>
    start(t, process.execPath, [
      ...[VIGIE_ROOT, name, '--config', file, '--lib', lib, '--state', state, '--agent-state', agentState],
      ...['--folder', join(dir, 'restraint'), '--settings', join(dir, 'none'), '--agent-user', 'nobody'],
      ...['--systemctl', bin, '--timedatectl', 'false'],
    ]);
  const one = async (line: string): Promise<ConfigReply> => {
    const program = helper('config-trial');
    // What is not read any more when it has been refused breaks the pipe.
    program.child.stdin?.on('error', () => undefined);
    program.child.stdin?.write(`${line}\n`);
    t.equal(await program.ended, 0, program.err);
    return JSON.parse(program.out) as ConfigReply;
  };
  const silent = helper('config-trial');
  const half = helper('config-trial');
  half.child.stdin?.write('{"op":');
  const line = JSON.stringify({ op: 'try', proposal: PROPOSAL });
  const both = await Promise.all([one(line), one(line)]);
  t.equal(both.filter(({ refused }) => refused === null).length, 1, 'of two at once one');
  t.match(both.find(({ refused }) => refused !== null)?.refused, /another configuration is on trial/);
  const log = (): string => readFileSync(`${bin}.log`, 'utf8');
  t.equal(
    log(),
    [
      '--quiet --no-block restart vigie.service',
      '--quiet reset-failed vigie-root-judge.service',
      '--quiet --no-block start vigie-root-judge.service',
      '',
    ].join('\n'),
  );
  t.match(await Promise.all(['a'.repeat(2_000_000), '{"op":"reboot"}', '\u0000'].map(one)), [
    { refused: /too long/ },
    { refused: /not a request/ },
    { refused: /not a request/ },
  ]);
  t.match(textOf(file), /afterS: 3/);
  const record = join(state, 'state.json');
  writeFileSync(record, textOf(record).replace(/"beganS":[\d.]+/, '"beganS":0'));
  const end = helper('judge');
  t.equal(await end.ended, 0, end.err);
  t.match(end.err, /rolled-back: its time was over/);
  t.match(textOf(file), /afterS: 9/);
  t.match(log(), /restart vigie\.service\n.*restart vigie\.service\n/s);
  for (const slow of [silent, half]) {
    t.equal(await slow.ended, 0, 'who says nothing is not waited for');
    t.match(slow.out, /not a request/);
  }
});

/** One request to a plain run. */
function ask(socketFile: string, request: object): Promise<ConfigReply> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketFile, () => socket.write(`${JSON.stringify(request)}\n`));
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('error', reject);
    socket.on('end', () => resolve(JSON.parse(text) as ConfigReply));
  });
}

/** Resolves when `agent` answers there: the socket's file is there a moment before somebody listens. */
async function serves(socketFile: string, agent: Program): Promise<void> {
  const untilMs = performance.now() + WAIT_MS;
  for (;;) {
    try {
      await ask(socketFile, { op: 'read' });
      return;
    } catch (error) {
      if (agent.code !== undefined || performance.now() > untilMs) throw error;
      await sleep(50);
    }
  }
}

void t.test('beside a plain run, trials are served and the agent is started again', async (t) => {
  const dir = scratch(t);
  const [file, state] = [join(dir, 'vigie.yaml'), join(dir, 'state')];
  const content = {
    site: 'lab',
    box: 'lab-1',
    camera: { source: 'test:pattern', fps: 5 },
    zones: [
      {
        id: 'yard',
        polygon: [
          [0, 0],
          [1, 0],
          [1, 1],
        ],
      },
    ],
    rules: [{ id: 'stay', kind: 'loitering', zone: 'yard', purpose: 'safety' }],
    metrics: { port: 0 },
    mqtt: { url: 'mqtt://127.0.0.1:1', ack: 'broker' },
  };
  writeFileSync(file, JSON.stringify(content));
  authoriseFile(file, join(dir, 'order'), AT_ALL_TIMES);
  const former = readFileSync(file, 'utf8');
  const socket = join(state, 'config.sock');
  const begin = (): Program =>
    start(t, process.execPath, [
      ...[VIGIE_ROOT, 'serve-trials', '--config', file, '--state', state],
      ...['--seconds', '3', '--check-program', VIGIE, '--'],
      ...[process.execPath, VIGIE, 'run', '--config', file, '--state', state],
    ]);
  const starts = ({ err }: Program): number => err.split('agent started').length - 1;
  const maskRuns = (): boolean => readFileSync(join(state, 'restraint/box.json'), 'utf8').includes('"sky"');
  const started = (program: Program, n: number): Promise<number> =>
    until(
      t,
      `start ${n}: ${program.err.slice(-300)}`,
      () => starts(program) >= n || program.code !== undefined,
      WAIT_MS,
    );

  let agent = begin();
  await serves(socket, agent);
  await started(agent, 1);
  t.equal(statSync(socket).mode & 0o777, 0o600);
  const { installed } = await ask(socket, { op: 'read' });
  const proposal = {
    zones: installed?.zones,
    lines: [],
    masks: [
      {
        id: 'sky',
        polygon: [
          [0, 0],
          [1, 0],
          [1, 0.2],
        ],
      },
    ],
    rules: installed?.rules,
  };
  t.match(await ask(socket, { op: 'try', proposal: { ...proposal, zones: [] } }), {
    trial: null,
    problems: [{ path: 'rules[0].zone' }],
  });
  const elsewhere = await ask(socket, { op: 'try', proposal: { ...proposal, source: 'v4l2:/dev/video9' } });
  t.match(elsewhere.problems, [{ path: 'camera.source', order: true }], 'the order names the camera');

  t.match(await ask(socket, { op: 'try', proposal }), { refused: null, trial: { leftS: Number } });
  await started(agent, 2);
  t.ok(maskRuns(), 'it runs with what is tried');
  t.equal(readFileSync(join(state, LAST_GOOD_FILE), 'utf8'), former, 'which is nothing to go back to yet');
  await started(agent, 3);
  t.notOk(maskRuns(), 'not kept: the former one');
  t.equal(readFileSync(file, 'utf8'), former, 'to the byte');

  const { trial } = await ask(socket, { op: 'try', proposal });
  t.match(await ask(socket, { op: 'keep', trial: trial?.id }), { refused: null, trial: null });
  await started(agent, 4);
  await sleep(3500);
  t.equal(starts(agent), 4, 'kept: it stays');
  t.ok(maskRuns());
  t.equal(agent.code, undefined);
  const kept = readFileSync(file, 'utf8');

  t.match(await ask(socket, { op: 'try', proposal: { ...proposal, masks: [] } }), { refused: null });
  agent.child.kill('SIGTERM');
  t.equal(await agent.ended, 0, 'told to end while it starts anew, it ends');
  t.equal(readFileSync(file, 'utf8'), kept, 'and what was on trial goes back');

  agent = begin();
  await started(agent, 1);
  await serves(socket, agent);
  t.match(await ask(socket, { op: 'try', proposal: { ...proposal, masks: [] } }), { refused: null });
  agent.child.kill('SIGKILL');
  await agent.ended;
  await until(t, 'its agent ends too', () => !StateLock.isHeld(state), WAIT_MS);
  t.not(readFileSync(file, 'utf8'), kept);
  agent = begin();
  await started(agent, 1);
  t.equal(readFileSync(file, 'utf8'), kept, 'killed, the next start puts it back');
  agent.child.kill('SIGTERM');
  t.equal(await agent.ended, 0);
  t.notMatch(agent.err, /config-refused/);
});

void t.test('what cannot run goes back at once', async (t) => {
  const dir = scratch(t);
  const [file, state] = [join(dir, 'vigie.yaml'), join(dir, 'state')];
  const missing = `file:${dir}/no-such-clip.avi`;
  writeFileSync(file, FORMER);
  authoriseFile(file, join(dir, 'order'), { ...AT_ALL_TIMES, camera: missing });
  const former = textOf(file);
  const run = [process.execPath, VIGIE, 'run', '--config', file, '--state', state];
  const serving = [process.execPath, VIGIE_ROOT, 'serve-trials', '--config', file, '--state', state, '--'];
  const agent = start(t, 'env', ['VIGIE_METRICS_PORT=0', ...serving, ...run]);
  const socket = join(state, 'config.sock');
  await serves(socket, agent);
  await until(t, 'it has started', () => agent.err.includes('agent started'), WAIT_MS);
  const tried = await ask(socket, { op: 'try', proposal: { ...PROPOSAL, source: missing } });
  t.match(tried, { refused: null, problems: [], trial: { leftS: Number } });
  const back = (): boolean => textOf(file) === former && agent.err.split('agent started').length > 3;
  await until(t, `back: ${agent.err.slice(-500)}`, () => back() || agent.code !== undefined, WAIT_MS);
  t.match(agent.err, /no-such-clip.*the configuration on trial cannot run/s);
  t.equal(agent.code, undefined, 'and the agent runs with the former one');
  agent.child.kill('SIGTERM');
  t.equal(await agent.ended, 0);
});
