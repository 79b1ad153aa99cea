/**
 * Runs all tests, shows the progress, and ends with one summary line: `N passed, N failed` or `N passed, N failed, N
 * skipped`. Called by scripts/test.
 */
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MultiBar } from 'cli-progress';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { LONGEST } from './longest.ts';
import { type Failure, type FileResult, Tally } from './tally.ts';

/** Time limit of one file, s; the longest takes three minutes, and three times as long on a busy machine. */
const FILE_TIMEOUT_S = { quick: 60, normal: 900, full: 12 * 3600 };
const ALL = /\.test\.js$/;
/** Files of pure tests: no process, no broker, no real clip. */
const QUICK = /\.(?:unit|contract)\.test\.js$/;
/** File system in memory. Tests that run at the same time create up to 3 GB of files there, and need as much again. */
const MEMORY_DIR = '/dev/shm';
const MEMORY_BYTES_MIN = 8e9;
/** Lines of diagnostics shown for one failure; all of them are in .cache/test.tap. */
const DIAGNOSTIC_LINES_MAX = 30;

const { values } = parseArgs({
  options: {
    check: { type: 'string', default: 'passed' },
    full: { type: 'boolean', default: false },
    /** Runs the fast tests only. */
    quick: { type: 'boolean', default: false },
    /** Runs one file instead of all. */
    only: { type: 'string' },
  },
});
const root = packageRoot();
const began = performance.now();

const bars = new MultiBar({
  format: '{bar} {value}/{total} files, {passed} passed, {failed} failed, {duration} s',
  clearOnComplete: true,
  hideCursor: true,
});
const onTerminal = process.stdout.isTTY === true;
const bar = onTerminal ? bars.create(0, 0, { passed: 0, failed: 0 }) : undefined;

function say(line: string): void {
  if (onTerminal) bars.log(`${line}\n`);
  else process.stdout.write(`${line}\n`);
}

function sayFile({ name, passed, failed, skipped, timeMs }: FileResult): void {
  const counts = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  say(`${failed > 0 ? 'FAILED' : 'ok    '} ${name}: ${counts} (${(timeMs / 1000).toFixed(1)} s)`);
  bar?.increment(1, { passed: tally.passed + passed, failed: tally.failed + failed });
}

function sayFailure({ name, diagnostics }: Failure): void {
  say(`FAILED ${name}`);
  if (diagnostics === null || typeof diagnostics !== 'object') return;
  // `source` repeats the file, `args` and the like describe tap's own call.
  const { at, diff, stack, message, exitCode, signal, expired, found, wanted } = diagnostics as Record<
    string,
    unknown
  >;
  const fields = {
    at,
    message,
    diff,
    found: diff ? undefined : found,
    wanted: diff ? undefined : wanted,
    stack,
  };
  for (const [key, value] of Object.entries({ ...fields, exitCode, signal, expired })) {
    if (value === undefined || value === null) continue;
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    for (const line of text.trimEnd().split('\n').slice(0, DIAGNOSTIC_LINES_MAX)) say(`    ${key}: ${line}`);
  }
}

const tally = new Tally({
  onPlan: (files) => bar?.setTotal(files),
  onFile: sayFile,
  onFailure: sayFailure,
});
if (values.check === 'passed') tally.pass();
else tally.fail('npm run check');

const timeoutS = FILE_TIMEOUT_S[values.full ? 'full' : values.quick ? 'quick' : 'normal'];
mkdirSync(join(root, '.cache'), { recursive: true });
const stopReason = await runFiles(wantedFiles());
tally.end();
if (tally.files === 0) tally.fail('no test file ran');
if (stopReason !== undefined && tally.failed === 0) tally.fail(stopReason);
bars.stop();

const { passed, failed, skipped, failures, skips, files } = tally;
const print = (line: string): void => void process.stdout.write(`${line}\n`);
if (skips.length > 0) print('\nSkipped:');
for (const name of skips) print(`  ${name}`);
// Printed after the many skips, so that the end of a long log shows the failures.
if (failures.length > 0) print(`\nFailed (all output of the tests is in .cache/test.tap):`);
for (const { name } of failures) print(`  ${name}`);
print(`\n${files} test files in ${((performance.now() - began) / 1000).toFixed(0)} s`);
print(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed === 0 ? 0 : 1;

/** Returns files below the root, longest first: started last, they would run on alone. */
function wantedFiles(): string[] {
  if (values.only !== undefined) return [values.only];
  const tests = join('dist', 'test');
  const testFiles = readdirSync(join(root, tests), { recursive: true, encoding: 'utf8' })
    .filter((file) => (values.quick ? QUICK : ALL).test(file))
    .sort();
  const long = LONGEST.map((name) => `${name}.test.js`).filter((file) => testFiles.includes(file));
  return [...new Set([...long, ...testFiles])].map((file) => join(tests, file));
}

/**
 * Returns the folder for the tests' files. It is in memory if there is space, because tests spend a third of their time
 * waiting for a disk. The long versions stay on the disk. Undefined for the machine's default.
 */
function scratchDir(): string | undefined {
  const { TMPDIR } = process.env;
  if (values.full || TMPDIR !== undefined) return TMPDIR;
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  const options = mounts.map((line) => line.split(' ')).find(([, dir]) => dir === MEMORY_DIR)?.[3];
  if (options === undefined || /\b(?:ro|noexec)\b/.test(options)) return undefined;
  const { bavail, bsize } = statfsSync(MEMORY_DIR);
  return Math.min(bavail * bsize, freemem()) < MEMORY_BYTES_MIN ? undefined : MEMORY_DIR;
}

function testEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env };
  if (values.full) env['VIGIE_TEST_RUN'] = 'full';
  const dir = scratchDir();
  if (dir !== undefined) env['TMPDIR'] = dir;
  return env;
}

/** Returns the reason for a failure, or undefined. */
async function runFiles(files: readonly string[]): Promise<string | undefined> {
  const suite = spawn(
    process.execPath,
    ['--enable-source-maps', join(import.meta.dirname, 'suite.js'), String(timeoutS), ...files],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: testEnvironment(),
    },
  );
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => suite.kill('SIGTERM'));
  suite.stdout.pipe(createWriteStream(join(root, '.cache/test.tap')));
  suite.stdout.on('data', (chunk: Buffer) => tally.write(chunk));
  return await new Promise((resolve) => {
    suite.once('error', (error) => resolve(`the tests did not start: ${error.message}`));
    suite.once('close', (code, signal) =>
      resolve(code === 0 ? undefined : `the tests ended with ${signal ?? code}`),
    );
  });
}
