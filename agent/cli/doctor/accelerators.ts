/**
 * Finds the accelerators of this board from Linux's view of its buses and device nodes, and the missing requirements
 * for their use. It reports presence, never function: only a run proves that (`vigie doctor --benchmark`).
 */
import { execFile } from 'node:child_process';
import { existsSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { DriverProblem } from '../../base/hailo-driver.ts';
import { sysfsNames, sysfsText } from '../../base/sysfs.ts';
import { CPU_BACKEND } from '../../contract/detector-backend.ts';
import { type Finding, failed, ok, unknown } from '../../contract/finding.ts';
import { type AcceleratorPreset, DROP_IN_DIR, PRESETS } from './accelerator-presets.ts';

const run = promisify(execFile);

/**
 * Time limit in ms. The first call after an installation scans every plugin again, which takes a small board half a
 * minute.
 */
const INSPECT_WITHIN_MS = 60_000;

/** Findings for one preset of which at least one device is present. */
export interface FoundAccelerator {
  readonly preset: AcceleratorPreset;
  /** Model and position, in words for a person. */
  readonly devices: readonly string[];
  /** Kernel driver of the device; undefined if it has none, null if none is needed. */
  readonly driver: string | null | undefined;
  /** Device nodes that an element opens, below /dev. */
  readonly nodes: readonly string[];
  /** Problems of driver, nodes and library. */
  readonly problems: readonly DriverProblem[];
  /** Its unit drop-in is installed in systemd's folder. */
  readonly dropIn: boolean;
  /** The group of its nodes exists. A drop-in that names a missing group prevents vision from starting. */
  readonly group: boolean;
}

/** Finds accelerators. `root` contains sys and dev; values other than `/` are for tests. */
export function findAccelerators(root = '/'): FoundAccelerator[] {
  return PRESETS.flatMap((preset) => {
    const devices = [...pciDevices(root, preset), ...usbDevices(root, preset), ...boardDevices(root, preset)];
    if (devices.length === 0) return [];
    const driver = devices.map((one) => one.driver).find((name) => name !== undefined);
    const nodes = nodesOf(root, preset.nodes);
    return [
      {
        preset,
        devices: devices.map(({ text }) => text),
        driver,
        nodes,
        problems: preset.problems?.(root) ?? driverProblems(preset, driver, nodes),
        group: preset.group === undefined || hasGroup(root, preset.group),
        dropIn: existsSync(join(root, DROP_IN_DIR, preset.dropIn)),
      },
    ];
  });
}

/** Returns the installed GStreamer elements among those named by the presets of the found devices (and the CPU's). */
export async function elementsOf(accelerators: readonly FoundAccelerator[]): Promise<ReadonlySet<string>> {
  const names = new Set(accelerators.map(({ preset }) => preset.element));
  const nameLists = await Promise.all(
    [...names].map(async (name) => {
      const answer = await run('gst-inspect-1.0', ['--exists', name], { timeout: INSPECT_WITHIN_MS }).catch(
        () => undefined,
      );
      return answer === undefined ? [] : [name];
    }),
  );
  return new Set(nameLists.flat());
}

/**
 * Returns a line for each accelerator. `configuredElement` is the element of the configuration, whose absence is a
 * failure; `cardProblem` is a problem of its model's card. Other accelerators are only reported.
 */
export function acceleratorFindings(
  accelerators: readonly FoundAccelerator[],
  elements: ReadonlySet<string>,
  configuredElement?: string,
  cardProblem?: DriverProblem,
): Finding[] {
  const isOf = (preset: AcceleratorPreset): boolean => preset.element === configuredElement;
  if (PRESETS.some(isOf) && !accelerators.some(({ preset }) => isOf(preset))) {
    const detail = `none found for ${configuredElement}, which detector.element asks for`;
    const fix = `connect it (docs/guide/accelerators.md, step 1), or switch back to backend: ${CPU_BACKEND}`;
    return [
      failed('accelerator', detail, fix),
      ...acceleratorLines(accelerators, elements, configuredElement, cardProblem),
    ];
  }
  if (accelerators.length === 0) return [ok('accelerator', 'none found: inference runs on the CPU')];
  return acceleratorLines(accelerators, elements, configuredElement, cardProblem);
}

function acceleratorLines(
  accelerators: readonly FoundAccelerator[],
  elements: ReadonlySet<string>,
  configuredElement: string | undefined,
  cardProblem: DriverProblem | undefined,
): Finding[] {
  return accelerators.map((one) => {
    const { preset, devices, driver, nodes } = one;
    const isConfigured = configuredElement === preset.element;
    const driverTexts = driver === null || driver === undefined ? [] : [`driver ${driver}`];
    const summary = [devices.join(', '), ...driverTexts, ...nodes.map((node) => `/dev/${node}`)].join(', ');
    const cardProblems = isConfigured && cardProblem !== undefined ? [cardProblem] : [];
    const problems = [...problemsOf(one, elements.has(preset.element)), ...cardProblems];
    if (problems.length > 0) {
      const detail = [summary, ...problemTexts(problems)].join('; ');
      const fix = withoutRepeats(problems.map((problem) => problem.fix)).join('; ');
      if (isConfigured) return failed(preset.name, detail, fix);
      const use =
        preset.obstacle === undefined
          ? `It is not used; to use it: ${fix}`
          : `To install them changes nothing yet: ${preset.obstacle}`;
      return unknown(preset.name, `${detail}. ${use}`);
    }
    const description = `${summary}, element ${preset.element}`;
    if (preset.obstacle !== undefined) {
      const note = `${preset.obstacle}: the CPU runs the detector (docs/guide/accelerators.md)`;
      return unknown(preset.name, `${description}: there, but ${note}`);
    }
    return ok(
      preset.name,
      `${description}: there; whether it works and agrees with the CPU, \`vigie doctor --benchmark\` tells`,
    );
  });
}

/** Returns the groups of vision's unit (vigie.sysusers.conf) and its drop-ins: cameras, decoders, accelerators. */
export function deviceGroups(root = '/'): string[] {
  const ofPresets = PRESETS.flatMap(({ group }) => group ?? []);
  return ['video', 'render', ...ofPresets].filter((group) => hasGroup(root, group));
}

/** Reports whether everything needed appears to be present, and the element could run behind vision's interface. */
export function isReady(one: FoundAccelerator, elements: ReadonlySet<string>): boolean {
  const { preset } = one;
  return preset.obstacle === undefined && problemsOf(one, elements.has(preset.element)).length === 0;
}

function problemsOf(
  { preset, problems, dropIn, group }: FoundAccelerator,
  hasElement: boolean,
): readonly DriverProblem[] {
  const dir = `/usr/share/vigie/accelerators/${preset.folder}`;
  const install = `sudo install -D -m 0644 ${dir}/${preset.dropIn} /${DROP_IN_DIR}/${preset.dropIn} && sudo systemctl daemon-reload`;
  return [
    ...problems,
    ...(hasElement ? [] : [missing(`GStreamer element ${preset.element}`, preset.elementFix)]),
    ...(group || preset.group === undefined
      ? []
      : [missing(`group ${preset.group}`, `sudo groupadd --system ${preset.group}`)]),
    ...(dropIn ? [] : [missing(`drop-in ${preset.dropIn}`, install)]),
  ];
}

function driverProblems(
  preset: AcceleratorPreset,
  driver: string | null | undefined,
  nodes: readonly string[],
): DriverProblem[] {
  if (driver === undefined) return [missing(`kernel driver ${preset.driver}`, preset.driverFix)];
  if (preset.nodes.length === 0 || nodes.length > 0) return [];
  return [missing(preset.nodes.map((node) => `/dev/${node}`).join(' or '), preset.driverFix)];
}

function missing(text: string, fix: string): DriverProblem {
  return { kind: 'missing', text, fix };
}

/** Leaves out a fix that another one begins with: one package brings several parts. */
function withoutRepeats(fixes: readonly string[]): string[] {
  return [...new Set(fixes)].filter(
    (fix, _index, all) => !all.some((other) => other !== fix && other.startsWith(fix)),
  );
}

/** Returns the faults, and before them one text of all that is missing. */
function problemTexts(problems: readonly DriverProblem[]): string[] {
  const namesOf = (kind: DriverProblem['kind']): string[] =>
    problems.filter((problem) => problem.kind === kind).map(({ text }) => text);
  const missingNames = namesOf('missing');
  return [...(missingNames.length === 0 ? [] : [`missing: ${missingNames.join(', ')}`]), ...namesOf('fault')];
}

interface Device {
  readonly text: string;
  readonly driver: string | null | undefined;
}

function pciDevices(root: string, { pci }: AcceleratorPreset): Device[] {
  const dir = join(root, 'sys/bus/pci/devices');
  return (sysfsNames(dir) ?? []).flatMap((slot) => {
    const id = idOf(join(dir, slot), 'vendor', 'device');
    const model = id === undefined ? undefined : pci[id];
    return model === undefined
      ? []
      : [{ text: `${model} (PCI ${slot})`, driver: linkName(join(dir, slot, 'driver')) }];
  });
}

/** Finds USB devices. They are opened through libusb, which needs no kernel driver. */
function usbDevices(root: string, { usb }: AcceleratorPreset): Device[] {
  const dir = join(root, 'sys/bus/usb/devices');
  return (sysfsNames(dir) ?? []).flatMap((port) => {
    const id = idOf(join(dir, port), 'idVendor', 'idProduct');
    const model = id === undefined ? undefined : usb[id];
    return model === undefined ? [] : [{ text: `${model} (USB ${port})`, driver: null }];
  });
}

/** Finds accelerators within the board's own chip, by the device tree. */
function boardDevices(root: string, preset: AcceleratorPreset): Device[] {
  const compatible = (sysfsText(join(root, 'sys/firmware/devicetree/base/compatible')) ?? '').split('\0');
  const chip = compatible.find((name) => Object.hasOwn(preset.chips, name));
  if (chip === undefined) return [];
  const chipText = `${preset.chips[chip]} (${chip})`;
  if (nodesOf(root, preset.nodes).length > 0) return [{ text: chipText, driver: preset.driver }];
  const { otherDriver: other } = preset;
  const hasOtherDriver = other !== undefined && nodesOf(root, other.nodes).length > 0;
  return [{ text: hasOtherDriver ? `${chipText} with driver ${other.name}` : chipText, driver: undefined }];
}

/** Returns the existing nodes of the patterns; of `dri/renderD*`, only those that the device tree calls an NPU. */
function nodesOf(root: string, patterns: readonly string[]): string[] {
  return patterns.flatMap((pattern) => {
    const [folder, name] = pattern.includes('/')
      ? [pattern.slice(0, pattern.lastIndexOf('/')), basename(pattern)]
      : ['', pattern];
    const nameRegex = new RegExp(`^${name.replaceAll('*', '\\d+')}$`);
    return (sysfsNames(join(root, 'dev', folder)) ?? [])
      .filter((one) => nameRegex.test(one) && (folder !== 'dri' || isNpu(root, one)))
      .map((one) => join(folder, one));
  });
}

function isNpu(root: string, node: string): boolean {
  return sysfsText(join(root, 'sys/class/drm', node, 'device/of_node/name'))?.replace('\0', '') === 'npu';
}

function hasGroup(root: string, group: string): boolean {
  return (sysfsText(join(root, 'etc/group')) ?? '').split('\n').some((line) => line.startsWith(`${group}:`));
}

/** Returns an id like `1e60:2864` in lower case; undefined if it is not a device of such a bus. */
function idOf(dir: string, vendor: string, device: string): string | undefined {
  const parts = [vendor, device].map((name) => sysfsText(join(dir, name))?.replace(/^0x/, '').toLowerCase());
  return parts.every((part) => part !== undefined && part !== '') ? parts.join(':') : undefined;
}

function linkName(link: string): string | undefined {
  try {
    return basename(readlinkSync(link));
  } catch {
    return undefined;
  }
}
