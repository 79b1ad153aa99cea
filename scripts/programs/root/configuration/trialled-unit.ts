/** The agent as systemd runs it: its restart, and the timer that ends a trial however the helper has ended. */
import { spawnSync } from 'node:child_process';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import type { UnitState } from '../../../../agent/base/probation.ts';
import type { TrialledAgent } from './trial-install.ts';

const AGENT_UNIT = 'vigie.service';
/** Its OnActiveSec= is TRIAL_S. */
const TIMER_UNIT = 'vigie-trial-end.timer';
/** Looks after an order for the configuration that is not done with yet. */
const AGAIN_UNIT = 'vigie-config-order.timer';
/** systemd answers at once, on a board that swaps within seconds. */
const WITHIN_MS = 10_000;

function ask(...words: string[]): string {
  const { status, error, stderr, stdout } = spawnSync('systemctl', ['--quiet', ...words], {
    encoding: 'utf8',
    timeout: WITHIN_MS,
  });
  if (status === 0) return stdout;
  const why = error ? messageOf(error) : messageOf(stderr);
  throw new AgentError('unavailable', `systemctl ${words.join(' ')} failed: ${why}`);
}

/** Each throws AgentError `unavailable`. */
export function trialledUnit(): TrialledAgent {
  return {
    // One that has elapsed counts as started.
    startTimer: () => void ask('restart', TIMER_UNIT),
    stopTimer: () => void ask('stop', TIMER_UNIT),
    restart: () => void ask('--no-block', 'restart', AGENT_UNIT),
  };
}

/** Somebody looks again in a few minutes. Throws AgentError `unavailable`. */
export function lookAgain(): void {
  ask('--no-block', 'restart', AGAIN_UNIT);
}

/** Throws AgentError `unavailable`. */
export function agentUnit(): UnitState {
  const words = ask('show', AGENT_UNIT, '-p', 'ActiveState,Job,NRestarts,Result,ExecMainStatus');
  const said = new Map(
    words.split('\n').map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]),
  );
  // One that failed before, and is about to be started, has not given up.
  const awaited = Number(said.get('Job') ?? 0) > 0;
  const failed = said.get('ActiveState') === 'failed' && !awaited;
  return {
    active: said.get('ActiveState') === 'active' && !awaited,
    gaveUp: failed ? `${said.get('Result')}, exit code ${said.get('ExecMainStatus')}` : undefined,
    restarts: Number(said.get('NRestarts') ?? 0),
  };
}
