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

class Lives {
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
    const trial = new ElementTrial({ dir: this.dir, clock, log: this.#log });
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
  const lives = new Lives(t);
  const first = lives.start();
  t.equal(first.heldOff, undefined);
  t.notOk(existsSync(lives.file), 'no file for an element that was never tried');
  first.begin();
  t.same(lives.onDisk, { failures: 0, isOn: true }, 'the mark is there before it is loaded');
  lives.pass(10 * MINUTE_MS - 1);
  first.works();
  t.same(lives.onDisk, { failures: 0, isOn: true });
  lives.pass(1);
  first.works();
  t.same(lives.onDisk, { failures: 0, isOn: false }, 'it has worked for ten minutes');
  rmSync(lives.file);
  first.works();
  t.notOk(existsSync(lives.file), 'a frame writes nothing more');
  const second = lives.start();
  second.begin();
  second.end();
  second.end();
  t.same(lives.onDisk, { failures: 0, isOn: false });
  t.equal(lives.start().heldOff, undefined);
  t.same(lives.warnings, []);
});

t.test('a failing element is held off for a minute, doubled each time up to an hour', async (t) => {
  const lives = new Lives(t);
  const minutes = [1, 2, 4, 8, 16, 32, 60, 60, 60];
  for (const [i, forMinutes] of minutes.entries()) {
    const trial = lives.start();
    t.equal(trial.heldOff, undefined, `trial ${i + 1}`);
    trial.begin();
    lives.pass(3000);
    trial.failed('it is unplugged');
    t.same(lives.onDisk, { failures: i + 1, isOn: false });
    const retryTime = new Date(lives.wallMs + forMinutes * MINUTE_MS).toISOString().replace('.000Z', 'Z');
    t.equal(trial.heldOff, `it is unplugged; it is tried again at ${retryTime}`);
    lives.pass(forMinutes * MINUTE_MS - 1);
    t.match(lives.start().heldOff, /^it is unplugged; it is tried again at/, 'the next life knows it too');
    lives.pass(1);
  }
});

t.test('failures are forgotten after the element has worked as long as it was held off', async (t) => {
  const lives = new Lives(t);
  lives.write({ failures: 5, failedAtMs: lives.wallMs - HOUR_MS, reason: 'hot', isOn: false });
  const trial = lives.start();
  trial.begin();
  lives.pass(10 * MINUTE_MS);
  trial.works();
  t.same(lives.onDisk, { failures: 5, isOn: false }, 'after ten minutes it takes no vision with it');
  lives.pass(6 * MINUTE_MS - 1);
  trial.works();
  t.same(lives.onDisk, { failures: 5, isOn: false });
  lives.pass(1);
  trial.works();
  t.same(lives.onDisk, { failures: 0, isOn: false }, 'after sixteen it is as good as new');
  trial.failed('hot');
  t.same(lives.onDisk, { failures: 1, isOn: false }, 'and held off for a minute again');
});

t.test('an element that crashes vision every two minutes is held off longer each time', async (t) => {
  const lives = new Lives(t);
  for (const forMinutes of [1, 2, 4, 8]) {
    const trial = lives.start();
    t.equal(trial.heldOff, undefined);
    trial.begin();
    for (let s = 0; s < 120; s += 1) {
      lives.pass(1000);
      trial.works();
    }
    t.ok(lives.start().heldOff, 'the next vision finds the mark');
    lives.pass(forMinutes * MINUTE_MS - 1);
    t.ok(lives.start().heldOff);
    lives.pass(1);
  }
});

t.test('a mark left on the disk counts as a failure at the time of the next start', async (t) => {
  const lives = new Lives(t);
  lives.start().begin();
  lives.pass(10 * HOUR_MS);
  const next = lives.start();
  t.match(next.heldOff, /^vision ended while its element was tried; it is tried again at/);
  t.same(lives.onDisk, { failures: 1, isOn: false });
  t.same(lives.start().heldOff, next.heldOff, 'it is counted once');
});

t.test('a clock that goes backwards or was years ahead holds off nothing', async (t) => {
  const lives = new Lives(t);
  const trial = lives.start();
  trial.failed('cold');
  t.ok(trial.heldOff);
  lives.wallMs -= 1;
  t.equal(trial.heldOff, undefined);
  lives.wallMs += 10 * 365 * 24 * HOUR_MS;
  t.equal(lives.start().heldOff, undefined);
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
    const lives = new Lives(t);
    lives.write(content);
    const trial = lives.start();
    t.equal(trial.heldOff, undefined, name);
    t.same(lives.warnings, ['what became of the element before cannot be read; it is tried'], name);
    trial.begin();
    t.same(lives.onDisk, { failures: 0, isOn: true }, `${name}: and a good one is written`);
  }
  const folder = new Lives(t);
  mkdirSync(folder.file, { recursive: true });
  t.equal(folder.start().heldOff, undefined, 'a folder in its place');
  t.equal(folder.warnings.length, 1);
});

t.test('an unwritable folder limits the memory to one run of vision', async (t) => {
  const lives = new Lives(t);
  writeFileSync(lives.dir, 'a file in the place of the folder');
  const trial = lives.start();
  trial.begin();
  trial.failed('hot');
  t.match(trial.heldOff, /^hot; /);
  t.ok(lives.warnings.includes('what becomes of the element cannot be written'), String(lives.warnings));
  t.equal(lives.start().heldOff, undefined, 'the next life tries it');
});

t.test('the stored reason is cut to a thousand characters', async (t) => {
  const lives = new Lives(t);
  lives.start().failed('x'.repeat(5000));
  const { length } = lives.start().heldOff ?? '';
  t.ok(length > 1000 && length < 1100, String(length));
});

t.test('a failure applies only to the same element, model, size and property', async (t) => {
  const lives = new Lives(t);
  lives.start().failed('compiled for another chip');
  t.ok(lives.start().heldOff);
  const mended = lives.start('tfliteinference, another model, 416x256');
  t.equal(mended.heldOff, undefined, 'a changed element is tried');
  mended.begin();
  t.ok(lives.start('tfliteinference, another model, 416x256').heldOff, 'and its own mark counts');
});
