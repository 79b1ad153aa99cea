/** Records which code runs as which user in a booted box, by watching all of its processes from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Test } from 'tap';
import type { Container } from './nspawn.ts';

/** A file that exists only in the container's root file system. */
const MARK = '/usr/share/this-is-the-box';

/**
 * Watches /proc until it is stopped. Prints a line for each process that runs JavaScript or has a file of Vigie mapped.
 * An argument counts where the program is an interpreter: others (cp, tar) get paths as data.
 */
const WATCHER = `const { existsSync, readdirSync, readFileSync, readlinkSync } = require('node:fs');
const told = new Set();
const text = (pid, name) => { try { return readFileSync('/proc/' + pid + '/' + name, 'utf8'); } catch { return ''; } };
const isInBox = new Map();
const inBox = (pid) => {
  if (!isInBox.has(pid)) isInBox.set(pid, existsSync('/proc/' + pid + '/root${MARK}'));
  return isInBox.get(pid);
};
const exeOf = (pid) => { try { return readlinkSync('/proc/' + pid + '/exe'); } catch { return ''; } };
const look = () => {
  const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name));
  for (const pid of isInBox.keys()) if (!pids.includes(pid)) isInBox.delete(pid);
  for (const pid of pids) {
    if (!inBox(pid)) continue;
    const argv = text(pid, 'cmdline').split('\\0').join(' ').trim();
    if (argv === '') continue;
    const exe = exeOf(pid);
    const runs = /\\/(node|[a-z]*sh|python[0-9.]*|perl)$/.test(exe) && argv.includes('/usr/lib/vigie');
    const maps = /\\/(node)$/.test(exe) && text(pid, 'maps').includes('/usr/lib/vigie/');
    if (!runs && !maps && !exe.includes('/usr/lib/vigie')) continue;
    const uids = (/^Uid:\\t(.*)$/m.exec(text(pid, 'status')) || ['', ''])[1].split('\\t').join(',');
    const line = JSON.stringify({ uids, argv, maps });
    if (uids === '' || told.has(line)) continue;
    told.add(line);
    console.log(line);
  }
};
console.log('');
setInterval(look, 100);`;

export interface SeenProgram {
  /** Real, effective, saved and file system user ids. */
  readonly uids: string;
  readonly argv: string;
  /** True if it has a file of a release mapped. */
  readonly maps: boolean;
}

export class BoxPrograms {
  readonly #child: ChildProcess;
  #output = '';

  static async watch(t: Test, container: Container): Promise<BoxPrograms> {
    container.write(MARK, '');
    const child = spawn(process.execPath, ['-e', WATCHER], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => child.kill('SIGKILL'));
    const programs = new BoxPrograms(child);
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    return programs;
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  /** Ends the watcher; returns the programs that it has seen. */
  async stop(): Promise<SeenProgram[]> {
    const exit = once(this.#child, 'close');
    this.#child.kill('SIGTERM');
    await exit;
    const lines = this.#output.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'));
    return lines.map((line) => JSON.parse(line) as SeenProgram);
  }
}

/** Programs that ran code of a release as root. */
export function releaseAsRoot(programs: readonly SeenProgram[]): string[] {
  const asRoot = programs.filter(
    ({ uids, argv, maps }) => uids.split(',').includes('0') && (maps || argv.includes('/usr/lib/vigie/')),
  );
  return [...new Set(asRoot.map(({ uids, argv }) => `${uids}: ${argv}`))];
}

/** Commands with which root's program was started as root. */
export function rootsCommands(programs: readonly SeenProgram[]): string[] {
  const commands = programs.flatMap(({ uids, argv }) =>
    uids === '0,0,0,0' ? (/vigie-root\.js ([a-z-]+)/.exec(argv)?.[1] ?? []) : [],
  );
  return [...new Set(commands)].sort();
}
