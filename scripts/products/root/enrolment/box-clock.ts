/**
 * Raises the clock of a box without a battery, which starts years in the past and then accepts no certificate. The
 * clock is raised to a time that has certainly passed. It is never set back, and never set while the network sets it.
 */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TIMESYNC_FILE } from '../../../../agent/base/clock.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { packageRoot } from '../../../../agent/base/package-root.ts';
import { EPOCH_FILE, kernelIsSynced } from '../clock.ts';

/** Tolerance, ms: a Date header has whole seconds and arrives late, and certificates tolerate minutes. */
const BEHIND_MS = 60_000;
const WITHIN_MS = 5000;

const run = promisify(execFile);

export interface ClockOptions {
  /** Replaced in tests. */
  readonly timesyncFile?: string;
  say(line: string): void;
}

/** Returns the latest time that is certainly past: when the image was made, or the room's authority. */
export function clockFloorMs(caFile: string): number {
  const madeMs = statSync(existsSync(EPOCH_FILE) ? EPOCH_FILE : join(packageRoot(), 'package.json')).mtimeMs;
  try {
    return Math.max(madeMs, Date.parse(new X509Certificate(readFileSync(caFile)).validFrom));
  } catch {
    // The authority's file is checked where it is used.
    return madeMs;
  }
}

/** Raises the clock; `source` names the source of the time, for the log. A failure is only logged. */
export async function raiseClock(toMs: number, source: string, options: ClockOptions): Promise<void> {
  const beforeMs = Date.now();
  if (beforeMs >= toMs - BEHIND_MS) return;
  try {
    await run('date', ['--utc', `--set=@${Math.floor(toMs / 1000)}`], { timeout: WITHIN_MS });
    const [before, after] = [beforeMs, toMs].map((ms) => new Date(ms).toISOString());
    options.say(`the clock was behind (${before}) and is raised to ${after}, ${source}`);
  } catch (error) {
    const { message } = new AgentError('unavailable', messageOf(error), error);
    options.say(`the clock is behind and cannot be raised (${message}); set it by hand: date --set`);
  }
}

/** Raises the clock to the time of an authenticated answer of the room. */
export async function raiseToRoom(dateMs: number | undefined, options: ClockOptions): Promise<void> {
  const { timesyncFile = TIMESYNC_FILE } = options;
  if (dateMs === undefined || existsSync(timesyncFile) || kernelIsSynced()) return;
  await raiseClock(dateMs, 'the room’s time', options);
}
