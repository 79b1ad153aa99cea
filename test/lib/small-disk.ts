/** A small ext4 disk in a file, which can be filled and can fail as a worn SD card does. Needs root. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemPath } from '../../scripts/lib/system-path.ts';

/** Tools of file systems are found also where a test has no /usr/sbin in its path. */
const QUIETLY = { stdio: 'pipe', env: { ...process.env, PATH: systemPath() } } as const;

/** A returned loop device becomes free a moment later, and another test may take the same one. */
const [BUSY_TRIES, BUSY_WAIT_MS] = [50, 100];

export class SmallDisk {
  readonly dir: string;
  #image: string;

  constructor(scratch: string, mib: number) {
    this.dir = join(scratch, 'disk');
    this.#image = join(scratch, 'disk.img');
    mkdirSync(this.dir, { recursive: true });
    writeFileSync(this.#image, '');
    truncateSync(this.#image, mib * 1_048_576);
    execFileSync('mkfs.ext4', ['-q', '-m', '0', this.#image], QUIETLY);
  }

  /** Reason why this machine cannot mount it, or false. */
  static unavailable(): string | false {
    if (process.getuid?.() !== 0) return 'a small disk needs root (mount)';
    try {
      execFileSync('unshare', ['-m', 'true'], QUIETLY);
    } catch {
      return 'a small disk needs the right to mount (CAP_SYS_ADMIN)';
    }
    return existsSync('/dev/loop-control') ? false : 'a small disk needs loop devices';
  }

  /**
   * Mounts the disk. With `commitS` the file system writes its log at this interval, and does not flush a file because
   * another was renamed over it: what POSIX promises, and no more.
   */
  mount(readOnly = false, commitS?: number): void {
    const log = commitS === undefined ? '' : `,commit=${commitS},noauto_da_alloc`;
    const options = `loop,errors=remount-ro${readOnly ? ',ro' : ''}${log}`;
    for (let triesLeft = BUSY_TRIES; ; triesLeft -= 1) {
      try {
        execFileSync('mount', ['-o', options, this.#image, this.dir], QUIETLY);
        return;
      } catch (error) {
        if (triesLeft === 0 || !/busy/.test(String(error))) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_WAIT_MS);
      }
    }
  }

  /** Unmounts the disk. A disk that failed cannot be flushed, and is unmounted all the same. */
  unmount(): void {
    execFileSync('sh', ['-c', 'sync -f "$1"; umount "$1"', 'sh', this.dir], QUIETLY);
    this.#moveToCopy();
  }

  /** Fills the remaining space to the last block. */
  fill(): void {
    const script = 'dd if=/dev/zero of="$1/filler" bs=64k; dd if=/dev/zero of="$1/crumbs" bs=1k; true';
    execFileSync('sh', ['-c', script, 'sh', this.dir], QUIETLY);
  }

  /** Frees the space that `fill` took. */
  free(): void {
    for (const name of ['filler', 'crumbs']) rmSync(join(this.dir, name), { force: true });
  }

  /** Simulates a medium error: the mounted file system refuses writes from now on. */
  fail(): void {
    const device = execFileSync('findmnt', ['-no', 'SOURCE', this.dir]).toString().trim().split('/').at(-1);
    writeFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, 'made by a test');
  }

  /** Cuts the power: unflushed writes are lost (ioctl FS_IOC_SHUTDOWN without a flush of the log). */
  cutPower(): void {
    const script =
      'import fcntl,os,struct,sys; fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587d,struct.pack("I",2))';
    execFileSync('python3', ['-c', script, this.dir], QUIETLY);
  }

  /** Mounts the medium's content after the cut. */
  powerBack(commitS?: number): void {
    // A killed program may still hold a file. After the cut nothing that it does reaches the medium.
    execFileSync('umount', ['-l', this.dir], QUIETLY);
    this.#moveToCopy();
    this.mount(false, commitS);
  }

  /** Repairs the unmounted file system, as the next boot's check does. */
  repair(): void {
    execFileSync('sh', ['-c', 'e2fsck -fy "$1"; test $? -le 2', 'sh', this.#image], QUIETLY);
  }

  /**
   * Continues with a copy of the image. A container that another test starts takes a copy of all mounts with it. As long
   * as it runs, the kernel returns the same file system at the next mount of this image: failed, or read-only.
   */
  #moveToCopy(): void {
    // Two alternating names, so that many cuts do not make a name too long for a path.
    const copy = this.#image.endsWith('-after')
      ? this.#image.slice(0, -'-after'.length)
      : `${this.#image}-after`;
    execFileSync('cp', ['--sparse=always', this.#image, copy]);
    rmSync(this.#image);
    this.#image = copy;
  }
}
