/** Tells a process from a later one that was given the same number. */
import { readFileSync } from 'node:fs';

/** When a process started, in clock ticks since the machine's boot; undefined where there is none. */
export function processStart(pid: number, proc = '/proc'): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`${proc}/${pid}/stat`, 'utf8');
  } catch {
    // No such process: that is an answer.
    return undefined;
  }
  // Field 22 (proc_pid_stat(5)); the second is the program's name, which may hold spaces and brackets.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
