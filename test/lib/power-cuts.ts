/** A box under vigie-root on a disk whose power can be cut: what a program of root's has not flushed is lost. Needs root. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { scratch } from './paths.ts';
import { preloaded } from './preloaded.ts';
import { SmallDisk } from './small-disk.ts';
import { type BoxOptions, UpdatingBox } from './updating-box.ts';
import { WRITE_CALLS } from './write-calls.ts';

/** The file system writes its log each second, as often as it can: what was not waited for is half there. */
export const COMMIT_S = 1;
/** Within this the log is written, and the kernel has written no file by itself, ms. */
const LOG_WRITTEN_MS = 1300;

/** Source of a library for LD_PRELOAD, with which no program waits for the disk. */
export const NO_FLUSH = `
int fsync(int fd) { return 0; }
int fdatasync(int fd) { return 0; }
int syncfs(int fd) { return 0; }
void sync(void) {}
`;

/** All that root's programs write lies on the disk. */
export async function boxOnDisk(
  t: Test,
  { mib = 64, ...options }: Omit<BoxOptions, 'disk' | 'etc'> & { readonly mib?: number },
): Promise<{ box: UpdatingBox; disk: SmallDisk }> {
  const disk = new SmallDisk(scratch(t), mib);
  disk.mount(false, COMMIT_S);
  t.teardown(() => disk.unmount());
  return { disk, box: await UpdatingBox.make(t, { ...options, disk: disk.dir, etc: join(disk.dir, 'etc') }) };
}

/** When the power goes in a program. */
export interface Cut {
  /** Before this of its calls that change a file system; where it makes fewer, once it has ended. */
  readonly at: number;
  /** The log of the file system is written before. */
  readonly logged: boolean;
}

/** Libraries for programs whose power is cut. */
export interface CutLibraries {
  readonly calls: string;
  /** None: programs wait for the disk, as they should. */
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

  /** Environment of a program that is not cut. */
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
   * Cuts the power in the one program that `act` runs; the next one starts in another boot. Where the program has ended by
   * itself, `ended` looks at what it has written before the power goes, and `calls` says how many it has made.
   */
  async cutIn<T>(
    { at, logged }: Cut,
    act: (env: Record<string, string>) => Promise<T>,
    ended: (result: T) => void = () => undefined,
  ): Promise<{ readonly result: T; readonly calls: number | undefined }> {
    const { calls: library, noFlush } = this.#libraries;
    const { box, disk } = this;
    const mark = join(box.dir, 'ended');
    rmSync(mark, { force: true });
    const result = await act({
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
      ended(result);
      if (logged) await sleep(LOG_WRITTEN_MS);
      this.cutNow();
    }
    return { result, calls };
  }
}
