/**
 * A box under vigie-root on a disk whose power can be cut: unflushed writes of root's programs are lost. Needs root.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { scratch } from './paths.ts';
import { preloaded } from './preloaded.ts';
import { SmallDisk } from './small-disk.ts';
import { type BoxOptions, UpdatingBox } from './updating-box.ts';
import { WRITE_CALLS } from './write-calls.ts';

/**
 * Interval at which the file system writes its log, in seconds: the shortest possible, so that unflushed changes are
 * partly on the disk.
 */
export const COMMIT_S = 1;
/** Time within which the log is written and the kernel has not yet written a file without fsync, ms. */
const LOG_WRITTEN_MS = 1300;

/** Source of a library for LD_PRELOAD that makes programs not wait for the disk. */
export const NO_FLUSH = `
int fsync(int fd) { return 0; }
int fdatasync(int fd) { return 0; }
int syncfs(int fd) { return 0; }
void sync(void) {}
`;

/** A box whose files written by root's programs are all on the disk. */
export async function boxOnDisk(
  t: Test,
  { mib = 64, ...options }: Omit<BoxOptions, 'disk' | 'etc'> & { readonly mib?: number },
): Promise<{ box: UpdatingBox; disk: SmallDisk }> {
  const disk = new SmallDisk(scratch(t), mib);
  disk.mount(false, COMMIT_S);
  t.teardown(() => disk.unmount());
  return { disk, box: await UpdatingBox.make(t, { ...options, disk: disk.dir, etc: join(disk.dir, 'etc') }) };
}

/** Point in a program at which the power is cut. */
export interface CutPoint {
  /** Number of the file-system call before which it is cut. If the program makes fewer, it is cut after its end. */
  readonly at: number;
  /** True if the file system's log is written before the cut. */
  readonly logged: boolean;
}

/** Libraries for programs whose power is cut. */
export interface CutLibraries {
  readonly calls: string;
  /** Absent: programs wait for the disk, as they should. */
  readonly noFlush?: string;
}

export function cutLibraries(t: Test, flushes: boolean): CutLibraries {
  return {
    calls: preloaded(t, WRITE_CALLS),
    ...(!flushes && { noFlush: preloaded(t, NO_FLUSH) }),
  };
}

export class CuttableBox {
  readonly box: UpdatingBox;
  readonly disk: SmallDisk;
  readonly #libraries: CutLibraries;

  constructor(box: UpdatingBox, disk: SmallDisk, libraries: CutLibraries) {
    this.box = box;
    this.disk = disk;
    this.#libraries = libraries;
  }

  /** Environment of a program whose power is not cut. */
  get env(): Record<string, string> {
    const { noFlush } = this.#libraries;
    return noFlush === undefined ? {} : { LD_PRELOAD: noFlush };
  }

  /** Cuts the power while no program runs; the next one starts in another boot. */
  cutNow(): void {
    this.disk.cutPower();
    this.disk.powerBack(COMMIT_S);
    this.box.reboot();
  }

  /**
   * Cuts the power in the one program that `act` runs; the next one starts in another boot. If the program ends before
   * the cut, `onEnd` checks what it has written before the power goes, and `calls` receives its number of calls.
   */
  async cutIn<T>(
    { at, logged }: CutPoint,
    action: (env: Record<string, string>) => Promise<T>,
    onEnd: (result: T) => void = () => undefined,
  ): Promise<{ readonly result: T; readonly calls: number | undefined }> {
    const { calls: library, noFlush } = this.#libraries;
    const { box, disk } = this;
    const mark = join(box.dir, 'ended');
    rmSync(mark, { force: true });
    const result = await action({
      LD_PRELOAD: noFlush === undefined ? library : `${library}:${noFlush}`,
      KILL_AT: String(at),
      KILL_COUNT: mark,
      CUT_DISK: disk.dir,
      CUT_LINGER_MS: String(logged ? LOG_WRITTEN_MS : 0),
    });
    const calls = existsSync(mark) ? Number(readFileSync(mark, 'utf8')) : undefined;
    if (calls === undefined) {
      // The program has cut it.
      disk.powerBack(COMMIT_S);
      box.reboot();
    } else {
      onEnd(result);
      if (logged) await sleep(LOG_WRITTEN_MS);
      this.cutNow();
    }
    return { result, calls };
  }
}
