/** Files by which Linux shows a Hailo: in sys, dev and usr, below a root of the test. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const SLOT = '0001:01:00.0';

/** Writes files below `root` by their path; a value that begins with `→` is a link. */
export function writeTree(root: string, files: Readonly<Record<string, string>>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    if (content.startsWith('→')) symlinkSync(content.slice(1), join(root, path));
    else writeFileSync(join(root, path), content);
  }
  return root;
}

/** A device of PCI id 1e60:`device`, bound to a kernel module of that version; without a module if it is empty. */
export function hailoDevice(
  device: string,
  driver: string,
  module: string,
  version: string,
): Record<string, string> {
  const dir = `sys/bus/pci/devices/${SLOT}`;
  const bound = {
    [`${dir}/driver`]: `→../../drivers/${driver}`,
    [`sys/bus/pci/drivers/${driver}/module`]: `→../../../../module/${module}`,
    [`sys/module/${module}/version`]: `${version}\n`,
  };
  return {
    [`${dir}/vendor`]: '0x1e60\n',
    [`${dir}/device`]: `0x${device}\n`,
    ...(module === '' ? {} : bound),
  };
}

/** Files that differ from a complete board's; null removes one. */
export type BoardChange = Readonly<Record<string, string | null>>;

/** A complete board with a Hailo-8. */
export function hailoBoard(change: BoardChange = {}): Record<string, string> {
  const files: Record<string, string | null> = {
    ...hailoDevice('2864', 'hailo', 'hailo_pci', '4.23.0'),
    'dev/hailo0': '',
    'usr/lib/libhailort.so.4.23.0': '',
    ...change,
  };
  return Object.fromEntries(
    Object.entries(files).flatMap(([path, content]) => (content === null ? [] : [[path, content]])),
  );
}
