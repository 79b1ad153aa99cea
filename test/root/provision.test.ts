/**
 * Tests provisioning and the camera's address: a new box takes the files of its boot partition once and completely.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { RestraintFolder } from '../../agent/orders/restraint-folder.ts';
import { writeCamera } from '../../agent/restraint/folder.ts';
import { cameraReach, tellSystemd } from '../../scripts/products/root/network/camera-address.ts';
import { type BootCard, BootCards, configOfCard as config, takeHere } from '../lib/boot-cards.ts';
import { rootProgram } from '../lib/bundled.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { type Program, start } from '../lib/program.ts';
import { unlessAll } from '../lib/run.ts';
import { SmallDisk } from '../lib/small-disk.ts';

const VIGIE_ROOT = rootProgram();

const cards = new BootCards(t);

async function take(t: Test, { from, to }: BootCard): Promise<{ code: number | null; output: string }> {
  const program = start(t, process.execPath, [VIGIE_ROOT, 'boot-partition', '--from', from, '--to', to]);
  const code = await program.exit;
  return { code, output: program.out + program.err };
}

const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

void t.test('a complete card is installed once, and removed from the partition', async (t) => {
  const box = await cards.make(t);
  writeFileSync(join(box.from, 'notes.txt'), 'lamp post 7');
  t.match(await take(t, box), { code: 0 });
  t.equal(modeOf(join(box.to, 'pki/box.key')), '640', 'read by the agent itself');
  t.equal(modeOf(join(box.to, 'pki/ca.crt')), '640');
  t.equal(modeOf(join(box.to, 'vigie.yaml')), '640');
  t.match(box.result(), /^\S+Z installed\r\n/);
  t.match(box.result(), /notes\.txt: .* left here/);
  t.notMatch(box.result(), /hunter2|PRIVATE/, 'no secret in the result');
  t.strictSame(readdirSync(box.from).sort(), ['notes.txt', 'pki', 'result.txt']);
  t.strictSame(readdirSync(join(box.from, 'pki')), []);
  const result = box.result();
  t.match(await take(t, box), { code: 0, output: /nothing to take/ }, 'once');
  t.equal(box.result(), result, 'and the result stays');

  writeFileSync(join(box.from, 'vigie.yaml'), config(box.to, 'alertsPerHour: 7\n'));
  t.match(await take(t, box), { code: 0 }, 'later a configuration alone: the certificates are there');
  t.match(readFileSync(join(box.to, 'vigie.yaml'), 'utf8'), /alertsPerHour: 7/);
  t.notMatch(
    readFileSync(join(box.to, 'vigie.yaml.before'), 'utf8'),
    /alertsPerHour/,
    'the last one is kept',
  );
});

void t.test('a key that was made on the box stays there', { skip: unlessAll }, async (t) => {
  const box = await cards.make(t);
  renameSync(join(box.from, 'pki/box.key'), join(box.to, 'pki/box.key'));
  t.match(await take(t, box), { code: 0 });
  t.match(box.result(), /^\S+Z installed\r\n/);
  t.strictSame(readdirSync(join(box.to, 'pki')).sort(), ['box.crt', 'box.key', 'ca.crt']);
  const other = await cards.make(t, 'box-1', true);
  writeFileSync(join(other.to, 'pki/box.key'), readFileSync(join(box.to, 'pki/box.key')));
  rmSync(join(other.from, 'pki/box.key'));
  checkRefusal(t, other, 'the key of another certificate', /mqtt\.key: does not belong to the certificate/);
});

const enrolment = (change: object = {}): string =>
  JSON.stringify({ version: 1, site: 's', box: 'box-1', url: 'https://room:8443', token: null, ...change });

void t.test(
  'a box that is to be enrolled is installed without a certificate',
  { skip: unlessAll },
  async (t) => {
    const box = await cards.make(t);
    for (const name of ['box.crt', 'box.key']) rmSync(join(box.from, 'pki', name));
    writeFileSync(join(box.from, 'Enrol.json'), enrolment({ token: 'a'.repeat(32) }));
    const madeAt = '2026-11-26T00:00:00.000Z';
    writeFileSync(
      join(box.from, 'setup-code.json'),
      JSON.stringify({ version: 1, sha256: 'b'.repeat(64), made: madeAt }),
    );
    t.match(await take(t, box), { code: 0 });
    t.strictSame(readdirSync(box.to).sort(), ['enrol.json', 'page', 'pki', 'vigie.yaml']);
    t.equal(modeOf(join(box.to, 'enrol.json')), '600', 'root’s alone: it may hold a token');
    const isUser = readFileSync('/etc/group', 'utf8').includes('\nvigie-page:');
    t.equal(modeOf(join(box.to, 'page/setup-code.json')), isUser ? '640' : '644');
    t.strictSame(readdirSync(box.from).sort(), ['pki', 'result.txt'], 'none of it stays on the card');
    t.notMatch(box.result(), 'aaaa', 'nor in the result');
    writeFileSync(join(box.from, 'enrol.json'), enrolment());
    t.match(await take(t, box), { code: 2 });
    t.match(box.result(), /enrol\.json: is taken together with a vigie\.yaml only/);
  },
);

void t.test('a card with any mistake is refused completely', async (t) => {
  const wrong: Readonly<Record<string, readonly [(card: BootCard) => void, RegExp]>> = {
    'a mistake in the configuration': [
      ({ from, to }) => writeFileSync(join(from, 'vigie.yaml'), config(to, 'alertsPerHuor: 7\n')),
      /vigie\.yaml:6:1 alertsPerHuor: unknown key; did you mean "alertsPerHour"\?/,
    ],
    'a certificate that is none': [
      ({ from }) => writeFileSync(join(from, 'pki/ca.crt'), ''),
      /mqtt\.ca: .*ca\.crt/,
    ],
    'a key of another certificate': [
      ({ from }) => writeFileSync(join(from, 'pki/box.key'), cards.authorityKey()),
      /does not belong to the certificate/,
    ],
    'a file that a later key names': [
      ({ from, to }) =>
        writeFileSync(join(from, 'vigie.yaml'), config(to, `authorisation: ${to}/authorisation.dsse.json\n`)),
      /authorisation\.dsse\.json: the configuration names it, but there is no/,
    ],
    'an enrolment of another box': [
      ({ from }) => writeFileSync(join(from, 'enrol.json'), enrolment({ box: 'box-2' })),
      /enrol\.json: is for box-2 at s; must be for box-1 at s, as vigie\.yaml says/,
    ],
    'an enrolment that is none': [
      ({ from }) => writeFileSync(join(from, 'enrol.json'), enrolment({ url: 'http://room' })),
      /enrol\.json: is not an enrolment request; must be JSON with version 1/,
    ],
    'an enrolment that would bring what the configuration does not name': [
      ({ from, to }) => {
        writeFileSync(join(from, 'enrol.json'), enrolment());
        writeFileSync(join(from, 'vigie.yaml'), config(to).replace('pki/box.crt', 'pki/mine.crt'));
      },
      /mqtt\.cert: must be .*pki\/box\.crt for a box that is enrolled/,
    ],
    'a setup code that is none': [
      ({ from }) => writeFileSync(join(from, 'setup-code.json'), '{}'),
      /setup-code\.json: is not a setup code; must be the file that was written to the card/,
    ],
    'a file that is too large': [
      ({ from }) => writeFileSync(join(from, 'film.mp4'), Buffer.alloc(300_000)),
      /film\.mp4: is larger than/,
    ],
  };
  for (const [name, [spoil, reason]] of Object.entries(wrong)) {
    const box = await cards.make(t);
    spoil(box);
    checkRefusal(t, box, name, reason);
    t.ok(existsSync(join(box.from, 'pki/box.key')), 'nothing was taken');
  }
  const other = await cards.make(t, 'box-2');
  t.match(
    await take(t, other),
    { code: 2, output: /is the certificate of box-2; must be one with the CN of `box`, box-1/ },
    'another box’s',
  );
});

function checkRefusal(t: Test, box: BootCard, name: string, ...reasons: RegExp[]): void {
  const { code, output } = takeHere(box);
  t.equal(code, 2, name);
  t.match(box.result(), /^\S+Z refused\r\n/, `${name}: said on the card too`);
  for (const reason of reasons) {
    t.match(output, reason, name);
    t.match(box.result(), reason, name);
  }
  t.strictSame(readdirSync(box.to), ['pki'], `${name}: nothing was installed`);
  t.notMatch(box.result(), /hunter2|PRIVATE|[^\P{Cc}\r\n]/u);
}

void t.test('a wrong name or folder is reported with the right one', { skip: unlessAll }, async (t) => {
  const misnamed =
    (name: string) =>
    ({ from }: BootCard) =>
      renameSync(join(from, 'vigie.yaml'), join(from, name));
  const wrong: Readonly<Record<string, readonly [(card: BootCard) => void, ...RegExp[]]>> = {
    'the ending that Windows hides': [
      misnamed('vigie.yaml.txt'),
      /vigie\.yaml: is not in this folder/,
      /vigie\.yaml\.txt: must be named vigie\.yaml; Windows adds \.txt and hides it/,
    ],
    'the other ending': [misnamed('vigie.yml'), /vigie\.yml: must be named vigie\.yaml/],
    'a name that writes to terminals': [misnamed('vigie\x1b[2J.yaml'), /vigie\?\[2J\.yaml: must be named/],
    'one folder too deep': [
      ({ from }) => {
        const aside = join(from, '../aside');
        renameSync(from, aside);
        mkdirSync(from);
        renameSync(aside, join(from, 'vigie'));
      },
      /vigie\/vigie\.yaml: lies one folder too deep; must lie in this folder/,
      /vigie\/pki\/box\.key: lies/,
    ],
    'beside the folder': [
      ({ from }) => renameSync(join(from, 'vigie.yaml'), join(from, '../vigie.yaml')),
      /\.\.\/vigie\.yaml: lies beside this folder; must lie in it/,
    ],
    'on the partition, without the folder': [
      ({ from }) => {
        renameSync(join(from, 'vigie.yaml'), join(from, '../Vigie.yaml.txt'));
        rmSync(from, { recursive: true });
      },
      /\.\.\/Vigie\.yaml\.txt: lies beside this folder; must lie in it/,
    ],
    'keys without a configuration': [
      ({ from }) => rmSync(join(from, 'vigie.yaml')),
      /vigie\.yaml: is not in this folder/,
      /pki\/box\.crt: is taken together with a vigie\.yaml only/,
    ],
    'a certificate with the ending that Windows hides': [
      ({ from }) => renameSync(join(from, 'pki/box.crt'), join(from, 'pki/box.crt.txt')),
      /no pki\/box\.crt in this folder; is it pki\/box\.crt\.txt\?/,
    ],
    'two of a name': [
      ({ from, to }) => writeFileSync(join(from, 'Vigie.yaml'), config(to)),
      /vigie\.yaml: is there more than once \(capitals do not count\); keep one/,
    ],
  };
  for (const [name, [spoil, ...reasons]] of Object.entries(wrong)) {
    const box = await cards.make(t);
    spoil(box);
    checkRefusal(t, box, name, ...reasons);
  }
});

void t.test('capital letters in file names do not matter', { skip: unlessAll }, async (t) => {
  const box = await cards.make(t);
  renameSync(join(box.from, 'vigie.yaml'), join(box.from, 'Vigie.YAML'));
  renameSync(join(box.from, 'pki/box.crt'), join(box.from, 'pki/BOX.CRT'));
  renameSync(join(box.from, 'pki'), join(box.from, 'PKI'));
  t.match(await take(t, box), { code: 0 });
  t.match(box.result(), /^\S+Z installed\r\n/);
  t.strictSame(readdirSync(join(box.to, 'pki')).sort(), ['box.crt', 'box.key', 'ca.crt']);
  t.strictSame(readdirSync(box.from).sort(), ['PKI', 'result.txt'], 'taken');
});

void t.test(
  'an empty partition changes nothing, and later files are reported',
  { skip: unlessAll },
  async (t) => {
    const box = await cards.make(t);
    const bare = join(scratch(t), 'firmware');
    mkdirSync(bare);
    writeFileSync(join(bare, 'config.txt'), 'arm_64bit=1\n');
    const nothing = { ...box, from: join(bare, 'vigie') };
    t.match(await take(t, nothing), { code: 0, output: /not there, nothing to take/ });
    t.strictSame(readdirSync(bare), ['config.txt']);

    writeFileSync(join(box.from, 'pki/old.crt'), 'PEM');
    writeFileSync(join(box.from, '../vigie-notes.txt'), 'lamp post 7');
    t.match(await take(t, box), { code: 0 });
    t.match(box.result(), /pki\/old\.crt: .* left here/);
    for (const name of ['.DS_Store', '._vigie.yaml']) writeFileSync(join(box.from, name), '');
    const installed = box.result();
    t.match(await take(t, box), { code: 0 }, 'remaining files are reported once');
    t.equal(box.result(), installed);
    writeFileSync(join(box.from, 'vigie.yaml.txt'), config(box.to));
    t.match(await take(t, box), { code: 2 });
    t.match(box.result(), /refused\r\n(.*\r\n)*vigie\.yaml\.txt: must be named vigie\.yaml/);
  },
);

void t.test('the unit runs if any of our files is on the partition', async (t) => {
  const unit = readFileSync(join(ROOT, 'systemd/vigie-provision.service'), 'utf8');
  const conditions = unit.match(/^Condition.*$/gm) ?? [];
  t.equal(conditions.length, 1);
  const dir = scratch(t);
  const meetsCondition = (): boolean => {
    const condition = String(conditions[0]).replace('/boot/firmware', dir);
    t.not(condition, conditions[0], 'it is about the boot partition');
    const { status, stderr } = spawnSync('systemd-analyze', ['condition', condition], { encoding: 'utf8' });
    t.match(stderr, /Conditions (succeeded|failed)|test of .* failed/i, 'systemd has judged it');
    return status === 0;
  };
  writeFileSync(join(dir, 'config.txt'), 'arm_64bit=1\n');
  t.notOk(meetsCondition(), 'none of our files');
  for (const name of ['vigie', 'VIGIE', 'vigie.yaml', 'Vigie.yml.txt']) {
    mkdirSync(join(dir, name));
    t.ok(meetsCondition(), name);
    rmSync(join(dir, name), { recursive: true });
  }
});

void t.test('a new label replaces the codes of an installed box', { skip: unlessAll }, async (t) => {
  const box = await cards.make(t);
  const code = (sha256: string): string =>
    JSON.stringify({ version: 1, sha256: sha256.repeat(64), made: '2026-11-26T00:00:00.000Z' });
  const page = (name: string): string => join(box.to, 'page', name);
  writeFileSync(join(box.from, 'setup-code.json'), code('a'));
  const aside = { ...box, from: folderWith(box, 'setup-code.json') };
  t.match(
    await take(t, aside),
    { code: 2, output: /vigie\.yaml: is not in this folder/ },
    'a box that has none',
  );
  writeFileSync(join(box.from, 'pki/old.crt'), 'PEM');
  t.match(await take(t, box), { code: 0 });
  const installed = readFileSync(join(box.to, 'vigie.yaml'), 'utf8');

  writeFileSync(join(box.from, 'Setup-Code.json'), code('b'));
  t.match(await take(t, box), { code: 0 }, 'the code alone, beside what was left');
  t.match(box.result(), /^\S+Z installed\r\nSetup-Code\.json is now .*page\/setup-code\.json\r\n/);
  t.match(box.result(), /pki\/old\.crt: is not of the label; it was left here/);
  t.match(readFileSync(page('setup-code.json'), 'utf8'), 'bbbb');
  t.strictSame(readdirSync(box.from).sort(), ['pki', 'result.txt'], 'taken');
  const isUser = readFileSync('/etc/group', 'utf8').includes('\nvigie-page:');
  t.equal(modeOf(page('setup-code.json')), isUser ? '640' : '644');
  const result = box.result();
  t.match(await take(t, box), { code: 0, output: /nothing to take/ }, 'once');
  t.equal(box.result(), result);

  writeFileSync(join(box.from, 'hotspot-key'), 'k7qf93mx');
  t.match(await take(t, box), { code: 0 }, 'the passphrase alone');
  t.equal(modeOf(page('hotspot-key')), '600', 'for root alone');
  t.notMatch(box.result(), 'k7qf93mx');
  t.equal(readFileSync(join(box.to, 'vigie.yaml'), 'utf8'), installed, 'the rest is unchanged');

  for (const name of ['setup-code.json', 'hotspot-key']) writeFileSync(join(box.from, name), code('c'));
  t.match(await take(t, box), { code: 2 });
  t.match(
    box.result(),
    /refused\r\nhotspot-key: is not a passphrase.*\r\nNothing was installed/,
    'one of two is wrong',
  );
  t.match(readFileSync(page('setup-code.json'), 'utf8'), 'bbbb', 'neither is taken');
  for (const name of ['hotspot-key', 'pki/old.crt']) rmSync(join(box.from, name));
  const wrong: Record<string, RegExp> = {
    'enrol.json': /enrol\.json: is taken together with a vigie\.yaml only/,
    'pki/new.crt': /pki\/new\.crt: is taken together with/,
    'vigie.yaml.txt': /vigie\.yaml\.txt: must be named vigie\.yaml; Windows/,
    'hotspot-key.txt': /hotspot-key\.txt: must be named hotspot-key; Windows adds \.txt/,
  };
  for (const [name, reason] of Object.entries(wrong)) {
    writeFileSync(join(box.from, name), 'anything');
    t.match(takeHere(box), { code: 2 }, name);
    t.match(box.result(), reason);
    rmSync(join(box.from, name));
  }
  t.match(readFileSync(page('setup-code.json'), 'utf8'), 'bbbb', 'beside our other files it is not a label');
  t.match(await take(t, box), { code: 0 });
  t.match(readFileSync(page('setup-code.json'), 'utf8'), 'cccc', 'alone it is');
});

/** Makes a folder with one of the card's files. */
function folderWith({ from }: BootCard, name: string): string {
  const dir = join(from, '../alone/vigie');
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, name), readFileSync(join(from, name)));
  return dir;
}

const noMounts = SmallDisk.unavailable();

void t.test('a read-only partition installs nothing', { skip: noMounts || unlessAll }, async (t) => {
  const box = await cards.make(t);
  const readOnly = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"';
  const command = [process.execPath, VIGIE_ROOT, 'boot-partition', '--from', box.from, '--to', box.to];
  const run = async (): Promise<Program> => {
    const program = start(t, 'unshare', ['-m', 'sh', '-c', readOnly, 'sh', box.from, ...command]);
    await program.exit;
    return program;
  };
  t.match(
    await run(),
    {
      code: 2,
      err: /cannot be written \(EROFS\).*files are not installed from a partition that cannot be written/,
    },
    'said in the log and by the exit code',
  );
  t.strictSame(readdirSync(box.to), ['pki'], 'nothing was installed, or it would be at every start');
  t.notOk(existsSync(join(box.from, 'result.txt')));
  renameSync(join(box.from, 'vigie.yaml'), join(box.from, 'vigie.yml'));
  t.match(await run(), { code: 2, err: /vigie\.yml: must be named vigie\.yaml.*\n(.*\n)*.*EROFS/ });
});

void t.test('an unwritable result file is reported in the log', { skip: unlessAll }, async (t) => {
  const box = await cards.make(t);
  mkdirSync(join(box.from, 'result.txt'));
  t.match(await take(t, box), { code: 2, output: /result\.txt cannot be written \(EISDIR\)/ });
  rmSync(join(box.from, 'vigie.yaml'));
  t.match(await take(t, box), { code: 2, output: /vigie\.yaml: is not in this folder(.*\n)*.*EISDIR/ });
});

void t.test('a disk error is reported on the card', { skip: unlessAll }, async (t) => {
  const box = await cards.make(t);
  rmSync(join(box.to, 'pki'), { recursive: true });
  writeFileSync(join(box.to, 'pki'), 'a file where the folder belongs');
  t.match(await take(t, box), { code: 2, output: /ENOTDIR/ });
  t.match(box.result(), /^\S+Z refused\r\n.*ENOTDIR.*\r\n/);
  t.ok(existsSync(join(box.from, 'pki/box.key')), 'nothing was taken');
});

void t.test('vision may reach the camera’s addresses only', async (t) => {
  const reach = (source: string, broker?: string) => cameraReach(source, { broker });
  const only = (address: string, forAgent = false) => ({
    host: address,
    addresses: [address],
    notForAgent: forAgent ? [] : [address],
  });
  t.strictSame(await reach('rtsp://u:p@10.0.0.2:554/main'), only('10.0.0.2'));
  t.strictSame(await reach('rtsp://[fd00::7]/main', 'mqtts://10.0.0.9:8883'), only('fd00::7'));
  t.strictSame(
    await reach('rtsp://10.0.0.2/main', 'mqtts://10.0.0.2:8883'),
    only('10.0.0.2', true),
    'one router',
  );
  t.strictSame(await reach('rtsp://127.0.0.1/main'), only('127.0.0.1', true), 'the box itself');
  t.strictSame(await reach('rtsp://10.0.0.2/main', 'mqtts://no-such-host.invalid'), only('10.0.0.2'));
  for (const source of ['v4l2:/dev/video0', 'file:/usr/share/clip.mp4', 'libcamera:', 'test:pattern']) {
    t.strictSame(await reach(source), { host: '', addresses: [], notForAgent: [] }, `${source}: nothing`);
  }
  const reached = await reach('rtsp://localhost/main');
  t.ok(reached.addresses.length > 0);
  t.strictSame(
    reached.addresses.filter((address) => !['127.0.0.1', '::1'].includes(address)),
    [],
    'by name: no name server, since vision is given the addresses',
  );
  const folder = new RestraintFolder(scratch(t));
  t.throws(() => folder.addressesOf('localhost'), {
    kind: 'unavailable',
    message: /does not contain an address of localhost; systemctl/,
  });
  writeCamera(folder, reached);
  t.strictSame(folder.addressesOf('localhost'), reached.addresses);
  t.throws(
    () => folder.addressesOf('camera.lan'),
    { message: /does not contain an address of camera\.lan/ },
    'another camera than root knows',
  );
  await t.rejects(reach('rtsp://no-such-host.invalid/main'), {
    kind: 'unavailable',
    message: /by its address/,
  });

  const calls = join(scratch(t), 'calls');
  const systemctl = join(scratch(t), 'systemctl');
  writeFileSync(systemctl, `#!/bin/sh\nprintf '%s\\n' "$*" >>${calls}\n`, { mode: 0o755 });
  await tellSystemd({ addresses: ['10.0.0.2'], notForAgent: ['10.0.0.2'] }, systemctl);
  t.equal(
    readFileSync(calls, 'utf8'),
    'set-property --runtime vigie-vision.service IPAddressAllow= IPAddressAllow=10.0.0.2\n' +
      'set-property --runtime vigie.service IPAddressDeny= IPAddressDeny=10.0.0.2\n',
    'the previous output is removed first',
  );
  await t.rejects(tellSystemd({ addresses: [], notForAgent: [] }, '/bin/false'), {
    kind: 'unavailable',
    message: /systemd refuses/,
  });
});
