/** `scripts/room` and its console as processes of their own, without the set-up. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { freePort } from '../../scripts/lib/mosquitto.ts';
import { newEntryToken } from '../../scripts/products/room/console/settings.ts';
import { ARCHIVE, ENTER_PATH } from '../../scripts/products/room/contract/terms.ts';
import { bundled } from './bundled.ts';
import { procText } from './proc.ts';
import type { Room } from './room.ts';

export const ROOM_PROGRAM = bundled('scripts/products/room/archive');
const START_WITHIN_MS = 30_000;

/** A program that can be started again with the same arguments. */
class Restartable {
  /** Output since the first start. */
  output = '';
  readonly #command: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;

  constructor(command: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#command = command;
    this.#env = env;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get hasEnded(): boolean {
    const child = this.#child;
    return child === undefined || child.exitCode !== null || child.signalCode !== null;
  }

  start(): void {
    const child = spawn(process.execPath, this.#command, { env: { ...process.env, ...this.#env } });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
    this.#child = child;
  }

  /** Stops its process as a frozen machine would, or continues it. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(name);
  }

  /** Resolves with the exit code when it has ended; null where a signal ended it. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || this.hasEnded) return child?.exitCode ?? null;
    const exit = once(child, 'close');
    child.kill(signal);
    await exit;
    return child.exitCode;
  }
}

export class RoomProgram extends Restartable {
  constructor(args: readonly string[]) {
    super([ROOM_PROGRAM, ...args]);
  }

  /** Starts it for the broker and as the archive; killed when the test ends. */
  static async start(t: Test, room: Room, ...args: string[]): Promise<RoomProgram> {
    const { cert, key } = await room.programs.client(ARCHIVE);
    const tls = ['--ca', room.authority.ca, '--cert', cert, '--key', key];
    const program = new RoomProgram(['--broker', room.broker.archiveUrl, ...tls, ...args]);
    t.teardown(() => program.end('SIGKILL'));
    program.start();
    return program;
  }
}

/** The console has the same port at every start. */
export class ConsoleProgram extends Restartable {
  readonly url: string;
  /** Link by which a browser may enter. */
  readonly link: string;

  private constructor(database: string, port: number, token = newEntryToken()) {
    const args = ['--demo', '--database', database, '--listen', `127.0.0.1:${port}`];
    super([bundled('scripts/products/room/console'), ...args], { VIGIE_ROOM_DEMO_TOKEN: token });
    this.url = `http://127.0.0.1:${port}`;
    this.link = `${this.url}${ENTER_PATH}?token=${token}`;
  }

  /**
   * Starts it with the accounts of the demonstration, on a database that the archive has made; killed when the test
   * ends.
   */
  static async start(t: Test, database: string): Promise<ConsoleProgram> {
    const program = new ConsoleProgram(database, await freePort());
    t.teardown(() => program.end('SIGKILL'));
    await program.startListening();
    return program;
  }

  async startListening(): Promise<void> {
    const before = this.output.length;
    this.start();
    const deadlineMs = performance.now() + START_WITHIN_MS;
    while (!this.output.slice(before).includes('Console on ')) {
      if (this.hasEnded || performance.now() > deadlineMs)
        throw new Error(`the console does not start: ${this.output.slice(-500)}`);
      await sleep(20);
    }
  }

  /** Memory of the process, MB. */
  get rssMB(): number {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(procText(this.pid ?? 0, 'status'))?.[1]) / 1000;
  }
}
