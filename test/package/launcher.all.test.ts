/**
 * Tests the installed command `vigie` run by root: no code of any release runs as root, and the guides' commands work.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { boxPackages, provision } from '../lib/box-package.ts';
import { installedContainer } from '../lib/installed-root.ts';
import { Container, ownArch } from '../lib/nspawn.ts';
import { ROOT } from '../lib/paths.ts';

const skip = Container.unavailable();
/** A release that prints its user. */
const SPY = `#!/usr/bin/node
const status = require('node:fs').readFileSync('/proc/self/status', 'utf8');
console.log(JSON.stringify({
  args: process.argv.slice(2),
  ...Object.fromEntries(status.trim().split('\\n').map((line) => line.split(/:\\s+/))),
}));
`;
const NONE = '0000000000000000';

/** Commands that the guides and the reference show for root. */
function toldAsRoot(): Set<string> {
  const folders = ['docs/guide', 'docs/ref', 'docs/design'].map((dir) => join(ROOT, dir));
  const pages = folders.flatMap((dir) =>
    readdirSync(dir)
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(dir, name)),
  );
  const text = [...pages, join(ROOT, 'README.md')].map((file) => readFileSync(file, 'utf8')).join('\n');
  return new Set([...text.matchAll(/sudo vigie ([a-z]+)/g)].map(([, command]) => String(command)));
}

void t.test('the command vigie, run by root, runs no code of a release as root', { skip }, async (t) => {
  const container = await installedContainer(t, ...boxPackages(ownArch()));
  t.match(container.run('dpkg', '-S', '/usr/bin/vigie').out, /^vigie-root:/);
  const current = container.run('readlink', '/usr/lib/vigie/current').out.trim();
  const idOf = (...words: string[]): string => container.run('id', ...words).out.trim();
  const [uid, gid] = [idOf('-u', 'vigie'), idOf('-g', 'vigie')];
  const groups = (...names: string[]): string[] =>
    names.map((name) => container.run('getent', 'group', name).out.split(':')[2] ?? name);

  const spy = '/usr/lib/vigie/releases/9-9.9.9';
  container.write(`${spy}/dist/agent/cli/main.js`, SPY, 0o755);
  const point = (target: string): void => void container.run('ln', '-sfn', target, '/usr/lib/vigie/current');
  point('releases/9-9.9.9');
  const runSpy = (...words: string[]): Record<string, string> & { args?: string[] } => {
    const { status, out, err } = container.run(...words);
    t.equal(status, 0, err);
    return JSON.parse(out) as Record<string, string>;
  };
  for (const command of ['status', 'doctor', 'pin', '--version', '--', '']) {
    const spyOutput = runSpy('vigie', command, 'two words', '$(id)');
    t.strictSame(spyOutput.args, [command, 'two words', '$(id)'], 'the arguments are passed on unchanged');
    t.equal(spyOutput['Uid'], Array(4).fill(uid).join('\t'), `${command}: the agent’s user`);
    t.equal(spyOutput['Gid'], Array(4).fill(gid).join('\t'));
    for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      t.equal(spyOutput[name], NONE, `${command}: ${name}`);
    t.equal(spyOutput['NoNewPrivs'], '1');
    const expected = command === 'doctor' ? groups('vigie', 'video', 'render', 'plugdev') : groups('vigie');
    t.strictSame(spyOutput['Groups']?.trim().split(' ').sort(), expected.sort(), `${command}: groups`);
  }
  const page = runSpy('runuser', '-u', 'vigie-page', '--', 'vigie', 'page');
  t.equal(page['Uid'], Array(4).fill(idOf('-u', 'vigie-page')).join('\t'), 'another user is not changed');

  container.run('rm', '/usr/lib/vigie/current');
  t.match(container.run('vigie', '--version'), { status: 2, err: /no such program; run vigie-root status/ });
  point(current);

  t.strictSame([...toldAsRoot()].sort(), ['check', 'doctor'], 'each of these is tried here');
  await provision(t, container);
  const provisioning = container.run('vigie-root', 'boot-partition', '--from', '/boot/firmware/vigie');
  t.equal(provisioning.status, 0, provisioning.err);
  t.equal(container.run('stat', '-c', '%U:%G %a', '/etc/vigie/pki/box.key').out.trim(), 'root:vigie 640');
  t.match(container.run('vigie', 'check', '/etc/vigie/vigie.yaml'), { status: 0, out: /: ok/ });
  container.run('install', '-d', '-o', 'vigie', '-g', 'vigie', '-m', '0750', '/var/lib/vigie');
  const { out } = container.run('vigie', 'doctor', '--seconds', '1', '--json');
  const { findings } = JSON.parse(out) as { findings: { name: string; state: string; detail: string }[] };
  for (const name of ['config', 'files', 'state', 'disk', 'detector']) {
    const finding = findings.find((one) => one.name === name);
    t.equal(finding?.state, 'ok', `doctor: ${name}: ${finding?.detail}`);
  }
  t.match(findings.find(({ name }) => name === 'state')?.detail, /user vigie may write/);
  t.equal(container.run('find', '/var/lib/vigie', '-user', 'root').out, '', 'and leaves no file of root’s');

  t.match(container.run('vigie-root', 'pin'), {
    status: 0,
    out: /^this box obeys [0-9a-f]{64}; validity is checked from/,
  });
  t.equal(
    container.run(
      'stat',
      '-c',
      '%U',
      '/var/lib/vigie/authority.json',
      '/var/lib/vigie-restraint/authority.pub',
    ).out,
    'vigie\nroot\n',
  );
  t.match(container.run('vigie', 'pin'), { status: 2, err: /run sudo vigie-root pin/ });
});
