/**
 * Runs all tests, shows the progress, and ends with one summary line: `N passed, N failed` or `N passed, N failed, N
 * skipped`. Called by scripts/test.
 */
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MultiBar } from 'cli-progress';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { changedSince, projectTexts, reachingTests } from './changes.ts';
import { filesNamed, isOfRun, nameOf, RUNS } from './selection.ts';
import { type Failure, type FileResult, Tally } from './tally.ts';

/** Time limit of one file, s; the longest takes three minutes, and three times as long on a busy machine. */
const FILE_TIMEOUT_S = { quick: 60, default: 900, all: 900, full: 12 * 3600 } as const;
/** A file of the default run that takes more CPU time is named at the end (docs/design/016-project-rules.md). */
const FILE_CPU_S_MAX = 15;
/** File system in memory. Tests that run at the same time create up to 3 GB of files there, and need as much again. */
const MEMORY_DIR = '/dev/shm';
const MEMORY_BYTES_MIN = 8e9;
/** Lines of diagnostics shown for one failure; all of them are in .cache/test.tap. */
const DIAGNOSTIC_LINES_MAX = 30;

const { values, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    check: { type: 'string', default: 'none' },
    run: { type: 'string', default: 'default' },
    /** Runs only the files that a change since this commit can reach. */
    changed: { type: 'string' },
  },
});
const run = RUNS.find((one) => one === values.run) ?? refuse(`--run takes ${RUNS.join(', ')}`);
const root = packageRoot();
const began = performance.now();
const cpuSeconds = new Map<string, number>();

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

function sayFile({ name, passed, failed, skipped, timeMs, cpuS }: FileResult): void {
  const counts = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  const cpu = cpuS === undefined ? 'CPU unknown' : `${cpuS.toFixed(1)} CPU-s`;
  say(`${failed > 0 ? 'FAILED' : 'ok    '} ${name}: ${counts} (${(timeMs / 1000).toFixed(1)} s, ${cpu})`);
  cpuSeconds.set(name, cpuS ?? 0);
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
else if (values.check === 'failed') tally.fail('npm run check');

mkdirSync(join(root, '.cache'), { recursive: true });
const { files: selected, leftOut } = selectedFiles();
const stopReason = await runFiles(selected.map((file) => join('dist', file.replace(/\.ts$/, '.js'))));
tally.end();
if (tally.files === 0) tally.fail('no test file ran');
if (stopReason !== undefined && tally.failed === 0) tally.fail(stopReason);
bars.stop();
report();
process.exitCode = tally.failed === 0 ? 0 : 1;

function report(): void {
  const { passed, failed, skipped, failures, skips, files } = tally;
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  // A skip for any other reason than the run is a gap of this machine.
  const ofRun = skips.filter((name) => name.includes('VIGIE_TEST_RUN='));
  const gaps = skips.filter((name) => !ofRun.includes(name));
  if (gaps.length > 0) print('\nSkipped:');
  for (const name of gaps) print(`  ${name}`);
  if (leftOut.length + ofRun.length > 0) {
    const listFile = '.cache/left-out.txt';
    writeFileSync(join(root, listFile), [...leftOut, ...ofRun, ''].join('\n'));
    print(`\nLeft to longer runs: ${leftOut.length} files, and ${ofRun.length} parts of files (${listFile})`);
  }
  // Printed after the skips, so that the end of a long log shows the failures.
  if (failures.length > 0) print(`\nFailed (all output of the tests is in .cache/test.tap):`);
  for (const { name } of failures) print(`  ${name}`);
  const dear = [...cpuSeconds].filter(([, cpuS]) => cpuS > FILE_CPU_S_MAX).sort(([, a], [, b]) => b - a);
  if (dear.length > 0 && run === 'default' && names.length === 0) {
    print(`\nMore than ${FILE_CPU_S_MAX} CPU-s:`);
    for (const [name, cpuS] of dear) print(`  ${name}: ${cpuS.toFixed(1)}`);
  }
  const cpuS = [...cpuSeconds.values()].reduce((sum, one) => sum + one, 0);
  const wallS = (performance.now() - began) / 1000;
  print(`\n${files} test files in ${wallS.toFixed(0)} s, ${cpuS.toFixed(0)} CPU-s`);
  print(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}

function refuse(problem: string): never {
  process.stderr.write(`test: ${problem} (see --help)\n`);
  process.exit(2);
}

/** Returns the sources of the files to run, those that take longest first, and the names of those left to other runs. */
function selectedFiles(): { files: string[]; leftOut: string[] } {
  const tests = readdirSync(join(root, 'dist', 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => join('test', file.replace(/\.js$/, '.ts')))
    .sort();
  const namedFiles = names.flatMap((name) => {
    const files = filesNamed(name, tests).filter((file) => isOfRun(file, run));
    return files.length > 0 ? files : refuse(`no test file has the name '${name}'`);
  });
  const ofRun = names.length > 0 ? [...new Set(namedFiles)] : tests.filter((file) => isOfRun(file, run));
  const files = values.changed === undefined ? ofRun : reachedFiles(values.changed, ofRun);
  const leftOut = names.length > 0 ? [] : tests.filter((file) => !ofRun.includes(file)).map(nameOf);
  // Started last, a long one would run on alone. What the default run leaves out is long.
  files.sort((a, b) => Number(isOfRun(a, 'default')) - Number(isOfRun(b, 'default')));
  return { files, leftOut };
}

function reachedFiles(commit: string, files: readonly string[]): string[] {
  let changedFiles: string[];
  try {
    changedFiles = changedSince(root, commit);
  } catch {
    return refuse(`--changed takes a commit that git knows, not '${commit}'`);
  }
  const reaching = reachingTests(changedFiles, projectTexts(root));
  const foundFiles = files.filter((file) => reaching.has(file));
  say(
    `${changedFiles.length} files changed since ${commit}; ${foundFiles.length} of ${files.length} test files reach them`,
  );
  return foundFiles;
}

/**
 * Returns the folder for the tests' files. It is in memory if there is space, because tests spend a third of their time
 * waiting for a disk. The long versions stay on the disk. Undefined for the machine's default.
 */
function scratchDir(): string | undefined {
  const { TMPDIR } = process.env;
  if (run === 'full' || TMPDIR !== undefined) return TMPDIR;
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  const options = mounts.map((line) => line.split(' ')).find(([, dir]) => dir === MEMORY_DIR)?.[3];
  if (options === undefined || /\b(?:ro|noexec)\b/.test(options)) return undefined;
  const { bavail, bsize } = statfsSync(MEMORY_DIR);
  return Math.min(bavail * bsize, freemem()) < MEMORY_BYTES_MIN ? undefined : MEMORY_DIR;
}

function testEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env };
  env['VIGIE_TEST_RUN'] = run === 'quick' ? 'default' : run;
  const dir = scratchDir();
  if (dir !== undefined) env['TMPDIR'] = dir;
  return env;
}

/** Returns the reason for a failure, or undefined. */
async function runFiles(files: readonly string[]): Promise<string | undefined> {
  const suite = spawn(
    process.execPath,
    ['--enable-source-maps', join(import.meta.dirname, 'suite.js'), String(FILE_TIMEOUT_S[run]), ...files],
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
