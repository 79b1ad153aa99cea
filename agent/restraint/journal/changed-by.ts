/** Who wrote the configuration's file last, as far as the disk tells. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { ChangedBy } from '../../contract/journal.ts';

const PASSWD = '/etc/passwd';

/** Null where there is no such file. */
export function changedBy(file: string | undefined): ChangedBy | null {
  const stat = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  const { uid, mtime } = stat;
  return { uid, user: userName(uid), fileTime: mtime.toISOString() };
}

function userName(uid: number): string | null {
  if (!existsSync(PASSWD)) return null;
  const line = readFileSync(PASSWD, 'utf8')
    .split('\n')
    .find((user) => user.split(':')[2] === String(uid));
  return line?.split(':')[0] ?? null;
}
