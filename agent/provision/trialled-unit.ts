/** The agent as systemd runs it: its restart, and the timer that ends a trial however the helper has ended. */
import { spawnSync } from 'node:child_process';
import { AgentError, messageOf } from '../base/errors.ts';
import type { TrialledAgent } from './config-trial.ts';

const AGENT_UNIT = 'vigie.service';
/** Its OnActiveSec= is TRIAL_S. */
const TIMER_UNIT = 'vigie-trial-end.timer';
/** systemd answers at once, on a board that swaps within seconds. */
const WITHIN_MS = 10_000;

export function trialledUnit(systemctl = 'systemctl'): TrialledAgent {
  const ask = (...words: string[]): void => {
    const { status, error, stderr } = spawnSync(systemctl, ['--quiet', ...words], {
      encoding: 'utf8',
      timeout: WITHIN_MS,
    });
    if (status === 0) return;
    const why = error ? messageOf(error) : messageOf(stderr);
    throw new AgentError('unavailable', `systemctl ${words.join(' ')} failed: ${why}`);
  };
  return {
    // One that has elapsed counts as started.
    startTimer: () => ask('restart', TIMER_UNIT),
    stopTimer: () => ask('stop', TIMER_UNIT),
    restart: () => ask('--no-block', 'restart', AGENT_UNIT),
  };
}
