/**
 * Rebuilds the manifest of a release from the local one and a signed difference, so that 1 kB is downloaded instead of
 * 600.
 *
 * LIMITS  zstd's output is limited to the signed size of the manifest (a bomb is stopped there), and its memory to
 * WINDOW_MIB.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { writeAtomically } from '../../../agent/base/atomic-file.ts';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { printable } from '../../../agent/base/printable.ts';
import { sha256Of } from '../../../agent/base/sha256.ts';
import { onDisk } from './disk-error.ts';
import type { TargetRef } from './trust.ts';
import { WINDOW_MIB } from './unpack.ts';

export interface ManifestPatch {
  /** File with the difference. */
  readonly patch: string;
  /** The local manifest; it need not be unchanged. */
  readonly from: string;
  /** The expected result. */
  readonly manifest: TargetRef;
  /** Target file. */
  readonly file: string;
}

/**
 * Writes the manifest, or nothing.
 *
 * @throws AgentError
 * - corrupt: the result differs
 * - exhausted: the disk is full
 * - unavailable: zstd cannot be run, or the signal aborts
 */
export async function patchManifest(
  { patch, from, manifest, file }: ManifestPatch,
  signal: AbortSignal,
): Promise<void> {
  const bytes = await unpacked(patch, from, manifest.length, signal);
  const sha256 = sha256Of(bytes);
  if (bytes.length !== manifest.length || sha256 !== manifest.sha256)
    throw new AgentError('corrupt', `${patch}: with ${from} it does not make the manifest that was signed`);
  onDisk(file, () => writeAtomically(file, bytes, 0o644));
}

async function unpacked(patch: string, from: string, bytesMax: number, signal: AbortSignal): Promise<Buffer> {
  const args = ['-q', '-d', '-c', `--memory=${WINDOW_MIB}MiB`, `--patch-from=${from}`, '--', patch];
  const env = { PATH: process.env['PATH'], LC_ALL: 'C' };
  const options = { encoding: 'buffer', maxBuffer: bytesMax, killSignal: 'SIGKILL', env, signal } as const;
  try {
    return (await promisify(execFile)('zstd', args, options)).stdout;
  } catch (error) {
    throw failureOf(patch, bytesMax, error, signal);
  }
}

interface ExecFileFailure {
  readonly code?: string | number | null;
  readonly signal?: string | null;
  readonly stderr?: Buffer;
}

function failureOf(patch: string, bytesMax: number, error: unknown, signal: AbortSignal): AgentError {
  const { code, signal: killedBy, stderr } = error as ExecFileFailure;
  if (signal.aborted) return new AgentError('unavailable', `${patch}: unpacking cancelled`, error);
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER')
    return new AgentError(
      'corrupt',
      `${patch}: holds more than the ${bytesMax} bytes that were signed`,
      error,
    );
  if (typeof code === 'string')
    return new AgentError(
      'unavailable',
      `zstd cannot be run: is it installed? ${printable(messageOf(error))}`,
      error,
    );
  if (typeof killedBy === 'string')
    return new AgentError('unavailable', `${patch}: zstd was killed by ${killedBy}`, error);
  const [line = ''] = (stderr?.toString() ?? '').split('\n');
  const errorLine = line === '' ? 'zstd has ended' : line;
  return new AgentError('corrupt', `${patch} cannot be unpacked: ${printable(errorLine)}`, error);
}
