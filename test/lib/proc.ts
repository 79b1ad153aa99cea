/** Data of a process from Linux (proc(5)); the process may end at any moment. */
import { readdirSync, readFileSync } from 'node:fs';
import { hasCode } from '../../agent/base/errors.ts';

/** Content of `/proc/<pid>/<file>`; empty where the process has ended, or is not accessible. */
export function procText(pid: number | string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].some((code) => hasCode(error, code))) return '';
    throw error;
  }
}

export function allPids(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
}

/** Pids of the children of a process, started by any of its threads. */
export function childrenOf(pid: number | string): string[] {
  let tasks: string[];
  try {
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ESRCH')) return [];
    throw error;
  }
  return tasks.flatMap((task) =>
    procText(pid, `task/${task}/children`)
      .trim()
      .split(' ')
      .filter((child) => child !== ''),
  );
}

/** Pids of its children that run vision's program. */
export function visionsOf(pid: number | string): number[] {
  return childrenOf(pid)
    .filter((child) => procText(child, 'cmdline').includes('vision/main'))
    .map(Number);
}
