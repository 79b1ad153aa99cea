/** Complete agents, and configurations for tests. */
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { modelsDir } from '../../agent/base/package-root.ts';
import { inspectText } from '../../agent/config/load.ts';
import type { Config } from '../../agent/contract/config.ts';
import { Agent } from '../../agent/main.ts';
import type { AgentOptions } from '../../agent/parts.ts';
import { authorised } from './authority.ts';
import { SILENT } from './outbox.ts';

/** Returns a valid configuration with its defaults; it opens only the ports that `content` names. */
export function configOf(content: object, mode: 'run' | 'replay' = 'run'): Config {
  const { config, problems } = inspectText(JSON.stringify({ metrics: { port: 0 }, ...content }), {
    env: {},
    mode,
  });
  if (config === undefined) throw new Error(problems.map(({ message }) => message).join('; '));
  return config;
}

/** Run options without anything that only an installed box has. */
const PLAIN_RUN = {
  configFile: undefined,
  configSha256: undefined,
  configRefused: undefined,
  rootRecord: undefined,
  visionSocket: undefined,
  pageSocket: undefined,
  logsSocket: undefined,
  checks: undefined,
  configCopy: undefined,
  updateDir: undefined,
  orderedFile: undefined,
  modelDir: modelsDir(),
} satisfies Partial<AgentOptions>;

/**
 * Makes an agent, authorised by `authorised` unless its configuration names an authorisation. It is not started, and
 * stops with the test. A camera failure fails the test unless `options` handles it.
 */
export function makeAgent(
  t: Test,
  config: Config,
  stateDir: string,
  options: Partial<AgentOptions> = {},
): Agent {
  const agent = new Agent({
    ...PLAIN_RUN,
    config: config.authorisation === undefined ? authorised(config, `${stateDir}.order`) : config,
    stateDir,
    clock: systemClock,
    log: SILENT,
    masksOnDisk: () => config.masks,
    onUnusable: (error) => t.fail(error.message),
    ...options,
  });
  t.teardown(() => agent.stop());
  return agent;
}
