/**
 * Tests the programs that people run off the box: long steps, arguments and the set-up.
 * @starts scripts/
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import t, { type Test } from 'tap';
import { ROOT, scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';

const scripts = join(ROOT, 'scripts');

void t.test('a long step shows its log and its failure, and ends on Ctrl-C', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-steps-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const program = join(dir, 'program');
  writeFileSync(
    program,
    `set -euo pipefail; STEP_LOG=${dir}/log; : >"$STEP_LOG"; source ${scripts}/lib/steps.sh
     step fine 'none' echo hello
     case $1 in
       fail) step wrong 'look it up' bash -c 'echo reason; exit 7' ;;
       hang) step long 'none' bash -c 'echo $$ >${dir}/pid; exec sleep 60' ;;
     esac`,
  );
  const failed = spawnSync('bash', [program, 'fail']);
  t.equal(failed.status, 7, 'the status of the command');
  t.match(
    String(failed.stderr),
    /fine: done in \d+ s\nwrong: FAILED after \d+ s \(status 7\).*reason\nWhat to do: look it up\n$/s,
  );
  t.match(readFileSync(join(dir, 'log'), 'utf8'), /== fine: echo hello\nhello/, 'the log has it all');

  const hanging = spawn('bash', [program, 'hang'], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  await once(hanging.stderr, 'data');
  let pid = 0;
  while (pid === 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    pid = Number(spawnSync('cat', [join(dir, 'pid')]).stdout);
  }
  hanging.kill('SIGINT');
  const [code] = await once(hanging, 'exit');
  t.equal(code, 130, 'interrupted');
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, 'and the command is gone');
});

/** Programs in scripts/ that a person runs. */
const WRAPPERS = readdirSync(scripts, { withFileTypes: true })
  .filter((entry) => entry.isFile() && (statSync(join(scripts, entry.name)).mode & 0o111) !== 0)
  .map(({ name }) => name);

/** A PATH on which every installer fails, and a function that returns the attempts. */
function noInstallation(t: Test): { PATH: string; attempts: () => string } {
  const dir = scratch(t);
  const record = join(dir, 'tried');
  for (const name of ['apt-get', 'apt', 'npm', 'npx', 'node', 'sudo', 'dpkg-query', 'mmdebstrap']) {
    writeFileSync(join(dir, name), `#!/bin/sh\necho "${name} $*" >>${record}\nexit 1\n`, { mode: 0o755 });
  }
  return {
    PATH: `${dir}:/usr/bin:/bin`,
    attempts: () => (existsSync(record) ? readFileSync(record, 'utf8') : ''),
  };
}

/** Makes a checkout whose set-up prints its arguments and a final line. */
function checkout(t: Test, setUp: string): string {
  const dir = scratch(t);
  for (const name of [...WRAPPERS, 'lib'])
    cpSync(join(scripts, name), join(dir, 'scripts', name), { recursive: true });
  for (const name of ['dist', 'package.json']) symlinkSync(join(ROOT, name), join(dir, name));
  writeFileSync(join(dir, 'scripts/setup'), setUp);
  return dir;
}

void t.test('programs of the shell answer help and unknown arguments without a set-up', async (t) => {
  const { PATH, attempts } = noInstallation(t);
  const call = (name: string, ...args: string[]) => {
    const beganMs = performance.now();
    const { status, stdout, stderr } = spawnSync(join(scripts, name), args, {
      encoding: 'utf8',
      timeout: 20_000,
      env: { PATH },
    });
    return { status, stdout, stderr, tookMs: performance.now() - beganMs };
  };
  for (const name of ['demo', 'media-tree', 'package', 'setup', 'test']) {
    for (const option of ['--help', '-h']) {
      const help = call(name, option);
      t.match(help, { status: 0, stdout: /^Usage: (?:\.\/)?scripts\//, stderr: '' }, `${name} ${option}`);
      t.ok(help.tookMs < 2000, `${name} ${option}: ${help.tookMs.toFixed(0)} ms`);
    }
    const stray = call(name, '--no-such-thing');
    const errorText = `${name}: unknown argument '--no-such-thing' (see --help)\n`;
    t.match(stray, { status: 2, stdout: '', stderr: errorText }, `${name}: one line`);
    t.equal(attempts(), '', `${name}: nothing was called that installs or builds`);
  }
  const cases: [string, string[], RegExp][] = [
    ['demo', ['--source', 'camera1'], /^demo: --source takes rtsp:.* not 'camera1' \(see --help\)\n$/],
    ['demo', ['--alerts=0'], /^demo: --alerts takes a number from 1 on, not '0' \(see --help\)\n$/],
    ['test', ['--quick', '--full'], /^test: one of --quick, --all and --full at a time \(see --help\)\n$/],
    [
      'setup',
      ['--for', 'fun'],
      /^setup: --for takes demo, test, all, full, package, flash, arm64 or peer, not 'fun'\n$/,
    ],
    ['package', ['--seq', 'x'], /^package: --seq takes a number from 1 on, not 'x'\n$/],
    ['package', ['--release-tree', '/x'], /^package: --release-tree takes one --arch\n$/],
    ['package', ['--release-tree', '/', '--arch', 'amd64'], /^package: \/ is there already\n$/],
    ['model', [], /^model: name one of build, import \(see --help\)\n$/],
    ['model', ['colours'], /^model: unknown argument 'colours' \(see --help\)\n$/],
  ];
  for (const [name, args, errorText] of cases) {
    t.match(call(name, ...args), { status: 2, stdout: '', stderr: errorText }, `${name} ${args.join(' ')}`);
  }
  t.match(call('model', '--help'), { status: 0, stdout: /^Usage: scripts\/model/, stderr: '' });
  t.equal(attempts(), '');
  call('soak', '--hours', '0.5', '--json');
  t.match(attempts(), /dpkg-query|apt-get/, 'the others go to the set-up (control)');
});

void t.test('all other programs set the checkout up and pass on the arguments', (t) => {
  const dir = checkout(t, `#!/bin/sh\necho "set up $*" >&2\n`);
  const folder = scratch(t);
  writeFileSync(join(folder, 'node'), '#!/bin/sh\nprintf "%s|" "$@"\n', { mode: 0o755 });
  const call = (PATH: string | undefined, name: string, ...args: string[]) => {
    const env = { ...process.env, PATH };
    const run = spawnSync(join(dir, 'scripts', name), args, { encoding: 'utf8', env });
    const stderr = run.stderr.replace(/^set up --for [a-z]+\n/, 'SET UP ');
    return { status: run.status, stdout: run.stdout, stderr };
  };
  const cases: [program: string, args: string[], main: string, passed: string[]][] = [
    ...[
      'workshop/bench',
      'workshop/evaluate',
      'workshop/soak',
      'products/fleet',
      'products/flash',
      'products/oversight',
    ].map((main): [string, string[], string, string[]] => [
      basename(main),
      ['a b', '--help'],
      main,
      ['a b', '--help'],
    ]),
    ['room', ['--help'], 'products/room/archive', ['--help']],
    ...['console', 'enrol', 'metrics', 'search', 'signer', 'tracks', 'unseal'].map(
      (name): [string, string[], string, string[]] => [
        'room',
        [name, 'serve'],
        `products/room/${name}`,
        ['serve'],
      ],
    ),
  ];
  for (const [name, args, main, passed] of cases) {
    const file = join(dir, 'dist/scripts', main, 'main.js');
    t.ok(existsSync(file), `${main} is built`);
    const stdout = `${['--enable-source-maps', file, ...passed].join('|')}|`;
    t.strictSame(call(`${folder}:/usr/bin:/bin`, name, ...args), { status: 0, stdout, stderr: 'SET UP ' });
  }
  const stray = call(process.env['PATH'], 'fleet', '--no-such-thing');
  t.match(stray, { status: 2, stdout: '', stderr: "SET UP fleet: unknown option '--no-such-thing'\n" });
  t.end();
});

void t.test('a program that is ended during set-up ends the set-up too', async (t) => {
  const setUp = /^[^#]*\bset_up /m;
  const names = WRAPPERS.filter((name) => setUp.test(readFileSync(join(scripts, name), 'utf8')));
  t.strictSame(names.sort(), [
    'bench',
    'demo',
    'evaluate',
    'flash',
    'fleet',
    'oversight',
    'package',
    'room',
    'soak',
    'test',
  ]);
  for (const name of WRAPPERS) {
    const called = /scripts\/setup"? --for/.test(readFileSync(join(scripts, name), 'utf8'));
    t.equal(called, false, `${name}: calls the set-up by set_up only`);
  }
  // One that becomes the program of node, and one that goes on as a shell.
  await Promise.all(['room', 'demo'].map((name) => endedInSetUp(t, name)));
});

/** Ends `name` with TERM in a checkout whose set-up is one long step of a command that ignores TERM. */
async function endedInSetUp(t: Test, name: string): Promise<void> {
  const pidFile = join(scratch(t), 'pid');
  const dir = checkout(
    t,
    `#!/bin/bash
set -euo pipefail; STEP_LOG=${pidFile}.log; : >"$STEP_LOG"; source ${scripts}/lib/steps.sh
step long none bash -c 'trap "" TERM; echo $$ >${pidFile}.new; mv ${pidFile}.new ${pidFile}; while :; do sleep 1; done'
`,
  );
  const program = start(t, join(dir, 'scripts', name), []);
  const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));
  while (!existsSync(pidFile)) {
    if (program.code !== undefined) throw new Error(`${name} ended: ${program.err}`);
    await wait();
  }
  const pid = Number(readFileSync(pidFile, 'utf8'));
  const isThere = (): boolean => existsSync(`/proc/${pid}`);
  const beganMs = performance.now();
  program.child.kill('SIGTERM');
  while ((isThere() || program.code === undefined) && performance.now() - beganMs < 30_000) await wait();
  const tookMs = performance.now() - beganMs;
  t.notOk(isThere(), `${name}: the step has ended`);
  t.ok(tookMs < 20_000, `${name}: within ${tookMs.toFixed(0)} ms`);
  if (isThere()) process.kill(pid, 'SIGKILL');
}
