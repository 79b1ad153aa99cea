/** Tests what is said of a board on which HailoRT would end the process. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { hailoNodes, hailoProblems } from '../../agent/base/hailo-driver.ts';
import { type BoardChange, hailoBoard, hailoDevice, writeTree } from '../lib/hailo-board.ts';
import { scratch } from '../lib/paths.ts';

const boardOf = (t: Test, change: BoardChange): string => writeTree(scratch(t), hailoBoard(change));
const TEN = {
  ...hailoDevice('45c4', 'hailo1x', 'hailo1x_pci', '5.2.0'),
  'dev/hailo0': null,
  'dev/h1x-0': '',
  'usr/lib/libhailort.so.4.23.0': null,
  'usr/lib/aarch64-linux-gnu/libhailort.so.5.2.0': '',
};
/** The driver of the other family is loaded as well, and bound to nothing. */
const OTHER_MODULE = { 'sys/module/hailo1x_pci/version': '5.2.0\n' };

void t.test('a complete board has no problem', async (t) => {
  for (const [name, change] of [
    ['Hailo-8', {}],
    ['Hailo-10H with its newer node', TEN],
    ['both drivers loaded', OTHER_MODULE],
    ['both libraries installed', { 'usr/local/lib/libhailort.so.5.2.0': '' }],
    [
      'a driver that says no version',
      { 'sys/module/hailo_pci/version': null, 'sys/module/hailo_pci/refcnt': '1\n' },
    ],
    [
      'the oldest version',
      { 'sys/module/hailo_pci/version': '4.22.0\n', 'usr/lib/libhailort.so.4.22.0': '' },
    ],
  ] as [string, BoardChange][])
    t.same(hailoProblems(boardOf(t, change)), [], name);
  const hidden = { 'sys/bus/pci/drivers/hailo/module': null, 'sys/bus/pci/drivers/hailo/bind': '' };
  t.same(hailoProblems(boardOf(t, hidden)), [], 'a module that a sandbox hides');
  t.same(hailoProblems(scratch(t)), [], 'a bus that a sandbox hides');
  t.same(hailoNodes(boardOf(t, TEN)), ['h1x-0']);
});

void t.test('each problem is named with what to do', async (t) => {
  const cases: [string, BoardChange, { kind: string; text: string; fix: RegExp }][] = [
    [
      'no device',
      { 'sys/bus/pci/devices/0001:01:00.0/vendor': '0x8086\n' },
      { kind: 'missing', text: 'a Hailo on PCIe (1e60:2864, 1e60:45c4)', fix: /seat, ribbon and power/ },
    ],
    [
      'no driver',
      { 'sys/bus/pci/devices/0001:01:00.0/driver': null },
      { kind: 'missing', text: 'kernel driver hailo_pci', fix: /^sudo apt install hailo-all, then restart/ },
    ],
    [
      'driver of the other family',
      hailoDevice('2864', 'hailo1x', 'hailo1x_pci', '5.2.0'),
      {
        kind: 'fault',
        text: 'Hailo-8 or 8L (PCI 0001:01:00.0) is bound to driver hailo1x_pci instead of hailo_pci',
        fix: /^remove the packages of hailo1x_pci, sudo apt install hailo-all/,
      },
    ],
    [
      'no node',
      { 'dev/hailo0': null },
      { kind: 'missing', text: '/dev/hailo0 or /dev/h1x-0', fix: /dmesg \| grep -i hailo/ },
    ],
    [
      'no library',
      { 'usr/lib/libhailort.so.4.23.0': null, 'usr/lib/libhailort.so': '' },
      {
        kind: 'missing',
        text: 'libhailort in /usr/lib, /usr/local/lib',
        fix: /^sudo apt install hailo-all$/,
      },
    ],
    [
      'library of the other family',
      { ...TEN, 'usr/lib/aarch64-linux-gnu/libhailort.so.5.2.0': null, 'usr/lib/libhailort.so.4.23.0': '' },
      {
        kind: 'fault',
        text: 'libhailort 4.23.0 does not drive Hailo-10H, which needs 5.x',
        fix: /^sudo apt install hailo-h10-all$/,
      },
    ],
    [
      'old library',
      { 'usr/lib/libhailort.so.4.23.0': null, 'usr/lib/libhailort.so.4.20.0': '' },
      { kind: 'fault', text: 'libhailort 4.20.0 is older than 4.22', fix: /full-upgrade/ },
    ],
    [
      'versions apart',
      { 'sys/module/hailo_pci/version': '4.22.0\n', ...OTHER_MODULE },
      {
        kind: 'fault',
        text: 'driver hailo_pci 4.22.0 and libhailort 4.23.0 have different versions',
        fix: /--reinstall hailo-all, then restart the board/,
      },
    ],
  ];
  for (const [name, change, problem] of cases) t.match(hailoProblems(boardOf(t, change)), [problem], name);
  const closed = boardOf(t, {});
  chmodSync(join(closed, 'dev/hailo0'), 0o000);
  t.match(hailoProblems(closed), [
    {
      kind: 'fault',
      text: '/dev/hailo0 may not be read and written by this user',
      fix: /udev rule with mode 0666/,
    },
  ]);
});

void t.test('all problems of a board are reported at once', async (t) => {
  const bare = boardOf(t, {
    'sys/bus/pci/devices/0001:01:00.0/driver': null,
    'usr/lib/libhailort.so.4.23.0': null,
  });
  t.same(
    hailoProblems(bare).map(({ text }) => text),
    ['kernel driver hailo_pci', 'libhailort in /usr/lib, /usr/local/lib'],
  );
});
