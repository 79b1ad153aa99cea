/**
 * Packs the archive of a release, or of the changes in one, with tar and zstd. It holds only regular files, named as in
 * the manifest (folders and links come from the manifest), and the same tree gives the same bytes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { AgentError, messageOf } from '../../agent/base/errors.ts';
import { printable } from '../../agent/base/printable.ts';

/** Its window of 8 MiB is the memory that a box needs to unpack it; 22 saves 2 % and needs 128 MiB. */
const ZSTD_LEVEL = 19;
/** Uses all cores. The bytes equal those of one thread (`-T1`); only `--single-thread` produces others (zstd(1)). */
const ZSTD_THREADS = '-T0';

export interface PackOptions {
  /** File that the receiver has, as zstd's dictionary. */
  readonly dictionary?: string;
  /** Level of zstd; every level gives an archive that a box unpacks. */
  readonly level?: number;
}

/**
 * @param paths files of the tree, as the manifest names them, in the order of the archive
 * @throws AgentError unavailable with the output of tar or zstd
 */
export async function packFiles(
  tree: string,
  paths: readonly string[],
  archive: string,
  { dictionary, level = ZSTD_LEVEL }: PackOptions = {},
): Promise<void> {
  const words = dictionary === undefined ? [] : ['-D', dictionary];
  const tar = spawn(
    'tar',
    ['--create', '--file=-', `--directory=${tree}`, '--format=gnu', '--sort=name', '--no-recursion']
      .concat(['--owner=root:0', '--group=root:0', '--mtime=@0', '--hard-dereference'])
      .concat(['--null', '--verbatim-files-from', '--files-from=-']),
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } },
  );
  const zstd = spawn('zstd', ['-q', ZSTD_THREADS, `-${level}`, ...words, '-c'], {
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
