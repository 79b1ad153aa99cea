/**
 * Extracts files of a release's archive (tar and zstd) into an empty folder: the files that the manifest names, with
 * its modes. Folders, links and devices of the archive are never made, and its names are not followed.
 *
 * LIMITS
 * - zstd's output is limited to what tar needs for the files of the manifest (a bomb is stopped there), and its memory
 *   to WINDOW_MIB.
 * - No file is larger than the largest file of the manifest.
 * - The work per file uses synchronous calls: for thousands of files, asynchronous ones took ten times the CPU time.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AgentError } from '../../../agent/base/errors.ts';
import { printable } from '../../../agent/base/printable.ts';
import type { Entry } from '../../lib/manifest.ts';
import { diskError } from './disk-error.ts';

/** Window of zstd's level 22, MiB; releases are made with a smaller one. */
const WINDOW_MIB = 128;
/**
 * Header bytes per file of GNU tar: a header, and for a name of more than 100 characters a second header with one or
 * two blocks.
 */
const HEADER_BYTES_MAX = 512 * 5;
/** Bytes at the end: two empty blocks, padded to a record of 20. */
const END_BYTES = 10_240 + 1024;
/** Suffix of the list of names beside the folder; removed at the end. */
const NAMES_SUFFIX = '.names';
/** Maximum length of the stored error output of tar or zstd. */
const OUTPUT_CHARS_MAX = 2000;

const TAR = [
  '--extract',
  '--file=-',
  // Extracts only the listed names, matched in full, and nothing below them.
  ...['--null', '--verbatim-files-from', '--no-wildcards', '--anchored', '--no-recursion'],
  // Extracts only bytes. A file or link in the way is removed, never written through.
  ...['--no-same-owner', '--no-same-permissions', '--no-xattrs', '--no-acls', '--no-selinux'],
  ...['--unlink-first', '--touch'],
] as const;

export interface UnpackOptions {
  readonly signal: AbortSignal;
  /** File that the archive was packed with as zstd's dictionary. */
  readonly dictionary?: string | undefined;
  /** Bytes that the archive may hold beside `files`; 0 by default. */
  readonly otherBytesMax?: number;
}

/**
 * Extracts `files` into `dir`.
 *
 * @param files entries of type file, all of which must be in the archive
 * @param dir an empty folder
 * @throws AgentError
 * - corrupt: the archive lacks what the manifest needs
 * - exhausted: the disk is full
 * - unavailable: tar or zstd cannot be run, or the signal aborts
 */
export async function unpack(
  archive: string,
  dir: string,
  files: readonly Entry[],
  options: UnpackOptions,
): Promise<void> {
  if (files.length === 0) return;
  for (const folder of new Set(files.map(({ path }) => dirname(path))))
    mkdirSync(join(dir, folder), { recursive: true, mode: 0o755 });
  await run(archive, dir, files, options);
  for (const { path, mode } of files) {
    const file = join(dir, path);
    if (!lstatSync(file).isFile())
      throw new AgentError('corrupt', `${archive}: ${path} is not a regular file`);
    chmodSync(file, mode ?? 0o644);
  }
}

async function run(
  archive: string,
  dir: string,
  files: readonly Entry[],
  { signal, dictionary, otherBytesMax = 0 }: UnpackOptions,
): Promise<void> {
  const sizes = files.map(({ size }) => size ?? 0);
  const bytesMax = sizes.reduce(
    (sum, size) => sum + size + 511 + HEADER_BYTES_MAX,
    END_BYTES + otherBytesMax,
  );
  const options = { env: { PATH: process.env['PATH'], LC_ALL: 'C' }, stdio: 'pipe' } as const;
  const fileMax = `--fsize=${Math.max(...sizes)}`;
  const names = `${dir}${NAMES_SUFFIX}`;
  await writeFile(names, files.map(({ path }) => `${path}\0`).join(''));
  const list = `--files-from=${names}`;
  const words = dictionary === undefined ? [] : ['-D', dictionary];
  const zstd = spawn(
    'zstd',
    ['-q', '-d', '-c', `--memory=${WINDOW_MIB}MiB`, ...words, '--', archive],
    options,
  );
  const tar = spawn('prlimit', [fileMax, '--core=0', 'tar', `--directory=${dir}`, ...TAR, list], options);
  // Unread bytes after the archive's end reset the connection once the pipeline is done; only the exit codes count.
  for (const stream of [zstd.stdin, tar.stdin]) stream.on('error', () => undefined);
  const ends = [zstd, tar].map((child) => endOf(child));
  const [result] = await Promise.allSettled([
    pipeline(zstd.stdout, limit(bytesMax, archive), tar.stdin, { signal }),
  ]);
  const failure: unknown = result.status === 'rejected' ? result.reason : undefined;
  const stop = failure instanceof AgentError ? failure : undefined;
  if (signal.aborted || stop !== undefined) for (const child of [zstd, tar]) child.kill('SIGKILL');
  const [unzipped, untarred] = await Promise.all(ends);
  await rm(names, { force: true });
  if (signal.aborted) throw new AgentError('unavailable', `${archive}: unpacking cancelled`, signal.reason);
  if (stop !== undefined) throw stop;
  // tar stops at the end of the archive, so zstd or the pipe may then lose their reader. If tar got all files, that is
  // no error. If zstd has failed, tar reports only that too little arrived.
  const lostReader =
    unzipped?.killedBy === 'SIGPIPE' || /Broken pipe|Connection reset/.test(unzipped?.output ?? '');
  const zstdFirst = unzipped !== undefined && !lostReader && untarred?.error === undefined;
  const end = zstdFirst ? unzipped : untarred;
  if (end !== undefined) throw failureOf(archive, dir, end);
}

interface End {
  readonly name: string;
  /** Set if the program could not be run. */
  readonly error?: Error;
  readonly killedBy: string | null;
  readonly output: string;
}

/** Returns undefined on success. */
async function endOf(child: ChildProcess): Promise<End | undefined> {
  const name = child.spawnfile;
  let output = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    if (output.length < OUTPUT_CHARS_MAX) output += bytes.toString();
  });
  try {
    const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
    return code === 0
      ? undefined
      : { name, killedBy, output: output === '' ? `ended with ${code ?? killedBy}` : output };
  } catch (error) {
    return { name, killedBy: null, output, error: error as Error };
  }
}

/** Signals by which a program ends at the limits of `run`; any other says nothing about the archive. */
const LIMIT_SIGNALS: readonly (string | null)[] = ['SIGXFSZ', 'SIGPIPE', null];

function failureOf(archive: string, dir: string, { name, killedBy, output, error }: End): AgentError {
  if (error !== undefined)
    return new AgentError('unavailable', `${name} cannot be run: is it installed? ${error.message}`, error);
  if (/No space left|Disk quota/.test(output)) return diskError(dir, new Error('ENOSPC'));
  if (!LIMIT_SIGNALS.includes(killedBy))
    return new AgentError('unavailable', `${archive}: ${name} was killed by ${killedBy}`);
  const [line = ''] = output.split('\n');
  return new AgentError('corrupt', `${archive} cannot be unpacked: ${printable(line)}`);
}

/** Passes at most `bytesMax` bytes through. */
function limit(bytesMax: number, archive: string): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      bytes += chunk.length;
      if (bytes <= bytesMax) return callback(null, chunk);
      callback(
        new AgentError(
          'corrupt',
          `${archive}: holds more than the ${bytesMax} bytes that its manifest allows`,
        ),
      );
    },
  });
}
