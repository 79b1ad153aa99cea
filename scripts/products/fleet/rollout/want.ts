/** `fleet rollout pause`, `resume` and `abort`: store a person's request for the running rollout. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../../../agent/base/errors.ts';
import { StateLock } from '../../../../agent/base/state-lock.ts';
import { type FleetContext, withFleet } from '../context.ts';
import { say } from '../output.ts';
import { present, runOnce, sayState, sayStored } from './drive.ts';
import { type RolloutRow, Rollouts } from './rollouts.ts';
import type { DirOption } from './status-commands.ts';

/**
 * Time limit for an abort, ms. The running program checks every POLL_MS, and sends to the largest fleet within a
 * minute.
 */
const ABORT_WITHIN_MS = 120_000;
const ABORT_POLL_MS = 500;

type RolloutRequest = 'pause' | 'resume' | 'abort';

/** Stores the request. The program that runs the rollout carries it out; if none does, this program does so once. */
export function want(request: RolloutRequest, { dir }: DirOption): Promise<void> {
  return withFleet(dir, async (context) => {
    if (StateLock.isHeld(dir)) {
      const { name } = wish(request, context);
      if (request !== 'abort') return sayStored(name, request);
      if (await isAborted(context, dir, name)) return say(`${name}: aborted`);
    }
    const row = await runOnce(context, () => wish(request, context).name);
    if (request === 'abort' && row.state !== 'aborted')
      throw new AgentError(
        'unavailable',
        `${row.name}: the broker has not all withdrawals yet; \`fleet rollout abort\` or \`rollout run\` sends the rest`,
      );
    sayState(row);
  });
}

/** Throws AgentError `config` if the request does not fit the rollout's state. */
function wish(request: RolloutRequest, { store, clock }: FleetContext): RolloutRow {
  const row = present(store);
  const right = {
    pause: ['running', 'finishing'],
    resume: ['paused', 'halted'],
    abort: ['running', 'finishing', 'paused', 'halted'],
  };
  if (!right[request].includes(row.state))
    throw new AgentError(
      'config',
      `${row.name} is ${row.state}: it cannot be ${request === 'abort' ? 'aborted' : `${request}d`}`,
    );
  if (row.request === 'abort' && request !== 'abort')
    throw new AgentError('config', `${row.name} is being aborted: it cannot be ${request}d`);
  store.transaction(() => {
    new Rollouts(store).want(row.name, request);
    if (row.request !== request) store.record(`rollout ${row.name}: ${request}`, clock.wallMs());
  });
  return row;
}

/**
 * Waits until the running program has aborted; false if it ended before. Throws AgentError `unavailable` after the time
 * limit.
 */
async function isAborted({ store, signal }: FleetContext, dir: string, name: string): Promise<boolean> {
  const untilMs = performance.now() + ABORT_WITHIN_MS;
  while (!signal.aborted) {
    if (new Rollouts(store).get(name)?.state === 'aborted') return true;
    if (!StateLock.isHeld(dir)) return false;
    if (performance.now() > untilMs)
      throw new AgentError(
        'unavailable',
        `${name}: the abort is requested, and the program that runs the rollout has not done it within ${ABORT_WITHIN_MS / 1000} s; check that program`,
      );
    await sleep(ABORT_POLL_MS);
  }
  throw new AgentError(
    'unavailable',
    `${name}: abort requested, but not confirmed in time; see rollout status`,
  );
}
