/**
 * Tests what is said of a board on which HailoRT would end the process, and the doctor's line for each thing that keeps
 * a Hailo from running.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { hailoNodes, hailoProblems } from '../../agent/base/hailo-driver.ts';
import { acceleratorFindings, findAccelerators, isReady } from '../../agent/cli/doctor/accelerators.ts';
import { hefCardProblem } from '../../agent/cli/doctor/installed-models.ts';
import { type BoardChange, hailoBoard, hailoDevice, writeTree } from '../lib/hailo-board.ts';
import { scratch } from '../lib/paths.ts';

const DROP_IN = 'etc/systemd/system/vigie-vision.service.d/50-hailo.conf';
const ELEMENT = new Set(['hailonet']);
const NAME = 'Hailo-8 or 8L (PCI 0001:01:00.0)';
const TEN = {
  ...hailoDevice('45c4', 'hailo1x', 'hailo1x_pci', '5.2.0'),
  'dev/hailo0': null,
  'dev/h1x-0': '',
  'usr/lib/libhailort.so.4.23.0': null,
  'usr/lib/aarch64-linux-gnu/libhailort.so.5.2.0': '',
};
const NO_DRIVER = { 'sys/bus/pci/devices/0001:01:00.0/driver': null };
const NO_DEVICE = { 'sys/bus/pci/devices/0001:01:00.0/vendor': '0x8086\n' };
const NO_LIBRARY = { 'usr/lib/libhailort.so.4.23.0': null };
const OLD_LIBRARY = { ...NO_LIBRARY, 'usr/lib/libhailort.so.4.20.0': '' };
/** The driver of the other family is loaded as well, and bound to nothing. */
const OTHER_MODULE = { 'sys/module/hailo1x_pci/version': '5.2.0\n' };

function boardOf(t: Test, change: BoardChange = {}): string {
  return writeTree(scratch(t), hailoBoard({ [DROP_IN]: '[Service]\n', ...change }));
}

/** The doctor's finding on the accelerator that the configuration names. */
function findingOf(root: string, elements: ReadonlySet<string> = ELEMENT) {
  return acceleratorFindings(findAccelerators(root), elements, 'hailonet')[0];
}

void t.test('a complete board has no problem, and is ready', async (t) => {
  const node = `sys/module/hailo_pci`;
  for (const [name, change] of [
    ['Hailo-8', {}],
    ['Hailo-10H with its newer node', TEN],
    ['both drivers loaded', OTHER_MODULE],
    ['both libraries installed', { 'usr/local/lib/libhailort.so.5.2.0': '' }],
    ['a driver that says no version', { [`${node}/version`]: null, [`${node}/refcnt`]: '1\n' }],
    ['the oldest version', { [`${node}/version`]: '4.22.0\n', 'usr/lib/libhailort.so.4.22.0': '' }],
    [
      'a module that a sandbox hides',
      { 'sys/bus/pci/drivers/hailo/module': null, 'sys/bus/pci/drivers/hailo/bind': '' },
    ],
  ] as [string, BoardChange][])
    t.same(hailoProblems(boardOf(t, change)), [], name);
  t.same(hailoProblems(scratch(t)), [], 'a bus that a sandbox hides');
  t.same(hailoNodes(boardOf(t, TEN)), ['h1x-0']);
  const [accelerator] = findAccelerators(boardOf(t));
  t.ok(accelerator !== undefined && isReady(accelerator, ELEMENT));
  t.match(findingOf(boardOf(t)), {
    name: 'hailo',
    state: 'ok',
    detail: `${NAME}, driver hailo, /dev/hailo0, element hailonet: there; whether it works and agrees with the CPU, \`vigie doctor --benchmark\` tells`,
  });
  t.match(findingOf(boardOf(t, TEN)), {
    state: 'ok',
    detail: /^Hailo-10H .*, \/dev\/h1x-0, element hailonet: /,
  });
});

const REBOOT = 'then restart the board';
type Line = readonly [
  name: string,
  change: BoardChange,
  kind: 'missing' | 'fault',
  text: string,
  fix: string,
];
const LINES: readonly Line[] = [
  [
    'device without a driver',
    NO_DRIVER,
    'missing',
    'kernel driver hailo_pci',
    `sudo apt install hailo-all, ${REBOOT}`,
  ],
  [
    'driver of the wrong family',
    hailoDevice('2864', 'hailo1x', 'hailo1x_pci', '5.2.0'),
    'fault',
    `${NAME} is bound to driver hailo1x_pci instead of hailo_pci`,
    `remove the packages of hailo1x_pci, sudo apt install hailo-all, ${REBOOT}`,
  ],
  [
    'no node',
    { 'dev/hailo0': null },
    'missing',
    '/dev/hailo0 or /dev/h1x-0',
    'restart the board; `sudo dmesg | grep -i hailo` says why the driver makes none',
  ],
  [
    'no library',
    { ...NO_LIBRARY, 'usr/lib/libhailort.so': '' },
    'missing',
    'libhailort in /usr/lib, /usr/local/lib',
    'sudo apt install hailo-all',
  ],
  [
    'library of the other family',
    { ...TEN, 'usr/lib/aarch64-linux-gnu/libhailort.so.5.2.0': null, 'usr/lib/libhailort.so.4.23.0': '' },
    'fault',
    'libhailort 4.23.0 does not drive Hailo-10H, which needs 5.x',
    'sudo apt install hailo-h10-all',
  ],
  [
    'library older than 4.22',
    OLD_LIBRARY,
    'fault',
    'libhailort 4.20.0 is older than 4.22',
    `sudo apt full-upgrade && sudo apt install hailo-all, ${REBOOT}`,
  ],
  [
    'driver and library of different versions',
    { 'sys/module/hailo_pci/version': '4.22.0\n', ...OTHER_MODULE },
    'fault',
    'driver hailo_pci 4.22.0 and libhailort 4.23.0 have different versions',
    `sudo apt install --reinstall hailo-all, ${REBOOT}: the old driver runs until then`,
  ],
];

for (const [name, change, kind, text, fix] of LINES)
  void t.test(`the doctor tells of a Hailo: ${name}`, async (t) => {
    const root = boardOf(t, change);
    const problems = hailoProblems(root);
    t.match(problems, [{ kind, text }]);
    t.equal(problems.length, 1);
    const finding = findingOf(root);
    t.match(finding, { name: 'hailo', state: 'failed', detail: /^Hailo-.* \(PCI 0001:01:00\.0\)/, fix });
    t.ok(
      finding?.detail.endsWith(`; ${kind === 'missing' ? 'missing: ' : ''}${text}`),
      String(finding?.detail),
    );
  });

void t.test('the doctor tells of a Hailo that is not on PCIe', async (t) => {
  const root = boardOf(t, NO_DEVICE);
  const problem = { text: 'a Hailo on PCIe (1e60:2864, 1e60:45c4)', fix: /seat, ribbon and power/ };
  t.match(hailoProblems(root), [{ kind: 'missing', ...problem }]);
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

void t.test('the doctor tells of a missing element or drop-in, and of all problems at once', async (t) => {
  t.match(findingOf(boardOf(t), new Set()), {
    state: 'failed',
    detail: `${NAME}, driver hailo, /dev/hailo0; missing: GStreamer element hailonet`,
    fix: 'sudo apt install hailo-all (Hailo-10H: hailo-h10-all), which brings hailonet',
  });
  t.match(findingOf(boardOf(t, { [DROP_IN]: null })), {
    state: 'failed',
    detail: `${NAME}, driver hailo, /dev/hailo0; missing: drop-in 50-hailo.conf`,
    fix: `sudo install -D -m 0644 /usr/share/vigie/accelerators/hailo/50-hailo.conf /${DROP_IN} && sudo systemctl daemon-reload`,
  });
  const bare = boardOf(t, { ...NO_DRIVER, ...OLD_LIBRARY, [DROP_IN]: null });
  const problems =
    'missing: kernel driver hailo_pci, GStreamer element hailonet, drop-in 50-hailo.conf; libhailort 4.20.0 is older than 4.22';
  t.equal(findingOf(bare, new Set())?.detail, `${NAME}, /dev/hailo0; ${problems}`);
  const [unused] = acceleratorFindings(findAccelerators(bare), new Set());
  t.match(unused, {
    state: 'unknown',
    detail: /It is not used; to use it: sudo apt install hailo-all, then/,
  });
  const fixes = findingOf(boardOf(t, { ...NO_DRIVER, ...NO_LIBRARY }))?.fix?.split('; ') ?? [];
  t.ok(fixes[0]?.startsWith('sudo apt install hailo-all, then'), 'one package brings driver and library');
  t.notOk(fixes.includes('sudo apt install hailo-all'), 'and is named once for both');
});

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
