/** Computes the SHA-256 of a large file, and writes or checks the file beside it in the form of sha256sum(1). */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { writeAtomically } from '../../../agent/base/atomic-file.ts';
import { AgentError } from '../../../agent/base/errors.ts';

const sumFile = (file: string): string => `${file}.sha256`;

/** Lower-case hex. */
export async function sumOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

export async function writeSum(file: string): Promise<void> {
  writeAtomically(sumFile(file), `${await sumOf(file)}  ${basename(file)}\n`, 0o644);
}

/** Compares with the sum beside the file, if there is one. @throws AgentError `config` if it differs */
export async function checkSum(file: string): Promise<void> {
  if (statSync(sumFile(file), { throwIfNoEntry: false })?.isFile() !== true) return;
  const [expected] = readFileSync(sumFile(file), 'utf8').split(/\s/);
  if (expected === (await sumOf(file))) return;
  throw new AgentError(
    'config',
    `${file} is damaged: its SHA-256 is not that in ${sumFile(file)}; bake or copy it again`,
  );
}
