/**
 * A box under vigie-root whose programs are cut: killed, or with the power of their disk, so that unflushed writes are
 * lost. A disk needs root; without it every cut is a kill.
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
const COMMIT_S = 1;
/** Time within which the log is written and the kernel has not yet written a file without fsync, ms. */
const LOG_WRITTEN_MS = 1300;

/** Source of a library for LD_PRELOAD that makes programs not wait for the disk. */
const NO_FLUSH = `
int fsync(int fd) { return 0; }
int fdatasync(int fd) { return 0; }
int syncfs(int fd) { return 0; }
void sync(void) {}
`;

/** Point in a program at which it is cut. A program that does not come to it is cut after its end. */
export interface CutPoint {
  /** Number of the file-system call before which it is cut, or a text that it has just written to the record. */
  readonly at: number | string;
  readonly by: 'kill' | 'power';
  /** True if the file system's log is written before the power goes. */
  readonly logged: boolean;
}

export class CuttableBox {
  readonly box: UpdatingBox;
  readonly #disk: SmallDisk | undefined;
  readonly #calls: string;
  readonly #noFlush: string | undefined;

  /** Makes a box whose written files are all on the disk. Without `flushes` its programs do not wait for the disk. */
  static async make(t: Test, options: BoxOptions, flushes = true): Promise<CuttableBox> {
    const disk = SmallDisk.unavailable() === false ? new SmallDisk(scratch(t), 64) : undefined;
    disk?.mount(false, COMMIT_S);
    t.teardown(() => disk?.unmount());
    const places = disk === undefined ? {} : { disk: disk.dir, etc: join(disk.dir, 'etc') };
    const box = await UpdatingBox.make(t, { ...options, ...places });
    const noFlush = flushes ? undefined : preloaded(t, NO_FLUSH);
    return new CuttableBox(box, disk, preloaded(t, WRITE_CALLS), noFlush);
  }

  private constructor(
    box: UpdatingBox,
    disk: SmallDisk | undefined,
    calls: string,
    noFlush: string | undefined,
  ) {
    this.box = box;
    this.#disk = disk;
    this.#calls = calls;
    this.#noFlush = noFlush;
  }

  /** Environment of a program that is not cut. */
  get env(): Record<string, string> {
    return this.#noFlush === undefined ? {} : { LD_PRELOAD: this.#noFlush };
  }

  /** Cuts the power while no program runs; the next one starts in another boot. */
  cutNow(): void {
    this.#disk?.cutPower();
    this.#powerBack();
  }

  #powerBack(): void {
    this.#disk?.powerBack(COMMIT_S);
    this.box.reboot();
  }

  /**
   * Cuts the one program that `action` runs; after a loss of power the next one starts in another boot. If the program
   * ends before the cut, `onEnd` checks what it has written before the power goes, and its number of calls is returned.
   */
  async cutIn<T>(
    { at, by, logged }: CutPoint,
    action: (env: Record<string, string>) => Promise<T>,
    onEnd: (result: T) => void = () => undefined,
  ): Promise<number | undefined> {
    const mark = join(this.box.dir, 'ended');
    rmSync(mark, { force: true });
    const result = await action({
      LD_PRELOAD: [this.#calls, this.#noFlush ?? []].flat().join(':'),
      ...(typeof at === 'number' ? { KILL_AT: String(at) } : { KILL_TEXT: at }),
      KILL_COUNT: mark,
      ...(by === 'power' && this.#disk && { CUT_DISK: this.#disk.dir }),
      CUT_LINGER_MS: String(logged ? LOG_WRITTEN_MS : 0),
    });
    const calls = existsSync(mark) ? Number(readFileSync(mark, 'utf8')) : undefined;
    if (calls !== undefined) onEnd(result);
    if (by === 'power' && calls === undefined) this.#powerBack();
    if (by === 'power' && calls !== undefined) {
      if (logged) await sleep(LOG_WRITTEN_MS);
      this.cutNow();
    }
    return calls;
  }
}
