/** Runs a child process of vigie-root to its end. */
import { execFile } from 'node:child_process';

const WITHIN_MS = 120_000;

/** Runs node with these arguments. Returns undefined on success, else how it ended and its last line of output. */
export function endsWell(words: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { timeout: WITHIN_MS, cwd: '/', encoding: 'utf8' } as const;
    const child = execFile(process.execPath, words, options, (error, _, stderr) => {
      const last = stderr.trim().split('\n').at(-1)?.slice(0, 200) ?? '';
      resolve(error === null ? undefined : `it ends with ${child.signalCode ?? child.exitCode}: ${last}`);
    });
  });
}
