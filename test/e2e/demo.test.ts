/**
 * Tests ./scripts/demo as a person runs it: it shows alerts with redacted snapshots and leaves nothing behind, however
 * it ends. Every process that a demo starts inherits a TMPDIR of its own, which identifies it.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { packageRoot } from '../../agent/base/package-root.ts';
import { SNAPSHOT_BYTES_MAX, SNAPSHOT_LONG_SIDE_PX_MAX } from '../../agent/contract/redacted-jpeg.ts';
import { enter } from '../lib/console.ts';
import { scratch } from '../lib/paths.ts';
import { allPids, procText } from '../lib/proc.ts';
import { unlessAll, unlessFull } from '../lib/run.ts';
import { slowness } from '../lib/slowness.ts';

const root = packageRoot();
/** Time within which a demo must end after it is asked to, ms; the agent has 5 s, the broker 3 s. */
const END_WITHIN_MS = 10_000;
/**
 * Time within which the page finds the agent, ms. The page asks the agent for its identity at most every ten seconds
 * until it has it.
 */
const FOUND_WITHIN_MS = 40_000;

interface DemoEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Length of the clip's beginning in which a person crosses the line, s. */
const ALERTING_S = 8;

class Demo {
  readonly dir = mkdtempSync(join(tmpdir(), 'demo-test-'));
  readonly child: ChildProcessWithoutNullStreams;
  readonly demoEnd: Promise<DemoEnd>;
  output = '';

  constructor(t: Test, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
    const path = withoutSbin(process.env['PATH'] ?? '');
    // A process group of its own, so that Ctrl-C reaches the whole group, as from a terminal.
    const command = 'umask 0002; exec "$0" "$@"';
    this.child = spawn('bash', ['-c', command, join(root, 'scripts/demo'), ...args], {
      cwd: root,
      // Umask and PATH of a user who is not root: without sbin, where Debian installs the broker.
      env: { ...process.env, PATH: path, ...env, TMPDIR: this.dir },
      detached: true,
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
    this.demoEnd = new Promise((resolveEnded) => {
      this.child.once('close', (code, signal) => resolveEnded({ code, signal }));
    });
    t.teardown(() => {
      for (const pid of this.processes().keys()) process.kill(pid, 'SIGKILL');
      rmSync(this.dir, { recursive: true, force: true });
    });
  }

  async untilOutput(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      if (this.child.exitCode !== null) throw new Error(`the demo ended without ${pattern}:\n${this.output}`);
      await new Promise((resolveWait) => setTimeout(resolveWait, 50));
    }
  }

  /** Pid → command of every process with this demo's TMPDIR. */
  processes(): Map<number, string> {
    const processesById = new Map<number, string>();
    for (const pid of allPids()) {
      const environment = procText(pid, 'environ').split('\0');
      if (!environment.includes(`TMPDIR=${this.dir}`)) continue;
      processesById.set(Number(pid), procText(pid, 'cmdline').replaceAll('\0', ' ').trim());
    }
    return processesById;
  }

  pidOf(command: RegExp): number {
    for (const [pid, line] of this.processes()) if (command.test(line)) return pid;
    throw new Error(`no process ${command} among ${[...this.processes().values()].join('; ')}`);
  }

  /** Leftovers after the end: processes, the ports of broker, page and console, temporary files. */
  async leftovers(): Promise<string[]> {
    const ports = [...this.output.matchAll(/(?:localhost|127\.0\.0\.1):(\d+)/g)].map(([, port]) =>
      Number(port),
    );
    const open = await Promise.all(
      [...new Set(ports)].map(async (port) => ((await answers(port)) ? [`port ${port}`] : [])),
    );
    return [...this.processes().values(), ...open.flat(), ...readdirSync(this.dir)];
  }
}

function withoutSbin(path: string): string {
  return path
    .split(':')
    .filter((dir) => !dir.endsWith('/sbin'))
    .join(':');
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolveAnswer) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolveAnswer(true)).once('error', () => resolveAnswer(false));
    socket.once('connect', () => socket.destroy());
  });
}

// Eleven demos of 5 to 15 s each, several times that on a busy machine.
t.setTimeout(500_000);

/**
 * Options for the first seconds of the demo's own clip, because a demo replays its whole clip once before it starts its
 * agent.
 */
function shortClip(t: Test, lengthS = 4): string[] {
  const clip = join(scratch(t), 'short.avi');
  const demoClip = join(root, '.cache/vtest.avi');
  const words = ['-v', 'error', '-i', demoClip, '-t', String(lengthS), '-c', 'copy', clip];
  execFileSync('ffmpeg', words);
  return ['--source', `file:${clip}`];
}

const ready = existsSync(join(root, 'node_modules/.vigie-setup'))
  ? false
  : 'scripts/setup has not been run here, and a test must not exchange node_modules under the others';

void t.test(
  'an alert reaches archive and console with a user’s umask, and the demo leaves no trace',
  { skip: ready },
  async (t) => {
    const demo = new Demo(t, shortClip(t, ALERTING_S));
    await demo.untilOutput(/\nExpect {3}An alert comes when a rule is broken: line-crossing in east-road, /);
    const [line, picture = ''] = await demo.untilOutput(
      / {2}ALERT {3}[a-z-]+: person #\d{1,4} .* {2}(\S+\.jpg)\n|NO ALERT CAN COME.*\n/,
    );
    t.match(line, / {2}ALERT {3}/, 'an alert comes');
    const bytes = readFileSync(resolve(root, picture));
    const { format, width, height, exif } = await sharp(bytes).metadata();
    t.equal(format, 'jpeg', 'its snapshot is a JPEG');
    t.ok(bytes.length <= SNAPSHOT_BYTES_MAX, `${bytes.length} bytes`);
    t.ok(Math.max(width, height) <= SNAPSHOT_LONG_SIDE_PX_MAX, `${width} × ${height} px`);
    t.equal(exif, undefined, 'no metadata');
    const [, origin = '', token = ''] =
      /Console {2}(http:\/\/[\d.:]+)\/auth\/enter\?token=([\w-]{43}) /.exec(demo.output) ?? [];
    const answer = await fetch(`${origin}/api/queue`, { headers: { authorization: `Bearer ${token}` } });
    const { incidents } = (await answer.json()) as { incidents: { severity: string; still: unknown }[] };
    t.ok(
      incidents.some(({ severity, still }) => severity === 'alert' && still !== null),
      'the console’s queue has the alert with its picture',
    );
    demo.child.kill('SIGINT');
    t.equal((await demo.demoEnd).code, 0, demo.output);
    t.strictSame(await demo.leftovers(), [], 'no process, port or file is left');
  },
);

void t.test(
  'a camera that does not answer is said aloud: no alert can come',
  { skip: ready || unlessAll },
  async (t) => {
    const demo = new Demo(t, ['--source', 'rtsp://127.0.0.1:9/none', '--page']);
    await demo.untilOutput(
      /\n=+\nNO ALERT CAN COME: the camera’s stream is lost: 127\.0\.0\.1:9 [^\n]*\n=+\n/,
    );
    t.match(demo.output, /\n {9}its steps 3 to 7 say that the configuration cannot be read/);
    demo.child.kill('SIGINT');
    t.equal((await demo.demoEnd).code, 0, demo.output);
  },
);

void t.test(
  'the demo ends after the alerts that were asked for, and leaves nothing behind',
  { skip: ready || unlessAll },
  async (t) => {
    const demo = new Demo(t, ['--alerts', '1']);
    const { code } = await demo.demoEnd;
    t.equal(code, 0, demo.output);
    const [, upS] = /the agent is online \((\S+) s after the start\)/.exec(demo.output) ?? [];
    // The demo first makes an hour of tracks from the clip. It takes both cores for 11 s alone, and
    // twice as long beside one other test.
    const limitS = 30 * slowness();
    t.ok(Number(upS) <= limitS, `the agent is up within ${limitS.toFixed(1)} s (${upS} s)`);
    const [, tries = ''] = /\nTry {6}(.*?)\nPassages /s.exec(demo.output) ?? [];
    t.equal(tries.split('\n').length, 8, 'eight lines say what to try');
    t.match(demo.output, /\nExpect {3}First alert in about \d+ s\n/);
    t.match(tries, /\n {9}g t {5}passages: an hour of \d+ tracks, made from the clip\n/);
    t.notMatch(demo.output, /\d% of the clip/, 'no bar in a pipe');
    const lines = demo.output.split('\n').filter((line) => / {2}ALERT {2}/.test(line));
    t.equal(lines.length, 1, 'one line for one alert');
    const form =
      /^\d\d:\d\d:\d\d [A-Z]{3,5} {2}ALERT {3}[a-z-]+: person #\d{1,4} (?:over line|in zone) [a-z-]+.* {2}(?:\S+\.jpg|\(no snapshot: .*\))$/;
    t.match(lines[0], form, 'time, severity, what, who, where and the snapshot');
    t.strictSame(await demo.leftovers(), [], 'no process, port or file is left');
  },
);

void t.test(
  'the demo ends on Ctrl-C, TERM or a dead broker, says why, and leaves nothing behind',
  { skip: ready || unlessAll },
  async (t) => {
    const pid = (demo: Demo): number => demo.child.pid ?? Number.NaN;
    interface Way {
      readonly name: string;
      /** Output of the demo after which it is ended; by default the line that the agent is online. */
      readonly after?: RegExp;
      readonly end: (demo: Demo) => void;
      readonly code: number | null;
      readonly says: RegExp;
      /** Taken by a full run only. */
      readonly full?: boolean;
    }
    const ways: readonly Way[] = [
      { name: 'Ctrl-C', end: (demo) => process.kill(-pid(demo), 'SIGINT'), code: 0, says: /\nEnded\.\n$/ },
      {
        name: 'TERM',
        end: (demo) => process.kill(pid(demo), 'SIGTERM'),
        code: 143,
        says: /\nEnded\.\n$/,
        full: true,
      },
      {
        name: 'TERM while it starts',
        full: true,
        after: /Broker /,
        end: (demo) => process.kill(pid(demo), 'SIGTERM'),
        code: 143,
        says: /\nEnded\.\n$/,
      },
      {
        name: 'broker killed',
        end: (demo) => process.kill(demo.pidOf(/^mosquitto /), 'SIGKILL'),
        code: 1,
        // A killed broker closes its connections, or resets those with unread bytes.
        says: /\ndemo: broker[^\n]*: the connection (is gone|was closed)[^\n]*\n$/,
      },
      {
        name: 'agent killed',
        end: (demo) => process.kill(demo.pidOf(/cli\/main\.js run/), 'SIGKILL'),
        code: 1,
        full: true,
        says: /\ndemo: the agent ended \(SIGKILL\)[^\n]*\n$/,
      },
      // A program killed by SIGKILL cannot clean up, so its children notice and end.
      { name: 'KILL', end: (demo) => process.kill(pid(demo), 'SIGKILL'), code: null, says: /\nEnded\.\n$/ },
    ];
    const short = shortClip(t);
    for (const { name, after = /the agent is online/, end, code, says, full = false } of ways) {
      await t.test(name, { skip: full && unlessFull }, async (t) => {
        const demo = new Demo(t, short);
        await demo.untilOutput(after);
        const beganMs = Date.now();
        end(demo);
        t.equal((await demo.demoEnd).code, code, `exit code ${code}`);
        t.ok(Date.now() - beganMs < END_WITHIN_MS, `ended after ${Date.now() - beganMs} ms`);
        t.match(demo.output, says, 'one line says why');
        t.strictSame(await demo.leftovers(), [], 'no leftovers');
      });
    }
  },
);

void t.test(
  'the console answers a browser, is opened where there is a display, and ends with the demo',
  { skip: ready || unlessAll },
  async (t) => {
    const headless = new Demo(t, ['--open', ...shortClip(t)], { DISPLAY: '', WAYLAND_DISPLAY: '' });
    const [, url = ''] = await headless.untilOutput(
      /Console {2}(http:\/\/127\.0\.0\.1:\d+\/auth\/enter\?token=[\w-]{43}) /,
    );
    await headless.untilOutput(/Alerts /);
    t.match(headless.output, `--open: no display found; open ${url} in a browser on this machine\n`);
    const { origin } = new URL(url);
    for (const address of [origin, url]) {
      const answer = await fetch(address);
      t.equal(answer.status, 200);
      t.match(answer.headers.get('content-type'), 'text/html');
    }
    await t.rejects(enter(origin, 'supervisor'), /by the link/, 'another user of the machine');
    t.match(await enter(origin, 'supervisor', url), /^vigie=/);
    const token = new URL(url).searchParams.get('token') ?? 'none';
    for (const [bearer, status] of [
      [token, 200],
      [token.replace(/.$/, '~'), 401],
    ] as const) {
      const answer = await fetch(`${origin}/api/queue`, { headers: { authorization: `Bearer ${bearer}` } });
      t.equal(answer.status, status, 'a program acts with the token of the link alone');
    }
    for (const [pid, line] of headless.processes())
      t.notOk(line.includes(token), `${pid}: seen by no other user`);
    for (const name of ['agent.log', 'console.log'])
      t.notOk(readFileSync(join(root, '.cache/demo', name), 'utf8').includes(token), `nor in ${name}`);
    const pid = headless.pidOf(/room\/console\/main\.js/);
    process.kill(pid, 'SIGKILL');
    t.equal((await headless.demoEnd).code, 1, 'a console that dies is reported');
    t.match(headless.output, /\ndemo: the console ended: [^\n]*\n$/);
    t.strictSame(await headless.leftovers(), [], 'no leftovers');

    const bin = scratch(t);
    const openedFile = join(bin, 'opened');
    mkdirSync(join(bin, 'bin'));
    writeFileSync(join(bin, 'bin/xdg-open'), `#!/bin/sh\ncat "$1" >'${openedFile}'\n`, { mode: 0o755 });
    const path = [join(bin, 'bin'), withoutSbin(process.env['PATH'] ?? '')].join(delimiter);
    const withDisplay = new Demo(t, ['--open', '--alerts', '1', ...shortClip(t, 20)], {
      DISPLAY: ':99',
      PATH: path,
    });
    t.equal((await withDisplay.demoEnd).code, 0, withDisplay.output);
    const [, at] = /Console {2}(\S+)/.exec(withDisplay.output) ?? [];
    t.match(readFileSync(openedFile, 'utf8'), `url=${at}"`, 'by the desktop’s own browser');
    t.strictSame(await withDisplay.leftovers(), [], 'no leftovers');
  },
);

void t.test(
  'the technician’s page answers a browser with --page, and ends with the demo',
  { skip: ready || unlessAll },
  async (t) => {
    const demo = new Demo(t, ['--page', ...shortClip(t)]);
    const [, home = '', code = ''] = await demo.untilOutput(/Page {5}(https:\/\/localhost:\d+)\/#(\S+)/);
    await demo.untilOutput(/the agent is online/);
    const ask = async (path: string, body?: object): Promise<unknown> => {
      const answer = await answerOf(`${home}${path}`, home, body);
      return JSON.parse(answer);
    };
    // The page finds the agent at its next attempt.
    const beganMs = Date.now();
    let hello = await ask('/api/hello');
    while ((hello as { site: string }).site === '' && Date.now() - beganMs < FOUND_WITHIN_MS) {
      await new Promise((resolveWait) => setTimeout(resolveWait, 1000));
      hello = await ask('/api/hello');
    }
    t.match(hello, { site: 'demo', box: 'square-1', paired: false });
    t.match(await ask('/api/pair', { code: 'wrong' }), { error: 'wrong' });
    t.same(await ask('/api/pair', { code }), {}, 'by the code that is shown');
    demo.child.kill('SIGTERM');
    await demo.demoEnd;
    t.strictSame(await demo.leftovers(), [], 'no leftovers');
  },
);

/** Sends a request as a browser whose user accepts the page's self-signed certificate. */
function answerOf(url: string, origin: string, body?: object): Promise<string> {
  return new Promise((resolveAnswer, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const headers = { origin, 'content-type': 'application/json' };
    const outgoing = request(url, { method, headers, rejectUnauthorized: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      answer.on('end', () => resolveAnswer(text));
    });
    outgoing.on('error', reject);
    outgoing.end(body && JSON.stringify(body));
  });
}

void t.test('a clip that does not exist is one clear line', { skip: ready || unlessAll }, async (t) => {
  const demo = new Demo(t, ['--source', 'file:no-such-clip.mp4']);
  t.equal((await demo.demoEnd).code, 2, 'exit code 2');
  const last = demo.output.trimEnd().split('\n').at(-1) ?? '';
  t.match(last, /^demo: the agent ended \(exit code 2\): .*no-such-clip\.mp4/, 'it names the clip');
  t.strictSame(await demo.leftovers(), [], 'no leftovers');
});
