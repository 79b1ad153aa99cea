/** Tests configuration trials as processes: the unit's program for each request. */
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { sha256Of } from '../../agent/base/sha256.ts';
import { shownSha256 } from '../../agent/config/secrets.ts';
import type { ConfigReply } from '../../agent/contract/config-trial.ts';
import { rootProgram } from '../lib/bundled.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { type Program, start } from '../lib/program.ts';
import { PROPOSAL } from '../lib/proposal.ts';

const VIGIE_ROOT = rootProgram();

const PREVIOUS = `site: s
box: box-1
camera: { source: "rtsp://viewer:secret@192.0.2.7/street" }
zones: [{ id: yard, polygon: [[0, 0], [1, 0], [1, 1]] }]
rules: [{ id: stay, kind: loitering, zone: yard, afterS: 9, purpose: safety }]
mqtt: { url: "mqtt://127.0.0.1:1", ack: broker }
`;
const textOf = (file: string): string => readFileSync(file, 'utf8');

/** Stand-in for systemctl that logs its arguments. */
const SYSTEMCTL = '#!/bin/sh\necho "$@" >>"$0.log"\n';

void t.test('the unit’s program answers one request each', async (t) => {
  const dir = scratch(t);
  const file = join(dir, 'vigie.yaml');
  writeFileSync(file, PREVIOUS);
  const bin = join(dir, 'systemctl');
  writeFileSync(bin, SYSTEMCTL, { mode: 0o755 });
  const [lib, state, agentState] = [join(dir, 'lib'), join(dir, 'root'), join(dir, 'agent')];
  const release = join(lib, 'releases/1-0.1.0');
  for (const folder of [release, agentState]) mkdirSync(folder, { recursive: true });
  symlinkSync('releases/1-0.1.0', join(lib, 'current'));
  symlinkSync(join(ROOT, 'dist'), join(release, 'dist'));
  // The release runs as another user if this is root.
  chmodSync(dir, 0o711);
  const helper = (name: string): Program =>
    start(t, process.execPath, [
      ...[VIGIE_ROOT, name, '--config', file, '--lib', lib, '--state', state, '--agent-state', agentState],
      ...['--folder', join(dir, 'restraint'), '--settings', join(dir, 'none'), '--agent-user', 'nobody'],
      ...['--systemctl', bin, '--timedatectl', 'false'],
    ]);
  const askOnce = async (line: string): Promise<ConfigReply> => {
    const program = helper('config-trial');
    // A refused request is not read to its end, which breaks the pipe.
    program.child.stdin?.on('error', () => undefined);
    program.child.stdin?.write(`${line}\n`);
    t.equal(await program.exit, 0, program.err);
    return JSON.parse(program.out) as ConfigReply;
  };
  const silent = helper('config-trial');
  const half = helper('config-trial');
  half.child.stdin?.write('{"op":');
  const line = JSON.stringify({ op: 'try', proposal: PROPOSAL });
  const both = await Promise.all([askOnce(line), askOnce(line)]);
  t.equal(both.filter(({ refused }) => refused === null).length, 1, 'of two at once one');
  t.match(both.find(({ refused }) => refused !== null)?.refused, /another configuration is on trial/);
  const [reply] = both;
  const text = textOf(file);
  t.equal(reply?.sha256, sha256Of(text));
  t.equal(reply?.shownSha256, shownSha256(text), 'for papers: no login can be tried out by it');
  t.not(reply?.shownSha256, reply?.sha256, 'a camera with a login');
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
  t.match(await Promise.all(['a'.repeat(2_000_000), '{"op":"reboot"}', '\u0000'].map(askOnce)), [
    { refused: /too long/ },
    { refused: /not a request/ },
    { refused: /not a request/ },
  ]);
  t.match(textOf(file), /afterS: 3/);
  const record = join(state, 'state.json');
  writeFileSync(record, textOf(record).replace(/"beganS":[\d.]+/, '"beganS":0'));
  const end = helper('judge');
  t.equal(await end.exit, 0, end.err);
  t.match(end.err, /rolled-back: its time was over/);
  t.match(textOf(file), /afterS: 9/);
  t.match(log(), /restart vigie\.service\n.*restart vigie\.service\n/s);
  for (const slow of [silent, half]) {
    t.equal(await slow.exit, 0, 'a silent client is not waited for');
    t.match(slow.out, /not a request/);
  }
});
