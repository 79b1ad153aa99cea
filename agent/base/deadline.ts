/** Signals that abort an operation after a time. */

/**
 * Returns a signal that aborts after `ms` with a TimeoutError, or with `signal` if that comes first.
 *
 * `AbortSignal.any` of an `AbortSignal.timeout` does not do: it holds the timeout weakly, and in Node 20 a garbage
 * collection removes it, so that it never aborts. Here the timer holds its controller.
 */
export function withDeadline(ms: number, signal?: AbortSignal): AbortSignal {
  const deadline = new AbortController();
  const timeout = (): void => deadline.abort(new DOMException(`not done within ${ms} ms`, 'TimeoutError'));
  setTimeout(timeout, ms).unref();
  return signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]);
}
