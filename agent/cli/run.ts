/** `vigie run`: the agent, until it is told to stop. */
import { systemClock } from '../base/clock.ts';
import { type AgentError, messageOf, rethrowBug } from '../base/errors.ts';
import { type Logger, type LogLevel, makeLogger } from '../base/log.ts';
import { sha256Of } from '../base/sha256.ts';
import { configCopy } from '../config/copy.ts';
import { keepConfig, usableConfig } from '../config/last-good.ts';
import { loadConfig, problemText } from '../config/load.ts';
import { SdNotify } from '../health/sd-notify.ts';
import { Agent } from '../main.ts';
import { isOnTrial } from '../provision/trial-record.ts';
import { rootRecord } from '../restraint/root-record.ts';
import { checksBesideAgent } from './doctor/doctor.ts';
import { OwnTrials } from './own-trials.ts';
import { DEFAULT_STATE_DIR, stateDir } from './state-dir.ts';

export interface RunOptions {
  readonly config: string;
  readonly state?: string;
  readonly log?: string;
}

interface Run {
  readonly config: string;
  readonly state: string;
  readonly record: ReturnType<typeof rootRecord>;
  readonly log: Logger;
}

/** Who asks the agent that runs now to stop, for good or to start again. */
class Control {
  #agent: { stop(): void; reload(): void } | undefined;
  #over = false;
  #again = false;

  /** Whether another agent is to run; what is asked from here on is asked of that. */
  next(): boolean {
    this.#again = false;
    this.#agent = undefined;
    return !this.#over;
  }

  /** Whether the last agent has ended in order to start again. */
  get again(): boolean {
    return this.#again;
  }

  runs(agent: { stop(): void; reload(): void }): void {
    this.#agent = agent;
    if (this.#over || this.#again) agent.stop();
  }

  stop(): void {
    this.#over = true;
    this.#agent?.stop();
  }

  restart(): void {
    this.#again = true;
    this.#agent?.stop();
  }

  reload(): void {
    this.#agent?.reload();
  }
}

export async function run(options: RunOptions): Promise<void> {
  const { env } = process;
  const { config } = options;
  const state = stateDir(options.state, env);
  const log = makeLogger('vigie', (options.log ?? env['VIGIE_LOG'] ?? 'info') as LogLevel);
  const record = rootRecord(state, DEFAULT_STATE_DIR, env);
  const control = new Control();
  const restart = (): void => control.restart();
  const trials = OwnTrials.of({ config, state, env, log, restart }, record !== undefined);
  process.on('SIGHUP', () => control.reload());
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => control.stop());
  trials?.begin();
  try {
    while (control.next()) {
      await runAgent({ config, state, record, log }, control, trials);
      if (!control.again) return;
    }
  } finally {
    await trials?.stop();
  }
}

/** Until it ends; one that cannot run, with a configuration on trial, gives way to the one before. */
async function runAgent(run: Run, control: Control, trials: OwnTrials | undefined): Promise<void> {
  try {
    await oneAgent(run, control, trials);
  } catch (error) {
    if (trials?.putBack() !== true) throw error;
    run.log.error({}, `the configuration on trial cannot run: ${messageOf(error)}`);
    control.restart();
  }
}

async function oneAgent(
  { config: asked, state, record, log }: Run,
  control: Control,
  trials: OwnTrials | undefined,
): Promise<void> {
  const { env } = process;
  const { config, bytes, file, warnings, refused } = usableConfig(asked, state, { env, mode: 'run' });
  if (refused !== undefined) log.error({ instead: file }, refused.message);
  for (const warning of warnings) log.warn({}, problemText(file, warning));
  let failed: AgentError | undefined;
  await new Promise<void>((resolve, reject) => {
    const agent = new Agent({
      config,
      configFile: file,
      configSha256: sha256Of(bytes),
      orderedFile: asked,
      configRefused: refused?.message,
      stateDir: state,
      clock: systemClock,
      log,
      rootRecord: record,
      visionSocket: env['VIGIE_VISION_SOCKET'],
      pageSocket: env['VIGIE_PAGE_SOCKET'],
      updateDir: env['VIGIE_UPDATE_DIR'],
      logsSocket: env['VIGIE_LOGS_SOCKET'],
      checks: () => checksBesideAgent(asked, state),
      configCopy: () => configCopy(asked),
      masksOnDisk: () => loadConfig(asked, { env, mode: 'run', files: false }).masks,
      onUnusable: (error) => fail(error),
    });
    const notify = new SdNotify({
      env,
      clock: systemClock,
      log,
      report: () => agent.report(),
      signsOfLife: () => agent.signsOfLife(),
    });
    let ending = false;
    const stop = (): void => {
      ending = true;
      Promise.all([notify.stop(), agent.stop()]).then(() => resolve(), reject);
    };
    const fail = (error: AgentError): void => {
      failed ??= error;
      stop();
    };
    control.runs({ stop, reload: () => agent.reload() });
    agent.start().then(() => {
      if (ending) return;
      log.info({ site: config.site, box: config.box }, 'agent started');
      notify.start();
      // What is on trial is nothing to go back to.
      if (refused === undefined && !isOnTrial(asked)) keep(bytes, state, log);
      trials?.start().catch(fail);
    }, reject);
  });
  if (failed !== undefined) throw failed;
}

/** A disk that refuses is told by the outbox; the agent runs all the same. */
function keep(bytes: Buffer, state: string, log: Logger): void {
  try {
    keepConfig(bytes, state);
  } catch (error) {
    rethrowBug(error);
    log.warn({}, error.message);
  }
}
