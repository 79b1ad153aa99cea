/** Complete agents, in this process or in one of their own, and configurations for tests. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { modelsDir } from '../../agent/base/package-root.ts';
import { inspectText } from '../../agent/config/load.ts';
import type { Config, MqttConfig } from '../../agent/contract/config.ts';
import { Agent } from '../../agent/main.ts';
import type { AgentOptions } from '../../agent/parts.ts';
import { AT_ALL_TIMES, authorised, authoriseFile } from './authority.ts';
import { SILENT } from './outbox.ts';
import { STREET_CLIP } from './paths.ts';
import { visionsOf } from './proc.ts';
import { type Program, start, VIGIE } from './program.ts';
import { BOX, SITE, waitUntil } from './room.ts';

/** Reason for which the street clip cannot be played, or false. */
export const noStreet = !existsSync(STREET_CLIP) && 'no street clip: run scripts/setup';

/** Returns a valid configuration with its defaults; it opens only the ports that `content` names. */
export function configOf(content: object, mode: 'run' | 'replay' = 'run'): Config {
  const { config, problems } = inspectText(JSON.stringify({ metrics: { port: 0 }, ...content }), {
    env: {},
    mode,
  });
  if (config === undefined) throw new Error(problems.map(({ message }) => message).join('; '));
  return config;
}

const STREET = {
  site: SITE,
  box: BOX,
  camera: { source: `file:${STREET_CLIP}`, fps: 5 },
  lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
  rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
};

/** Configuration of a box on the street clip, whose passers-by are alerts, at the broker of this room. */
export function streetConfig({ config }: { readonly config: MqttConfig }, fields: object = {}): Config {
  return configOf({ ...STREET, mqtt: { ...config, ack: 'broker' }, ...fields });
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

/** Time limit of waits, in ms, for a machine with a high load. */
export const WAIT_MS = 90_000;

/**
 * Starts the agent as a process of its own that can be killed, on the street clip. No broker answers, so that accepted
 * events stay in its outbox.
 */
export function agentOn(t: Test, dir: string, stateDir: string, env: readonly string[] = []): Program {
  const config = join(dir, 'vigie.yaml');
  const mqtt = { url: 'mqtt://127.0.0.1:1', ack: 'broker' };
  writeFileSync(config, JSON.stringify({ ...STREET, alertsPerHour: 3600, mqtt }));
  authoriseFile(config, join(dir, 'order'), AT_ALL_TIMES);
  const program = [process.execPath, VIGIE, 'run', '--config', config, '--state', stateDir];
  return start(t, 'env', [...env, ...program]);
}

/** Number of events on disk, read from another process. */
export function archived(stateDir: string): number {
  const file = join(stateDir, 'archive.db');
  if (!existsSync(file)) return 0;
  const db = new Database(file, { readonly: true });
  try {
    return db.prepare('SELECT count(*) AS n FROM event').pluck().get() as number;
  } catch (error) {
    if (error instanceof Database.SqliteError) return 0;
    throw error;
  } finally {
    db.close();
  }
}

export function visionOf(agent: Program): number | undefined {
  return visionsOf(agent.child.pid as number)[0];
}

export async function running(t: Test, agent: Program, stateDir: string): Promise<void> {
  await waitUntil(t, 'events', () => archived(stateDir) > 0 || agent.code !== undefined, WAIT_MS);
  t.equal(agent.code, undefined, `the agent runs: ${agent.err.slice(-500)}`);
}
