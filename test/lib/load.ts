/** Thousands of simulated boxes in some processes, and the resources that the room's processes spend on them. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { type LoadAsk, type LoadCounts, loadName, noCounts } from './load-protocol.ts';
import { childrenOf, procText } from './proc.ts';

const BOXES_PROGRAM = fileURLToPath(new URL('./load-boxes.js', import.meta.url));

/** sysconf(_SC_CLK_TCK) of Linux. */
const TICKS_PER_S = 100;

export class Load {
  readonly #children: ChildProcess[];
  readonly #counts: LoadCounts[];

  /** Starts the processes; ended with the test. */
  constructor(t: Test, processes: number) {
    this.#counts = Array.from({ length: processes }, noCounts);
    this.#children = this.#counts.map((_, i) => {
      const child = fork(BOXES_PROGRAM);
      child.on('message', (counts) => {
        this.#counts[i] = counts as LoadCounts;
      });
      t.teardown(() => child.kill('SIGKILL'));
      return child;
    });
  }

  get counts(): LoadCounts {
    const sum = noCounts();
    for (const one of this.#counts)
      for (const key of Object.keys(sum) as (keyof LoadCounts)[]) sum[key] += one[key];
    return sum;
  }

  /** Starts the connections; `counts.connected` reports progress. */
  connect(url: string, dir: string, count: number, perS: number): void {
    const perChild = Math.ceil(count / this.#children.length);
    this.#ask((i) => ({
      do: 'connect',
      url,
      dir,
      first: i * perChild,
      count: Math.min(perChild, count - i * perChild),
      perS: perS / this.#children.length,
    }));
  }

  rate(perS: number, stills: boolean): void {
    this.#ask(() => ({ do: 'rate', perS: perS / this.#children.length, stills }));
  }

  /** CPU seconds of the simulated boxes themselves. */
  get cpuS(): number {
    return this.#children.reduce((sum, { pid }) => sum + (pid === undefined ? 0 : cpuS(pid)), 0);
  }

  #ask(ask: (index: number) => LoadAsk): void {
    for (const [i, child] of this.#children.entries()) child.send(ask(i));
  }
}

/** Makes `count` certificates; one key serves them all, which changes nothing for the broker. */
export function makeCertificates(dir: string, authority: string, count: number): void {
  const names = Array.from({ length: count }, (_, no) => loadName(no)).join(' ');
  const script = `set -e
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out box.key 2>/dev/null
    openssl pkey -in box.key -pubout -out box.pub
    cp "$1/ca.crt" ca.crt
    printf 'extendedKeyUsage=clientAuth' >ext
    for name in ${names}; do
      openssl x509 -new -force_pubkey box.pub -subj "/CN=$name" -CA "$1/ca.crt" -CAkey "$1/ca.key" -extfile ext \\
        -days 30 -out "$name.crt" 2>/dev/null
    done`;
  execFileSync('bash', ['-c', script, 'bash', authority], { cwd: dir });
}

/** CPU seconds of a process since its start, including its children: the living, and those waited for. */
export function cpuS(pid: number): number {
  const own = (one: number | string, to: number): number => {
    const stat = procText(one, 'stat');
    // utime, stime, cutime, cstime of proc_pid_stat(5); the name before them may contain spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields.slice(11, to).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_S;
  };
  return own(pid, 15) + childrenOf(pid).reduce((sum, child) => sum + own(child, 13), 0);
}

/** CPU seconds of all processes of this machine since its start. */
export function machineCpuS(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  // user, nice, system, idle, iowait, irq, softirq, steal of proc_stat(5).
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/ +/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_S;
}

/** Resident memory of a process, MB. */
export const rssMB = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(procText(pid, 'status'))?.[1]) / 1000;

export const openFiles = (pid: number): number => readdirSync(join('/proc', String(pid), 'fd')).length;
