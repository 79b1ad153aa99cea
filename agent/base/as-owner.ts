/** For commands that root may run on files of another user: what they write must stay that user's. */
import { statSync } from 'node:fs';

/** Runs `act` as the owner of `path`, where this is root and that is not; `act` must not wait for anything. */
export function asOwner<T>(path: string, act: () => T): T {
  const { uid, gid } = statSync(path);
  if (process.geteuid?.() !== 0 || uid === 0) return act();
  process.setegid?.(gid);
  process.seteuid?.(uid);
  try {
    return act();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}
