/**
 * Tests the page as the package installs it: the process can access almost nothing of the box. A phone that is paired
 * through systemd's socket is in test/e2e/pole.all.test.ts.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeSetupCode, setupCodeHash } from '../../agent/contract/setup-code.ts';
import { PATIENCE_MS } from '../lib/booted-box.ts';
import { boxPackages } from '../lib/box-package.ts';
import { installedContainer } from '../lib/installed-root.ts';
import { Container, ownArch } from '../lib/nspawn.ts';
import { waitUntil } from '../lib/room.ts';

const skip = Container.unavailable();
const APP = '/usr/lib/vigie/current/dist/agent/page/app';

void t.test('vigie-page.service sees only its own folders', { skip }, async (t) => {
  const container = await installedContainer(t, ...boxPackages(ownArch()));
  if (!existsSync(join(container.root, APP)))
    for (const name of ['index.html', 'app.js', 'style.css']) container.write(join(APP, name), name);
  await container.boot(t);
  const run = (...words: string[]): string => {
    const { out, err } = container.run(...words);
    return `${out}${err}`.trim();
  };
  t.equal(container.show('vigie-page.socket', 'ActiveState'), 'inactive', 'no code, no page');

  const content = { version: 1, sha256: setupCodeHash(makeSetupCode()), made: '2026-11-24T00:00:00.000Z' };
  container.write('/etc/vigie/page/setup-code.json', JSON.stringify(content));
  run('systemctl', 'start', 'vigie-page');
  const log = (): string => run('journalctl', '-u', 'vigie-page', '-o', 'cat');
  await waitUntil(t, 'it serves', () => /certificate of the page/.test(log()), PATIENCE_MS);
  const pid = container.show('vigie-page', 'MainPID');
  const inside = (...words: string[]): string => run('nsenter', '-t', pid, '-m', '--', ...words);
  t.equal(inside('ls', '/etc/vigie'), 'page', 'it sees only its own folder of the configuration');
  for (const dir of ['/var/lib/vigie', '/run/vigie', '/var/lib/vigie-restraint', '/boot'])
    t.notMatch(inside('runuser', '-u', 'vigie-page', '--', 'ls', dir), /^[a-z]+\.|journal|socket$/, dir);
  const status = run('grep', '-E', '^(Uid|CapEff|NoNewPrivs|Seccomp):', `/proc/${pid}/status`);
  t.match(status, /Uid:\s+(?!0)\d+.*CapEff:\s+0+\s.*NoNewPrivs:\s+1\s.*Seccomp:\s+2/s);
  t.equal(run('stat', '-c', '%U %a', '/var/lib/vigie-page/page.key'), 'vigie-page 600');
  t.equal(container.show('vigie-page', 'NRestarts'), '0');
});
