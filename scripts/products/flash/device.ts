/**
 * Checks that a disk may be overwritten: it must be a whole card or removable stick that is not in use.
 *
 * INVARIANTS: fails closed. Unreadable data is a reason to refuse, and a refused disk is never opened for writing.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';

/** SD cards end at 2 TiB (SD Association, SDXC); larger ones are disks with someone's data on them. */
const BYTES_MAX = 2 ** 41;
/** Unit of sizes in sysfs, whatever the disk's own sectors are (Linux, Documentation/ABI/stable/sysfs-block). */
const SECTOR_BYTES = 512;
/**
 * SCSI and USB disks (sdX), and cards in a slot (mmcblkN). Boot areas of eMMC, optical drives, NVMe and loops do not
 * match.
 */
const DISK = /^(?:sd[a-z]+|mmcblk\d+)$/;
const PARTITION = /^(?:sd[a-z]+\d+|mmcblk\d+p\d+)$/;
/** A USB device is some folders above its disk. */
const PARENTS_MAX = 8;

/** Devices in use on this machine, as the text of these files of /proc. */
export interface InUse {
  readonly mountinfo: string;
  readonly swaps: string;
}

export interface Disk {
  readonly name: string;
  readonly bytes: number;
  /** Serial of the card, or of the reader or stick; the model if there is none. */
  readonly serial: string;
  readonly model: string;
  /** major:minor */
  readonly number: string;
  /** Number that increases when another card is inserted (Linux 5.15 and later; empty before). */
  readonly sequence: string;
}

/**
 * Checks a disk. `name` is the kernel's name (sdb), `sys` the mount point of sysfs.
 *
 * @throws AgentError `denied` with the reason in one line
 */
export function writableDisk(name: string, sys: string, use: InUse): Disk {
  const refuse = (reason: string): never => {
    throw new AgentError('denied', `/dev/${name} ${reason}`);
  };
  if (PARTITION.test(name)) {
    const diskName = name.replace(/(?<=^mmcblk\d+)p\d+$|(?<=^sd[a-z]+)\d+$/, '');
    refuse(`is a partition; name the disk, /dev/${diskName}`);
  }
  if (!DISK.test(name)) refuse('is neither a card nor a stick (sdX or mmcblkN)');
  const dir = join(sys, 'block', name);
  if (!existsSync(dir)) refuse('is not there; is the card in its slot?');
  const read = (file: string): string => textOf(join(dir, file));
  const family = familyOf(sys, name);
  const useText = usedBy(family, use);
  if (useText !== undefined) refuse(useText);
  const isCard = name.startsWith('mmcblk') && read('device/type') === 'SD';
  if (!isCard && read('removable') !== '1') {
    refuse(
      `is built in (${read('device/type') === 'MMC' ? 'eMMC' : 'not removable'}); only cards and sticks`,
    );
  }
  if (read('ro') !== '0') refuse('is write-protected; move the small switch at the side of the card');
  const bytes = Number(read('size')) * SECTOR_BYTES;
  if (!(bytes > 0)) refuse('is empty: there is no card in the reader');
  if (bytes > BYTES_MAX) refuse(`has ${bytes} bytes, more than any card (2 TiB)`);
  const model = read('device/model') || read('device/name') || 'no name';
  return {
    name,
    bytes,
    serial: serialOf(dir) ?? model,
    model,
    number: read('dev'),
    sequence: read('diskseq'),
  };
}

/** @throws AgentError `denied` if the card in the slot is not the one that was confirmed */
export function assertSame(before: Disk, now: Disk): void {
  const keys = ['bytes', 'serial', 'number', 'sequence'] as const;
  if (keys.every((key) => before[key] === now[key])) return;
  throw new AgentError(
    'denied',
    `/dev/${now.name} is another disk than the one that was confirmed; begin again`,
  );
}

interface Member {
  readonly name: string;
  readonly number: string;
}

/** Returns the disk, its partitions, and devices made of them (LVM, encryption, RAID) at any depth. */
function familyOf(sys: string, name: string): Member[] {
  const members = new Map<string, Member>();
  const add = (member: string, dir: string): void => {
    if (members.has(member)) return;
    members.set(member, { name: member, number: textOf(join(dir, 'dev')) });
    for (const holder of namesIn(join(dir, 'holders'))) add(holder, join(sys, 'block', holder));
    for (const inner of namesIn(dir)) {
      if (existsSync(join(dir, inner, 'partition'))) add(inner, join(dir, inner));
    }
  };
  add(name, join(sys, 'block', name));
  return [...members.values()];
}

/** Returns the reason why it is in use, or undefined. */
function usedBy(family: readonly Member[], { mountinfo, swaps }: InUse): string | undefined {
  const has = (source: string): boolean => family.some(({ name }) => basename(realPath(source)) === name);
  const places = mountinfo.split('\n').flatMap((line) => {
    // "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": proc_pid_mountinfo(5).
    const [left = '', right = ''] = line.split(' - ');
    const [, , number = '', , place = ''] = left.split(' ');
    const isMember = family.some((member) => member.number !== '' && member.number === number);
    const source = right.split(' ')[1] ?? '';
    return isMember || (source.startsWith('/dev/') && has(source)) ? [place] : [];
  });
  const ofSystem = places.find((place) => /^\/(?:$|boot(?:\/|$)|usr(?:\/|$))/.test(place));
  if (ofSystem !== undefined) return `is this machine’s own disk: ${ofSystem} lies on it`;
  const swap = swaps
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s/)[0] ?? '')
    .find((source) => source.startsWith('/dev/') && has(source));
  if (swap !== undefined) return `is this machine’s own disk: it swaps to ${swap}`;
  const [place] = places;
  if (place !== undefined) return `is mounted on ${place}; unmount it first (umount ${place})`;
  const [holder] = family.filter(({ name }) => !PARTITION.test(name) && !DISK.test(name));
  return holder === undefined ? undefined : `is in use by ${holder.name} (LVM, encryption or RAID)`;
}

/** Returns the card's own serial, or that of the USB device above it. */
function serialOf(dir: string): string | undefined {
  let folder = realPath(join(dir, 'device'));
  for (let up = 0; up < PARENTS_MAX && folder.length > 1; up += 1) {
    const serial = textOf(join(folder, 'serial'));
    if (serial !== '') return serial;
    // The hub above it has a serial number of its own.
    if (existsSync(join(folder, 'idVendor'))) return undefined;
    folder = join(folder, '..');
  }
  return undefined;
}

/** Empty if the file is missing. */
function textOf(file: string): string {
  if (!existsSync(file)) return '';
  return readFileSync(file, 'latin1')
    .replace(/[^\x20-\x7e]/g, '')
    .trim();
}

function namesIn(dir: string): string[] {
  return existsSync(dir) ? readdirSync(dir) : [];
}

function realPath(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}
