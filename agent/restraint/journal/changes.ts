/** Detects what has changed on the box between two starts, and who changed it as far as the disk shows. */
import { createHash, createHmac } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../contract/config.ts';
import type { ChangeOrigin } from '../../contract/config-change.ts';
import type { ChangedBy, JournalEntry, Running } from '../../contract/journal.ts';
import { JOURNAL_KEY_FILE, readJournalKey } from './key.ts';
import { WatchedFile, watchedHash } from './watched.ts';

const PASSWD = '/etc/passwd';

/**
 * Returns the hashes by which a change of the configuration, and of its drawn places, is detected. Must be called once
 * the journal has its key. The hash of the whole configuration is keyed (HMAC), because the configuration holds the
 * camera's password. Otherwise a reader of the journal who knows the rest could guess the password by trying hashes.
 */
export function hashesOf(config: Config, stateDir: string): Pick<Running, 'config' | 'zones' | 'watched'> {
  const { zones, lines, masks } = config;
  const key = keyOf(stateDir);
  return {
    config: createHmac('sha256', key).update(JSON.stringify(config)).digest('hex'),
    zones: createHash('sha256').update(JSON.stringify({ zones, lines, masks })).digest('hex'),
    watched: watchedHash({ config, key }),
  };
}

function keyOf(stateDir: string): Buffer {
  return readJournalKey(join(stateDir, JOURNAL_KEY_FILE)).export({ type: 'pkcs8', format: 'der' });
}

export interface Configured {
  readonly config: Config;
  readonly configFile?: string | undefined;
  readonly stateDir: string;
  /** Origin of a change of the configuration that is found at this start. */
  changeOrigin(): ChangeOrigin;
}

/**
 * Returns the changes in the journal's fixed order, with a new program first. Empty if nothing changed or nothing was
 * known. Throws AgentError `unavailable` if the monitored configuration cannot be stored for the next start.
 */
export function changesBetween(
  before: Running | undefined,
  now: Running,
  { config, configFile, stateDir, changeOrigin }: Configured,
): readonly JournalEntry[] {
  const redrawnPlaces = new WatchedFile(stateDir).take(
    { config, key: keyOf(stateDir) },
    now,
    before,
    changeOrigin(),
  );
  if (before === undefined) return [];
  const changes: JournalEntry[] = [];
  if (JSON.stringify(before.versions) !== JSON.stringify(now.versions))
    changes.push({ type: 'update', before: before.versions, after: now.versions });
  if (before.folder !== now.folder)
    changes.push({ type: 'restraint', before: before.folder, after: now.folder });
  if (before.config !== now.config) {
    const hashes = before.zones !== now.zones && { zones: { before: before.zones, after: now.zones } };
    const by = changedBy(configFile);
    changes.push({ type: 'config', before: before.config, after: now.config, ...hashes, by });
    for (const places of redrawnPlaces) changes.push({ type: 'geometry', places });
  }
  return changes;
}

/** Returns the user who last wrote the configuration file; null if there is no such file. */
function changedBy(file: string | undefined): ChangedBy | null {
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
