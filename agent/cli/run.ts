/** `vigie run`: runs the agent until it is stopped. */
import { existsSync } from 'node:fs';
import { systemClock } from '../base/clock.ts';
import { type AgentError, rethrowBug } from '../base/errors.ts';
import { type Logger, type LogLevel, makeLogger } from '../base/log.ts';
import { modelsDir } from '../base/package-root.ts';
import { sha256Of } from '../base/sha256.ts';
import { configCopy } from '../config/copy.ts';
import { keepConfig, usableConfig } from '../config/last-good.ts';
import { loadConfig, problemText } from '../config/load.ts';
import { previousFile } from '../contract/config-trial.ts';
import { SdNotify } from '../health/sd-notify.ts';
import { Agent } from '../main.ts';
import { rootRecord } from '../restraint/root-record.ts';
import { checksBesideAgent } from './doctor/doctor.ts';
import { DEFAULT_STATE_DIR, stateDir } from './state-dir.ts';

export interface RunOptions {
  readonly config: string;
  readonly state: string | undefined;
  readonly log: LogLevel;
}

export async function run(options: RunOptions): Promise<void> {
  const { env } = process;
  const { config: configFile } = options;
  const state = stateDir(options.state, env);
  const log = makeLogger('vigie', options.log);
  const record = rootRecord(state, DEFAULT_STATE_DIR, env);
  const { config, bytes, file, warnings, refusal } = usableConfig(configFile, state, { env, mode: 'run' });
  if (refusal !== undefined) log.error({ instead: file }, refusal.message);
  for (const warning of warnings) log.warn({}, problemText(file, warning));
  let failed: AgentError | undefined;
  await new Promise<void>((resolve, reject) => {
    const agent = new Agent({
      config,
      configFile: file,
      configSha256: sha256Of(bytes),
      orderedFile: configFile,
      configRefused: refusal?.message,
      stateDir: state,
      clock: systemClock,
      log,
      rootRecord: record,
      visionSocket: env['VIGIE_VISION_SOCKET'],
      pageSocket: env['VIGIE_PAGE_SOCKET'],
      updateDir: env['VIGIE_UPDATE_DIR'],
      logsSocket: env['VIGIE_LOGS_SOCKET'],
      checks: () => checksBesideAgent(configFile, state),
      configCopy: () => configCopy(configFile),
      modelDir: modelsDir(),
      masksOnDisk: () => loadConfig(configFile, { env, mode: 'run', files: false }).masks,
      onUnusable: (error) => fail(error),
    });
    const notify = new SdNotify({
      env,
      clock: systemClock,
      log,
      report: () => agent.report(),
      activityCount: () => agent.activityCount(),
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
    process.on('SIGHUP', () => agent.reload());
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
    agent.start().then(() => {
      if (ending) return;
      log.info({ site: config.site, box: config.box }, 'agent started');
      notify.start();
      // A configuration on trial must not become the last good one.
      if (refusal === undefined && !existsSync(previousFile(configFile))) keep(bytes, state, log);
    }, reject);
  });
  if (failed !== undefined) throw failed;
}

/** Stores the last good configuration. The outbox reports a failing disk; the agent runs regardless. */
function keep(bytes: Buffer, state: string, log: Logger): void {
  try {
    keepConfig(bytes, state);
  } catch (error) {
    rethrowBug(error);
    log.warn({}, error.message);
  }
}
