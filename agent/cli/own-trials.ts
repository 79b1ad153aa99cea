/**
 * Configuration trials of a plain run (demonstration, tests, container), in the agent's own process: VIGIE_CONFIG_TRIALS=1.
 * The service has a unit of root's instead, since its user must not change what it is told to do.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError, rethrowBug } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { StateLock } from '../base/state-lock.ts';
import { CONFIG_SOCKET_FILE, TRIAL_S } from '../contract/config-trial.ts';
import { ownFolder } from '../contract/restraint-folder.ts';
import { openAuthorisation } from '../contract/signed-order.ts';
import { ConfigServer } from '../provision/config-server.ts';
import { ConfigTrials } from '../provision/config-trial.ts';
import { readAuthorisationFile } from '../restraint/authorisation.ts';
import { trialJudge } from './provision/trial-judge.ts';

/** Where the disk refuses to put it back. */
const AGAIN_AFTER_S = 10;

export interface OwnTrialsOptions {
  readonly config: string;
  readonly state: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
  /** The agent is to stop and start again, with the configuration as it is then. */
  restart(): void;
}

export class OwnTrials {
  readonly #restart: () => void;
  readonly #trials: ConfigTrials;
  readonly #server: ConfigServer;
  readonly #state: string;
  readonly #log: Logger;
  #own = false;
  #serves = false;
  #timer: NodeJS.Timeout | undefined;

  constructor({ config: file, state, env, log, restart }: OwnTrialsOptions) {
    const judge = trialJudge({
      env,
      order: ({ authorisation }) =>
        authorisation === undefined
          ? undefined
          : openAuthorisation(readAuthorisationFile(authorisation), ownFolder(state).authority()),
      wallMs: () => Date.now(),
    });
    const agent = {
      startTimer: (seconds: number) => this.#startTimer(seconds),
      stopTimer: () => clearTimeout(this.#timer),
      restart,
    };
    const say = (line: string): void => log.info({}, line);
    this.#state = state;
    this.#log = log;
    this.#restart = restart;
    this.#trials = new ConfigTrials({ file, judge, agent, say, trialS: trialS(env) });
    this.#server = new ConfigServer(join(state, CONFIG_SOCKET_FILE), (line) => this.#trials.answer(line));
  }

  /** Undefined where none are asked for. Throws AgentError `config` for a service. */
  static of(options: OwnTrialsOptions, installed: boolean): OwnTrials | undefined {
    const asked = options.env['VIGIE_CONFIG_TRIALS'];
    if (asked === undefined || asked === '0') return undefined;
    if (asked !== '1') throw new AgentError('config', 'VIGIE_CONFIG_TRIALS: must be 1, or unset');
    if (!installed) return new OwnTrials(options);
    const message = 'VIGIE_CONFIG_TRIALS is for a plain run; the service has vigie-config.socket; unset it';
    throw new AgentError('config', message);
  }

  /** Whatever an earlier run has left on trial goes back; of an agent that runs still, nothing is touched. */
  begin(): void {
    this.#own = !existsSync(this.#state) || !StateLock.isHeld(this.#state);
    this.putBack();
  }

  /** Returns whether something was put back: what is on trial has ended. */
  putBack(): boolean {
    clearTimeout(this.#timer);
    return this.#own && this.#trials.settle(true) !== 'nothing';
  }

  /** Serves requests, from the first agent that has started on. */
  async start(): Promise<void> {
    if (this.#serves) return;
    this.#serves = true;
    await this.#server.start();
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    try {
      this.putBack();
    } catch (error) {
      rethrowBug(error);
      // The next start does it.
      this.#log.error({}, error.message);
    }
  }

  #startTimer(seconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#over(), seconds * 1000);
  }

  #over(): void {
    try {
      if (this.putBack()) this.#restart();
    } catch (error) {
      rethrowBug(error);
      this.#log.error({}, error.message);
      this.#startTimer(AGAIN_AFTER_S);
    }
  }
}

function trialS({ VIGIE_CONFIG_TRIAL_S: asked }: NodeJS.ProcessEnv): number {
  const seconds = asked === undefined ? TRIAL_S : Number(asked);
  if (seconds >= 1 && seconds <= TRIAL_S) return seconds;
  throw new AgentError('config', `VIGIE_CONFIG_TRIAL_S: must be a number of seconds from 1 to ${TRIAL_S}`);
}
