/** Which machine this is. */
import { readFileSync, statfsSync } from 'node:fs';
import { arch, release } from 'node:os';
import { AgentError } from '../../../agent/base/errors.ts';
import type { Arch, Board } from '../../../agent/contract/release.ts';

/** Beginnings of `compatible` strings of the device tree (Documentation/devicetree/bindings/arm of Linux), the most special first. */
const COMPATIBLE: readonly (readonly [string, Board])[] = [
  ['raspberrypi,4', 'rpi4'],
  ['raspberrypi,400', 'rpi4'],
  ['raspberrypi,5', 'rpi5'],
  ['nvidia,tegra', 'jetson'],
  ['nvidia,p3', 'jetson'],
  ['rockchip,rk3588', 'rk3588'],
];

export interface Machine {
  readonly board: Board;
  readonly arch: Arch;
  readonly os: string;
  readonly kernel: string;
  readonly node: string;
}

/** Throws AgentError `config` on an architecture for which there are no releases. */
export function machine(override: Board | undefined): Machine {
  const architecture = archOf(arch());
  return {
    board: override ?? boardOf(textOf('/proc/device-tree/compatible'), architecture),
    arch: architecture,
    os: osOf(textOf('/etc/os-release') ?? ''),
    kernel: release().slice(0, 128),
    node: process.versions.node,
  };
}

/** `compatible`: names that end with NUL, the most special first; undefined: no device tree, a PC. */
export function boardOf(compatible: string | undefined, architecture: Arch): Board {
  const names = (compatible ?? '').split('\0');
  const known = COMPATIBLE.find(([begin]) => names.some((name) => name.startsWith(begin)));
  return known?.[1] ?? (architecture === 'amd64' ? 'pc' : 'generic');
}

function archOf(name: string): Arch {
  if (name === 'x64') return 'amd64';
  if (name === 'arm64') return 'arm64';
  throw new AgentError('config', `there are releases for amd64 and arm64; this machine is ${name}`);
}

function osOf(text: string): string {
  return (/^PRETTY_NAME="?([^"\n]*)"?$/m.exec(text)?.[1] ?? 'unknown').slice(0, 64);
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}

/** Of what root may still write in the file system of the folder. */
export function freeBytesOf(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}
