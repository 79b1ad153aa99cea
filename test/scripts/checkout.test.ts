/** Tests what npm and the runner of tests do in a checkout. */
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ROOT, scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { unlessAll } from '../lib/run.ts';

const scripts = join(ROOT, 'scripts');

/** Removes the variables that an npm running the tests passes on. */
function withoutNpmVariables(...command: string[]): string[] {
  return ['env', '-i', `PATH=${process.env['PATH']}`, `HOME=${process.env['HOME']}`, ...command];
}

void t.test('npm prints nothing about the project’s settings', async (t) => {
  const [program = '', ...args] = withoutNpmVariables('npm', 'config', 'get', 'fund');
  const { status, stderr } = spawnSync(program, args, { cwd: ROOT, encoding: 'utf8' });
  t.match({ status, stderr }, { status: 0, stderr: '' });
});

const npmVersion = spawnSync('npm', ['--version'], { encoding: 'utf8' }).stdout.trim();
const [npmMajor = 0, npmMinor = 0] = npmVersion.split('.').map(Number);
// 11.19 is the oldest tested version; 10.9 does not know allowScripts.
const allows =
  npmMajor > 11 || (npmMajor === 11 && npmMinor >= 19)
    ? false
    : `npm ${npmVersion} may not know allowScripts; scripts/setup runs no package’s script`;

void t.test('npm ci fetches no CUDA', async (t) => {
  const installs = readdirSync(scripts, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(scripts, name)).isFile())
    .flatMap((name) => readFileSync(join(scripts, name), 'utf8').split('\n'))
    .filter((line) => /\bnpm (?:ci|install)\b/.test(line) && !/^ *#/.test(line));
  t.ok(installs.length >= 2);
  for (const line of installs) t.match(line, /--ignore-scripts/);

  await t.test('npm by hand fetches no CUDA either', { skip: unlessAll || allows }, async (t) => {
    const dir = scratch(t);
    const registry = await oneScriptRegistry(t, dir);
    const own = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { allowScripts: object };
    const ran = async (allowScripts: object): Promise<boolean> => {
      const project = mkdtempSync(join(dir, 'project-'));
      const dependencies = { 'onnxruntime-node': '1.30.0' };
      writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'p', dependencies, allowScripts }));
      copyFileSync(join(ROOT, '.npmrc'), join(project, '.npmrc'));
      const options = ['--prefix', project, '--registry', registry, '--cache', join(dir, 'cache')];
      const [program = '', ...args] = withoutNpmVariables('npm', 'install', ...options);
      const npm = start(t, program, args);
      t.equal(await npm.exit, 0, npm.err);
      t.ok(existsSync(join(project, 'node_modules/onnxruntime-node/package.json')), 'it is installed');
      return existsSync(join(project, 'node_modules/onnxruntime-node/ran'));
    };
    t.equal(await ran(own.allowScripts), false, 'its install script, which would fetch it, is not run');
    t.equal(await ran({}), true, 'and would be (control)');
  });
});

/** Serves one package, whose install script leaves a file beside itself. */
async function oneScriptRegistry(t: Test, dir: string): Promise<string> {
  const scripts = { postinstall: 'touch ran' };
  const manifest = { name: 'onnxruntime-node', version: '1.30.0', scripts };
  mkdirSync(join(dir, 'package'));
  writeFileSync(join(dir, 'package/package.json'), JSON.stringify(manifest));
  const tarball = execFileSync('tar', ['-cz', '-C', dir, 'package']);
  const server = createServer((request, response) => {
    if (request.url?.endsWith('.tgz')) return void response.end(tarball);
    const dist = { tarball: `http://${request.headers.host}/onnxruntime-node.tgz` };
    const versions = { '1.30.0': { ...manifest, hasInstallScript: true, dist } };
    response.end(JSON.stringify({ name: manifest.name, 'dist-tags': { latest: '1.30.0' }, versions }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

void t.test('the quick tests are those of the two names, and none is a failure', async (t) => {
  // A checkout with this one's runner and tests of its own.
  const dir = scratch(t);
  for (const name of ['dist/agent/base', 'dist/scripts/workshop/test', 'package.json']) {
    cpSync(join(ROOT, name), join(dir, name), { recursive: true });
  }
  symlinkSync(realpathSync(join(ROOT, 'node_modules')), join(dir, 'node_modules'));
  mkdirSync(join(dir, 'dist/test/outbox'), { recursive: true });
  const runner = join(dir, 'dist/scripts/workshop/test/main.js');
  const run = () => {
    const [program = '', ...args] = withoutNpmVariables(
      process.execPath,
      runner,
      '--run',
      'quick',
      '--check',
      'passed',
    );
    const { status, stdout } = spawnSync(program, args, { encoding: 'utf8', timeout: 120_000 });
    return { status, stdout };
  };
  const write = (name: string, body: string): void =>
    writeFileSync(join(dir, 'dist/test', name), `import t from 'tap';\n${body}\n`);
  write('slow.test.js', "t.fail('this is none of the quick ones');");
  t.match(run(), { status: 1, stdout: /\n {2}no test file ran\n.*\n1 passed, 1 failed\n$/s });
  write('outbox/rank.unit.test.js', 't.ok(true); t.equal(1, 2);');
  write('clock.contract.test.js', 't.ok(true);');
  const counts = /\n2 test files in \d+ s, \d+ CPU-s\n3 passed, 1 failed\n$/;
  t.match(run(), { status: 1, stdout: counts }, 'two, and the check');
});
