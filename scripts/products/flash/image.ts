/**
 * Reads the layout of a raw disk image, with its boot partition (FAT) and its root (ext4), and checks that it is
 * complete.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { AgentError } from '../../../agent/base/errors.ts';
import { tool } from './tool.ts';

export interface Partition {
  /** Number from 1 on, as in sfdisk. */
  readonly number: number;
  /** Offset in bytes from the start of the image. */
  readonly start: number;
  readonly bytes: number;
  /** UUID in the form of /dev/disk/by-partuuid. */
  readonly uuid: string;
}

export interface Layout {
  readonly label: 'dos' | 'gpt';
  readonly bytes: number;
  readonly boot: Partition;
  /** Undefined if no partition holds ext4. */
  readonly root: Partition | undefined;
  /** Partition that ends last. */
  readonly last: Partition;
}

interface Table {
  readonly label: string;
  readonly id: string;
  readonly sectorsize?: number;
  readonly partitions?: readonly { readonly start: number; readonly size: number; readonly uuid?: string }[];
}

/** Checks the signature and the name of a type of FAT (Microsoft's "FAT: General Overview of On-Disk Format", 2000). */
const isFat = (sector: Buffer): boolean =>
  sector.readUInt16LE(510) === 0xaa55 &&
  (sector.toString('latin1', 54, 57) === 'FAT' || sector.toString('latin1', 82, 87) === 'FAT32');
/** Checks the magic number, at 56 in ext4's superblock at 1024 (kernel documentation, ext4, "Super Block"). */
const isExt = (head: Buffer): boolean => head.readUInt16LE(1024 + 56) === 0xef53;
const HEAD_BYTES = 2048;

/**
 * @throws AgentError `config` in one line for a file that is not an image, is compressed or truncated, or has no boot
 * partition
 */
export async function readLayout(file: string): Promise<Layout> {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() !== true) throw new AgentError('config', `${file}: no such image file`);
  const packed = compression(headOf(file, 0));
  if (packed !== undefined) {
    throw new AgentError('config', `${file} is compressed; unpack it first: ${packed}`);
  }
  const table = await tableOf(file);
  const sector = table.sectorsize ?? 512;
  const partitions = (table.partitions ?? []).map(
    ({ start, size, uuid }, index): Partition => ({
      number: index + 1,
      start: start * sector,
      bytes: size * sector,
      uuid: uuid ?? `${table.id.replace(/^0x/, '')}-${String(index + 1).padStart(2, '0')}`,
    }),
  );
  const last = [...partitions].sort((a, b) => b.start + b.bytes - (a.start + a.bytes))[0];
  if (last === undefined) throw new AgentError('config', `${file}: its partition table is empty`);
  if (last.start + last.bytes > stat.size) {
    const message = `is truncated: ${stat.size} bytes, but its last partition ends at ${last.start + last.bytes}; fetch or bake it again`;
    throw new AgentError('config', `${file} ${message}`);
  }
  if (stat.size % sector !== 0) {
    throw new AgentError(
      'config',
      `${file} is truncated: ${stat.size} bytes are not a whole number of sectors`,
    );
  }
  const boot = partitions.find(({ start }) => isFat(headOf(file, start)));
  if (boot === undefined) {
    throw new AgentError(
      'config',
      `${file} lacks a FAT partition for a box’s files; check that it is the right image`,
    );
  }
  const root = partitions.findLast(({ start }) => isExt(headOf(file, start)));
  return { label: table.label === 'gpt' ? 'gpt' : 'dos', bytes: stat.size, boot, root, last };
}

async function tableOf(file: string): Promise<Table> {
  try {
    const output = await tool('sfdisk', ['--json', file]);
    return (JSON.parse(output.toString()) as { partitiontable: Table }).partitiontable;
  } catch (error) {
    if (error instanceof AgentError && error.kind === 'config') throw error;
    throw new AgentError('config', `${file}: not a disk image: the partition table is missing`, error);
  }
}

function headOf(file: string, start: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  const fd = openSync(file, 'r');
  try {
    readSync(fd, head, 0, HEAD_BYTES, start);
  } finally {
    closeSync(fd);
  }
  return head;
}

/** Returns the program that decompresses it, by the first bytes of each format. */
function compression(head: Buffer): string | undefined {
  const startsWith = (...bytes: number[]): boolean => bytes.every((byte, index) => head[index] === byte);
  if (startsWith(0xfd, 0x37, 0x7a, 0x58, 0x5a)) return 'unxz';
  if (startsWith(0x1f, 0x8b)) return 'gunzip';
  if (startsWith(0x28, 0xb5, 0x2f, 0xfd)) return 'unzstd';
  return startsWith(0x50, 0x4b, 3, 4) ? 'unzip' : undefined;
}
