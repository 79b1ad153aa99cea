/**
 * Tests the disks that `scripts/flash` may overwrite, by a made sysfs, the files for a vendor's image, and the labels of
 * a box as a phone's camera reads them.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { adapterFiles } from '../../scripts/products/flash/adapters.ts';
import { confirm } from '../../scripts/products/flash/confirm.ts';
import { assertSame, type Disk, writableDisk } from '../../scripts/products/flash/device.ts';
import { wifiCode, writeLabel } from '../../scripts/products/flash/label.ts';
import { scratch } from '../lib/paths.ts';
import { unlessAll } from '../lib/run.ts';

const BOX = 'canebiere-017';

interface MadeSys {
  readonly sys: string;
  /** Adds a disk with these files in its folder; with `partitions`, that number of partitions. */
  disk(name: string, files: Readonly<Record<string, string>>, partitions?: number): void;
}

/** Makes a sysfs with folders and files in the kernel's layout. */
function madeSys(t: Test): MadeSys {
  const sys = scratch(t);
  let minor = 0;
  const write = (file: string, text: string): void => {
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, `${text}\n`);
  };
  return {
    sys,
    disk: (name, files, partitions = 0) => {
      const dir = join(sys, 'block', name);
      minor += 16;
      const usual = {
        size: '62333952',
        ro: '0',
        removable: '1',
        dev: `8:${minor}`,
        diskseq: String(minor),
      };
      for (const [file, text] of Object.entries({ ...usual, ...files })) write(join(dir, file), text);
      for (let number = 1; number <= partitions; number += 1) {
        const part = join(dir, `${name}${name.startsWith('mmc') ? 'p' : ''}${number}`);
        write(join(part, 'partition'), String(number));
        write(join(part, 'dev'), `8:${minor + number}`);
      }
    },
  };
}

void t.test('only a removable disk that is not in use may be overwritten', async (t) => {
  const { sys, disk } = madeSys(t);
  const line = (number: string, place: string, source: string): string =>
    `30 1 ${number} / ${place} rw,relatime shared:1 - ext4 ${source} rw`;
  const use = (mountinfo = '', swaps = 'Filename\tType\n') => ({ mountinfo, swaps });
  const checkDenied = (name: string, message: RegExp, label: string, usage = use()): void =>
    void t.throws(() => writableDisk(name, sys, usage), { kind: 'denied', message }, label);

  disk(
    'mmcblk0',
    { removable: '0', 'device/type': 'SD', 'device/serial': '0x12345678', 'device/name': 'SC32G' },
    2,
  );
  const card = writableDisk('mmcblk0', sys, use());
  t.match(card, { bytes: 31914983424, serial: '0x12345678', model: 'SC32G' }, 'an SD card in a slot');
  disk('sda', { 'device/model': 'Card Reader' }, 2);
  // The reader's serial number is at the USB device, some folders above; a hub's further up does not belong to it.
  const usb = join(sys, 'devices/usb1/1-1');
  mkdirSync(join(usb, '1-1:1.0/host0/0:0:0:0'), { recursive: true });
  writeFileSync(join(usb, 'idVendor'), '05e3\n');
  writeFileSync(join(usb, '../serial'), '0000:00:14.0\n');
  rmSync(join(sys, 'block/sda/device'), { recursive: true });
  symlinkSync(join(usb, '1-1:1.0/host0/0:0:0:0'), join(sys, 'block/sda/device'));
  writeFileSync(join(usb, '1-1:1.0/host0/0:0:0:0/model'), 'Card Reader\n');
  t.match(writableDisk('sda', sys, use()), { serial: 'Card Reader' }, 'no serial: the model');
  writeFileSync(join(usb, 'serial'), '000000000272\n');
  t.match(writableDisk('sda', sys, use()), { serial: '000000000272' }, 'a card in a USB reader');

  checkDenied('sda1', /sda1 is a partition; name the disk, \/dev\/sda/, 'a partition');
  checkDenied('mmcblk0p2', /name the disk, \/dev\/mmcblk0$/, 'a partition of a card');
  checkDenied('sdz', /is not there/, 'none');
  for (const name of ['nvme0n1', 'loop0', 'vda', 'sr0', 'dm-0', 'mmcblk1boot0', 'zram0', '../sda']) {
    checkDenied(name, /is neither a card nor a stick/, name);
  }
  disk('sdb', { removable: '0' });
  checkDenied('sdb', /sdb is built in \(not removable\)/, 'a disk that is screwed in');
  disk('mmcblk1', { removable: '0', 'device/type': 'MMC' });
  checkDenied('mmcblk1', /is built in \(eMMC\)/, 'eMMC');
  disk('sdc', { size: '0' });
  checkDenied('sdc', /there is no card in the reader/, 'an empty reader');
  disk('sdd', { size: String(2 ** 32 + 1) });
  checkDenied('sdd', /more than any card/, 'too large');
  disk('sde', { ro: '1' });
  checkDenied('sde', /write-protected/, 'the switch at its side');

  disk('sdf', {}, 2);
  const [root, first] = [join(sys, 'block/sdf/dev'), join(sys, 'block/sdf/sdf1/dev')].map((file) =>
    readFileSync(file, 'utf8').trim(),
  );
  checkDenied(
    'sdf',
    /is this machine’s own disk: \/ lies on it/,
    'the root',
    use(line(String(root), '/', '/dev/root')),
  );
  checkDenied(
    'sdf',
    /own disk: \/boot\/firmware lies/,
    'boot',
    use(line(String(first), '/boot/firmware', '/dev/x')),
  );
  checkDenied(
    'sdf',
    /is mounted on \/media\/me; unmount/,
    'mounted',
    use(line(String(first), '/media/me', '/dev/sdf1')),
  );
  checkDenied(
    'sdf',
    /is mounted on/,
    'by its name, where a file system has a number of its own',
    use(line('0:41', '/mnt', '/dev/sdf2')),
  );
  checkDenied(
    'sdf',
    /it swaps to \/dev\/sdf2/,
    'swap',
    use('', 'Filename\tType\n/dev/sdf2 partition 1 0 -2\n'),
  );
  t.ok(
    writableDisk('sdf', sys, use(line('8:1', '/', '/dev/sdzz1'))),
    'another disk’s root is none of its business',
  );
  // LVM on LUKS on the second partition.
  for (const [holder, on] of [
    ['dm-0', 'sdf/sdf2'],
    ['dm-1', 'dm-0'],
  ] as const) {
    disk(holder, { dev: `253:${holder.slice(3)}` });
    mkdirSync(join(sys, 'block', on, 'holders', holder), { recursive: true });
  }
  checkDenied(
    'sdf',
    /\/ lies on it/,
    'the root through two mappings',
    use(line('253:1', '/', '/dev/mapper/vg-root')),
  );
  checkDenied('sdf', /is in use by dm-0/, 'mapped and not mounted');

  t.doesNotThrow(() => assertSame(card, { ...card }));
  for (const change of [{ bytes: 1 }, { serial: 'x' }, { number: '8:1' }, { sequence: '99' }]) {
    t.throws(() => assertSame(card, { ...card, ...change }), { message: /another disk than the one/ });
  }
  const { signal } = new AbortController();
  const confirmed = (input: string | undefined, target: Disk = card): Promise<void> =>
    confirm(target, input, signal);
  await t.resolves(confirmed('31914983424 0x12345678'));
  await t.resolves(confirmed('31914983424 My Reader', { ...card, serial: 'My Reader' }));
  for (const wrong of [
    '',
    '31914983424',
    '0x12345678 31914983424',
    '31914983424 0x12345679',
    '3191498342 0x12345678',
  ]) {
    await t.rejects(confirmed(wrong), { kind: 'denied', message: /The disk is unchanged/ }, `'${wrong}'`);
  }
});

void t.test('adapter files set name, user and network of a vendor’s image', async (t) => {
  const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA alice@laptop';
  const host = { hostname: BOX, technicians: [key], instance: 'vigie-1' };
  const text = (adapter: 'cloudinit-rpi' | 'rpi-preseed', technicians = [key]): Record<string, string> =>
    Object.fromEntries(
      adapterFiles(adapter, { ...host, technicians }, 'console=tty1 ds=nocloud;i=rpios-image rootwait\n').map(
        ({ path, content }) => [path, Buffer.from(content).toString()],
      ),
    );
  const cloud = text('cloudinit-rpi');
  t.equal(cloud['cmdline.txt'], 'console=tty1 rootwait ds=nocloud;i=vigie-1\n', 'once, at the end, one line');
  t.equal(cloud['meta-data'], `instance-id: vigie-1\nlocal-hostname: ${BOX}\n`);
  t.match(cloud['user-data'], /^#cloud-config\n/);
  t.match(JSON.parse(String(cloud['user-data']).replace(/^#.*\n/, '')), {
    hostname: BOX,
    ssh_pwauth: false,
    users: [{ name: 'technician', lock_passwd: true, ssh_authorized_keys: [key] }],
  });
  t.match(JSON.parse(String(text('cloudinit-rpi', [])['user-data']).replace(/^#.*\n/, '')), { users: [] });
  t.match(cloud['network-config'], /dhcp4: true\n +optional: true/);
  const preseed = text('rpi-preseed')['rpi-preseed.toml'] ?? '';
  t.match(preseed, /^config_version = "1\.0"\n\[system\]\nhostname = "canebiere-017"\n/);
  t.match(preseed, `authorized_keys = ["${key}"]`);
  t.match(preseed, 'password = "*"\npassword_encrypted = true', 'no password opens it');
  t.match(text('rpi-preseed', [])['rpi-preseed.toml'], /\[ssh\]\nenabled = false/);
  t.strictSame(adapterFiles('none', host, undefined), []);
  t.throws(() => adapterFiles('cloudinit-rpi', host, undefined), {
    kind: 'config',
    message: /no cmdline\.txt/,
  });
});

const LABEL = { site: 'marseille-1', box: 'canebiere-017', setupCode: 'ABCD-EFGH-JKLM-NPQR' };

const readCode = (file: string): string =>
  execFileSync('zbarimg', ['-q', '--raw', file], { stdio: ['ignore', 'pipe', 'ignore'] })
    .toString()
    .trim();

void t.test('the Wi-Fi code escapes the signs of its format', async (t) => {
  t.equal(wifiCode('square-1', 'abcd2345'), 'WIFI:T:WPA;S:square-1;P:abcd2345;;');
  t.equal(wifiCode('a;b', 'x\\y;z,1:2"3'), 'WIFI:T:WPA;S:a\\;b;P:x\\\\y\\;z\\,1\\:2\\"3;;');
});

void t.test(
  'a phone reads the Wi-Fi code and the address, each from a label of its own',
  { skip: unlessAll },
  async (t) => {
    for (const [name, hotspotKey] of [
      ['as flash makes it', 'abcdefghjkmnpqrs'],
      ['the longest, with signs', `${'w\\;,:"'.repeat(10)}abc`],
    ] as const) {
      const dir = scratch(t);
      await writeLabel({ ...LABEL, hotspotKey }, dir);
      t.strictSame(readdirSync(dir).sort(), ['label-wifi.png', 'label.pdf', 'label.png'], name);
      t.equal(readCode(join(dir, 'label-wifi.png')), wifiCode(LABEL.box, hotspotKey));
      t.equal(readCode(join(dir, 'label.png')), `https://${LABEL.box}.local/#${LABEL.setupCode}`);
      const text = execFileSync('pdftotext', ['-layout', join(dir, 'label.pdf'), '-']).toString();
      t.equal(text.split('\f').length - 1, 2, 'two labels in the PDF');
      t.ok(text.split('\f')[1]?.includes(LABEL.box), 'the second names the network');
    }
  },
);

void t.test('a box whose passphrase is not known has no Wi-Fi label', async (t) => {
  const dir = scratch(t);
  await writeLabel(LABEL, dir);
  t.strictSame(readdirSync(dir).sort(), ['label.pdf', 'label.png']);
});
