/** Tests the oversight package on a Debian without any other package of Vigie: each command. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { exportJournal } from '../../agent/restraint/journal/export.ts';
import { authorisationFor } from '../lib/authority.ts';
import { BoxLifetime } from '../lib/box-lifetime.ts';
import { install, oversightPackage } from '../lib/box-package.ts';
import { keyOf, ORIGIN, openJournal } from '../lib/journal.ts';
import { Container, type Output, ownArch } from '../lib/nspawn.ts';
import { ROOT, scratch } from '../lib/paths.ts';

const skip = Container.unavailable();
const deb = skip === false ? oversightPackage(ownArch()) : '';
const [, SITE = '', BOX = ''] = ORIGIN.split('/');
const COMMANDS = ['keygen', 'authorise', 'verify', 'report', 'witness', 'transparency'];

/** A box's journal of an hour, as the box exports it. */
function handedOver(t: Test, container: Container): string {
  const stateDir = scratch(t);
  const lifetime = new BoxLifetime(new Date(Date.now() - 3_600_000).toISOString())
    .start()
    .mode('active', 'order');
  lifetime.live(30).alerts(2).live(25).into(openJournal(stateDir));
  mkdirSync(join(container.root, 'root/box'), { recursive: true });
  exportJournal(join(stateDir, 'journal'), join(container.root, 'root/box/box.jsonl'));
  const key = keyOf(stateDir);
  container.write('/root/box/box.vkey', `${key}\n`);
  return key;
}

void t.test('its commands work without any other package of Vigie', { skip }, async (t) => {
  const container = new Container(t);
  const installation = install(container, deb);
  t.match(installation, { status: 0 }, installation.err);
  t.match(container.run('dpkg-query', '-W', 'vigie*').out, /^vigie-oversight\t\S+\n$/, 'no box, no room');
  const oversight = (...words: string[]): Output => container.run('vigie-oversight', ...words);
  const help = oversight('--help');
  t.match(help, { status: 0, out: /^Usage: vigie-oversight \[options\] \[command\]/ }, help.err);
  const version = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string })
    .version;
  t.match(oversight('--version'), { status: 0, out: `${version}\n` });
  const manual = container.run('gzip', '-dc', '/usr/share/man/man1/vigie-oversight.1.gz').out;
  for (const command of COMMANDS) {
    t.match(help.out, new RegExp(`^ {2}${command} `, 'm'));
    t.ok(manual.includes(`.SS vigie\\-oversight ${command}\n`), `the manual has ${command}`);
  }
  t.match(oversight('sign'), { status: 2, err: /^vigie-oversight: unknown command 'sign'/ });

  const key = handedOver(t, container);
  const place = '/root/box/box.jsonl';
  t.match(oversight('verify', place, '--key', '/root/box/box.vkey'), {
    status: 0,
    out: new RegExp(`\nIntact: the journal of box ${BOX} at ${SITE} has `),
  });
  container.write('/root/box/bad.jsonl', container.read(place).replace('"type":"alert"', '"type":"alerT"'));
  t.match(oversight('verify', '/root/box/bad.jsonl', '--key', key), { status: 1, out: /^wrong: / });
  t.match(oversight('report', place, '--key', key, '--out', '/root/report.html'), {
    status: 0,
    out: /2 alerts/,
  });
  t.match(container.read('/root/report.html'), /How to check this page/);
  const stateArgs = ['--dir', '/root/kept', '--keys', '/root/box/box.vkey', '--name', 'court.example'];
  t.match(oversight('witness', ...stateArgs, place), { status: 0, out: /: cosigned \d+ entries/ });
  t.match(oversight('witness', ...stateArgs, '/root/box/bad.jsonl'), { status: 1, err: /^ALARM / });

  for (const name of ['authority', 'prefect', 'mayor'])
    t.match(oversight('keygen', `/root/${name}.key`), { status: 0, out: /^fingerprint: /m });
  const rules = [
    { id: 'coming-in', kind: 'line-crossing', line: 'east-road', purpose: 'traffic-count' },
  ] as const;
  const config = {
    site: SITE,
    box: BOX,
    camera: { source: 'rtsp://10.0.0.2/main', fps: 5 },
    lines: [{ id: 'east-road', from: [0.9, 0.34], to: [0.82, 0.75] }],
    rules,
    authorityKey: '/etc/vigie/authority.pub',
  };
  container.write('/root/box/vigie.yaml', JSON.stringify(config));
  const resumeKeys = ['prefect', 'mayor'].map((name) => {
    const publicKey = container.read(`/root/${name}.key.pub`).split('\n')[1];
    return { name, publicKey };
  });
  const authorisation = { ...authorisationFor(config as never), resumeKeys };
  container.write('/root/order.yaml', JSON.stringify(authorisation));
  const signing = ['--sign', '/root/authority.key', '--out', '/root/order.dsse.json'];
  t.match(oversight('authorise', '/root/order.yaml', ...signing), {
    status: 0,
    out: /allows +line-crossing/,
  });
  const page = oversight(
    'transparency',
    ...['--config', '/root/box/vigie.yaml', '--order', '/root/order.dsse.json'],
    ...['--authority-key', '/root/authority.key.pub', '--journal', place, '--key', key],
    ...['--url', 'https://ville.example/017', '--contact', 'dpd@ville.example', '--out', '/root/page'],
    ...['--language', 'en'],
  );
  t.equal(page.status, 0, page.err);
  t.notMatch(page.err, 'vigie-oversight', 'it has nothing to say of the order');
  t.match(container.read('/root/page/index.html'), /Ville de Test\. Authorisation 2026-77/);
  t.match(container.read('/root/page/sign.html'), /<svg/);

  t.match(container.run('dpkg', '--purge', 'vigie-oversight'), { status: 0 });
  t.equal(container.run('sh', '-c', 'ls -d /usr/*/*vigie* /usr/share/doc/vigie*').out, '', 'nothing is left');
});
