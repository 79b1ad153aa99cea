/** Runs programs of Debian, each listed with its package. */
import { spawn } from 'node:child_process';
import { AgentError } from '../../../agent/base/errors.ts';
import { systemPath } from '../../lib/system-path.ts';

/** Maximum output: one screen of errors, a listing, or a file of the boot partition (mtype). */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

const PACKAGES: Readonly<Record<string, string>> = {
  mcopy: 'mtools',
  mmd: 'mtools',
  mtype: 'mtools',
  mdir: 'mtools',
  'mkfs.vfat': 'dosfstools',
  sfdisk: 'fdisk',
  debugfs: 'e2fsprogs',
  pdftoppm: 'poppler-utils',
};

export interface ToolOptions {
  readonly input?: Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Open file that becomes the program's standard input. */
  readonly stdin?: number;
}

/**
 * Returns the program's standard output.
 *
 * @throws AgentError `config` if it is not installed, `unavailable` with its last line if it fails
 */
export async function tool(
  name: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  await stream(name, args, options, (piece) => {
    bytes += piece.length;
    if (bytes > OUTPUT_BYTES_MAX) throw new AgentError('unavailable', `${name}: its output is too long`);
    pieces.push(piece);
  });
  return Buffer.concat(pieces);
}

/** Passes the output on piece by piece. */
export function stream(
  name: string,
  args: readonly string[],
  { input, env, signal, stdin }: ToolOptions,
  take: (piece: Buffer) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, {
      stdio: [stdin ?? 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, PATH: systemPath(), LC_ALL: 'C.UTF-8', ...env },
      ...(signal && { signal }),
    });
    let errorOutput = '';
    child.stderr?.on('data', (piece: Buffer) => {
      errorOutput = `${errorOutput}${piece.toString()}`.slice(-4000);
    });
    child.stdout?.on('data', (piece: Buffer) => {
      try {
        take(piece);
      } catch (error) {
        child.kill();
        reject(error instanceof Error ? error : new AgentError('bug', String(error)));
      }
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'ENOENT' ? notInstalled(name) : new AgentError('unavailable', interrupted(error)),
      );
    });
    child.once('close', (code) => {
      if (code === 0) return resolve();
      const last = errorOutput.trim().split('\n').at(-1) ?? '';
      reject(new AgentError('unavailable', `${name}: ${last === '' ? `ended with ${code}` : last}`));
    });
    child.stdin?.on('error', () => undefined); // Ignored: a program that ends early reports the reason itself.
    child.stdin?.end(input);
  });
}

function notInstalled(name: string): AgentError {
  return new AgentError('config', `${name} is not installed: apt-get install ${PACKAGES[name] ?? name}`);
}

function interrupted({ name, message }: Error): string {
  return name === 'AbortError' ? 'interrupted' : message;
}
