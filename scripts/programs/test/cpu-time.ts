/**
 * Loaded before a test file: at its end it writes one TAP comment with the CPU seconds of the process and of all the
 * children that were waited for, with theirs.
 */
import { readFileSync, writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/** proc(5): clock ticks a second in /proc; Linux reports them so on every machine (USER_HZ). */
const TICKS_PER_S = 100;

// Threads of the file are counted with the process.
if (isMainThread) {
  process.once('exit', () => {
    // After the name in brackets: state is field 3, utime to cstime are fields 14 to 17.
    const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    writeSync(process.stdout.fd, `# cpu ${(ticks / TICKS_PER_S).toFixed(2)} s\n`);
  });
}
