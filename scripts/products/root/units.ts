/** Reads and controls systemd units through systemctl(1). */
import { execFile } from 'node:child_process';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import type { UnitState } from './change/probation.ts';

export const AGENT_UNIT = 'vigie.service';
export const VISION_UNIT = 'vigie-vision.service';
export const VISION_SOCKET = 'vigie-vision.socket';
export const PAGE_UNIT = 'vigie-page.service';
export const PAGE_SOCKET = 'vigie-page.socket';
/** Unit that watches a change on trial (change/judge.ts). */
export const JUDGE_UNIT = 'vigie-root-judge.service';
export const RUN_UNIT = 'vigie-root.service';
/** Timeout, ms: the longest stop and start of our units, on a machine that swaps. */
const WITHIN_MS = 60_000;
const PROPERTIES = 'ActiveState,Job,NRestarts,Result,ExecMainStatus';

/** Operations on units; all throw AgentError `unavailable`. */
export interface Units {
  /** Returns those units that are running, starting or failed, independent of who started them. */
  wereStarted(units: readonly string[]): Promise<string[]>;
  stop(units: readonly string[]): Promise<void>;
  /** Starts units without waiting; at boot they wait for this program. */
  start(units: readonly string[]): Promise<void>;
  /** Restarts a unit without waiting. */
  restart(unit: string): Promise<void>;
  resetFailed(units: readonly string[]): Promise<void>;
  state(unit: string): Promise<UnitState>;
}

export function systemUnits(systemctl = 'systemctl'): Units {
  const ask = (...words: string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      execFile(
        systemctl,
        words,
        { encoding: 'utf8', timeout: WITHIN_MS, killSignal: 'SIGKILL' },
        (error, stdout, stderr) => {
          if (error === null) return resolve(stdout);
          const reason = messageOf(stderr) || messageOf(error);
          reject(new AgentError('unavailable', `systemctl ${words.join(' ')} failed: ${reason}`, error));
        },
      );
    });
  const show = async (unit: string): Promise<ReadonlyMap<string, string>> => {
    const output = await ask('show', `--property=${PROPERTIES}`, unit);
    return new Map(
      output.split('\n').flatMap((line) => {
        const at = line.indexOf('=');
        return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
      }),
    );
  };
  const tell = async (...words: string[]): Promise<void> => void (await ask('--quiet', ...words));
  return {
    wereStarted: async (units) => {
      const states = await Promise.all(units.map(show));
      return units.filter((_, index) => states[index]?.get('ActiveState') !== 'inactive');
    },
    stop: (units) => tell('stop', ...units),
    start: (units) => tell('--no-block', 'start', ...units),
    restart: (unit) => tell('--no-block', 'restart', unit),
    resetFailed: (units) => tell('reset-failed', ...units),
    state: async (unit) => {
      const properties = await show(unit);
      const active = properties.get('ActiveState');
      const exit = `exit code ${properties.get('ExecMainStatus') ?? '?'} (${properties.get('Result') ?? '?'})`;
      // A unit with a pending job counts as neither failed nor restarted, whatever it did before.
      const isAwaited = Number(properties.get('Job') ?? 0) > 0;
      return {
        active: active === 'active' && !isAwaited,
        gaveUp: active === 'failed' && !isAwaited ? exit : undefined,
        restarts: isAwaited ? 0 : Number(properties.get('NRestarts') ?? 0) || 0,
      };
    },
  };
}
