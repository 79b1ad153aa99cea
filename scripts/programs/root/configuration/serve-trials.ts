/**
 * `vigie-root serve-trials`: configuration trials beside a plain run (demonstration, tests), where one user owns everything.
 * Answers on a socket in the agent's state folder, and starts and restarts the agent, as units do on a box.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import { StateLock } from '../../../../agent/base/state-lock.ts';
import { printNote } from '../../../../agent/cli/print.ts';
import { CONFIG_SOCKET_FILE } from '../../../../agent/contract/config-trial.ts';
import { ownFolder } from '../../../../agent/contract/restraint-folder.ts';
import { openAuthorisation } from '../../../../agent/contract/signed-order.ts';
import { readAuthorisationFile } from '../../../../agent/restraint/authorisation.ts';
import { type Box, makeFolder, openBox, REQUEST_WITHIN_MS } from '../box.ts';
import { judge } from '../change/judge.ts';
import { ON_TRIAL } from '../change/record.ts';
import { ConfigurationRequests } from '../change/requests.ts';
import { DEFAULT_PLACES } from '../places.ts';
import type { Units } from '../units.ts';
import { ConfigServer } from './config-server.ts';
import { releaseProblems } from './release-check.ts';
import { trialJudge } from './trial-judge.ts';

export interface ServeTrialsOptions {
  readonly config: string;
  /** Of the agent: the socket and the record are made in it. */
  readonly state: string;
  /** Seconds of a trial. */
  readonly seconds: number;
  /** Program of the release, which is asked about what is to be tried. */
  readonly checkProgram?: string;
}

/** Until the agent ends, or this program is told to. Returns the agent's exit code. */
export async function serveTrials(
  command: readonly string[],
  { config, state, seconds, checkProgram }: ServeTrialsOptions,
): Promise<number> {
  // Held until the end: nobody else serves trials of this configuration.
  const lock = new StateLock(dirname(config));
  lock.take();
  const agent = new PlainAgent(command);
  const box = plainBox(config, state, agent);
  box.store.load();
  const requests = new ConfigurationRequests({
    file: config,
    machine: box.machine,
    payload: box.payloads.configuration,
    judge: plainJudge(state, checkProgram),
    clock: box.clock,
    trialS: seconds,
  });
  const judging = new Judging(box, seconds);
  const server = new ConfigServer(join(state, CONFIG_SOCKET_FILE), async (line) => {
    const reply = await requests.answer(line);
    judging.begin();
    return reply;
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => agent.stop());
  process.on('SIGHUP', () => agent.signal('SIGHUP'));
  // Whatever an earlier run has left on trial.
  await putBack(box);
  await server.start();
  try {
    return await agent.run(() => putBack(box));
  } finally {
    await server.stop();
    await putBack(box);
    await judging.end();
    lock.release();
  }
}

/** As on a box, with a plain agent in the place of units; no release is changed. */
function plainBox(config: string, agentState: string, agent: PlainAgent): Box {
  const own = join(agentState, 'root');
  makeFolder(own, printNote);
  const done = (): Promise<void> => Promise.resolve();
  // A plain run has no release.
  const rootLib = join(own, 'root');
  const places = { ...DEFAULT_PLACES, lib: own, rootLib, state: own, config, agentState };
  const units: Units = {
    wereStarted: () => Promise.resolve([]),
    stop: done,
    start: done,
    restart: () => Promise.resolve(agent.restart()),
    resetFailed: done,
    state: () => Promise.resolve({ active: true, gaveUp: undefined, restarts: 0 }),
  };
  const asked = { ...places, systemctl: 'false', timedatectl: 'false' };
  return openBox(asked, printNote, REQUEST_WITHIN_MS, { units });
}

function plainJudge(state: string, program: string | undefined) {
  const { env } = process;
  const plain = trialJudge({
    env,
    ...(program !== undefined && {
      ofRelease: (text: string) => releaseProblems(text, { program, user: {}, env }),
    }),
    order: ({ authorisation }) =>
      authorisation === undefined
        ? undefined
        : openAuthorisation(readAuthorisationFile(authorisation), ownFolder(state).authority()),
    wallMs: () => Date.now(),
  });
  return {
    ...plain,
    problems: (...words: Parameters<typeof plain.problems>) => Promise.resolve(plain.problems(...words)),
  };
}

/** Returns whether a configuration was on trial. */
async function putBack({ machine }: Box): Promise<boolean> {
  return await machine.locked(async () => {
    if (!ON_TRIAL.has(machine.state.configuration.phase)) return false;
    await machine.rollBack('configuration', 'it was not kept');
    return true;
  });
}

/** The judge of trials, in this process. */
class Judging {
  readonly #box: Box;
  readonly #seconds: number;
  #running: Promise<void> | undefined;

  constructor(box: Box, seconds: number) {
    this.#box = box;
    this.#seconds = seconds;
  }

  /** Judges the trial that runs, if one does and nobody judges it. */
  begin(): void {
    this.#running ??= this.#judge().finally(() => {
      this.#running = undefined;
    });
  }

  async end(): Promise<void> {
    await this.#running;
  }

  async #judge(): Promise<void> {
    const { machine, store, payloads, clock, units, health } = this.#box;
    try {
      const unit = () => units.state('');
      await judge({ machine, store, payloads, clock, unit, health, trialS: this.#seconds });
    } catch (error) {
      // The next request looks again, and so does the end of this program.
      if (error instanceof AgentError) rethrowBug(error);
      printNote(messageOf(error));
    }
  }
}

/** The agent as a child process. */
class PlainAgent {
  readonly #command: readonly string[];
  #child: ChildProcess | undefined;
  #isOver = false;
  #isRestarting = false;

  constructor(command: readonly string[]) {
    this.#command = command;
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

  /**
   * Returns the exit code of the last one; throws AgentError `unavailable` where it cannot be started. `onEnd` returns whether
   * what it could not run with has been put back.
   */
  async run(onEnd: () => Promise<boolean>): Promise<number> {
    for (;;) {
      this.#isRestarting = false;
      const code = await this.#runOnce();
      if (this.#isOver) return code;
      if (this.#isRestarting) continue;
      if (!(await onEnd())) return code;
      printNote('the configuration on trial cannot run: the former one is put back');
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
}
