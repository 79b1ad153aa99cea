/** Reads and writes files of a FAT file system inside an image file with mtools, without mounting or root. */
import { posix } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { tool } from './tool.ts';

/** A file for the boot partition: its path there, and its content. */
export interface BootFile {
  readonly path: string;
  readonly content: Uint8Array;
}

export class Fat {
  readonly #place: string;

  /** `start`: offset of the file system in `image`, bytes. */
  constructor(image: string, start: number) {
    this.#place = `${image}@@${start}`;
  }

  /** Undefined if the file is missing. */
  async read(path: string): Promise<Buffer | undefined> {
    const names = await this.#names(posix.dirname(path));
    // FAT ignores case.
    const has = names.some((name) => name.toLowerCase() === posix.basename(path).toLowerCase());
    return has ? this.#run('mtype', [`::${path}`]) : undefined;
  }

  /** Creates the folders, and replaces existing files. @throws AgentError `exhausted` if there is no space */
  async write(files: readonly BootFile[]): Promise<void> {
    for (const dir of foldersOf(files)) {
      const names = await this.#names(posix.dirname(dir));
      const has = names.some((name) => name.toLowerCase() === posix.basename(dir).toLowerCase());
      if (!has) await this.#run('mmd', [`::${dir}`]);
    }
    for (const { path, content } of files) await this.#run('mcopy', ['-o', '-', `::${path}`], content);
  }

  async #names(dir: string): Promise<string[]> {
    try {
      const listing = await this.#run('mdir', ['-b', '-a', dir === '.' ? '::' : `::${dir}`]);
      return listing
        .toString()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => posix.basename(line.replace(/^::/, '').replace(/\/$/, '')));
    } catch (error) {
      if (error instanceof AgentError && /not found/i.test(error.message)) return [];
      throw error;
    }
  }

  async #run(name: string, args: readonly string[], input?: Uint8Array): Promise<Buffer> {
    try {
      // Vendors' images do not always agree with mtools about geometry, which is no longer used.
      const env = { MTOOLS_SKIP_CHECK: '1', MTOOLSRC: '/dev/null' };
      return await tool(name, ['-i', this.#place, ...args], { env, ...(input && { input }) });
    } catch (error) {
      if (error instanceof AgentError && /disk full|no free|no room/i.test(error.message)) {
        throw new AgentError(
          'exhausted',
          'the boot partition is full: no room for the files of the box',
          error,
        );
      }
      throw error;
    }
  }
}

function foldersOf(files: readonly BootFile[]): string[] {
  const all = files.flatMap(({ path }) => {
    const parts = path.split('/').slice(0, -1);
    return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
  });
  return [...new Set(all)].sort();
}
