/** Opens the disk that a person has named and confirmed, exclusively. */
import { constants, readFileSync, realpathSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { confirm } from './confirm.ts';
import { assertSame, type Disk, writableDisk } from './device.ts';
import { mediumError } from './write.ts';

const SYS = '/sys';

export interface OpenDisk {
  readonly handle: FileHandle;
}

/** @throws AgentError in one line if it may not, or cannot, be overwritten */
export async function openDisk(
  path: string,
  bytesMin: number,
  confirmation: string | undefined,
  signal: AbortSignal,
): Promise<OpenDisk> {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new AgentError('config', `${path} is not there; is the card in its slot?`);
  if (!stat.isBlockDevice())
    throw new AgentError('config', `${path}: not a block device; use --to-file to write an image file`);
  const name = basename(realpathSync(path));
  const readDisk = (): Disk =>
    writableDisk(name, SYS, {
      mountinfo: readFileSync('/proc/self/mountinfo', 'utf8'),
      swaps: readFileSync('/proc/swaps', 'utf8'),
    });
  const disk = readDisk();
  if (disk.bytes < bytesMin) {
    throw new AgentError('exhausted', `${path} has ${disk.bytes} bytes; the image needs ${bytesMin}`);
  }
  await confirm(disk, confirmation, signal);
  const handle = await openExclusively(path);
  try {
    // Another card may have been inserted in the meantime, or another disk may have this name now.
    assertSame(disk, readDisk());
    const number = numberOf((await handle.stat()).rdev);
    if (number !== disk.number)
      throw new AgentError('denied', `${path} is ${number}, not ${disk.number}; begin again`);
    return { handle };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Opens with O_EXCL: no one has the disk mounted or open exclusively, and no one can while it is written (open(2)). */
async function openExclusively(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDWR | constants.O_EXCL);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EBUSY') throw new AgentError('denied', `${path} is in use by another program`, error);
    if (code === 'EACCES' || code === 'EPERM') {
      throw new AgentError('denied', `${path} may not be written by this user; run this with sudo`, error);
    }
    throw mediumError(error, path);
  }
}

/** Returns major:minor of a device number, split as in glibc's sysmacros.h (for the first 12 and 20 bits). */
function numberOf(rdev: number): string {
  return `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}`;
}
