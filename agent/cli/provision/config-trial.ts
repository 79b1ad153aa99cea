/** `vigie provision config-trial` and `config-trial-end`: root's part of a configuration trial, called by units. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, rethrowBug } from '../../base/errors.ts';
import { StateLock } from '../../base/state-lock.ts';
import { CONFIG_REQUEST_BYTES_MAX, type ConfigReply } from '../../contract/config-trial.ts';
import { RestraintFolder } from '../../contract/restraint-folder.ts';
import { openAuthorisation } from '../../contract/signed-order.ts';
import { ConfigTrials } from '../../provision/config-trial.ts';
import { trialledUnit } from '../../provision/trialled-unit.ts';
import { printNote } from '../print.ts';
import { answerAndLeave, firstLine } from './one-request.ts';
import { assertOwn, type RestraintOptions, readOwnOrder } from './restraint.ts';
import { trialJudge } from './trial-judge.ts';

/** Where systemd puts what only the agent's unit sees; what is named so is not looked at here (config/credentials.ts). */
const CREDENTIALS_OF_AGENT = '/run/credentials/vigie.service';
/** As long as a restart of systemd's takes to be ordered, and more. */
const LOCK_WITHIN_MS = 10_000;
const AGAIN_AFTER_MS = 100;

/** One request on standard input, the answer on standard output. */
export async function provisionConfigTrial(options: RestraintOptions): Promise<void> {
  const line = await firstLine(CONFIG_REQUEST_BYTES_MAX);
  const reply = await answered(line, options);
  if (reply.refused !== null) printNote(`refused: ${reply.refused}`);
  await answerAndLeave(reply);
}

async function answered(line: string, options: RestraintOptions): Promise<ConfigReply> {
  const trials = trialsOf(options);
  let lock: StateLock | undefined;
  try {
    lock = await locked(options.config);
  } catch (error) {
    rethrowBug(error);
    return trials.refuse(error.message.slice(0, 1000));
  }
  if (lock === undefined) return trials.refuse('another request is being served; ask again');
  try {
    return trials.answer(line);
  } finally {
    lock.release();
  }
}

/** What is over, or of another boot, is put back; the agent is started anew where it runs already. */
export async function provisionConfigTrialEnd(options: RestraintOptions): Promise<void> {
  const lock = await locked(options.config);
  if (lock === undefined)
    throw new AgentError('unavailable', `${dirname(options.config)} is in use; try again`);
  try {
    // At boot the agent starts after this.
    if (trialsOf(options).settle() === 'of this boot') trialledUnit().restart();
  } finally {
    lock.release();
  }
}

function trialsOf({ config: file, folder: dir }: RestraintOptions): ConfigTrials {
  const folder = new RestraintFolder(dir);
  const judge = trialJudge({
    env: { ...process.env, CREDENTIALS_DIRECTORY: CREDENTIALS_OF_AGENT },
    order: (config) => {
      assertOwn(file);
      const order = readOwnOrder(config, 'authorisation');
      return order && openAuthorisation(order, folder.authority());
    },
    wallMs: () => Date.now(),
  });
  return new ConfigTrials({ file, judge, agent: trialledUnit(), say: (line) => printNote(line) });
}

/** Undefined where others have held it all the time. */
async function locked(config: string): Promise<StateLock | undefined> {
  const dir = dirname(config);
  if (!existsSync(dir)) throw new AgentError('config', `${dir}: no such folder`);
  const lock = new StateLock(dir);
  for (const untilMs = performance.now() + LOCK_WITHIN_MS; performance.now() < untilMs; ) {
    try {
      lock.take();
      return lock;
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'denied') throw error;
    }
    await sleep(AGAIN_AFTER_MS);
  }
  return undefined;
}
