/** `vigie run`: the agent, until it is told to stop. */
import { systemClock } from '../base/clock.ts';
import type { AgentError } from '../base/errors.ts';
import { type LogLevel, makeLogger } from '../base/log.ts';
import { ConfigProblems, inspectConfig, problemText } from '../config/load.ts';
import { SdNotify } from '../health/sd-notify.ts';
import { Agent } from '../main.ts';
import { stateDir } from './state-dir.ts';

export interface RunOptions {
  readonly config: string;
  readonly state?: string;
  readonly log?: string;
}

export async function run(options: RunOptions): Promise<void> {
  const { env } = process;
  const { config, problems, warnings } = inspectConfig(options.config, { env, mode: 'run' });
  if (config === undefined) throw new ConfigProblems(options.config, problems);
  const log = makeLogger('vigie', (options.log ?? env['VIGIE_LOG'] ?? 'info') as LogLevel);
  for (const warning of warnings) log.warn({}, problemText(options.config, warning));
  let failed: AgentError | undefined;
  await new Promise<void>((resolve, reject) => {
    const agent = new Agent({
      config,
      configFile: options.config,
      stateDir: stateDir(options.state, env),
      clock: systemClock,
      log,
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
    }, reject);
  });
  if (failed !== undefined) throw failed;
}
