/** Releases of root's own program, for a box under test: on the disk with the links, and on the server. */
import { cpSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { releaseName } from '../../agent/contract/release.ts';
import { sampleRelease } from './release-server.ts';
import { UPDATER, type UpdatingBox } from './updating-box.ts';

export const rootVersionOf = (seq: number): string => `0.${seq}.0`;
/** The program as built here, by another file each time. */
const codeOf = (seq: number): string => `// release ${seq}\nimport '${pathToFileURL(UPDATER)}';\n`;

export class RootReleases {
  readonly #box: UpdatingBox;

  constructor(box: UpdatingBox) {
    this.#box = box;
  }

  /**
   * Installs release `first` on the box and publishes `count` further ones. `systemctl start vigie-root.service` runs
   * what is `current`.
   */
  async writeRequest(first: number, count: number, code = codeOf): Promise<void> {
    const { rootLib, repository } = this.#box;
    mkdirSync(join(rootLib, 'releases'), { recursive: true });
    cpSync(await this.tree(first, code(first)), this.folder(first), { recursive: true });
    for (const link of ['current', 'judge'])
      symlinkSync(join('releases', releaseName(first, rootVersionOf(first))), join(rootLib, link));
    for (let seq = first + 1; seq <= first + count; seq += 1) {
      const release = { what: 'root', seq, version: rootVersionOf(seq) } as const;
      await repository.addRelease(await this.tree(seq, code(seq)), release);
    }
    repository.publish();
    this.unitsRun();
  }

  folder(seq: number): string {
    return join(this.#box.rootLib, 'releases', releaseName(seq, rootVersionOf(seq)));
  }

  treeOf(seq: number): string {
    return join(this.#box.dir, 'root-trees', releaseName(seq, rootVersionOf(seq)));
  }

  /** Makes a release and returns its folder. */
  async tree(seq: number, code: string): Promise<string> {
    const release = { what: 'root', seq, version: rootVersionOf(seq) } as const;
    const files = { 'vigie-root.js': code, 'package.json': '{"type":"module","version":"0.0.0"}\n' };
    return await sampleRelease(join(this.#box.dir, 'root-trees'), { ...release, files });
  }

  link(name: 'current' | 'judge'): number {
    return Number(readlinkSync(join(this.#box.rootLib, name)).replace(/^releases\/(\d+)-.*$/, '$1'));
  }

  /**
   * Makes `systemctl start vigie-root.service` run the program that `current` points to, as a process beside the test.
   */
  unitsRun(): void {
    const { dir, rootLib } = this.#box;
    const words = [process.execPath, join(rootLib, 'current/vigie-root.js'), 'run', ...this.#box.places()];
    const quoted = words.map((word) => `'${word}'`).join(' ');
    writeFileSync(join(dir, 'bin/on-run'), `#!/bin/sh\nexec ${quoted}\n`, { mode: 0o755 });
  }
}
