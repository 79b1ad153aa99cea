/** `vigie-root config-order`: root's part of a configuration that the room has ordered, called by units. */
import { existsSync } from 'node:fs';
import { systemClock, TIMESYNC_FILE } from '../../../../agent/base/clock.ts';
import { rethrowBug } from '../../../../agent/base/errors.ts';
import { type AgentHealth, agentHealth } from '../../../../agent/base/probation.ts';
import { printNote } from '../../../../agent/cli/print.ts';
import { stateDir } from '../../../../agent/cli/state-dir.ts';
import { loadConfig } from '../../../../agent/config/load.ts';
import { shownSha256, withSecretsOf } from '../../../../agent/config/secrets.ts';
import { BOX_FILE, RestraintFolder } from '../../../../agent/contract/restraint-folder.ts';
import { assertOwn } from '../restraint.ts';
import { alone } from './config-lock.ts';
import { ConfigOrders } from './config-order.ts';
import { followOrders } from './order-probation.ts';
import { type RootsJudgeOptions, rootsJudge, wholeProblems } from './trial-judge.ts';
import { agentUnit, lookAgain, trialledUnit } from './trialled-unit.ts';

export interface ConfigOrderOptions extends RootsJudgeOptions {
  /** The agent's. */
  readonly state?: string;
}

/** Ends when nothing is to be done now, after a probation of two minutes at most. */
export async function provisionConfigOrder(options: ConfigOrderOptions): Promise<void> {
  const state = stateDir(options.state, process.env);
  const orders = ordersOf(options);
  let again = true;
  try {
    again = await followOrders({
      orders,
      seen: async () => ({ unit: agentUnit(), health: await healthOf(state) }),
      alone: (act) => alone(options.config, act),
      clock: systemClock,
    });
  } finally {
    // A disk that refuses now may not later.
    if (again) lookAgain();
  }
}

export function ordersOf(options: ConfigOrderOptions): ConfigOrders {
  const { config: file, folder: dir } = options;
  const folder = new RestraintFolder(dir);
  const judged = { ...rootsJudge(options), files: true };
  const blackened = () => (existsSync(folder.path(BOX_FILE)) ? folder.box().masks : []);
  return new ConfigOrders({
    file,
    stateDir: stateDir(options.state, process.env),
    reader: () => {
      // No configuration that the agent has kept: it could name keys of its own.
      assertOwn(file);
      const { site, box, commands } = loadConfig(file, { env: process.env, mode: 'check', files: false });
      return { site, box, keys: commands.keys };
    },
    judge: {
      filled: withSecretsOf,
      shownSha256,
      problems: (text, former, may) => wholeProblems(text, former, { ...judged, blackened, may }),
    },
    agent: trialledUnit(),
    clockSynced: () => existsSync(TIMESYNC_FILE),
    say: (line) => printNote(line),
  });
}

/** What is no status is no health. */
async function healthOf(state: string): Promise<AgentHealth | undefined> {
  try {
    return await agentHealth(state);
  } catch (error) {
    rethrowBug(error);
    return undefined;
  }
}
