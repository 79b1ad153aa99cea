/** Describes a release's archives for signed metadata, and unpacks them with the code that boxes use. */
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TargetFile } from '@tufjs/models';
import { stage } from '../../root/stage.ts';
import type { Offered, Repository } from './repository.ts';

/** Returns a TUF target; `custom` belongs to the manifest of a release. */
export async function targetFile(path: string, file: string, custom?: object): Promise<TargetFile> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  const hashes = { sha256: hash.digest('hex') };
  const { size: length } = await stat(file);
  const unrecognizedFields = custom === undefined ? {} : { custom: custom as Record<string, never> };
  return new TargetFile({ path, length, hashes, unrecognizedFields });
}

/** Unpacks a published release into `lib`, which is made, and returns its folder. */
export async function unpacked(
  repository: Repository,
  { target, custom }: Offered,
  lib: string,
): Promise<string> {
  mkdirSync(join(lib, 'releases'), { recursive: true });
  const { dir } = await stage({
    lib,
    current: undefined,
    custom,
    manifest: repository.targetFile(target.path),
    delta: undefined,
    full: () => Promise.resolve(repository.targetFile(custom.full)),
    signal: new AbortController().signal,
  });
  return dir;
}
