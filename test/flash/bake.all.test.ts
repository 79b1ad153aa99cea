/**
 * Tests refusals of `flash bake`, and in the full run what it installs in a vendor's image; test/e2e/pole.all.test.ts
 * boots such an image.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type BakeOptions, bake } from '../../scripts/products/flash/bake.ts';
import { type CardOptions, card } from '../../scripts/products/flash/card.ts';
import { PATIENCE_MS } from '../lib/booted-box.ts';
import { buildPackage } from '../lib/box-package.ts';
import { bakedImage, cardImage, FLASH, mountedRoot, siteFolder, vendorImage } from '../lib/flash-images.ts';
import { Container, ownArch } from '../lib/nspawn.ts';
import { scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { waitUntil } from '../lib/room.ts';
import { unlessFull } from '../lib/run.ts';

const skip = Container.unavailable();
const BOX = 'canebiere-017';

const surroundings = {
  say: () => undefined,
  progress: () => undefined,
  signal: new AbortController().signal,
};

void t.test('an image that cannot be baked is refused', { skip }, async (t) => {
  const dir = scratch(t);
  const image = cardImage(dir);
  const isRefused = (options: BakeOptions, message: RegExp): Promise<unknown> =>
    t.rejects(bake(options, surroundings), { kind: 'config', message });
  await isRefused({ image }, /is no Debian; must be Debian 13 or made from it \(trixie\)/);
  await isRefused({ image: join(dir, 'none.img') }, /no such image file/);
  await isRefused({ image, out: image }, /is there already/);
  t.strictSame(
    readdirSync(dir).filter((name) => name.endsWith('.part')),
    [],
    'nothing is left',
  );
});

void t.test(
  'bake is refused without root',
  { skip: process.getuid?.() === 0 ? false : 'is root’s to try' },
  async (t) => {
    const words = ['--reuid', '65534', '--clear-groups', '--', process.execPath, FLASH];
    const { status, stderr } = spawnSync('setpriv', [...words, 'bake', '--image', '/x.img'], {
      encoding: 'utf8',
    });
    t.equal(status, 1);
    t.equal(stderr, 'flash: bake needs root, to mount the image and install in it: run it with sudo\n');
  },
);

const long = skip || unlessFull;

void t.test(
  'a vendor’s image has the packages, and nothing that two boxes must not share',
  { skip: long },
  async (t) => {
    const dir = scratch(t);
    const image = bakedImage();
    const { folder } = await siteFolder(dir);
    const target = join(dir, 'card.img');
    const options: CardOptions = { site: folder, box: BOX, image, toFile: target, adapter: 'cloudinit-rpi' };
    await card(options, surroundings);
    const container = new Container(t, ownArch(), mountedRoot(t, target));
    const { version } = JSON.parse(container.read('/usr/share/vigie/baked.json')) as { version: string };
    t.match(container.run('dpkg-query', '-W', 'vigie').out, version);
    for (const reach of ['vigie-root', 'avahi-daemon', 'network-manager', 'dnsmasq-base', 'wpasupplicant'])
      t.match(container.run('dpkg', '-s', reach).out, /^Status: install ok installed$/m, reach);
    t.equal(container.read('/etc/machine-id'), '', 'no two boxes are the same');
    t.notOk(existsSync(join(container.root, 'usr/sbin/policy-rc.d')), 'daemons may start');
    const fetched = readdirSync(join(container.root, 'var/cache/apt/archives'));
    t.strictSame(
      fetched.filter((name) => name.endsWith('.deb')),
      [],
      'nothing that apt fetched is left',
    );
  },
);

void t.test('an interrupted bake leaves nothing', { skip: long }, async (t) => {
  const dir = scratch(t);
  const out = join(dir, 'out.img');
  const [image, deb] = [vendorImage(), buildPackage(ownArch())];
  const loops = (): string =>
    execFileSync('losetup', ['--list', '--noheadings', '-O', 'BACK-FILE']).toString();
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const program = start(t, process.execPath, [FLASH, 'bake', '--image', image, '--out', out, '--deb', deb]);
    await waitUntil(t, 'it installs', () => loops().includes(dir), PATIENCE_MS);
    program.child.kill(signal);
    await program.exit;
    await waitUntil(t, 'the loop device is free', () => !loops().includes(dir), PATIENCE_MS);
    t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), dir, `${signal}: nothing is mounted`);
    t.notOk(existsSync(out), 'and no image');
    if (signal === 'SIGTERM') {
      t.equal(program.err, 'flash: interrupted\n');
      t.strictSame(readdirSync(dir), [], 'not even a part of one');
    }
  }
});
