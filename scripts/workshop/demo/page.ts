/** Runs the technician's page beside the demo's agent as a process of its own, with a setup code of this run. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { PAGE_SOCKET } from '../../../agent/contract/page-link.ts';
import { makeSetupCode, type SetupCode, setupCodeHash } from '../../../agent/contract/setup-code.ts';
import { AgentProcess } from '../../lib/agent-process.ts';
import { freePort, listening } from '../../lib/mosquitto.ts';

const START_WITHIN_MS = 15_000;

export interface PagePlaces {
  /** dist/agent/cli/main.js */
  readonly program: string;
  /** Folder for its key and its code. */
  readonly dir: string;
  /** State folder of the agent with its sockets. */
  readonly stateDir: string;
  /** Folder for its log. */
  readonly outDir: string;
}

export interface RunningPage {
  /** Address with the setup code in its fragment, which no request carries. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Resolves when the page answers. Throws AgentError `unavailable`. */
export async function startPage({ program, dir, stateDir, outDir }: PagePlaces): Promise<RunningPage> {
  const code = makeSetupCode();
  const codeFile = join(dir, 'setup-code.json');
  const madeAt = new Date().toISOString();
  const content: SetupCode = { version: 1, sha256: setupCodeHash(code), made: madeAt };
  writeFileSync(codeFile, JSON.stringify(content), { mode: 0o600 });
  const state = join(dir, 'page');
  mkdirSync(state, { mode: 0o700 });
  const port = await freePort();
  const at = ['--host', '127.0.0.1', '--port', String(port), '--state', state, '--setup-code', codeFile];
  // Nothing listens there: the demo must not change an installed box of this machine.
  const peers = ['--agent', join(stateDir, PAGE_SOCKET), '--config-helper', join(dir, 'vigie-root.sock')];
  const command = [process.execPath, '--enable-source-maps', program, 'page', ...at, ...peers];
  const logFile = join(outDir, 'page.log');
  const page = new AgentProcess(command, process.env, logFile);
  const exitReason = page.start().then(({ reason }) => reason);
  const wrong = await Promise.race([exitReason, listening(port, START_WITHIN_MS)]);
  if (wrong === undefined) return { url: `https://localhost:${port}/#${code}`, stop: () => page.stop() };
  await page.stop();
  throw new AgentError('unavailable', `the page does not answer (${wrong}); its log: ${logFile}`);
}
