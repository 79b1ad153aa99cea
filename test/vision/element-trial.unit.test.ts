/** Tests when a failed element is tried again, by a clock that the test moves. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Logger } from '../../agent/base/log.ts';
import { ElementTrial } from '../../agent/vision/detect/element-trial.ts';
import { scratch } from '../lib/paths.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** One element over several runs: each begins with the file that the previous run left on the disk. */
const ELEMENT = 'tfliteinference, a model, 416x256';

class ElementRuns {
  readonly dir: string;
  readonly file: string;
  readonly warnings: string[] = [];
  wallMs = Date.parse('2026-03-01T12:00:00Z');
  nowMs = 1000;
  readonly #log: Logger;

  constructor(t: Test) {
    this.dir = join(scratch(t), 'models');
    this.file = join(this.dir, 'element-trial');
    const quiet = (): void => undefined;
    const warn = (_fields: object, message: string): void => {
      this.warnings.push(message);
    };
    this.#log = { error: quiet, warn, info: quiet, debug: quiet };
  }

  start(element = ELEMENT): ElementTrial {
    const clock = { nowMs: () => this.nowMs, wallMs: () => this.wallMs };
    const trial = new ElementTrial({ dir: this.dir, clock, log: this.#log, noun: 'element' });
    trial.start(element);
    return trial;
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.wallMs += ms;
  }

  get onDisk(): { failures: number; isOn: boolean } {
    const { failures, isOn } = JSON.parse(readFileSync(this.file, 'utf8'));
    return { failures, isOn };
  }

  write(trial: object | string): void {
    mkdirSync(this.dir, { recursive: true });
    writeFileSync(this.file, typeof trial === 'string' ? trial : JSON.stringify({ what: ELEMENT, ...trial }));
  }
}

t.test('a working element leaves no mark after ten minutes, nor after a peaceful end', async (t) => {
  const runs = new ElementRuns(t);
  const first = runs.start();
  t.equal(first.postponedReason, undefined);
  t.notOk(existsSync(runs.file), 'no file for an element that was never tried');
  first.begin();
  t.same(runs.onDisk, { failures: 0, isOn: true }, 'the mark is there before it is loaded');
  runs.pass(10 * MINUTE_MS - 1);
  first.works();
  t.same(runs.onDisk, { failures: 0, isOn: true });
  runs.pass(1);
  first.works();
  t.same(runs.onDisk, { failures: 0, isOn: false }, 'it has worked for ten minutes');
  rmSync(runs.file);
  first.works();
  t.notOk(existsSync(runs.file), 'a frame writes nothing more');
  const second = runs.start();
  second.begin();
  second.end();
  second.end();
  t.same(runs.onDisk, { failures: 0, isOn: false });
  t.equal(runs.start().postponedReason, undefined);
  t.same(runs.warnings, []);
});

t.test('a failing element is held off for a minute, doubled each time up to an hour', async (t) => {
  const runs = new ElementRuns(t);
  const minutes = [1, 2, 4, 8, 16, 32, 60, 60, 60];
  for (const [i, forMinutes] of minutes.entries()) {
    const trial = runs.start();
    t.equal(trial.postponedReason, undefined, `trial ${i + 1}`);
    trial.begin();
    runs.pass(3000);
    trial.failed('it is unplugged');
    t.same(runs.onDisk, { failures: i + 1, isOn: false });
    const retryTime = new Date(runs.wallMs + forMinutes * MINUTE_MS).toISOString().replace('.000Z', 'Z');
    t.equal(trial.postponedReason, `it is unplugged; it is tried again at ${retryTime}`);
    runs.pass(forMinutes * MINUTE_MS - 1);
    t.match(
      runs.start().postponedReason,
      /^it is unplugged; it is tried again at/,
      'the next run knows it too',
    );
    runs.pass(1);
  }
});

t.test('failures are forgotten after the element has worked for its hold-off time', async (t) => {
  const runs = new ElementRuns(t);
  runs.write({ failures: 5, failedAtMs: runs.wallMs - HOUR_MS, reason: 'hot', isOn: false });
  const trial = runs.start();
  trial.begin();
  runs.pass(10 * MINUTE_MS);
  trial.works();
  t.same(runs.onDisk, { failures: 5, isOn: false }, 'after ten minutes it takes no vision with it');
  runs.pass(6 * MINUTE_MS - 1);
  trial.works();
  t.same(runs.onDisk, { failures: 5, isOn: false });
  runs.pass(1);
  trial.works();
  t.same(runs.onDisk, { failures: 0, isOn: false }, 'after sixteen it is as good as new');
  trial.failed('hot');
  t.same(runs.onDisk, { failures: 1, isOn: false }, 'and held off for a minute again');
});

t.test('an element that crashes vision every two minutes is held off longer each time', async (t) => {
  const runs = new ElementRuns(t);
  for (const forMinutes of [1, 2, 4, 8]) {
    const trial = runs.start();
    t.equal(trial.postponedReason, undefined);
    trial.begin();
    for (let s = 0; s < 120; s += 1) {
      runs.pass(1000);
      trial.works();
    }
    t.ok(runs.start().postponedReason, 'the next vision finds the mark');
    runs.pass(forMinutes * MINUTE_MS - 1);
    t.ok(runs.start().postponedReason);
    runs.pass(1);
  }
});

t.test('a mark left on the disk counts as a failure at the time of the next start', async (t) => {
  const runs = new ElementRuns(t);
  runs.start().begin();
  runs.pass(10 * HOUR_MS);
  const next = runs.start();
  t.match(next.postponedReason, /^vision ended while its element was tried; it is tried again at/);
  t.same(runs.onDisk, { failures: 1, isOn: false });
  t.same(runs.start().postponedReason, next.postponedReason, 'it is counted once');
});

t.test('the last line of the element explains its own end only', async (t) => {
  const runs = new ElementRuns(t);
  const lineFile = join(runs.dir, '..', 'element-last-line');
  runs.start().begin();
  writeFileSync(lineFile, '[HailoRT] [error] failed with status=76\n\x1b[2J');
  t.match(
    runs.start().postponedReason,
    /^vision ended while its element was tried: \[HailoRT\] \[error\] failed with status=76\\x0a\\x1b\[2J; it is tried/,
  );
  runs.pass(HOUR_MS);
  runs.start().begin();
  t.notOk(existsSync(lineFile), 'it is removed before the next trial');
  t.match(runs.start().postponedReason, /^vision ended while its element was tried; it is tried/);
});

t.test('a clock that was set back or was years ahead does not hold off', async (t) => {
  const runs = new ElementRuns(t);
  const trial = runs.start();
  trial.failed('cold');
  t.ok(trial.postponedReason);
  runs.wallMs -= 1;
  t.equal(trial.postponedReason, undefined);
  runs.wallMs += 10 * 365 * 24 * HOUR_MS;
  t.equal(runs.start().postponedReason, undefined);
});

t.test('an unreadable file loses the memory and logs one line', async (t) => {
  const good = { failures: 1, failedAtMs: Date.parse('2026-03-01T12:00:00Z'), reason: 'hot', isOn: false };
  for (const [name, content] of [
    ['cut off', JSON.stringify(good).slice(0, 20)],
    ['empty', ''],
    ['another thing', { hello: 1 }],
    ['a count that is none', { ...good, failures: -1 }],
    ['a time that is none', { ...good, failedAtMs: 'yesterday' }],
    ['a reason that is too long', { ...good, reason: 'x'.repeat(1001) }],
    ['null', 'null'],
  ] as const) {
    const runs = new ElementRuns(t);
    runs.write(content);
    const trial = runs.start();
    t.equal(trial.postponedReason, undefined, name);
    t.same(
      runs.warnings,
      ['the result of the last element trial cannot be read; the element is tried'],
      name,
    );
    trial.begin();
    t.same(runs.onDisk, { failures: 0, isOn: true }, `${name}: and a good one is written`);
  }
  const folder = new ElementRuns(t);
  mkdirSync(folder.file, { recursive: true });
  t.equal(folder.start().postponedReason, undefined, 'a folder in its place');
  t.equal(folder.warnings.length, 1);
});

t.test('an unwritable folder limits the memory to one run of vision', async (t) => {
  const runs = new ElementRuns(t);
  writeFileSync(runs.dir, 'a file in the place of the folder');
  const trial = runs.start();
  trial.begin();
  trial.failed('hot');
  t.match(trial.postponedReason, /^hot; /);
  t.ok(runs.warnings.includes('the result of the element trial cannot be written'), String(runs.warnings));
  t.equal(runs.start().postponedReason, undefined, 'the next life tries it');
});

t.test('a failure applies only to the same element, model, size and property', async (t) => {
  const runs = new ElementRuns(t);
  runs.start().failed('compiled for another chip');
  t.ok(runs.start().postponedReason);
  const changedRun = runs.start('tfliteinference, another model, 416x256');
  t.equal(changedRun.postponedReason, undefined, 'a changed element is tried');
  changedRun.begin();
  t.ok(runs.start('tfliteinference, another model, 416x256').postponedReason, 'and its own mark counts');
});
