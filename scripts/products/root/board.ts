/** Detects the board, architecture and operating system of this machine, and the free space on its disk. */
import { readFileSync, statfsSync } from 'node:fs';
import { arch, release } from 'node:os';
import { AgentError } from '../../../agent/base/errors.ts';
import type { Arch, Board } from '../../../agent/contract/release.ts';

/**
 * Prefixes of device-tree `compatible` strings (Linux, Documentation/devicetree/bindings/arm), the most specific first.
 */
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

/**
 * Detects this machine; `override` replaces the detected board.
 *
 * @throws AgentError config: there are no releases for this architecture
 */
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

/**
 * Returns the board for `compatible`: names that end with NUL, the most specific first. Undefined means no device tree,
 * as on a PC.
 */
export function boardOf(compatible: string | undefined, architecture: Arch): Board {
  const names = (compatible ?? '').split('\0');
  const match = COMPATIBLE.find(([begin]) => names.some((name) => name.startsWith(begin)));
  return match?.[1] ?? (architecture === 'amd64' ? 'pc' : 'generic');
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

/** Returns the number of bytes that root may still write in the folder's file system. */
export function freeBytesOf(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}
