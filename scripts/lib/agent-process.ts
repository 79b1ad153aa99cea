/**
 * Runs the agent, or the page or the console beside it, with its log in a file. It is a process of its own, as on a
 * box.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';

/** Time after which the agent, which stops within 5 s itself, is killed. */
const STOP_GRACE_MS = 6000;
/** The log is for reading after a demo, not for archiving; anything beyond this size is dropped. */
const LOG_BYTES_MAX = 10 * 1024 * 1024;
const LINES_KEPT = 20;
/** Part of the output that is searched, from its start. */
const BEGINNING_MAX = 4096;

export interface AgentExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Reason in the agent's own words: its last line. */
  readonly reason: string;
}

export class AgentProcess {
  readonly #command: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #logPath: string;
  readonly #lines: string[] = [];
  #child: ChildProcess | undefined;
  #exit: Promise<AgentExit> | undefined;
  #beginning = '';
  #onBeginning: () => void = () => undefined;

  /** `command` is the program with its arguments. */
  constructor(command: readonly string[], env: NodeJS.ProcessEnv, logPath: string) {
    this.#command = command;
    this.#env = env;
    this.#logPath = logPath;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the process has ended. */
  start(): Promise<AgentExit> {
    const log = createWriteStream(this.#logPath);
    // With its own process group, Ctrl-C reaches only the demo, which then ends the agent before the broker. With
    // --pdeathsig, the agent also ends if the demo is killed.
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...this.#command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.#env,
      detached: true,
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => this.#keep(chunk, log));
    child.stdout.on('data', (chunk: Buffer) => {
      this.#beginning = `${this.#beginning}${chunk}`.slice(0, BEGINNING_MAX);
      this.#onBeginning();
    });
    this.#exit = new Promise((resolve) => {
      child.once('error', (error) => resolve({ code: null, signal: null, reason: error.message }));
      child.once('close', (code, signal) => {
        log.end();
        resolve({ code, signal, reason: this.#reason() });
      });
    });
    return this.#exit;
  }

  /**
   * Resolves with its first line on stdout that matches the pattern; never if there is no such line. For one caller.
   */
  matchingLine(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve) => {
      this.#onBeginning = () => {
        const lines = this.#beginning.split('\n').slice(0, -1);
        const firstMatch = lines.map((line) => pattern.exec(line)).find((match) => match !== null);
        if (firstMatch) resolve(firstMatch);
      };
      this.#onBeginning();
    });
  }

  async stop(): Promise<void> {
    if (this.#child === undefined || this.#exit === undefined) return;
    const child = this.#child;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
    await this.#exit;
    clearTimeout(timer);
  }

  #keep(chunk: Buffer, log: WriteStream): void {
    if (log.bytesWritten + chunk.length <= LOG_BYTES_MAX) log.write(chunk);
    this.#lines.push(
      ...chunk
        .toString()
        .split('\n')
        .filter((line) => line.trim() !== ''),
    );
    this.#lines.splice(0, Math.max(0, this.#lines.length - LINES_KEPT));
  }

  /** A refused configuration gives plain lines; a running agent logs JSON. */
  #reason(): string {
    const plain = this.#lines.filter((line) => !line.startsWith('{'));
    return plain.length > 0 ? plain.join('\n') : logMessage(this.#lines.at(-1));
  }
}

function logMessage(line: string | undefined): string {
  if (line === undefined) return 'no output';
  try {
    const { msg } = JSON.parse(line) as { msg?: unknown };
    return typeof msg === 'string' ? msg : line;
  } catch (error) {
    if (error instanceof SyntaxError) return line;
    throw error;
  }
}
