/**
 * Finds what keeps HailoRT from running: device, driver, node, library and their versions. HailoRT ends the process on
 * each of these, so they are compared before it is loaded.
 *
 * INVARIANTS: it reads files only, and neither loads HailoRT nor opens a device.
 * LIMITS: several libraries may be installed, and the element chooses one of them. What a sandbox hides (the bus, a
 * module, a version) is not a problem.
 */
import { realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { sysfsNames, sysfsText } from './sysfs.ts';

/** Chips by PCI id (hailo-ai/hailort-drivers, common/pcie_common.h); a Hailo-8L has the id of a Hailo-8. */
const CHIPS: Readonly<Record<string, HailoChip>> = {
  '1e60:2864': { name: 'Hailo-8 or 8L', module: 'hailo_pci', major: 4, package: 'hailo-all' },
  '1e60:45c4': { name: 'Hailo-10H', module: 'hailo1x_pci', major: 5, package: 'hailo-h10-all' },
};
const PCI = 'sys/bus/pci/devices';
const NODE = /^(hailo|h1x-)\d+$/;
const LIBRARY = /^libhailort\.so\.(\d+)\.(\d+)\.(\d+)$/;
/** Oldest HailoRT whose metadata has the layout that the addon reads (vision/native/gst/metadata.cpp). */
const OLDEST = { major: 4, minor: 22 } as const;

interface HailoChip {
  readonly name: string;
  /** Kernel module that drives it. */
  readonly module: string;
  /** Major version of its HailoRT. */
  readonly major: number;
  /** Package of Raspberry Pi OS with driver, library and element. */
  readonly package: string;
}

interface HailoDevice {
  readonly chip: HailoChip;
  readonly slot: string;
  /** Kernel module that is bound to it, empty if it cannot be read. Both modules may be loaded; the device decides. */
  readonly module: string | undefined;
}

export interface DriverProblem {
  /** `missing`: `text` is the name of something that is not there. `fault`: `text` is a sentence. */
  readonly kind: 'missing' | 'fault';
  readonly text: string;
  readonly fix: string;
}

interface Version {
  readonly text: string;
  readonly major: number;
  readonly minor: number;
}

/** Returns the nodes below /dev that HailoRT opens. `root` contains sys, dev and usr; only tests name another. */
export function hailoNodes(root = '/'): string[] {
  return (sysfsNames(join(root, 'dev')) ?? []).filter((name) => NODE.test(name));
}

/** Returns the problems in the order in which a person solves them; none if HailoRT is expected to run. */
export function hailoProblems(root = '/'): DriverProblem[] {
  if (sysfsNames(join(root, PCI)) === undefined) return [];
  const devices = devicesOf(root);
  const device = devices.find(({ module }) => module !== undefined) ?? devices[0];
  if (device === undefined) {
    return [
      missing(
        `a Hailo on PCIe (${Object.keys(CHIPS).join(', ')})`,
        'switch the power off and check seat, ribbon and power; on a Raspberry Pi switch PCIe on (dtparam=pciex1 in config.txt)',
      ),
    ];
  }
  return [...driverProblems(root, device), ...libraryProblems(root, device)];
}

function driverProblems(root: string, { chip, slot, module }: HailoDevice): DriverProblem[] {
  const install = `sudo apt install ${chip.package}, then restart the board`;
  if (module === undefined) return [missing(`kernel driver ${chip.module}`, install)];
  if (module !== '' && module !== chip.module) {
    const problem = `${chip.name} (PCI ${slot}) is bound to driver ${module} instead of ${chip.module}`;
    return [fault(problem, `remove the packages of ${module}, ${install}`)];
  }
  const nodes = hailoNodes(root);
  if (nodes.length === 0) {
    const look = 'restart the board; `sudo dmesg | grep -i hailo` says why the driver makes none';
    return [missing('/dev/hailo0 or /dev/h1x-0', look)];
  }
  const closed = nodes.filter((node) => !isOpenToUser(join(root, 'dev', node)));
  if (closed.length < nodes.length) return [];
  const rule = `sudo apt install --reinstall ${chip.package}, which brings the udev rule with mode 0666, then restart the board`;
  return [fault(`/dev/${closed[0]} may not be read and written by this user`, rule)];
}

function libraryProblems(root: string, { chip, module }: HailoDevice): DriverProblem[] {
  const folders = libraryFolders(root);
  const libraries = folders.flatMap((folder) =>
    (sysfsNames(join(root, folder)) ?? []).flatMap((name) => versionOf(LIBRARY.exec(name))),
  );
  const install = `sudo apt install ${chip.package}`;
  if (libraries.length === 0) return [missing(`libhailort in /${folders.join(', /')}`, install)];
  const ofChip = libraries.filter(({ major }) => major === chip.major);
  if (ofChip.length === 0) {
    const problem = `libhailort ${textOf(libraries)} does not drive ${chip.name}, which needs ${chip.major}.x`;
    return [fault(problem, install)];
  }
  const knownVersions = ofChip.filter(({ major, minor }) => major > OLDEST.major || minor >= OLDEST.minor);
  if (knownVersions.length === 0) {
    const problem = `libhailort ${textOf(ofChip)} is older than ${OLDEST.major}.${OLDEST.minor}`;
    return [fault(problem, `sudo apt full-upgrade && ${install}, then restart the board`)];
  }
  if (module !== chip.module) return [];
  const driver = sysfsText(join(root, 'sys/module', module, 'version'));
  if (driver === undefined || driver === '' || knownVersions.some(({ text }) => text === driver)) return [];
  return [
    fault(
      `driver ${module} ${driver} and libhailort ${textOf(knownVersions)} have different versions`,
      `sudo apt install --reinstall ${chip.package}, then restart the board: the old driver runs until then`,
    ),
  ];
}

function devicesOf(root: string): HailoDevice[] {
  const dir = join(root, PCI);
  return (sysfsNames(dir) ?? []).flatMap((slot) => {
    const ids = ['vendor', 'device'].map((name) => sysfsText(join(dir, slot, name))?.replace(/^0x/, ''));
    const chip = CHIPS[ids.join(':').toLowerCase()];
    return chip === undefined ? [] : [{ chip, slot, module: moduleOf(join(dir, slot, 'driver')) }];
  });
}

/** Returns the name of the kernel module behind a device's driver. */
function moduleOf(driver: string): string | undefined {
  try {
    return basename(realpathSync(join(driver, 'module')));
  } catch {
    return sysfsNames(driver) === undefined ? undefined : '';
  }
}

/** Returns the folders of the dynamic loader, with those of Debian's architectures. */
function libraryFolders(root: string): string[] {
  return ['usr/lib', 'usr/local/lib'].flatMap((folder) => [
    folder,
    ...(sysfsNames(join(root, folder)) ?? [])
      .filter((name) => /^[a-z0-9_]+-linux-gnu[a-z]*$/.test(name))
      .map((name) => join(folder, name)),
  ]);
}

function versionOf(match: RegExpExecArray | null): Version[] {
  if (match === null) return [];
  const [, major, minor, patch] = match;
  return [{ text: `${major}.${minor}.${patch}`, major: Number(major), minor: Number(minor) }];
}

function textOf(versions: readonly Version[]): string {
  return [...new Set(versions.map(({ text }) => text))].join(' and ');
}

/** Reports whether the mode lets this process read and write, without the rights of root. */
function isOpenToUser(file: string): boolean {
  try {
    const { mode, uid, gid } = statSync(file);
    const isAllowed = (shift: number): boolean => ((mode >> shift) & 6) === 6;
    if (uid === process.geteuid?.()) return isAllowed(6);
    const isMember = gid === process.getegid?.() || process.getgroups?.().includes(gid) === true;
    return isAllowed(isMember ? 3 : 0);
  } catch {
    return false;
  }
}

function missing(text: string, fix: string): DriverProblem {
  return { kind: 'missing', text, fix };
}

function fault(text: string, fix: string): DriverProblem {
  return { kind: 'fault', text, fix };
}
