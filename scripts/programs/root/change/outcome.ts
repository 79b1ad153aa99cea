/** Works of the change machine, and what their outcome means for a change. */
import { type AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { Input } from './step.ts';

/** `good` where the work succeeds; a failure is the end of the change. */
export async function inputOf(work: () => Promise<void>, good: Input): Promise<Input> {
  try {
    await work();
    return good;
  } catch (error) {
    rethrowBug(error);
    return { on: 'fail', reason: messageOf(error) };
  }
}

/** What a failed fetch means for the change. */
export function fetchInput(error: AgentError, atS: number): Input {
  const reason = messageOf(error);
  if (error.kind === 'corrupt') return { on: 'fetch-rotten', reason, atS };
  return error.kind === 'denied' ? { on: 'fail', reason } : { on: 'fetch-later', reason };
}

/** Waits for that long, or until the work is over. */
export async function passed(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** What the machine can do without: a failure is said. */
export function attempt(say: (line: string) => void, act: () => void): void {
  try {
    act();
  } catch (error) {
    rethrowBug(error);
    say(messageOf(error));
  }
}

/** The same of what takes a while. */
export async function attemptLater(say: (line: string) => void, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    rethrowBug(error);
    say(messageOf(error));
  }
}
