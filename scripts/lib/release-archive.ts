/**
 * Packs the archive of a release, or of the changes in one, with tar and zstd. It holds only regular files, named as in
 * the manifest (folders and links come from the manifest), and the same tree gives the same bytes. It also packs a
 * manifest as the difference from another.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { AgentError, messageOf } from '../../agent/base/errors.ts';
import { printable } from '../../agent/base/printable.ts';

/** Its window of 8 MiB is the memory that a box needs to unpack it; 22 saves 2 % and needs 128 MiB. */
const ZSTD_LEVEL = 19;
/** Uses all cores. The bytes equal those of one thread (`-T1`); only `--single-thread` produces others (zstd(1)). */
const ZSTD_THREADS = '-T0';

/**
 * @param paths files of the tree, as the manifest names them
 * @param level zstd's; every level gives an archive that a box unpacks
 * @throws AgentError unavailable with the output of tar or zstd
 */
export async function packFiles(
  tree: string,
  paths: readonly string[],
  archive: string,
  level = ZSTD_LEVEL,
): Promise<void> {
  const tar = spawn(
    'tar',
    ['--create', '--file=-', `--directory=${tree}`, '--format=gnu', '--sort=name', '--no-recursion']
      .concat(['--owner=root:0', '--group=root:0', '--mtime=@0', '--hard-dereference'])
      .concat(['--null', '--verbatim-files-from', '--files-from=-']),
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } },
  );
  const zstd = spawn('zstd', ['-q', ZSTD_THREADS, `-${level}`, '-c'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let errorOutput = '';
  for (const { stderr } of [tar, zstd])
    stderr.on('data', (bytes: Buffer) => (errorOutput += bytes.toString()));
  // If tar ends before it has read all names, its output states the reason.
  tar.stdin.on('error', (error) => (errorOutput += `${messageOf(error)}\n`));
  const exits = Promise.all([tar, zstd].map((child) => once(child, 'close')));
  try {
    tar.stdin.end(paths.map((path) => `${path}\0`).join(''));
    await Promise.all([
      pipeline(tar.stdout, zstd.stdin),
      pipeline(zstd.stdout, createWriteStream(archive)),
      exits.then((codes) => {
        if (codes.some(([code]) => code !== 0)) throw new Error(errorOutput);
      }),
    ]);
  } catch (error) {
    const [line = ''] = errorOutput.split('\n');
    const reason = line === '' ? messageOf(error) : line;
    throw new AgentError('unavailable', `${archive} cannot be made: ${printable(reason)}`, error);
  }
}

/**
 * @param from the file that the receiver has
 * @throws AgentError unavailable with the output of zstd
 */
export async function packPatch(from: string, to: string, patch: string, level = ZSTD_LEVEL): Promise<void> {
  const args = ['-q', '-f', '-T1', `-${level}`, `--patch-from=${from}`, '-o', patch, '--', to];
  try {
    await promisify(execFile)('zstd', args);
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    const [line = ''] = (stderr ?? '').split('\n');
    const reason = line === '' ? messageOf(error) : line;
    throw new AgentError('unavailable', `${patch} cannot be made: ${printable(reason)}`, error);
  }
}
