/** Names that one tab of the browser holds at a time. A tab that closes or crashes passes the name on. */

/** Calls `onHeld` once this tab holds the name. The returned function gives it up, or stops waiting for it. */
export function holdName(name: string, onHeld: () => void): () => void {
  if (!('locks' in navigator)) {
    onHeld();
    return () => undefined;
  }
  let letGo: () => void = () => undefined;
  const isOver = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const waiting = new AbortController();
  const request = navigator.locks.request(name, { signal: waiting.signal }, () => {
    onHeld();
    return isOver;
  });
  request.catch((error: unknown) => {
    if (!waiting.signal.aborted) throw error;
  });
  return () => {
    letGo();
    waiting.abort();
  };
}

/** True if any tab of this browser holds the name. */
export async function isNameHeld(name: string): Promise<boolean> {
  if (!('locks' in navigator)) return false;
  const { held = [] } = await navigator.locks.query();
  return held.some((lock) => lock.name === name);
}
