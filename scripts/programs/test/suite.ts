/**
 * Runs test files side by side as one TAP stream on standard output; called by main.ts with the time that one may take, s,
 * and their names. Tap's own command would do the same, but puts its loader into every process that a test starts: the
 * programs under test would not run as they are shipped, and each of their starts would take twice as long.
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t, { type Spawn } from 'tap';

/** One more than the small machine has cores: a third of their time the tests of whole boxes wait. */
const JOBS = 3;

const [timeoutS = '', ...files] = process.argv.slice(2);
const env = { ...process.env, NO_COLOR: '1', TAP_TIMEOUT: timeoutS };

const running = new Set<ChildProcess>();
t.on('spawn', (file: Spawn) =>
  file.on('process', (child: ChildProcess) => {
    running.add(child);
    child.once('close', () => running.delete(child));
  }),
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    for (const child of running) child.kill('SIGTERM');
    process.exit(1);
  });
}

// Each file has its own.
t.setTimeout(0);
t.jobs = JOBS;
t.plan(files.length);

/** Tests that boot a machine of their own: two of them side by side take each other the time in which a box must be up. */
const boots = new Set(
  files.filter((file) => /lib\/(nspawn|booted-updates)\.js/.test(readFileSync(file, 'utf8'))),
);
const waiting = [...files];
let booted = false;

/** One after the other, until none is left that may run now. */
async function lane(): Promise<void> {
  for (;;) {
    const next = waiting.findIndex((one) => !booted || !boots.has(one));
    const [file] = next < 0 ? [] : waiting.splice(next, 1);
    if (file === undefined) return;
    const isBoot = boots.has(file);
    booted ||= isBoot;
    await run(file);
    if (isBoot) booted = false;
  }
}

async function run(file: string): Promise<void> {
  // The loader comes by this variable.
  const program = ['-u', 'NODE_OPTIONS', process.execPath, '--enable-source-maps', file];
  await t.spawn(
    'env',
    program,
    { buffered: true, timeout: Number(timeoutS) * 1000, env, stdio: ['ignore', 'pipe', 'inherit'] },
    file,
  );
}

await Promise.all(Array.from({ length: JOBS }, lane));
