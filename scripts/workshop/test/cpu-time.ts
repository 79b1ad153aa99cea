/**
 * Measures the CPU seconds of a test file, before which it is loaded. One TAP comment at the end gives those of the
 * process and of all children that it waited for.
 */
import { readFileSync, writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/** Clock ticks a second in /proc, the same on every machine (USER_HZ in proc(5)). */
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
