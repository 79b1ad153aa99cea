/**
 * The clock of a box without a battery starts years ago, and a clock that is behind takes no certificate. It is raised to
 * what is known to have been, never put back, and never touched where the network sets it.
 */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TIMESYNC_FILE } from '../../../../agent/base/clock.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { packageRoot } from '../../../../agent/base/package-root.ts';
import { kernelIsSynced } from '../clock.ts';

/** When the system was made, by its modification time (systemd-timesyncd.service(8)). */
const EPOCH_FILE = '/usr/lib/clock-epoch';
/** A Date header has whole seconds and comes late; certificates do not mind minutes. */
const BEHIND_MS = 60_000;
const WITHIN_MS = 5000;

const run = promisify(execFile);

export interface ClockOptions {
  /** For tests. */
  readonly timesyncFile?: string;
  say(line: string): void;
}

/** The latest moment that is certainly past: the image was made, the room's authority too. */
export function clockFloorMs(caFile: string): number {
  const made = statSync(existsSync(EPOCH_FILE) ? EPOCH_FILE : join(packageRoot(), 'package.json')).mtimeMs;
  try {
    return Math.max(made, Date.parse(new X509Certificate(readFileSync(caFile)).validFrom));
  } catch {
    // The authority is read and judged where it is used.
    return made;
  }
}

/** `why`: where the time is from, for the log. A clock that cannot be set is told, and no more. */
export async function raiseClock(toMs: number, why: string, options: ClockOptions): Promise<void> {
  const beforeMs = Date.now();
  if (beforeMs >= toMs - BEHIND_MS) return;
  try {
    await run('date', ['--utc', `--set=@${Math.floor(toMs / 1000)}`], { timeout: WITHIN_MS });
    const [before, after] = [beforeMs, toMs].map((ms) => new Date(ms).toISOString());
    options.say(`the clock was behind (${before}) and is raised to ${after}, ${why}`);
  } catch (error) {
    const { message } = new AgentError('unavailable', messageOf(error), error);
    options.say(`the clock is behind and cannot be raised (${message}); set it by hand: date --set`);
  }
}

/** After an answer that is the room's beyond doubt. */
export async function raiseToRoom(dateMs: number | undefined, options: ClockOptions): Promise<void> {
  const { timesyncFile = TIMESYNC_FILE } = options;
  if (dateMs === undefined || existsSync(timesyncFile) || kernelIsSynced()) return;
  await raiseClock(dateMs, 'the room’s time', options);
}
