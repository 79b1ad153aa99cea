/**
 * Tests the page as the package installs it: the process can access almost nothing of the box. A phone that is paired
 * through systemd's socket is in test/e2e/pole.all.test.ts.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeSetupCode, setupCodeHash } from '../../agent/contract/setup-code.ts';
import { ownAuthorisation } from '../../scripts/lib/own-authorisation.ts';
import { configOf } from '../lib/agent.ts';
import { PATIENCE_MS } from '../lib/booted-box.ts';
import { boxPackages } from '../lib/box-package.ts';
import { makeSigner, searchCommand, signed } from '../lib/commands.ts';
import { installedContainer } from '../lib/installed-root.ts';
import { Container, ownArch } from '../lib/nspawn.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, SITE, waitUntil } from '../lib/room.ts';

const skip = Container.unavailable();
const APP = '/usr/lib/vigie/current/dist/agent/page/app';

/**
 * Tests that systemd carries the room's command from the agent's folder to root, which opens the hotspot under an
 * authorisation.
 */
async function testHotspot(t: Test, container: Container): Promise<void> {
  const run = (...words: string[]): string => container.run(...words).out.trim();
  const signer = makeSigner('desk', ['open-hotspot']);
  const rule = { id: 'stays', kind: 'loitering', purpose: 'safety', zone: 'square' };
  const corner = (x: number, y: number): number[] => [x, y];
  const zones = [{ id: 'square', polygon: [corner(0.1, 0.1), corner(0.9, 0.1), corner(0.5, 0.9)] }];
  const fields = { site: SITE, box: BOX, zones, rules: [rule], commands: { keys: [signer.config] } };
  const environment = ownAuthorisation(configOf(fields, 'replay'), 'rtsp://10.0.0.2/1', scratch(t), 'test');
  const authorisation = '/etc/vigie/authorisation.dsse.json';
  container.write(authorisation, readFileSync(environment['VIGIE_AUTHORISATION'] ?? '', 'utf8'));
  container.write('/etc/vigie/vigie.yaml', JSON.stringify({ ...fields, authorisation }));
  run('install', '-d', '-o', 'vigie', '-g', 'vigie', '-m', '0700', '/var/lib/vigie');
  run('mkdir', '-p', '/var/lib/vigie-restraint', '/run/NetworkManager/system-connections');
  const authority = readFileSync(environment['VIGIE_AUTHORITY_KEY'] ?? '', 'utf8');
  container.write('/var/lib/vigie-restraint/authority.pub', authority);
  container.write('/etc/vigie/page/hotspot-key', 'k7qf93mx');
  // A container has no Wi-Fi, so nmcli(1) is replaced.
  container.write('/usr/bin/nmcli', '#!/bin/sh\ncase "$*" in *device*) echo wifi;; esac\n');
  run('chmod', '0755', '/usr/bin/nmcli');
  const log = (): string => run('journalctl', '-u', 'vigie-hotspot', '-o', 'cat');
  const waitForLog = (pattern: RegExp): Promise<unknown> =>
    waitUntil(t, String(pattern), () => pattern.test(log()), PATIENCE_MS);
  const writeRequest = (bytes: Buffer): void => {
    container.write('/home/laid', bytes.toString());
    const to = '/var/lib/vigie/open-hotspot.dsse.json';
    run('runuser', '-u', 'vigie', '--', 'sh', '-c', `cp /home/laid ${to}.new && mv ${to}.new ${to}`);
  };
  run('systemctl', 'start', 'vigie-hotspot.path', 'vigie-hotspot.service');
  await waitForLog(/no hotspot: order test-1 holds until/);
  const idle = (): boolean => container.show('vigie-hotspot', 'ActiveState') === 'inactive';
  await waitUntil(t, 'over', idle, PATIENCE_MS);
  writeRequest(Buffer.from('{}'));
  await waitForLog(/command is refused: not a DSSE envelope(.*\n)*.*the room has not requested it/);
  await waitUntil(t, 'over', idle, PATIENCE_MS);
  const command = signed(signer, searchCommand({ op: 'open-hotspot', args: { minutes: 7 } }));
  writeRequest(command);
  await waitForLog(/the room opens the hotspot for 7 min\nhotspot \S+ is open for 7 min/);
  run('systemctl', 'stop', 'vigie-hotspot');
  writeRequest(command);
  await waitForLog(/command is refused: counter \d+ is not above/);
  t.equal(run('stat', '-c', '%U %a', '/var/lib/vigie-restraint/hotspot-counters.json'), 'root 600');
}

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
  await testHotspot(t, container);
});
