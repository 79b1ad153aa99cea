/** The technician's page beside the demo's agent, as a process of its own, with a setup code of this run. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../../agent/base/errors.ts';
import { PAGE_SOCKET } from '../../../agent/contract/page-link.ts';
import { makeSetupCode, type SetupCode, setupCodeHash } from '../../../agent/contract/setup-code.ts';
import { freePort } from '../../lib/mosquitto.ts';

const START_WITHIN_MS = 15_000;
const STOP_WITHIN_MS = 3000;

export interface PagePlaces {
  /** dist/agent/cli/main.js */
  readonly program: string;
  /** For its key and its code. */
  readonly dir: string;
  /** The agent's, where its sockets lie. */
  readonly stateDir: string;
  /** For its log. */
  readonly outDir: string;
}

export interface RunningPage {
  /** With the setup code in its fragment, which no request carries. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Resolves when the page answers. Throws AgentError `unavailable`. */
export async function startPage({ program, dir, stateDir, outDir }: PagePlaces): Promise<RunningPage> {
  const code = makeSetupCode();
  const codeFile = join(dir, 'setup-code.json');
  const made = new Date().toISOString();
  const content: SetupCode = { version: 1, sha256: setupCodeHash(code), made };
  writeFileSync(codeFile, JSON.stringify(content), { mode: 0o600 });
  const state = join(dir, 'page');
  mkdirSync(state, { mode: 0o700 });
  const port = await freePort();
  const at = ['--host', '127.0.0.1', '--port', String(port), '--state', state, '--setup-code', codeFile];
  const peers = ['--agent', join(stateDir, PAGE_SOCKET), '--config-helper', join(stateDir, 'config.sock')];
  const command = [process.execPath, '--enable-source-maps', program, 'page', ...at, ...peers];
  const logFile = join(outDir, 'page.log');
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const log = createWriteStream(logFile);
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const gone = once(child, 'exit');
  const deadlineMs = performance.now() + START_WITHIN_MS;
  while (!(await answers(port))) {
    if (child.exitCode === null && performance.now() < deadlineMs) await sleep(100);
    else throw new AgentError('unavailable', `the page does not answer; ${logFile} says why`);
  }
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    await gone;
    clearTimeout(timer);
  };
  return { url: `https://localhost:${port}/#${code}`, stop };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
