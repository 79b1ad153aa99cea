import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { makeLogger } from '../../agent/base/log.ts';
import { VisionKeepAlive } from '../../agent/supervisor/keep-alive.ts';
import { type ReceivedFromVision, VisionProcess } from '../../agent/supervisor/vision-process.ts';
import { scratch } from '../lib/paths.ts';
import { BARE_PERMIT, bareSettings } from '../lib/vision.ts';

const log = makeLogger('test', 'silent');

const SETTINGS = { ...bareSettings('test:pattern', 10), moveTolerance: 0.25 };

/** Resolves at the first message of this kind that comes from now on. */
class Messages {
  #waiting: { kind: string; found: (received: ReceivedFromVision) => void }[] = [];
  readonly kinds: string[] = [];

  readonly take = (received: ReceivedFromVision): void => {
    this.kinds.push(received.message.kind);
    const { kind } = received.message;
    for (const { found } of this.#waiting.filter((w) => w.kind === kind)) found(received);
    this.#waiting = this.#waiting.filter((w) => w.kind !== kind);
  };

  next(kind: string): Promise<ReceivedFromVision> {
    return new Promise((found) => this.#waiting.push({ kind, found }));
  }
}

t.test('vision comes back within 2 s after it was killed, by SIGKILL and by SIGSEGV', async (t) => {
  const messages = new Messages();
  const ends: string[] = [];
  const vision = new VisionKeepAlive({
    clock: systemClock,
    log,
    settings: () => SETTINGS,
    onMessage: messages.take,
    onEnd: ({ signal }) => ends.push(String(signal)),
    onCrashLoop: () => t.fail('two crashes are no loop'),
  });
  const beganMs = performance.now();
  vision.start(BARE_PERMIT);
  t.teardown(() => vision.stop());
  await messages.next('frame');
  // On a busy machine a start alone takes longer than 2 s: then it may take so much longer.
  const limitMs = Math.max(2000, 2 * (performance.now() - beganMs));
  for (const signal of ['SIGKILL', 'SIGSEGV'] as const) {
    const pid = vision.pid;
    t.ok(pid, 'vision runs');
    // Frames of the life before may still be on their way: those after the next hello count.
    const back = messages.next('hello').then(() => messages.next('frame'));
    const fromMs = performance.now();
    process.kill(pid as number, signal);
    await back;
    const tookMs = performance.now() - fromMs;
    t.ok(tookMs <= limitMs, `frames again ${Math.round(tookMs)} ms after ${signal}`);
    t.not(vision.pid, pid, 'another process');
  }
  t.same(ends, ['SIGKILL', 'SIGSEGV']);
  const { pid } = vision;
  await vision.stop();
  t.throws(() => process.kill(pid as number, 0), /ESRCH/, 'after stop no vision process exists');
});

t.test('five ends within a minute are reported as a loop, once', async (t) => {
  const messages = new Messages();
  const loops: boolean[] = [];
  const vision = new VisionKeepAlive({
    // No delay between lives: the loop is what is tested here, not the backoff.
    clock: { ...systemClock, sleep: async () => undefined },
    log,
    settings: () => SETTINGS,
    onMessage: messages.take,
    onEnd: () => undefined,
    onCrashLoop: (looping) => loops.push(looping),
  });
  t.teardown(() => vision.stop());
  for (let i = 0; i < 6; i++) {
    const hello = messages.next('hello');
    if (i === 0) vision.start(BARE_PERMIT);
    await hello;
    process.kill(vision.pid as number, 'SIGKILL');
  }
  await messages.next('hello');
  t.same(loops, [true]);
  t.equal(vision.ends, 6);
});

t.test('a broken detector is one clear message, and no snapshot is made', async (t) => {
  const messages = new Messages();
  const gone = new Promise<number | null>((resolve) => {
    const vision = new VisionProcess({
      clock: systemClock,
      log,
      onMessage: messages.take,
      onExit: ({ code }) => resolve(code),
    });
    vision.start(BARE_PERMIT, { ...SETTINGS, modelDir: '/nonexistent' });
    vision.send({ kind: 'ack', frame: 0, evidence: [{ request: 1, atMs: 0, focus: [], seal: false }] });
  });
  const failed = (await messages.next('failed')).message;
  t.match(failed, { kind: 'failed', message: /cannot read the model folder \/nonexistent/ });
  t.equal(await gone, 1, 'it ends with 1');
  t.notOk(messages.kinds.includes('snapshot'));
});

t.test('no telemetry: no machine id, no Microsoft cache, no DNS, no internet socket', async (t) => {
  const dir = scratch(t);
  const trace = join(dir, 'trace.txt');
  const home = process.env['HOME'];
  process.env['HOME'] = dir;
  t.teardown(() => {
    process.env['HOME'] = home;
  });
  const messages = new Messages();
  const exited = new Promise<void>((resolve) => {
    const vision = new VisionProcess({
      clock: systemClock,
      log,
      wrapper: ['strace', '-f', '-qq', '-e', 'trace=%file,%network', '-o', trace],
      onMessage: messages.take,
      onExit: () => resolve(),
    });
    vision.start(BARE_PERMIT, SETTINGS);
    void (async () => {
      for (let i = 0; i < 5; i++) await messages.next('frame');
      await vision.stop();
    })();
  });
  await exited;
  const calls = readFileSync(trace, 'utf8');
  t.match(calls, /nanodet-g-city10\.onnx/, 'the trace saw the model being read');
  t.notMatch(calls, /\/etc\/machine-id/);
  t.notMatch(calls, /\.cache\/Microsoft/);
  t.notMatch(calls, /AF_INET/, 'a test pattern needs no internet socket at all');
  t.notMatch(calls, /resolv\.conf/);
  t.notOk(existsSync(join(dir, '.cache', 'Microsoft')), 'nothing written in a home without history');
});
