/**
 * Tests the release's own check of a configuration as a child of root's program: stand-ins refuse, hang, flood and lie.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import type { ConfigReply } from '../../agent/contract/config-trial.ts';
import { childUser } from '../../scripts/products/root/agent-user.ts';
import {
  type ReleaseCheckOptions,
  releaseProblems,
} from '../../scripts/products/root/configuration/release-check.ts';
import { rootProgram } from '../lib/bundled.ts';
import { scratch } from '../lib/paths.ts';
import { type Program, start, VIGIE } from '../lib/program.ts';
import { PROPOSAL } from '../lib/proposal.ts';
import { unlessAll } from '../lib/run.ts';

const VIGIE_ROOT = rootProgram();

const TEXT = 'site: s\nbox: b\nrules: []\n';
const isRoot = process.geteuid?.() === 0;
/** Root's child runs as another user, as on a box. */
const USER = childUser('nobody');

/** Asks a program with this source. */
function ask(
  t: Test,
  code: string,
  options: Partial<ReleaseCheckOptions> = {},
  text = TEXT,
): ReturnType<typeof releaseProblems> {
  const dir = scratch(t);
  chmodSync(dir, 0o755);
  const program = join(dir, 'main.mjs');
  writeFileSync(program, code, { mode: 0o644 });
  return releaseProblems(text, { program, user: USER, env: process.env, ...options });
}

const programText = (answer: unknown): string =>
  `process.stdout.write(${JSON.stringify(JSON.stringify(answer))});`;
/** A program that answers once it has read the text. */
const answers = (answer: unknown): string =>
  `process.stdin.resume().on('end', () => { ${programText(answer)} });`;
/** The expected refusal without the release's own opinion. */
const refusal = (reason: RegExp): object => [
  {
    path: '',
    order: false,
    message: new RegExp(
      `^the check by the running release: ${reason.source}.*; no configuration is tried without it$`,
    ),
  },
];

void t.test('a refusal is reported, and an acceptance accepted', async (t) => {
  t.strictSame(ask(t, answers({ ok: true, problems: [], more: 1 })), []);
  const problem = { path: 'rules[0].kind', message: 'no such kind', line: 3 };
  t.strictSame(ask(t, `${answers({ ok: false, problems: [problem] })} process.exitCode = 2;`), [
    { path: 'rules[0].kind', message: 'no such kind', order: false },
  ]);
});

void t.test('the release runs as another user, with the text alone', async (t) => {
  const code = `import { readFileSync } from 'node:fs';
    const message = JSON.stringify({ uid: process.getuid(), gid: process.getgid(), groups: process.getgroups(),
      env: Object.keys(process.env).sort(), cwd: process.cwd(), text: readFileSync(0, 'utf8'), args: process.argv.slice(2) });
    process.stdout.write(JSON.stringify({ ok: false, problems: [{ path: '', message }] }));`;
  const env = { ...process.env, VIGIE_BOX: 'b', NODE_OPTIONS: '--no-warnings', TOKEN: 'geheim' };
  const [problem] = ask(t, code, { env });
  const own = isRoot ? { ...USER, groups: [USER?.gid] } : { uid: process.getuid?.() };
  t.match(JSON.parse(problem?.message ?? ''), {
    ...own,
    env: [
      'NODE_ENV',
      'PATH',
      'VIGIE_BOX',
      ...Object.keys(process.env).filter((name) => name.startsWith('VIGIE_')),
    ].sort(),
    cwd: '/',
    text: TEXT,
    args: ['check', '--json', '--no-files', '-'],
  });
});

void t.test('a missing answer is a refusal', async (t) => {
  const began = performance.now();
  const hung = `import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs';
    spawn('sleep', ['20'], { stdio: 'inherit' }); process.on('SIGTERM', () => undefined);
    process.stdout.write('{'); setInterval(() => undefined, 1000);`;
  t.match(
    ask(t, hung, { withinMs: 2000 }),
    refusal(/no answer within 2 s/),
    'one that hangs, with a child of its own',
  );
  t.ok(performance.now() - began < 40_000, 'is not waited for');
  const flood = `const piece = 'x'.repeat(1_000_000);
    for (let n = 0; n < 100; n += 1) process.stdout.write(piece);`;
  t.match(ask(t, flood), refusal(/an answer of more than 262144 bytes/), '100 MB');
  for (const [name, code] of [
    ['nothing', ''],
    ['no JSON', 'process.stdout.write("all is well");'],
    ['another form', answers({ ok: true })],
    ['a list', answers([])],
    ['numbers for words', answers({ ok: false, problems: [{ path: 1, message: 2 }] })],
    ['a crash', 'throw new Error("no");'],
  ] as const)
    t.match(ask(t, code), refusal(/its answer is not in the form of one/), name);
  t.match(
    ask(t, programText({ ok: true, problems: [] }), {}, `# ${'x'.repeat(1_000_000)}\n`),
    refusal(/it ended before it had read the configuration/),
    'an answer to a text that it has not read',
  );
  t.match(ask(t, answers({ ok: false, problems: [] })), refusal(/it refuses without a reason/));
  t.match(ask(t, 'process.kill(process.pid, "SIGSEGV");'), refusal(/it was ended by SIGSEGV/));
  t.match(
    releaseProblems(TEXT, { program: '/nonexistent', user: USER, env: {} }),
    refusal(/its answer is not/),
  );
});

void t.test('the answer is bounded and printable', { skip: unlessAll }, async (t) => {
  const evil = { path: `a\n\u001b[2Jb${'x'.repeat(5000)}`, message: `\u202eevil\r\n${'y'.repeat(5000)}` };
  const problems = ask(t, answers({ ok: false, problems: Array.from({ length: 20 }, () => evil) }));
  t.equal(problems.length, 20);
  for (const { path, message } of problems) {
    t.ok(path.length <= 230 && message.length <= 530, 'cut');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    t.notMatch(`${path}${message}`, /[\u0000-\u001f\u202e]/, 'nothing moves a cursor');
  }
  const manyProblems = Array.from({ length: 1000 }, () => ({ path: '', message: 'm' }));
  t.equal(ask(t, answers({ ok: false, problems: manyProblems })).length, 50);
});

void t.test(
  'the unit’s program answers one request each, and tries nothing that the release refuses',
  { skip: unlessAll },
  async (t) => {
    const dir = scratch(t);
    chmodSync(dir, 0o755);
    const [file, bin] = [join(dir, 'vigie.yaml'), join(dir, 'systemctl')];
    const [lib, agentState] = [join(dir, 'lib'), join(dir, 'agent')];
    const program = join(lib, 'releases/1-0.1.0/dist/agent/cli/main.js');
    for (const folder of [dirname(program), agentState]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(lib, 'releases/1-0.1.0/package.json'), '{"type":"module"}');
    symlinkSync('releases/1-0.1.0', join(lib, 'current'));
    const previous = `site: s
box: box-1
camera: { source: "test:pattern" }
zones: [{ id: yard, polygon: [[0, 0], [1, 0], [1, 1]] }]
rules: [{ id: stay, kind: loitering, zone: yard, afterS: 9, purpose: safety }]
mqtt: { url: "mqtt://127.0.0.1:1", ack: broker }
`;
    writeFileSync(file, previous);
    writeFileSync(bin, '#!/bin/sh\necho "$@" >>"$0.log"\n', { mode: 0o755 });
    const helper = (): Program => {
      const program = start(t, process.execPath, [
        ...[VIGIE_ROOT, 'config-trial', '--config', file, '--lib', lib, '--state', join(dir, 'root')],
        ...['--agent-state', agentState, '--folder', join(dir, 'restraint'), '--agent-user', 'nobody'],
        ...['--settings', join(dir, 'none'), '--systemctl', bin, '--timedatectl', 'false'],
      ]);
      // A refused request is not read to its end, which breaks the pipe.
      program.child.stdin?.on('error', () => undefined);
      return program;
    };
    const askOnce = async (line: string): Promise<ConfigReply> => {
      const answerer = helper();
      answerer.child.stdin?.write(`${line}\n`);
      t.equal(await answerer.exit, 0, answerer.err);
      return JSON.parse(answerer.out) as ConfigReply;
    };
    const request = JSON.stringify({ op: 'try', proposal: PROPOSAL });
    const tryWith = (code: string): Promise<ConfigReply> => {
      writeFileSync(program, code, { mode: 0o644 });
      return askOnce(request);
    };
    const silent = helper();
    const half = helper();
    half.child.stdin?.write('{"op":');
    const problem = { path: 'rules[0].zone', message: 'this release has no such rule' };
    t.match(await tryWith(answers({ ok: false, problems: [problem] })), { trial: null, problems: [problem] });
    t.match(await tryWith(''), { trial: null, problems: [{ message: /its answer is not in the form/ }] });
    t.equal(readFileSync(file, 'utf8'), previous, 'the configuration is unchanged');
    t.notOk(existsSync(`${bin}.log`), 'and systemd was asked for nothing');
    writeFileSync(program, answers({ ok: true, problems: [] }), { mode: 0o644 });
    const both = await Promise.all([askOnce(request), askOnce(request)]);
    const refusedReply = both.find((reply) => reply.refused !== null);
    t.match(refusedReply?.refused, /another configuration is on trial/, 'of two at once one is tried');
    t.match(
      both.find((reply) => reply !== refusedReply),
      { refused: null, trial: { id: String }, problems: [] },
      'control',
    );
    t.not(readFileSync(file, 'utf8'), previous);
    t.equal(
      readFileSync(`${bin}.log`, 'utf8'),
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
    for (const slow of [silent, half]) {
      t.equal(await slow.exit, 0, 'a silent client is not waited for');
      t.match(slow.out, /not a request/);
    }
  },
);

void t.test('vigie check itself accepts and refuses configurations', { skip: unlessAll }, async (t) => {
  const check = (text: string): ReturnType<typeof releaseProblems> =>
    releaseProblems(text, { program: VIGIE, user: {}, env: {} });
  t.strictSame(check(TEXT), []);
  t.match(check(`${TEXT}detector: { model: no-such-model }\n`), [
    { path: 'detector.model', message: /no model card has this name/, order: false },
  ]);
  t.match(check('site: s\n'), [{ path: 'box' }]);
  t.match(check(''), [{ path: '', message: /is empty/ }]);
  t.match(check(`#${'x'.repeat(300_000)}`), [{ path: '', message: /larger than 256 KiB/ }]);
  t.match(check(readFileSync(VIGIE, 'utf8')), [{ path: String }], 'no configuration at all');
});

const skip = !isRoot && 'only root can change its user';
void t.test('only an existing user other than root is used', { skip }, async (t) => {
  t.throws(() => childUser('root'), { kind: 'config', message: /must not be root/ });
  t.throws(() => childUser('no-such-user'), { kind: 'config', message: /must exist/ });
  t.throws(() => childUser('-h'), { kind: 'config', message: /must exist/ });
});
