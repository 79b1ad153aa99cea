/** Runs a program of a release on trial to its end, for a verdict on the release. */
import { execFile } from 'node:child_process';
import type { ChildUser } from './agent-user.ts';
import type { BoxClock } from './clock.ts';

/** Time limit of one run, ms: a start on a board that swaps. */
const RUN_WITHIN_MS = 120_000;
const AGAIN_AFTER_MS = 10_000;
/** Signals that another process sends, such as the kernel when memory runs out; a crash has others. */
const KILLS: readonly (NodeJS.Signals | null)[] = ['SIGKILL', 'SIGTERM'];

export interface EndOptions {
  readonly clock: Pick<BoxClock, 'boottimeS' | 'sleep'>;
  /** Time within which a killed program is run again, s. */
  readonly withinS: number;
  readonly user?: ChildUser;
}

/**
 * Runs node with these arguments. Returns undefined on success, else how it ended and its last line of output. A run
 * that another process kills gives no verdict, and is repeated.
 */
export async function endOf(words: readonly string[], options: EndOptions): Promise<string | undefined> {
  const { clock, withinS } = options;
  const beganS = clock.boottimeS();
  for (;;) {
    const end = await endOfRun(words, options.user);
    if (end === undefined) return undefined;
    if (!end.wasKilled || clock.boottimeS() - beganS >= withinS) return end.text;
    await clock.sleep(AGAIN_AFTER_MS);
  }
}

interface BadEnd {
  readonly text: string;
  readonly wasKilled: boolean;
}

function endOfRun(words: readonly string[], user: ChildUser | undefined): Promise<BadEnd | undefined> {
  return new Promise((resolve) => {
    const limits = { timeout: RUN_WITHIN_MS, killSignal: 'SIGKILL' } as const;
    const options = { ...limits, cwd: '/', encoding: 'utf8', ...user } as const;
    const child = execFile(process.execPath, words, options, (error, _, stderr) => {
      if (error === null) return resolve(undefined);
      if (error.killed === true)
        return resolve({ text: `it does not end within ${RUN_WITHIN_MS / 1000} s`, wasKilled: false });
      const last = stderr.trim().split('\n').at(-1)?.slice(0, 200) ?? '';
      const text = `it ends with ${child.signalCode ?? child.exitCode ?? error.message}: ${last}`;
      resolve({ text, wasKilled: KILLS.includes(child.signalCode) });
    });
  });
}
