/** Runs a command to its end and returns the cost of it and its descendants. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { AgentError } from '../../../agent/base/errors.ts';

export interface Cost {
  /** User and system time of the command and of all descendants that it waited for (getrusage(2), through bash). */
  readonly cpuMs: number;
  readonly wallMs: number;
  /** Peak resident memory (VmHWM) of each process, by its name from `nameOf`. */
  readonly rssPeakMiB: Readonly<Record<string, number>>;
  readonly stdout: string;
}

/** Polling interval. VmHWM only grows; growth in the last interval of a process may be missed. */
const RSS_EVERY_MS = 50;
const STDERR_KEPT = 2000;

/** Names a process by its command line; undefined for one that is not measured. */
export type NameOf = (commandLine: string) => string | undefined;

/** @throws AgentError `unavailable` with the command's own output if it fails or is interrupted */
export async function costOf(command: readonly string[], nameOf: NameOf): Promise<Cost> {
  const rssPeakMiB: Record<string, number> = {};
  const child = spawn('bash', ['-c', 'TIMEFORMAT="%3R %3U %3S"; time "$@"', 'bash', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const watch = setInterval(() => {
    for (const pid of descendants(child.pid)) notePeak(pid, nameOf, rssPeakMiB);
  }, RSS_EVERY_MS);
  const interrupt = (): void => {
    for (const pid of descendants(child.pid)) process.kill(pid, 'SIGTERM');
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const { code, stdout, stderr } = await outputOf(child);
    const lines = stderr.trimEnd().split('\n');
    const [realS, userS, systemS] = (lines.pop() ?? '').split(' ').map(Number);
    if (code !== 0 || realS === undefined || userS === undefined || systemS === undefined) {
      const words = lines.join(' ').slice(-STDERR_KEPT);
      throw new AgentError('unavailable', `${command.join(' ')} ended with ${code}: ${words}`);
    }
    return { cpuMs: (userS + systemS) * 1000, wallMs: realS * 1000, rssPeakMiB, stdout };
  } finally {
    clearInterval(watch);
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

function outputOf(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk) => {
      stdout += String(chunk);
    });
    child.stderr?.on('data', (chunk) => {
      stderr = (stderr + String(chunk)).slice(-2 * STDERR_KEPT);
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Returns all living descendants of a process (proc(5), /proc/pid/task/tid/children). */
function descendants(pid: number | undefined): number[] {
  if (pid === undefined) return [];
  const children = ifAlive(() =>
    readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
      readFileSync(`/proc/${pid}/task/${tid}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    ),
  );
  return (children ?? []).flatMap((child) => [child, ...descendants(child)]);
}

function notePeak(pid: number, nameOf: NameOf, into: Record<string, number>): void {
  const commandLine = ifAlive(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
  const status = ifAlive(() => readFileSync(`/proc/${pid}/status`, 'utf8'));
  const name = commandLine === undefined ? undefined : nameOf(commandLine);
  const peakKiB = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status ?? '')?.[1] ?? 0);
  if (name !== undefined) into[name] = Math.max(into[name] ?? 0, peakKiB / 1024);
}

/** Returns the result of `read` on /proc, or undefined if the process has ended in the meantime. */
function ifAlive<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}
