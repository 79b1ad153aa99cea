/**
 * Decides whether the wall clock may be trusted for an order. A box without a battery wakes up years in the past and
 * would accept an order that has long ended. Such a box waits until the network has set its clock.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type BootClock, systemBootClock } from '../../../agent/base/boot-clock.ts';

export interface BoxClock extends BootClock {
  /** Reports whether the network has set the wall clock since boot. */
  synced(): boolean;
  sleep(delayMs: number): Promise<void>;
}

/** Its modification time is when the system was made (systemd-timesyncd.service(8)). */
export const EPOCH_FILE = '/usr/lib/clock-epoch';
/** Lower bound of the build time; no release is older. */
export const EARLIEST_MS = Date.parse('2026-01-01T00:00:00.000Z');

const ASK_WITHIN_MS = 5000;
const ASK_EVERY_S = 30;

export interface BoxClockPlaces {
  readonly run: string;
  /** File whose content changes at each boot. */
  readonly bootId: string;
  readonly timedatectl: string;
}

export function systemBoxClock({ run, bootId, timedatectl }: BoxClockPlaces): BoxClock {
  let isSet = false;
  let askAgainS = 0;
  const askKernel = (): boolean => {
    const nowS = systemBootClock.boottimeS();
    if (nowS < askAgainS) return false;
    askAgainS = nowS + ASK_EVERY_S;
    return kernelIsSynced(timedatectl);
  };
  return {
    ...systemBootClock,
    bootId: () => readFileSync(bootId, 'utf8').trim(),
    synced: () => {
      // systemd-timesyncd makes the file at its first synchronisation after boot (systemd-timesyncd.service(8)).
      isSet ||= existsSync(join(run, 'systemd/timesync/synchronized')) || askKernel();
      return isSet;
    },
    sleep: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
  };
}

/**
 * Reads the kernel's state (adjtimex(2)) from timedatectl, for other daemons such as chrony and ntpsec. Early at boot
 * it does not answer yet.
 */
export function kernelIsSynced(timedatectl = 'timedatectl'): boolean {
  const question = ['show', '--property=NTPSynchronized', '--value'];
  const { stdout } = spawnSync(timedatectl, question, { encoding: 'utf8', timeout: ASK_WITHIN_MS });
  return stdout?.trim() === 'yes';
}

/** Returns the newest known build time, ms. `releaseFile` lies in the running release and has its age. */
export function builtMs(releaseFile: string): number {
  const times = [EPOCH_FILE, releaseFile].map(
    (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0,
  );
  return Math.max(EARLIEST_MS, ...times);
}

/**
 * Returns why the clock is not trusted, or undefined if it is. `seenMs` is the newest time at which this box has acted.
 * If the network's clock is earlier than what was seen or made here, that time was wrong, and the box does not wait for
 * it.
 */
export function clockProblem(
  clock: Pick<BoxClock, 'wallMs' | 'synced'>,
  { seenMs, madeMs }: { readonly seenMs: number; readonly madeMs: number },
): string | undefined {
  const nowMs = clock.wallMs();
  const says = `the clock says ${new Date(nowMs).toISOString()}`;
  if (clock.synced() && nowMs >= EARLIEST_MS) return undefined;
  if (nowMs < madeMs) return `${says}, and this release was made ${new Date(madeMs).toISOString()}`;
  if (nowMs < seenMs) return `${says}, and it was ${new Date(seenMs).toISOString()} already`;
  return undefined;
}
