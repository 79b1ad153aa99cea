/** Tests the doctor's line for each thing that keeps a Hailo from running, with its words. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { acceleratorFindings, findAccelerators, isReady } from '../../agent/cli/doctor/accelerators.ts';
import { hefCardProblem } from '../../agent/cli/doctor/installed-models.ts';
import { type BoardChange, hailoBoard, hailoDevice, writeTree } from '../lib/hailo-board.ts';
import { scratch } from '../lib/paths.ts';

const DROP_IN = 'etc/systemd/system/vigie-vision.service.d/50-hailo.conf';
const ELEMENT = new Set(['hailonet']);
const NAME = 'Hailo-8 or 8L (PCI 0001:01:00.0)';

function boardOf(t: Test, change: BoardChange = {}): string {
  return writeTree(scratch(t), hailoBoard({ [DROP_IN]: '[Service]\n', ...change }));
}

/** The doctor's finding on the accelerator that the configuration names. */
function findingOf(root: string, elements: ReadonlySet<string> = ELEMENT) {
  return acceleratorFindings(findAccelerators(root), elements, 'hailonet')[0];
}

void t.test('a complete Hailo is ready', async (t) => {
  const [accelerator] = findAccelerators(boardOf(t));
  t.ok(accelerator !== undefined && isReady(accelerator, ELEMENT));
  t.match(findingOf(boardOf(t)), {
    name: 'hailo',
    state: 'ok',
    detail: `${NAME}, driver hailo, /dev/hailo0, element hailonet: there; whether it works and agrees with the CPU, \`vigie doctor --benchmark\` tells`,
  });
  const ten = boardOf(t, {
    ...hailoDevice('45c4', 'hailo1x', 'hailo1x_pci', '5.2.0'),
    'dev/hailo0': null,
    'dev/h1x-0': '',
    'usr/lib/libhailort.so.5.2.0': '',
  });
  t.match(findingOf(ten), { state: 'ok', detail: /^Hailo-10H .*, \/dev\/h1x-0, element hailonet: there/ });
});

const REBOOT = 'then restart the board';
const LINES: readonly (readonly [name: string, change: BoardChange, detail: string, fix: string])[] = [
  [
    'device without a driver',
    { 'sys/bus/pci/devices/0001:01:00.0/driver': null },
    `${NAME}, /dev/hailo0; missing: kernel driver hailo_pci`,
    `sudo apt install hailo-all, ${REBOOT}`,
  ],
  [
    'driver of the wrong family',
    hailoDevice('2864', 'hailo1x', 'hailo1x_pci', '5.2.0'),
    `${NAME}, driver hailo1x, /dev/hailo0; ${NAME} is bound to driver hailo1x_pci instead of hailo_pci`,
    `remove the packages of hailo1x_pci, sudo apt install hailo-all, ${REBOOT}`,
  ],
  [
    'no node',
    { 'dev/hailo0': null },
    `${NAME}, driver hailo; missing: /dev/hailo0 or /dev/h1x-0`,
    'restart the board; `sudo dmesg | grep -i hailo` says why the driver makes none',
  ],
  [
    'no library',
    { 'usr/lib/libhailort.so.4.23.0': null, 'usr/lib/os-release': '' },
    `${NAME}, driver hailo, /dev/hailo0; missing: libhailort in /usr/lib, /usr/local/lib`,
    'sudo apt install hailo-all',
  ],
  [
    'library older than 4.22',
    { 'usr/lib/libhailort.so.4.23.0': null, 'usr/lib/libhailort.so.4.20.0': '' },
    `${NAME}, driver hailo, /dev/hailo0; libhailort 4.20.0 is older than 4.22`,
    `sudo apt full-upgrade && sudo apt install hailo-all, ${REBOOT}`,
  ],
  [
    'driver and library of different versions',
    { 'sys/module/hailo_pci/version': '4.22.0\n' },
    `${NAME}, driver hailo, /dev/hailo0; driver hailo_pci 4.22.0 and libhailort 4.23.0 have different versions`,
    `sudo apt install --reinstall hailo-all, ${REBOOT}: the old driver runs until then`,
  ],
  [
    'no drop-in',
    { [DROP_IN]: null },
    `${NAME}, driver hailo, /dev/hailo0; missing: drop-in 50-hailo.conf`,
    `sudo install -D -m 0644 /usr/share/vigie/accelerators/hailo/50-hailo.conf /${DROP_IN} && sudo systemctl daemon-reload`,
  ],
];

for (const [name, change, detail, fix] of LINES)
  void t.test(`the doctor tells of a Hailo: ${name}`, async (t) => {
    t.match(findingOf(boardOf(t, change)), { name: 'hailo', state: 'failed', detail, fix });
  });

void t.test('the doctor tells of a Hailo that is not on PCIe', async (t) => {
  const root = boardOf(t, { 'sys/bus/pci/devices/0001:01:00.0/vendor': '0x8086\n' });
  t.match(findingOf(root), {
    name: 'accelerator',
    state: 'failed',
    detail: 'none found for hailonet, which detector.element asks for',
    fix: 'connect it (docs/guide/accelerators.md, step 1), or switch back to backend: onnxruntime',
  });
});

void t.test('the doctor tells of a node that is closed', async (t) => {
  const root = boardOf(t);
  chmodSync(join(root, 'dev/hailo0'), 0o000);
  t.match(findingOf(root), {
    state: 'failed',
    detail: `${NAME}, driver hailo, /dev/hailo0; /dev/hailo0 may not be read and written by this user`,
    fix: `sudo apt install --reinstall hailo-all, which brings the udev rule with mode 0666, ${REBOOT}`,
  });
});

void t.test(
  'the doctor tells of a missing element, of all problems at once, and of what is not configured',
  async (t) => {
    t.match(findingOf(boardOf(t), new Set()), {
      state: 'failed',
      detail: `${NAME}, driver hailo, /dev/hailo0; missing: GStreamer element hailonet`,
      fix: 'sudo apt install hailo-all (Hailo-10H: hailo-h10-all), which brings hailonet',
    });
    const bare = boardOf(t, {
      'sys/bus/pci/devices/0001:01:00.0/driver': null,
      'usr/lib/libhailort.so.4.23.0': null,
      'usr/lib/libhailort.so.4.20.0': '',
      [DROP_IN]: null,
    });
    const problems =
      'missing: kernel driver hailo_pci, GStreamer element hailonet, drop-in 50-hailo.conf; libhailort 4.20.0 is older than 4.22';
    t.equal(findingOf(bare, new Set())?.detail, `${NAME}, /dev/hailo0; ${problems}`);
    const [unused] = acceleratorFindings(findAccelerators(bare), new Set());
    t.match(unused, {
      state: 'unknown',
      detail: /It is not used; to use it: sudo apt install hailo-all, then/,
    });
    const nothing = boardOf(t, {
      'sys/bus/pci/devices/0001:01:00.0/driver': null,
      'usr/lib/libhailort.so.4.23.0': null,
    });
    const fixes = findingOf(nothing, new Set())?.fix?.split('; ') ?? [];
    t.ok(fixes[0]?.startsWith('sudo apt install hailo-all, then'), 'one package brings driver and library');
    t.notOk(fixes.includes('sudo apt install hailo-all'), 'and is named once for both');
  },
);

void t.test('the doctor tells of a card that does not describe its .hef', async (t) => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'yolox.json'), '{"file":"yolox.hef"}');
  writeFileSync(join(dir, 'good.json'), '{"file":"good.hef","hailo":{}}');
  const problem = hefCardProblem(dir, { name: 'hailonet', model: 'yolox' });
  t.match(acceleratorFindings(findAccelerators(boardOf(t)), ELEMENT, 'hailonet', problem)[0], {
    state: 'failed',
    detail: `${NAME}, driver hailo, /dev/hailo0; model card yolox has no section "hailo", which describes the output of a .hef`,
    fix: 'write the card with `scripts/model import NAME.hef`',
  });
  for (const [name, model] of [
    ['hailonet', 'good'],
    ['hailonet', 'absent'],
    ['onnxinference', 'yolox'],
  ] as const)
    t.equal(hefCardProblem(dir, { name, model }), undefined, model);
});
