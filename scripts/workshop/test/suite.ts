/**
 * Runs test files in parallel as one TAP stream on standard output. main.ts calls it with the time limit of a file, s,
 * and their names. Tap's own command would do the same, but puts its loader into every process that a test starts. The
 * programs under test would then not run as they are shipped, and each start would take twice as long.
 */
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import t, { type Spawn } from 'tap';
import { kindOf, Schedule, type TestFile } from './schedule.ts';

/** Two per core: most tests spend half of their time waiting for a program, a broker or a moment. */
const PLACES = 2 * Math.max(2, availableParallelism());

const CPU_TIME = new URL('cpu-time.js', import.meta.url).href;

const [timeoutS = '', ...files] = process.argv.slice(2);
const env = { ...process.env, NO_COLOR: '1', TAP_TIMEOUT: timeoutS };

/** Time between the report of an overdue file and its end, s. */
const REPORT_BEFORE_S = 5;

/** Says what each thread of an overdue file waits for: TAP's own report names neither the subtest nor the thread. */
function sayThreads(name: string, pid = 0): void {
  const tasks = `/proc/${pid}/task`;
  try {
    for (const thread of readdirSync(tasks)) {
      const [threadName, waitsIn] = ['comm', 'wchan'].map((file) =>
        readFileSync(`${tasks}/${thread}/${file}`, 'utf8').trim(),
      );
      process.stderr.write(`${name} is overdue: thread ${threadName} waits in ${waitsIn}\n`);
    }
    const children = readFileSync(`${tasks}/${pid}/children`, 'utf8');
    process.stderr.write(`${name} is overdue: its processes are ${children || 'none'}\n`);
  } catch (error) {
    process.stderr.write(`${name} is overdue: ${String(error)}\n`);
  }
}

const running = new Set<ChildProcess>();
t.on('spawn', (file: Spawn) =>
  file.on('process', (child: ChildProcess) => {
    running.add(child);
    const overdue = setTimeout(
      () => sayThreads(file.name, child.pid),
      (Number(timeoutS) - REPORT_BEFORE_S) * 1000,
    );
    child.once('close', () => {
      running.delete(child);
      clearTimeout(overdue);
    });
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
t.jobs = PLACES;
t.plan(files.length);

const schedule = new Schedule(
  files.map((name) => kindOf(name, readFileSync(name, 'utf8'))),
  PLACES,
);

/** Starts every file that may start now, and continues with the next when one has ended. */
async function fill(): Promise<void> {
  const runs: Promise<void>[] = [];
  for (let file = schedule.next(); file !== undefined; file = schedule.next()) runs.push(runToEnd(file));
  await Promise.all(runs);
}

async function runToEnd(file: TestFile): Promise<void> {
  await run(file.name);
  schedule.finish(file);
  await fill();
}

async function run(file: string): Promise<void> {
  // The loader is passed by this variable.
  const program = [
    '-u',
    'NODE_OPTIONS',
    process.execPath,
    '--enable-source-maps',
    '--import',
    CPU_TIME,
    file,
  ];
  await t.spawn(
    'env',
    program,
    { buffered: true, timeout: Number(timeoutS) * 1000, env, stdio: ['ignore', 'pipe', 'inherit'] },
    file,
  );
}

await fill();
