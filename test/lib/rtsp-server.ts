/** The RTSP camera of the tests (rtsp-server.py): a real server in its own process, with faults on request. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { ROOT } from './paths.ts';

const PYTHON = '/usr/bin/python3';

export interface RtspOptions {
  /** Port; 0 or absent picks a free one. */
  readonly port?: number;
  readonly codec?: 'h264' | 'h265' | 'jpeg';
  readonly width?: number;
  readonly height?: number;
  readonly fps?: number;
  /** Pattern of videotestsrc; default `ball`. */
  readonly pattern?: string;
  /** Pixel aspect ratio, as `16/11`. */
  readonly par?: string;
  /** Frames from key frame to key frame. */
  readonly gop?: number;
  /** Seed of corruption. */
  readonly seed?: number;
  readonly user?: string;
  readonly password?: string;
  readonly audio?: boolean;
}

/** Reason why tests with the server must be skipped here; false where it can run. */
export function rtspMissing(): string | false {
  try {
    execFileSync(PYTHON, [
      '-c',
      'import gi; gi.require_version("GstRtspServer", "1.0"); from gi.repository import GstRtspServer',
    ]);
    return false;
  } catch {
    return 'no RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-ugly';
  }
}

export class RtspServer {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  /** Resolves when the server listens. */
  static async start(options: RtspOptions = {}): Promise<RtspServer> {
    const args = Object.entries(options).flatMap(([name, value]) =>
      value === true ? [`--${name}`] : value === false ? [] : [`--${name}`, String(value)],
    );
    const child = spawn(PYTHON, [join(ROOT, 'test/lib/rtsp-server.py'), ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout });
    const [line] = (await Promise.race([
      once(lines, 'line'),
      once(child, 'exit').then(() => Promise.reject(new Error(`RTSP server ended (${args.join(' ')})`))),
    ])) as [string];
    const { port } = JSON.parse(line) as { port: number };
    return new RtspServer(child, lines, port);
  }

  private constructor(child: ChildProcess, lines: Interface, port: number) {
    this.#child = child;
    this.#lines = lines;
    this.port = port;
  }

  url(credentials = ''): string {
    return `rtsp://${credentials === '' ? '' : `${credentials}@`}127.0.0.1:${this.port}/main`;
  }

  /** Stops the media; the session stays open. */
  mute(): Promise<void> {
    return this.#command('mute');
  }

  unmute(): Promise<void> {
    return this.#command('unmute');
  }

  /** Changes the picture's size in mid-stream. */
  size(width: number, height: number): Promise<void> {
    return this.#command(`size ${width} ${height}`);
  }

  /** Changes each coded byte with this probability (H.264); 0 ends it. */
  corrupt(probability: number): Promise<void> {
    return this.#command(`corrupt ${probability}`);
  }

  /** Switches to another picture in mid-stream. */
  pattern(name: string): Promise<void> {
    return this.#command(`pattern ${name}`);
  }

  /** Ends the stream, not the server. */
  eos(): Promise<void> {
    return this.#command('eos');
  }

  /** Stops the process; its sockets stay open. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** Kills the process. Idempotent. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }

  async #command(command: string): Promise<void> {
    const reply = once(this.#lines, 'line');
    this.#child.stdin?.write(`${command}\n`);
    await reply;
  }
}
