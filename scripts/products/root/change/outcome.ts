/** Runs the change machine's work and translates its outcome into inputs. */
import { type AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { Input } from './step.ts';

/**
 * Returns `good` if the work succeeds. An error makes the change fail, except one that says nothing about the change: a
 * killed program, a disk that fails. Then `later` says what follows.
 */
export async function inputOf(
  work: () => Promise<void>,
  good: Input,
  later: (reason: string) => Input,
): Promise<Input> {
  try {
    await work();
    return good;
  } catch (error) {
    rethrowBug(error);
    const reason = messageOf(error);
    return error.kind === 'unavailable' ? later(reason) : { on: 'fail', reason };
  }
}

/** Translates a failed fetch into an input. */
export function fetchInput(error: AgentError, atS: number): Input {
  const reason = messageOf(error);
  if (error.kind === 'corrupt') return { on: 'fetch-rotten', reason, atS };
  return error.kind === 'denied' ? { on: 'fail', reason } : { on: 'fetch-later', reason };
}

/** Waits for `ms`, or until the work is over. */
export async function passed(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Runs work that the machine can do without; a failure is only logged. */
export function attempt(say: (line: string) => void, action: () => void): void {
  try {
    action();
  } catch (error) {
    rethrowBug(error);
    say(messageOf(error));
  }
}

/** Asynchronous form of `attempt`. */
export async function attemptLater(say: (line: string) => void, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    rethrowBug(error);
    say(messageOf(error));
  }
}
