/** Runs the room's console on the demo's archive as a process of its own, and opens it in a browser on request. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { AgentProcess } from '../../lib/agent-process.ts';
import { ENTER_PATH } from '../../products/room/contract/terms.ts';

const PROGRAM = fileURLToPath(new URL('../../products/room/console/main.js', import.meta.url));
/** Same as for the page: node alone needs several seconds on a busy board. */
const START_WITHIN_MS = 15_000;
/** Loopback, and a port that the kernel chooses. */
const LISTEN = '127.0.0.1:0';
const ADDRESS = /http:\/\/127\.0\.0\.1:\d{1,5}/;

export interface ConsolePlaces {
  /** The archive of the demo's room. */
  readonly database: string;
  /** Folder for its log. */
  readonly outDir: string;
  /** Socket of the signer. */
  readonly signer: string;
  /** Map with the demo's camera. */
  readonly plan: string;
}

export interface RunningConsole {
  readonly origin: string;
  /** Entry link. */
  readonly url: string;
  /** Token of a program in the role of an operator; the same as in the link. */
  readonly token: string;
  /** Resolves with the reason when the console ends. */
  readonly exitReason: Promise<string>;
}

export class ConsoleProcess {
  readonly #process: AgentProcess;
  /** Appears in the printed link and in no log. Other users of this machine can reach the port, and must not get in. */
  readonly #token = randomBytes(32).toString('base64url');
  readonly #logPath: string;

  constructor({ database, outDir, signer, plan }: ConsolePlaces) {
    this.#logPath = join(outDir, 'console.log');
    const options = [
      '--demo',
      '--database',
      database,
      '--listen',
      LISTEN,
      '--signer',
      signer,
      '--plan',
      plan,
    ];
    const command = [process.execPath, '--enable-source-maps', PROGRAM, ...options];
    const env = { ...process.env, VIGIE_ROOM_DEMO_TOKEN: this.#token };
    this.#process = new AgentProcess(command, env, this.#logPath);
  }

  /** Resolves when the console prints its address. Throws AgentError `unavailable`. */
  async start(): Promise<RunningConsole> {
    const exitReason = this.#process.start().then(({ reason }) => reason);
    const enough = new AbortController();
    const late = sleep(START_WITHIN_MS, 'it did not say its address', { signal: enough.signal });
    const outcome = await Promise.race([
      this.#process.matchingLine(ADDRESS),
      exitReason,
      late.catch(messageOf),
    ]);
    enough.abort();
    if (typeof outcome !== 'string') {
      const [origin] = outcome;
      const token = this.#token;
      return { origin, token, url: `${origin}${ENTER_PATH}?token=${token}`, exitReason };
    }
    await this.#process.stop();
    throw new AgentError('unavailable', `the console did not start (${outcome}); its log: ${this.#logPath}`);
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }
}

/**
 * Opens the link in the user's browser, through a page in `dir` that redirects there, because every user of the machine
 * sees arguments of programs. Calls `tell` with one line if that fails.
 */
export function openInBrowser(
  url: string,
  dir: string,
  env: NodeJS.ProcessEnv,
  tell: (line: string) => void,
): void {
  const display = Boolean(env['DISPLAY']) || Boolean(env['WAYLAND_DISPLAY']);
  if (!display) {
    tell(`--open: no display found; open ${url} in a browser on this machine`);
    return;
  }
  const way = join(dir, 'console.html');
  writeFileSync(
    way,
    `<!doctype html><meta http-equiv="refresh" content="0;url=${url}"><title>Vigie</title>`,
    {
      mode: 0o600,
    },
  );
  // A session of its own: the browser stays when the demo ends.
  const opener = spawn('xdg-open', [way], { stdio: 'ignore', detached: true, env });
  const failed = (reason: string): void =>
    tell(`--open: ${reason}; open ${url} in a browser on this machine`);
  opener.once('error', (error) => failed(`xdg-open cannot be run (${messageOf(error)})`));
  opener.once('exit', (code) => {
    if (code !== 0) failed(`xdg-open has failed (exit code ${code})`);
  });
  opener.unref();
}
