/**
 * Takes files out of an archive (tar and zstd) of a release: those that the manifest names, in an empty folder, with the
 * modes of the manifest. Folders, links and devices of an archive are never made; no name of it is followed.
 *
 * LIMITS  No more comes out of zstd than tar needs for the files that the manifest names (a bomb is stopped there), and
 * no file is larger than the largest of them; zstd has WINDOW_MIB of memory. What is done to each of thousands of files is done
 * by calls that wait: asynchronous ones took ten times the processor's time.
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

/** What level 22 of zstd asks for; releases are made with less. */
export const WINDOW_MIB = 128;
/** GNU tar: a header, and for a name of more than 100 characters a header and a block or two with the name. */
const HEADER_BYTES_MAX = 512 * 5;
/** The end: two empty blocks, filled up to a record of 20. */
const END_BYTES = 10_240 + 1024;
/** The list of what is wanted, beside the folder; gone in the end. */
const NAMES_SUFFIX = '.names';
/** Of what tar or zstd say. */
const SAID_CHARS_MAX = 2000;

const TAR = [
  '--extract',
  '--file=-',
  // Only what is named, by its whole name, and nothing below it.
  ...['--null', '--verbatim-files-from', '--no-wildcards', '--anchored', '--no-recursion'],
  // Nothing of the archive but bytes; what is in the way, or a link to elsewhere, is never written through.
  ...['--no-same-owner', '--no-same-permissions', '--no-xattrs', '--no-acls', '--no-selinux'],
  ...['--unlink-first', '--touch'],
] as const;

/**
 * @param files entries of type file, that all must be in the archive
 * @param dir an empty folder
 * @throws AgentError corrupt where the archive is not what the manifest needs; exhausted where the disk is full;
 *   unavailable where tar or zstd cannot be run, and when the signal aborts
 */
export async function unpack(
  archive: string,
  dir: string,
  files: readonly Entry[],
  signal: AbortSignal,
): Promise<void> {
  if (files.length === 0) return;
  for (const folder of new Set(files.map(({ path }) => dirname(path))))
    mkdirSync(join(dir, folder), { recursive: true, mode: 0o755 });
  await run(archive, dir, files, signal);
  for (const { path, mode } of files) {
    const file = join(dir, path);
    if (!lstatSync(file).isFile()) throw new AgentError('corrupt', `${archive}: ${path} is no file in it`);
    chmodSync(file, mode ?? 0o644);
  }
}

async function run(
  archive: string,
  dir: string,
  files: readonly Entry[],
  signal: AbortSignal,
): Promise<void> {
  const sizes = files.map(({ size }) => size ?? 0);
  const bytesMax = sizes.reduce((sum, size) => sum + size + 511 + HEADER_BYTES_MAX, END_BYTES);
  const options = { env: { PATH: process.env['PATH'], LC_ALL: 'C' }, stdio: 'pipe' } as const;
  const fileMax = `--fsize=${Math.max(...sizes)}`;
  const names = `${dir}${NAMES_SUFFIX}`;
  await writeFile(names, files.map(({ path }) => `${path}\0`).join(''));
  const list = `--files-from=${names}`;
  const zstd = spawn('zstd', ['-q', '-d', '-c', `--memory=${WINDOW_MIB}MiB`, '--', archive], options);
  const tar = spawn('prlimit', [fileMax, '--core=0', 'tar', `--directory=${dir}`, ...TAR, list], options);
  // What tar leaves unread of the end of an archive resets the connection when the pipeline has done its work; how the
  // programs have ended is what counts.
  for (const stream of [zstd.stdin, tar.stdin]) stream.on('error', () => undefined);
  const ended = [zstd, tar].map((child) => endOf(child));
  const [result] = await Promise.allSettled([
    pipeline(zstd.stdout, limit(bytesMax, archive), tar.stdin, { signal }),
  ]);
  const failure: unknown = result.status === 'rejected' ? result.reason : undefined;
  const stop = failure instanceof AgentError ? failure : undefined;
  if (signal.aborted || stop !== undefined) for (const child of [zstd, tar]) child.kill('SIGKILL');
  const [unzipped, untarred] = await Promise.all(ended);
  await rm(names, { force: true });
  if (signal.aborted)
    throw new AgentError('unavailable', `${archive}: unpacking was given up, as was asked`, signal.reason);
  if (stop !== undefined) throw stop;
  // Tar ends at the end of the archive and reads no further: that it had all it was asked for is what counts, and not that
  // zstd, or the pipe, then finds nobody there. Where zstd has failed, tar says only that too little came.
  const zstdFirst =
    unzipped !== undefined && !/Broken pipe/.test(unzipped.said) && untarred?.error === undefined;
  const end = zstdFirst ? unzipped : untarred;
  if (end !== undefined) throw failureOf(archive, dir, end);
}

interface End {
  readonly name: string;
  /** Where it could not be run. */
  readonly error?: Error;
  readonly said: string;
}

/** Undefined where it went well. */
async function endOf(child: ChildProcess): Promise<End | undefined> {
  const name = child.spawnfile;
  let said = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    if (said.length < SAID_CHARS_MAX) said += bytes.toString();
  });
  try {
    const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
    return code === 0 ? undefined : { name, said: said === '' ? `ended with ${code ?? killedBy}` : said };
  } catch (error) {
    return { name, said, error: error as Error };
  }
}

function failureOf(archive: string, dir: string, { name, said, error }: End): AgentError {
  if (error !== undefined)
    return new AgentError('unavailable', `${name} cannot be run: is it installed? ${error.message}`, error);
  if (/No space left|Disk quota/.test(said)) return diskError(dir, new Error('ENOSPC'));
  const [line = ''] = said.split('\n');
  return new AgentError('corrupt', `${archive} cannot be unpacked: ${printable(line)}`);
}

/** Lets as many bytes through. */
function limit(bytesMax: number, archive: string): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= bytesMax) return done(null, chunk);
      done(
        new AgentError(
          'corrupt',
          `${archive}: holds more than the ${bytesMax} bytes that its manifest allows`,
        ),
      );
    },
  });
}
