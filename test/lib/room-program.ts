/** `scripts/room` as a process of its own, without the set-up. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Test } from 'tap';
import { bundled } from './bundled.ts';
import type { Room } from './room.ts';

export const ROOM_PROGRAM = bundled('scripts/programs/room/archive');

export class RoomProgram {
  /** Output since the first start. */
  output = '';
  readonly #arguments: readonly string[];
  #child: ChildProcess | undefined;

  constructor(args: readonly string[]) {
    this.#arguments = args;
  }

  /** Starts it for the broker and as the user `room`; killed when the test ends. */
  static async start(t: Test, room: Room, ...args: string[]): Promise<RoomProgram> {
    const { cert, key } = await room.programs.client('room');
    const tls = ['--ca', room.authority.ca, '--cert', cert, '--key', key];
    const program = new RoomProgram(['--broker', room.broker.programsUrl, ...tls, ...args]);
    t.teardown(() => program.end('SIGKILL'));
    program.start();
    return program;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    const child = spawn(process.execPath, [ROOM_PROGRAM, ...this.#arguments]);
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

  /** Resolves with the exit code when it has ended; null where the signal ended it. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return null;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exit = once(child, 'close');
    child.kill(signal);
    await exit;
    return child.exitCode;
  }
}
