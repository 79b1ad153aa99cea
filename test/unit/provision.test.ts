/** A new box: what lies on the boot partition is taken once, as a whole or not at all; the camera's address. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cameraReach, tellSystemd } from '../../agent/provision/camera-address.ts';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { scratch } from '../lib/paths.ts';
import { vigie } from '../lib/program.ts';

interface Card {
  readonly from: string;
  readonly to: string;
  readonly result: () => string;
}

/** A boot partition with everything, and an /etc/vigie with nothing. */
async function card(t: Test, box = 'box-1'): Promise<Card> {
  const dir = scratch(t);
  const [from, to] = [join(dir, 'boot'), join(dir, 'etc')];
  for (const folder of [from, join(from, 'pki'), to, join(to, 'pki')]) mkdirSync(folder);
  const authority = new CertificateAuthority(join(dir, 'authority'));
  await authority.start();
  const pair = await authority.client(box);
  writeFileSync(join(from, 'pki/ca.crt'), readFileSync(authority.ca));
  writeFileSync(join(from, 'pki/box.crt'), readFileSync(pair.cert));
  writeFileSync(join(from, 'pki/box.key'), readFileSync(pair.key));
  writeFileSync(join(from, 'vigie.yaml'), config(to));
  return { from, to, result: () => readFileSync(join(from, 'result.txt'), 'utf8') };
}

function config(to: string, more = ''): string {
  const pki = join(to, 'pki');
  return `site: s
box: box-1
camera: { source: "rtsp://admin:hunter2@10.0.0.2/main" }
rules: []
mqtt: { url: "mqtts://room:8883", ca: ${pki}/ca.crt, cert: ${pki}/box.crt, key: ${pki}/box.key, ack: broker }
${more}`;
}

async function take(t: Test, { from, to }: Card): Promise<{ code: number | null; said: string }> {
  const program = vigie(t, 'provision', 'boot-partition', '--from', from, '--to', to);
  const code = await program.ended;
  return { code, said: program.out + program.err };
}

const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

void t.test('everything in order', async (t) => {
  const box = await card(t);
  writeFileSync(join(box.from, 'notes.txt'), 'lamp post 7');
  t.match(await take(t, box), { code: 0 });
  t.equal(modeOf(join(box.to, 'pki/box.key')), '600');
  t.equal(modeOf(join(box.to, 'pki/ca.crt')), '640');
  t.equal(modeOf(join(box.to, 'vigie.yaml')), '640');
  t.match(box.result(), /^\S+Z installed\r\n/);
  t.match(box.result(), /notes\.txt: .* left here/);
  t.notMatch(box.result(), /hunter2|PRIVATE/, 'no secret in the result');
  t.strictSame(readdirSync(box.from).sort(), ['notes.txt', 'pki', 'result.txt']);
  t.strictSame(readdirSync(join(box.from, 'pki')), []);
  t.match(await take(t, box), { code: 0, said: /nothing to take/ }, 'once');

  writeFileSync(join(box.from, 'vigie.yaml'), config(box.to, 'alertsPerHour: 7\n'));
  t.match(await take(t, box), { code: 0 }, 'later a configuration alone: the certificates are there');
  t.match(readFileSync(join(box.to, 'vigie.yaml'), 'utf8'), /alertsPerHour: 7/);
  t.notMatch(
    readFileSync(join(box.to, 'vigie.yaml.before'), 'utf8'),
    /alertsPerHour/,
    'the last one is kept',
  );
});

void t.test('refused as a whole', async (t) => {
  const wrong: Readonly<Record<string, readonly [(card: Card) => void, RegExp]>> = {
    'a mistake in the configuration': [
      ({ from, to }) => writeFileSync(join(from, 'vigie.yaml'), config(to, 'alertsPerHuor: 7\n')),
      /vigie\.yaml:6:1 alertsPerHuor: unknown key; did you mean "alertsPerHour"\?/,
    ],
    'a certificate that is none': [({ from }) => writeFileSync(join(from, 'pki/ca.crt'), ''), /ca\.crt/],
    'a key of another certificate': [
      ({ from }) => writeFileSync(join(from, 'pki/box.key'), readFileSync(join(from, '../authority/ca.key'))),
      /does not belong to the certificate/,
    ],
    'a file that a later key names': [
      ({ from, to }) =>
        writeFileSync(join(from, 'vigie.yaml'), config(to, `authorisation: ${to}/authorisation.dsse.json\n`)),
      /authorisation\.dsse\.json: the configuration names it, but there is no/,
    ],
    'a file that is too large': [
      ({ from }) => writeFileSync(join(from, 'film.mp4'), Buffer.alloc(300_000)),
      /film\.mp4: is larger than/,
    ],
  };
  for (const [name, [spoil, reason]] of Object.entries(wrong)) {
    const box = await card(t);
    spoil(box);
    t.match(await take(t, box), { code: 2, said: reason }, name);
    t.match(box.result(), reason, `${name}: said on the card too`);
    t.match(box.result(), /^\S+Z refused\r\n/);
    t.strictSame(readdirSync(box.to), ['pki'], 'nothing was installed');
    t.ok(existsSync(join(box.from, 'pki/box.key')), 'nothing was taken');
    t.notMatch(box.result(), /hunter2|PRIVATE/);
  }
  const other = await card(t, 'box-2');
  t.match(await take(t, other), { code: 2, said: /is that of box-2; this box is box-1/ }, 'another box’s');
});

void t.test('what vision may reach', async (t) => {
  const resolvConf = join(scratch(t), 'resolv.conf');
  writeFileSync(resolvConf, '# made by a test\nnameserver 192.0.2.53\nsearch example\n');
  const reach = (source: string) => cameraReach(source, { resolvConf });
  t.strictSame(await reach('rtsp://u:p@10.0.0.2:554/main'), { addresses: ['10.0.0.2'], byName: false });
  t.strictSame(await reach('rtsp://[fd00::7]/main'), { addresses: ['fd00::7'], byName: false });
  for (const source of ['v4l2:/dev/video0', 'file:/usr/share/clip.mp4', 'libcamera:', 'test:pattern']) {
    t.strictSame(await reach(source), { addresses: [], byName: false }, `${source}: nothing`);
  }
  const named = await reach('rtsp://localhost/main');
  t.ok(named.byName && named.addresses.includes('192.0.2.53'), 'by name: the name server too');
  await t.rejects(reach('rtsp://no-such-host.invalid/main'), {
    kind: 'unavailable',
    message: /by its address/,
  });

  const calls = join(scratch(t), 'calls');
  const systemctl = join(scratch(t), 'systemctl');
  writeFileSync(systemctl, `#!/bin/sh\nprintf '%s\\n' "$*" >>${calls}\n`, { mode: 0o755 });
  await tellSystemd(['10.0.0.2'], systemctl);
  t.equal(
    readFileSync(calls, 'utf8'),
    'set-property --runtime vigie-vision.service IPAddressAllow= IPAddressAllow=10.0.0.2\n',
    'what was allowed before is forgotten first',
  );
  await t.rejects(tellSystemd([], '/bin/false'), { kind: 'unavailable', message: /systemd refuses/ });
});
