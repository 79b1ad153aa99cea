/** `vigie-root config-trial` and `config-trial-end`: root's part of a configuration trial, called by units. */
import { rethrowBug } from '../../../../agent/base/errors.ts';
import { printNote } from '../../../../agent/cli/print.ts';
import { CONFIG_REQUEST_BYTES_MAX, type ConfigReply } from '../../../../agent/contract/config-trial.ts';
import { answerAndLeave, firstLine } from '../one-request.ts';
import { alone } from './config-lock.ts';
import { ordersOf } from './config-order-command.ts';
import { ConfigTrials } from './config-trial.ts';
import { type RootsJudgeOptions, rootsJudge, trialJudge } from './trial-judge.ts';
import { trialledUnit } from './trialled-unit.ts';

/** One request on standard input, the answer on standard output. */
export async function provisionConfigTrial(options: RootsJudgeOptions): Promise<void> {
  const line = await firstLine(CONFIG_REQUEST_BYTES_MAX);
  const reply = await answered(line, options);
  if (reply.refused !== null) printNote(`refused: ${reply.refused}`);
  await answerAndLeave(reply);
}

async function answered(line: string, options: RootsJudgeOptions): Promise<ConfigReply> {
  const trials = trialsOf(options);
  try {
    return await alone(options.config, () => trials.answer(line));
  } catch (error) {
    rethrowBug(error);
    return trials.refuse(error.message.slice(0, 1000));
  }
}

/** What is over, or of another boot, is put back; the agent is started anew where it runs already. */
export async function provisionConfigTrialEnd(options: RootsJudgeOptions): Promise<void> {
  await alone(options.config, () => {
    const ofTechnician = trialsOf(options).settle() === 'of this boot';
    const ofRoom = ordersOf(options).settle();
    // At boot the agent starts after this.
    if (ofTechnician || ofRoom) trialledUnit().restart();
  });
}

function trialsOf(options: RootsJudgeOptions): ConfigTrials {
  return new ConfigTrials({
    file: options.config,
    judge: trialJudge(rootsJudge(options)),
    agent: trialledUnit(),
    say: (line) => printNote(line),
  });
}
