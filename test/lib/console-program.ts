/** `scripts/room console` as a process of its own, with the same port at every start. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { newEntryToken } from '../../scripts/programs/room/console/settings.ts';
import { ENTER_PATH } from '../../scripts/programs/room/contract/terms.ts';
import { bundled } from './bundled.ts';

const CONSOLE_PROGRAM = bundled('scripts/programs/room/console');
const START_WITHIN_MS = 30_000;

export class ConsoleProgram {
  /** Output since the first start. */
  output = '';
  readonly url: string;
  /** Link by which a browser may enter. */
  readonly link: string;
  readonly #token = newEntryToken();
  readonly #arguments: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(database: string, port: number) {
    this.url = `http://127.0.0.1:${port}`;
    this.link = `${this.url}${ENTER_PATH}?token=${this.#token}`;
    this.#arguments = ['--demo', '--database', database, '--listen', `127.0.0.1:${port}`];
  }

  /**
   * Starts it with the accounts of the demonstration, on a database that the archive has made; killed when the test
   * ends.
   */
  static async start(t: Test, database: string): Promise<ConsoleProgram> {
    const program = new ConsoleProgram(database, await freePort());
    t.teardown(() => program.kill());
    await program.start();
    return program;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, [CONSOLE_PROGRAM, ...this.#arguments], {
      env: { ...process.env, VIGIE_ROOM_DEMO_TOKEN: this.#token },
    });
    const before = this.output.length;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
    this.#child = child;
    const deadlineMs = performance.now() + START_WITHIN_MS;
    while (!this.output.slice(before).includes('Console on ')) {
      if (child.exitCode !== null || performance.now() > deadlineMs)
        throw new Error(`the console does not start: ${this.output.slice(-500)}`);
      await sleep(20);
    }
  }

  /** Kills the process immediately, as a crash does. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'close');
    child.kill('SIGKILL');
    await exit;
  }

  /** Memory of the process, MB. */
  get rssMB(): number {
    const status = readFileSync(`/proc/${this.#child?.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1000;
  }
}
