/**
 * Runs one vision process. The agent either spawns it with the link on file descriptor 3, or reaches it through
 * systemd's activation socket. Connecting to the socket starts the unit, and closing the connection ends it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createConnection, type Socket } from 'node:net';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeAtomically } from '../base/atomic-file.ts';
import type { Clock } from '../base/clock.ts';
import { assert } from '../base/errors.ts';
import { LinkEnd } from '../base/link-end.ts';
import type { Logger } from '../base/log.ts';
import { DETECTOR_BACKENDS } from '../contract/detector-backend.ts';
import { LAST_LINE_FILE } from '../contract/inference-element.ts';
import {
  encodeMessage,
  FromVision,
  type Received,
  type ToVision,
  type VisionSettings,
} from '../contract/link.ts';
import type { CapturePermit } from '../contract/permit.ts';
import { passOnStderr } from './vision-stderr.ts';

export type ReceivedFromVision = Received<FromVision>;

export interface VisionExit {
  /** Exit code; null after a signal, or if systemd owns the process. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** True if `stop()` requested the exit. */
  readonly isRequested: boolean;
  /** Last line that an element's library wrote to standard error; undefined if it wrote none, or under systemd. */
  readonly lastLine?: string | undefined;
  /** Set if the link broke the protocol. */
  readonly error: Error | undefined;
}

export interface VisionProcessOptions {
  readonly clock: Clock;
  readonly log: Logger;
  onMessage(received: ReceivedFromVision): void;
  /** Called once per process, after it has ended. */
  onExit(exit: VisionExit): void;
  /** Path of an activation socket. Without it the process is spawned. */
  readonly socketPath?: string | undefined;
  /** Folder in which a spawned process finds the authority's key; undefined for recorded clips. */
  readonly restraintDir: string | undefined;
  /** Command prefix, for tracing in tests. */
  readonly wrapper?: readonly string[];
}

/** Time for vision to exit before it is killed, ms (systemd's stop has 5 s for everything). */
const STOP_GRACE_MS = 2000;

/**
 * Small young generation and compact code: saves 9 MiB without a measurable cost in CPU time
 * (docs/design/005-benchmark.md).
 */
const NODE_FLAGS = ['--enable-source-maps', '--max-semi-space-size=2', '--optimize-for-size'];

/**
 * Environment variables that vision may see. None could hold a credential, load foreign code into vision or make it
 * write pixels to a disk. Vision calls gst-inspect-1.0 by name, GStreamer keeps its plugin list in the user's cache,
 * and CACHE_DIRECTORY holds the last model.
 */
const ENVIRONMENT = new Set(['PATH', 'HOME', 'TMPDIR', 'XDG_CACHE_HOME', 'CACHE_DIRECTORY', 'VIGIE_LOG']);

export class VisionProcess {
  readonly #options: VisionProcessOptions;
  #child: ChildProcess | undefined;
  #link: LinkEnd<typeof FromVision> | undefined;
  #exit: Promise<void> | undefined;
  #isStopRequested = false;

  constructor(options: VisionProcessOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts vision. Requires a permit, which carries the right to capture and the authorisation that vision demands. */
  start(permit: CapturePermit, settings: VisionSettings): void {
    assert(this.#exit === undefined, 'a vision process has one life');
    const { socketPath } = this.#options;
    this.#exit = socketPath === undefined ? this.#spawn(settings) : this.#connect(socketPath);
    this.send({ kind: 'start', settings, order: permit.order });
  }

  send(message: ToVision): boolean {
    return this.#link?.send(encodeMessage(message)) ?? false;
  }

  /** Asks vision to exit, kills it after the grace time, and resolves when it has ended. */
  async stop(): Promise<void> {
    if (this.#exit === undefined) return;
    this.#isStopRequested = true;
    // Vision closes the link itself, after its last counters.
    this.send({ kind: 'stop' });
    const enough = new AbortController();
    const child = this.#child;
    void this.#options.clock.sleep(STOP_GRACE_MS, enough.signal).then(() => {
      if (enough.signal.aborted) return;
      // If systemd owns the process, it ends vision with the agent (ExecStopPost=).
      if (child === undefined) this.#link?.destroy();
      else child.kill('SIGKILL');
    });
    await this.#exit;
    enough.abort();
  }

  #spawn({ detector }: VisionSettings): Promise<void> {
    const ownFile = fileURLToPath(import.meta.url);
    const program = fileURLToPath(new URL(`../vision/main${extname(ownFile)}`, import.meta.url));
    const command = [...(this.#options.wrapper ?? []), process.execPath, ...NODE_FLAGS, program];
    // Only foreign code writes noise. Without it, vision's stderr needs no filter.
    const stderr = DETECTOR_BACKENDS[detector.backend].runsForeignCode ? 'pipe' : 2;
    const child = spawn(command[0] as string, command.slice(1), {
      // Standard output belongs to the command that the user called; vision writes to stderr only.
      stdio: ['ignore', 2, stderr, 'pipe'],
      env: visionEnvironment(process.env, this.#options.restraintDir),
    });
    this.#child = child;
    const lastLine = passOnStderr(child, this.#options.clock);
    let linkError: Error | undefined;
    this.#attach(child.stdio[3] as unknown as Socket, (error) => {
      linkError = error;
      if (error !== undefined) child.kill('SIGKILL');
    });
    return new Promise((resolve) => {
      const finish = (code: number | null, signal: NodeJS.Signals | null, error?: Error): void => {
        resolve();
        const isRequested = this.#isStopRequested;
        if (!isRequested) keepLastLine(lastLine());
        this.#options.onExit({ code, signal, isRequested, error: error ?? linkError, lastLine: lastLine() });
      };
      child.once('error', (error) => finish(null, null, error));
      // `close`, not `exit`: by then everything that vision sent has been read.
      child.once('close', (code, signal) => finish(code, signal));
    });
  }

  #connect(socketPath: string): Promise<void> {
    return new Promise((resolve) => {
      this.#attach(createConnection(socketPath), (error) => {
        resolve();
        this.#options.onExit({ code: null, signal: null, isRequested: this.#isStopRequested, error });
      });
    });
  }

  #attach(socket: Socket, onClosed: (error: Error | undefined) => void): void {
    const { onMessage } = this.#options;
    this.#link = new LinkEnd(socket, FromVision, { onMessage, onClosed });
  }
}

/** Stores the line for the next vision process, which reports why its element failed (element-trial.ts). */
function keepLastLine(line: string | undefined): void {
  const dir = process.env['CACHE_DIRECTORY']?.split(':')[0];
  if (line === undefined || !dir) return;
  try {
    writeAtomically(join(dir, LAST_LINE_FILE), line);
  } catch {
    // The reason of the fallback is then shorter.
  }
}

/**
 * Returns the environment of a spawned vision process:
 * - UV_THREADPOOL_SIZE: each pull() and pollBus() of GStreamer holds a libuv worker.
 * - MALLOC_ARENA_MAX: glibc would keep a heap for each of those workers. Even two heaps cost 4 MiB more than one.
 * - ORT_DISABLE_TELEMETRY: ONNX Runtime reports home unless this is set before it is loaded.
 */
function visionEnvironment(from: NodeJS.ProcessEnv, restraintDir: string | undefined): NodeJS.ProcessEnv {
  const allowedEntries = Object.entries(from).filter(([name]) => ENVIRONMENT.has(name));
  return {
    ...Object.fromEntries(allowedEntries),
    ...(restraintDir !== undefined && { VIGIE_RESTRAINT_DIR: restraintDir }),
    UV_THREADPOOL_SIZE: '16',
    MALLOC_ARENA_MAX: '1',
    ORT_DISABLE_TELEMETRY: '1',
    // Otherwise GIO stores settings in the home folder when a stream is opened.
    GSETTINGS_BACKEND: 'memory',
    // Otherwise GStreamer also loads plugins from the home folder.
    XDG_DATA_HOME: '/nonexistent',
    // Otherwise HailoRT writes hailort.log in the working folder.
    HAILORT_LOGGER_PATH: 'NONE',
  };
}
