/**
 * Checks the device of an element whose library ends the process where it could not run. A refusal is a wrong
 * configuration, so the element is not held off.
 *
 * LIMITS: OPEN_WITHIN_MS to open the node. Opening also proves that vision's unit allows it.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Clock } from '../../base/clock.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { hailoNodes, hailoProblems } from '../../base/hailo-driver.ts';

/** Time limit in ms; a driver opens a node at once, or hangs. */
const OPEN_WITHIN_MS = 5000;

/** @throws AgentError `config`: what is wrong, where, and what to do, in one line */
export async function checkDevice(element: string, clock: Pick<Clock, 'sleep'>): Promise<void> {
  if (element !== 'hailonet') return;
  const [problem] = hailoProblems();
  if (problem !== undefined) {
    const { kind, text, fix } = problem;
    throw refusal(element, `${text}${kind === 'missing' ? ' is missing' : ''}; ${fix}`);
  }
  const errors = await Promise.all(hailoNodes().map((node) => openError(`/dev/${node}`, clock)));
  if (errors.some((error) => error === undefined)) return;
  const dropIn = 'copy the drop-in 50-hailo.conf (docs/guide/accelerators.md, step 3)';
  throw refusal(element, `${errors.join(', ')}; ${dropIn}`);
}

async function openError(node: string, clock: Pick<Clock, 'sleep'>): Promise<string | undefined> {
  const passed = new AbortController();
  const late = clock.sleep(OPEN_WITHIN_MS, passed.signal).then(() => `${node} does not open`);
  const opening = open(node, constants.O_RDWR | constants.O_NONBLOCK).then(
    async (handle) => {
      await handle.close();
      return undefined;
    },
    (error) => `${node} does not open (${messageOf(error)})`,
  );
  const error = await Promise.race([opening, late]);
  passed.abort();
  return error;
}

function refusal(element: string, problem: string): AgentError {
  return new AgentError('config', `detector.element ${element}: ${problem}`);
}
