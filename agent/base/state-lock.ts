/**
 * Lock of a state folder: allows one agent, and one writing command. It uses flock(2) on the folder itself, which also
 * works on a read-only disk and ends with the process, however that ends.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { AgentError, messageOf } from './errors.ts';

/** flock(1)'s exit code if another process holds the lock (-E, --conflict-exit-code). */
const HELD_EXIT_CODE = 77;

export class StateLock {
  readonly #dir: string;
  #fd: number | undefined;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * Creates the folder if it is missing, and locks it.
   *
   * @throws AgentError `denied` if another process holds the lock
   * @throws AgentError `config` if the folder cannot be created or belongs to another user: the agent could not change
   * files that root writes there
   */
  take(): void {
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    } catch (error) {
      const message = `${this.#dir}: cannot be made (${messageOf(error)}); name another with --state`;
      throw new AgentError('config', message, error);
    }
    const { uid } = statSync(this.#dir);
    const own = process.geteuid?.() ?? uid;
    if (uid !== own) {
      const message = `${this.#dir} belongs to user ${uid}, and this is user ${own}: run it as the folder's user (sudo -u vigie), or name a folder of your own with --state`;
      throw new AgentError('config', message);
    }
    if (this.tryTake()) return;
    throw new AgentError(
      'denied',
      `another agent uses ${this.#dir}; stop that one first (systemctl stop vigie)`,
    );
  }

  /** Reports whether a process holds the lock, by trying to take it. */
  static isHeld(dir: string): boolean {
    const lock = new StateLock(dir);
    const free = lock.tryTake();
    lock.release();
    return !free;
  }

  release(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #open(): number {
    try {
      return openSync(this.#dir, 'r');
    } catch (error) {
      const fix = 'run it as the folder’s user (sudo -u vigie)';
      throw new AgentError('config', `${this.#dir} cannot be opened: ${messageOf(error)}; ${fix}`, error);
    }
  }

  /**
   * Takes the lock of an existing folder or file; false if another process holds it. It belongs to the open file that this
   * process shares with flock(1) of util-linux, and remains after that has ended. Node has no call for it.
   */
  tryTake(): boolean {
    const fd = this.#open();
    const { status, error, stderr } = spawnSync('flock', ['-n', '-E', String(HELD_EXIT_CODE), '3'], {
      stdio: ['ignore', 'ignore', 'pipe', fd],
      encoding: 'utf8',
    });
    if (status === 0) {
      this.#fd = fd;
      return true;
    }
    closeSync(fd);
    if (status === HELD_EXIT_CODE) return false;
    throw new AgentError(
      'unavailable',
      `${this.#dir} cannot be locked: ${error ? messageOf(error) : stderr.trim()}`,
    );
  }
}
