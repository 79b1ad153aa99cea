/** `vigie run`: the agent, until it is told to stop. */
import { systemClock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import { type Logger, type LogLevel, makeLogger } from '../base/log.ts';
import { keepConfig, usableConfig } from '../config/last-good.ts';
import { problemText } from '../config/load.ts';
import { SdNotify } from '../health/sd-notify.ts';
import { Agent } from '../main.ts';
import { rootRecord } from '../restraint/root-record.ts';
import { DEFAULT_STATE_DIR, stateDir } from './state-dir.ts';

export interface RunOptions {
  readonly config: string;
  readonly state?: string;
  readonly log?: string;
}

export async function run(options: RunOptions): Promise<void> {
  const { env } = process;
  const state = stateDir(options.state, env);
  const { config, file, warnings, refused } = usableConfig(options.config, state, { env, mode: 'run' });
  const log = makeLogger('vigie', (options.log ?? env['VIGIE_LOG'] ?? 'info') as LogLevel);
  if (refused !== undefined) log.error({ instead: file }, refused.message);
  for (const warning of warnings) log.warn({}, problemText(file, warning));
  let failed: AgentError | undefined;
  await new Promise<void>((resolve, reject) => {
    const agent = new Agent({
      config,
      configFile: file,
      configRefused: refused?.message,
      stateDir: state,
      clock: systemClock,
      log,
      rootRecord: rootRecord(state, DEFAULT_STATE_DIR, env),
      visionSocket: env['VIGIE_VISION_SOCKET'],
      onUnusable: (error) => {
        failed ??= error;
        stop();
      },
    });
    const notify = new SdNotify({
      env,
      clock: systemClock,
      log,
      report: () => agent.report(),
      signsOfLife: () => agent.signsOfLife(),
    });
    const stop = (): void => {
      Promise.all([notify.stop(), agent.stop()]).then(() => resolve(), reject);
    };
    process.on('SIGHUP', () => agent.reload());
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
    agent.start().then(() => {
      log.info({ site: config.site, box: config.box }, 'agent started');
      notify.start();
      if (refused === undefined) keep(file, state, log);
    }, reject);
  });
  if (failed !== undefined) throw failed;
}

/** A disk that refuses is told by the outbox; the agent runs all the same. */
function keep(file: string, state: string, log: Logger): void {
  try {
    keepConfig(file, state);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    log.warn({}, error.message);
  }
}
