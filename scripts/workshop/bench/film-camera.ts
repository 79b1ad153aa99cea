/** RTSP server that sends films as a camera would (camera.py), as a process of its own. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { AgentError } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';

export class FilmCamera {
  readonly url: string;
  /** Address of the second film. */
  readonly substreamUrl: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;

  static async start(...films: string[]): Promise<FilmCamera> {
    const program = join(packageRoot(), 'scripts', 'workshop', 'bench', 'camera.py');
    const child = spawn('/usr/bin/python3', [program, ...films], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exit = once(child, 'exit').then(() => {
      throw new AgentError('unavailable', 'the RTSP server ended; ./scripts/setup --for test installs it');
    });
    const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), exit])) as [string];
    exit.catch(() => undefined);
    return new FilmCamera(child, (JSON.parse(line) as { port: number }).port);
  }

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>, port: number) {
    this.#child = child;
    this.url = `rtsp://127.0.0.1:${port}/main`;
    this.substreamUrl = `rtsp://127.0.0.1:${port}/sub`;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.stdin.end();
    await exit;
  }
}
