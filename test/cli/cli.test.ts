/** Tests the built program from the command line: exit codes, and the stream on which each text appears. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import t from 'tap';
import { makeProgram } from '../../agent/cli/program.ts';
import { stateDir } from '../../agent/cli/state-dir.ts';
import { EXAMPLE } from '../../agent/config/example.ts';
import { makeProgram as makeOversight } from '../../scripts/products/oversight/program.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { VIGIE } from '../lib/program.ts';
import { ALL, unlessAll } from '../lib/run.ts';
import { type Output, WarmProgram } from '../lib/warm-program.ts';

/** Runs the program as a process. */
function started(args: readonly string[], env: Record<string, string> = {}): Output {
  const result = spawnSync(process.execPath, [VIGIE, ...args], {
    encoding: 'utf8',
    timeout: 30_000,
    env: { PATH: process.env['PATH'], ...env },
  });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

const warm = new WarmProgram('agent/cli');
/** Runs the program in a thread. */
const vigie = (args: readonly string[], env: Record<string, string> = {}): Output =>
  warm.runSync(args, { PATH: process.env['PATH'], ...env });

const COMMANDS = makeProgram().commands.map((command) => command.name());

void t.test('a usage error is one line on standard error and exit code 2', async (t) => {
  const replay = ['replay', 'clip.mp4', '--config', 'x', '--out', 'x', '--fps'];
  const cases: [string[], RegExp][] = [
    [['chek'], /unknown command 'chek' \(Did you mean check\?\)/],
    [['check'], /missing required argument 'file'/],
    [['replay', 'clip.mp4', '--out', 'x'], /required option '--config <file>' not specified/],
    [[...replay, '0'], /'--fps <n>' argument '0' is invalid/],
    [['run', '--log', 'loud'], /Allowed choices are error, warn, info, debug, silent/],
    [['doctor', '--seconds', '-1'], /It must be a number above 0/],
  ];
  for (const [at, [args, message]] of cases.entries()) {
    const { code, out, err } = at === 0 ? started(args) : vigie(args);
    t.match({ code, out, err }, { code: 2, out: '', err: message }, args.join(' '));
    t.match(err, /^vigie: [^\n]+\n$/, 'one line');
  }
  t.match(
    vigie([]),
    { code: 2, out: '', err: /^Usage: vigie/ },
    'nothing typed: the help, on standard error',
  );
});

void t.test('invalid input is one line and exit code 2', async (t) => {
  const dir = scratch(t);
  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const good = file('good.yaml', 'site: lab\nbox: lab-1\n');
  const bad = file('bad.yaml', 'site: Lab\nbox: lab 1\n');
  const clip = file('clip.mp4', 'not looked at before the configuration');
  mkdirSync(join(dir, 'folder'));
  const replay = (clip: string, config: string): string[] => {
    return ['replay', clip, '--config', config, '--out', join(dir, 'out')];
  };
  const cases: [string[], RegExp][] = [
    [['check', join(dir, 'absent.yaml')], /absent\.yaml: no such file/],
    [['run', '--config', join(dir, 'folder')], /folder: is not a file/],
    [['run', '--config', bad], /bad\.yaml:1:1 camera.* and 3 more errors/],
    [['doctor', '--config', good, '--clip', clip], /clip\.mp4: is for --benchmark/],
    [replay(clip, bad), /bad\.yaml:1:7 site.* and 1 more error/],
    [replay(join(dir, 'absent.mp4'), good), /absent\.mp4: no such clip/],
  ];
  for (const [args, message] of cases) {
    const { code, out, err } = vigie(args);
    t.match({ code, out, err }, { code: 2, out: '', err: message }, args.join(' '));
    if (args[0] !== 'check') t.match(err, /^vigie: [^\n]+\n$/, 'one line');
  }
});

void t.test('the benchmark prints its table and no log of vision', { skip: unlessAll }, (t) => {
  const config = join(scratch(t), 'cuda.yaml');
  writeFileSync(config, 'site: lab\nbox: lab-1\ndetector: { providers: [cuda, cpu] }\n');
  // Without gst-launch-1.0 no clip is made, which would take ten times as long.
  const env = { PATH: '/nowhere' };
  const { code, out, err } = started(['doctor', '--config', config, '--benchmark', '--seconds', '1'], env);
  t.equal(code, 0);
  t.notMatch(err, /"level":/);
  t.match(out, /^board .*\nnote {7}no clip could be made/s);
  t.end();
});

const NOBODY = 65_534;
/** Root can read everything, so the program runs as another user. */
const asNobody =
  process.geteuid?.() === 0 ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : [];
const noNobody =
  spawnSync('env', [...asNobody, 'test', '-r', VIGIE]).status === 0 ? false : 'no other user can run it';

void t.test(
  'a recording that the agent’s user cannot read is refused in one line',
  { skip: noNobody },
  (t) => {
    const dir = scratch(t);
    const config = join(dir, 'good.yaml');
    writeFileSync(config, 'site: lab\nbox: lab-1\n');
    chmodSync(dir, 0o755);
    const home = join(dir, 'home');
    mkdirSync(home);
    const clips = [join(home, 'street.mp4'), join(dir, 'private.mp4')];
    for (const clip of clips) writeFileSync(clip, '', { mode: 0o600 });
    for (const path of [...clips, home]) chmodSync(path, 0o000);
    t.teardown(() => chmodSync(home, 0o700));
    for (const clip of clips.slice(0, ALL ? 2 : 1)) {
      const words = [process.execPath, VIGIE, 'doctor', '--config', config, '--benchmark', '--clip', clip];
      const { status, stderr } = spawnSync('env', [...asNobody, ...words], { encoding: 'utf8' });
      t.equal(status, 2);
      t.match(
        stderr,
        /^vigie: --clip .*: user \w+ cannot read it \(EACCES.*`sudo install -m 0644 .*\/var\/tmp.*\n$/,
      );
    }
    t.end();
  },
);

void t.test('vigie check prints a summary, warnings and errors with their exit code', async (t) => {
  const dir = scratch(t);
  const example = join(dir, 'example.yaml');
  writeFileSync(example, EXAMPLE);

  const fine = vigie(['check', '--no-files', '--strict', example]);
  t.match(fine, { code: 0, err: '' });
  t.match(fine.out, /^.*example\.yaml: ok: 3 zones, 1 line, 1 mask, \d+ rules\n/);
  t.match(fine.out, 'mon,tue,wed,thu,fri,sat 11:00–06:00');
  t.match(
    vigie(['check', example]),
    { code: 2, out: '', err: /mqtt\.ca: no such file/ },
    'on the box, files count',
  );

  const warned = join(dir, 'warned.yaml');
  writeFileSync(
    warned,
    EXAMPLE.replace('fps: 5', 'fps: 0.5').replace('//10.0.0.2', '//admin:hunter2@10.0.0.2'),
  );
  const lenient = vigie(['check', '--no-files', warned]);
  t.match(lenient, { code: 0, out: /warning: .*warned\.yaml:\d+:\d+ rules\[0\]\.afterS: shorter than 3/ });
  t.notMatch(lenient.out, 'hunter2');
  t.equal(vigie(['check', '--no-files', '--strict', warned]).code, 1);

  writeFileSync(warned, EXAMPLE.replace(/(rtsp:[^\s"']+)/, '$1?token=hunter2'));
  const pinned = vigie(['check', '--no-files', warned]).out;
  t.match(
    pinned,
    /camera +rtsp:\S+\?token=scrypt-[0-9a-f]{32}-[0-9a-f]{64}, /,
    'as an authorisation writes it',
  );
  t.notMatch(pinned, 'hunter2');

  const bad = join(dir, 'bad.yaml');
  writeFileSync(bad, 'site: Lab\nbox: lab-1\nzone: []\n');
  const refusal = vigie(['check', bad]);
  t.equal(refusal.code, 2);
  t.same(refusal.err.split('\n'), [
    `${bad}:1:7 site: must be 1 to 32 of a-z, 0-9 and - (found "Lab")`,
    `${bad}:3:1 zone: unknown key; did you mean "zones"?`,
    `${bad}: 2 errors; the configuration is refused`,
    '',
  ]);

  const json = vigie(['check', '--json', bad]);
  const problems = [{ path: 'site', line: 1, column: 7 }, { path: 'zone' }];
  t.match(json, { code: 2, err: '' });
  t.match(JSON.parse(json.out), { file: bad, ok: false, use: [], warnings: [], problems });
  t.match(JSON.parse(vigie(['check', '--json', '--no-files', example]).out), {
    ok: true,
    use: ['run', 'replay'],
  });
  t.match(
    vigie(['check', bad], { VIGIE_SITE: 'lab', VIGIE_BOXX: 'x' }).err,
    /VIGIE_BOXX: no such environment variable/,
  );
});

void t.test('vigie check fails for a box that would run nothing', async (t) => {
  const dir = scratch(t);
  const file = join(dir, 'vigie.yaml');
  const check = (change: (text: string) => string, ...options: string[]): Output => {
    writeFileSync(file, change(EXAMPLE), { mode: 0o640 });
    return vigie(['check', ...options, file]);
  };
  const local = (text: string): string =>
    text.replace(/^mqtt:\n(?: .*\n)+/m, 'mqtt: { url: "mqtt://localhost" }\n');
  const withoutKey = (key: string) => (text: string) => text.replace(new RegExp(`^${key}:.*\\n`, 'm'), '');
  const noRules = (text: string): string => text.replace(/^rules:\n(?: .*\n|\n)+/m, 'rules: []\n');
  const cases: [(text: string) => string, RegExp][] = [
    [withoutKey('authorisation'), /NOTHING: `authorisation` is not set; it names the signed/],
    [withoutKey('authorityKey'), /NOTHING: `authorityKey` is not set; it names the authority/],
    [noRules, /NOTHING: `rules` is empty; name at least one rule/],
  ];
  for (const [change, reason] of cases) {
    const outcome = check(change, '--no-files');
    t.match(outcome, { code: 1, out: reason, err: '' });
    t.match(outcome.out, /^\S+vigie\.yaml: valid, but nothing would run: 3 zones/);
  }
  t.match(JSON.parse(check(noRules, '--no-files', '--json').out), { ok: true, runsNothing: String });
  t.equal(JSON.parse(check((text) => text, '--no-files', '--json').out).runsNothing, null);
  t.match(check(local), { code: 1, out: /NOTHING: authorityKey .* cannot be read: ENOENT/ }, 'no key there');
  t.match(
    check((text) => withoutKey('authorisation')(local(text)).replace(/^mqtt: .*\n/m, '')),
    { code: 0, out: /`vigie replay` only: no mqtt/ },
    'a configuration for replay needs no order',
  );
  t.match(
    check(() => 'site: lab\nbox: lab-1\n'),
    { code: 0, out: /`vigie replay` only/ },
  );
});

void t.test('a reader that closes early causes no failure', async (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'example.yaml'), EXAMPLE);
  const line = `"${process.execPath}" "${VIGIE}" check --json --no-files example.yaml | true; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', line], { cwd: dir, encoding: 'utf8' });
  t.equal(stdout, '0\n');
  t.equal(stderr, '');
});

void t.test('the state folder is the one asked for, else systemd’s, else the usual', async (t) => {
  t.equal(stateDir('/a', { STATE_DIRECTORY: '/b' }), '/a');
  t.equal(stateDir(undefined, { STATE_DIRECTORY: '/b:/c' }), '/b');
  t.equal(stateDir(undefined, {}), '/var/lib/vigie');
});

void t.test('the reference pages match the sources', async (t) => {
  t.match(new WarmProgram('scripts/workshop/docs').runSync(['--check']), { code: 0, err: '' });
});

void t.test('the readme names every command, and all commands use the same signing options', async (t) => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  for (const name of COMMANDS) t.ok(new RegExp(`^\\|.*\`vigie ${name}\\b`, 'm').test(readme), name);
  const all = (commands: readonly CommandUnknownOpts[]): CommandUnknownOpts[] =>
    commands.flatMap((command) => [command, ...all(command.commands)]);
  const options = all([makeProgram(), makeOversight()]).flatMap((command) =>
    command.options.filter(({ hidden }) => !hidden).map(({ long, description }) => ({ long, description })),
  );
  // Options for a private key that signs the command's output. Keyholders whom the authorisation names sign a `resume`.
  const signing = options.filter(({ description }) => /private key, PEM/.test(description));
  t.strictSame([...new Set(signing.map(({ long }) => long))].sort(), ['--cert-key', '--sign']);
});
