/**
 * `vigie-root serve-trials`: configuration trials beside a plain run (demonstration, tests), where one user owns everything.
 * Answers on a socket in the agent's state folder, and starts the agent and starts it again, as units do on a box.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AgentError, rethrowBug } from '../../../../agent/base/errors.ts';
import { StateLock } from '../../../../agent/base/state-lock.ts';
import { printNote } from '../../../../agent/cli/print.ts';
import { CONFIG_SOCKET_FILE } from '../../../../agent/contract/config-trial.ts';
import { ownFolder } from '../../../../agent/contract/restraint-folder.ts';
import { openAuthorisation } from '../../../../agent/contract/signed-order.ts';
import { readAuthorisationFile } from '../../../../agent/restraint/authorisation.ts';
import { ConfigServer } from './config-server.ts';
import { ConfigTrials } from './config-trial.ts';
import { releaseProblems } from './release-check.ts';
import type { TrialledAgent } from './trial-install.ts';
import { trialJudge } from './trial-judge.ts';

/** Seconds until the next attempt where the disk refuses to put the former one back. */
const AGAIN_AFTER_S = 10;

export interface ServeTrialsOptions {
  readonly config: string;
  /** Of the agent: the socket is made in it. */
  readonly state: string;
  /** Program of the release, which is asked about what is to be tried. */
  readonly checkProgram?: string;
  /** Seconds of a trial. */
  readonly seconds: number;
}

/** Until the agent ends, or this program is told to. Returns the agent's exit code. */
export async function serveTrials(
  command: readonly string[],
  { config, state, seconds, checkProgram: program }: ServeTrialsOptions,
): Promise<number> {
  // Held until the end: nobody else serves trials of this configuration.
  const lock = new StateLock(dirname(config));
  lock.take();
  const agent: PlainAgent = new PlainAgent(command, () => trials.settle(true) !== 'nothing');
  const { env } = process;
  const judge = trialJudge({
    env,
    order: ({ authorisation }) =>
      authorisation === undefined
        ? undefined
        : openAuthorisation(readAuthorisationFile(authorisation), ownFolder(state).authority()),
    // Everything is one user's here, root or not.
    ...(program !== undefined && {
      ofRelease: (text: string) => releaseProblems(text, { program, user: undefined, env }),
    }),
    wallMs: () => Date.now(),
  });
  const trials: ConfigTrials = new ConfigTrials({
    file: config,
    judge,
    agent,
    say: printNote,
    trialS: seconds,
  });
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const server = new ConfigServer(join(state, CONFIG_SOCKET_FILE), (line) => trials.answer(line));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => agent.stop());
  process.on('SIGHUP', () => agent.signal('SIGHUP'));
  // Whatever an earlier run has left on trial.
  trials.settle(true);
  await server.start();
  try {
    return await agent.run();
  } finally {
    await server.stop();
    trials.settle(true);
    lock.release();
  }
}

/** The agent as a child process. `putBack` returns whether a configuration was on trial, which is put back. */
class PlainAgent implements TrialledAgent {
  readonly #command: readonly string[];
  readonly #putBack: () => boolean;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;
  #isRestarting = false;

  constructor(command: readonly string[], putBack: () => boolean) {
    this.#command = command;
    this.#putBack = putBack;
  }

  startTimer(seconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#timeIsOver(), seconds * 1000);
  }

  stopTimer(): void {
    clearTimeout(this.#timer);
  }

  restart(): void {
    this.#isRestarting = true;
    this.signal('SIGTERM');
  }

  stop(): void {
    this.#isOver = true;
    this.signal('SIGTERM');
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Returns the exit code of the last one; throws AgentError `unavailable` where it cannot be started. */
  async run(): Promise<number> {
    try {
      for (;;) {
        this.#isRestarting = false;
        const code = await this.#runOnce();
        if (this.#isOver) return code;
        if (this.#isRestarting) continue;
        if (!this.#putBack()) return code;
        printNote('the configuration on trial cannot run: the former one is put back');
      }
    } finally {
      this.stopTimer();
    }
  }

  #runOnce(): Promise<number> {
    // An agent whose supervisor was killed does not stay behind.
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...this.#command], { stdio: 'inherit' });
    this.#child = child;
    return new Promise((resolve, reject) => {
      child.once('error', (error) => reject(new AgentError('unavailable', error.message, error)));
      // One that was told to stop before it listens to signals has done so.
      child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGTERM' && this.#isOver ? 0 : 1)));
    });
  }

  #timeIsOver(): void {
    try {
      if (this.#putBack()) this.restart();
    } catch (error) {
      rethrowBug(error);
      printNote(error.message);
      this.startTimer(AGAIN_AFTER_S);
    }
  }
}
