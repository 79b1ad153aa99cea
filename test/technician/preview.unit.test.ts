/** Tests the preview's permission, limits and endings, on a clock that the test moves. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import type { MaskConfig } from '../../agent/contract/config.ts';
import type { JournalEntry } from '../../agent/contract/journal.ts';
import { LinkDecoder, type PreviewAnswer } from '../../agent/contract/link.ts';
import { ToPage } from '../../agent/contract/page-link.ts';
import { type Technician, WalkTestOver } from '../../agent/contract/walk-test.ts';
import { Masks } from '../../agent/technician/masks.ts';
import { type Forbidden, Preview } from '../../agent/technician/preview.ts';
import { PreviewUse } from '../../agent/technician/preview-use.ts';
import { Walk } from '../../agent/technician/walk.ts';
import { KERB } from '../lib/accuracy.ts';
import { HandClock, picture, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { rectangle } from '../lib/shapes.ts';
import { track } from '../lib/street.ts';

/** Clock that wakes a sleeper when the test has moved the time far enough. */
class SteppedClock extends HandClock {
  #sleeping: { untilMs: number; wake: () => void }[] = [];

  override sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#sleeping.push({ untilMs: this.monoMs + delayMs, wake });
      signal?.addEventListener('abort', wake);
    });
  }

  /** Advances the time in steps, and runs everything that becomes due. */
  async pass(ms: number, stepMs = 100): Promise<void> {
    for (const endMs = this.monoMs + ms; this.monoMs < endMs; ) {
      this.advance(Math.min(stepMs, endMs - this.monoMs));
      const due = this.#sleeping.filter(({ untilMs }) => untilMs <= this.monoMs);
      this.#sleeping = this.#sleeping.filter(({ untilMs }) => untilMs > this.monoMs);
      for (const { wake } of due) wake();
      await turn();
    }
  }
}

class Box {
  readonly clock = new SteppedClock();
  readonly entries: JournalEntry[] = [];
  readonly conditions: boolean[] = [];
  readonly use: PreviewUse;
  readonly preview: Preview;
  forbidden: Forbidden | undefined;
  order: string | undefined = '2026-77';
  journalDown = false;
  takesMs = 20;
  askCount = 0;
  /** Vision's answer; undefined gives a new picture at once. */
  answer: (() => Promise<PreviewAnswer>) | undefined;

  constructor(file: string, epochMs?: number) {
    if (epochMs !== undefined) this.clock.epochMs = epochMs;
    const { clock } = this;
    this.use = new PreviewUse({ file, timeZone: 'Europe/Paris', clock, log: SILENT });
    this.use.start();
    const enter = (entry: JournalEntry): void => void this.entries.push(entry);
    this.preview = new Preview({
      clock,
      use: this.use,
      journal: {
        enter,
        enterSurely: (entry) => {
          if (this.journalDown) throw new AgentError('unavailable', 'the disk is full');
          enter(entry);
        },
      },
      flow: { condition: (_kind, active) => void this.conditions.push(active) },
      supervisor: { preview: () => this.#preview() },
      status: { tracks: [track(3), track(4, { seen: false })] },
      order: () => this.order,
      forbidden: () => this.forbidden,
    });
  }

  async #preview(): Promise<PreviewAnswer> {
    this.askCount += 1;
    if (this.answer !== undefined) return this.answer();
    return { picture: { ...picture(500), atMs: this.clock.monoMs }, tookMs: this.takesMs };
  }
}

/** A phone, or the page behind it. */
class Screen {
  pictures = 0;
  tracks: number[] = [];
  readonly reasons: string[] = [];
  reads = true;
  readonly #decoder = new LinkDecoder(ToPage);

  show(encoded: Buffer): boolean {
    this.tell(encoded);
    if (this.reads) this.pictures += 1;
    return this.reads;
  }

  tell(encoded: Buffer): void {
    for (const { message } of this.#decoder.push(encoded)) {
      if (message.kind === 'picture') this.tracks = message.tracks.map(({ track }) => track);
      if (message.kind === 'no-picture') this.reasons.push(message.why);
    }
  }
}

const SESSION = '0123456789abcdef';
const boxIn = (t: Test): Box => new Box(join(scratch(t), 'use.json'));
const numbers = ({ preview }: Box): Record<string, unknown> => ({ ...preview.counters });

t.test(
  'the preview sends two pictures a second, and fewer on a slow board: a tenth of a core at most',
  async (t) => {
    for (const [takesMs, pictures] of [
      [20, 25],
      [50, 25],
      [100, 15],
      [200, 10],
    ] as const) {
      const box = boxIn(t);
      box.takesMs = takesMs;
      const screen = new Screen();
      t.equal(box.preview.start(screen, 1, SESSION), undefined);
      await box.clock.pass(15_000);
      t.ok(Math.abs(screen.pictures - pictures) <= 2, `${takesMs} ms: ${screen.pictures} pictures in 15 s`);
      t.strictSame(screen.tracks, [3], 'with what the detector has just seen');
      await box.preview.close();
    }
  },
);

t.test('the preview lasts ten minutes a run and sixty a day, over restarts', async (t) => {
  const file = join(scratch(t), 'use.json');
  let box = new Box(file);
  for (let run = 0; run < 6; run += 1) {
    if (run === 3) {
      // A power cut in the middle: up to a minute is lost, and none is gained.
      await box.clock.pass(100_000, 1000);
      t.equal(box.preview.start(new Screen(), 9, SESSION), undefined);
      await box.clock.pass(30_000, 1000);
      box = new Box(file, box.clock.epochMs);
      t.equal(box.use.leftS, 3600 - 1800 - 60, 'charged a minute at a time');
      writeFileSync(file, JSON.stringify({ day: '2026-11-24', usedS: 1800 }));
      box = new Box(file, box.clock.epochMs);
    }
    const screen = new Screen();
    await box.clock.pass(20_000, 1000);
    t.equal(box.preview.start(screen, 1, SESSION), undefined, `run ${run}`);
    await box.clock.pass(300_000, 2000);
    t.match(box.preview.view, { running: true, viewers: 1, leftS: 300 });
    await box.clock.pass(302_000, 2000);
    t.strictSame(screen.reasons, [run === 5 ? 'day-is-up' : 'time-is-up']);
    t.match(box.entries.at(-1), { type: 'preview-ended', why: screen.reasons[0] });
    t.strictSame(box.conditions.slice(-2), [true, false]);
  }
  t.equal(box.use.leftS, 0);
  t.match(box.preview.start(new Screen(), 1, SESSION), { code: 'day-is-up' });
  const restarted = new Box(file, box.clock.epochMs);
  const startsAgain = () => restarted.preview.start(new Screen(), 1, SESSION);
  t.match(startsAgain(), { code: 'day-is-up' }, 'after a restart too');
  restarted.clock.epochMs -= 86_400_000;
  t.match(startsAgain(), { code: 'day-is-up' }, 'a clock put back wins nothing');
  restarted.clock.epochMs += 2 * 86_400_000;
  t.equal(startsAgain(), undefined, 'tomorrow');
  await restarted.preview.close();
  writeFileSync(file, '{"day":');
  t.equal(new Box(file).use.leftS, 0, 'a damaged file: none today');
});

t.test('use after midnight belongs to the new day', async (t) => {
  const file = join(scratch(t), 'use.json');
  // 23:55 in Paris.
  const box = new Box(file, Date.UTC(2026, 10, 24, 22, 55));
  box.preview.start(new Screen(), 1, SESSION);
  await box.clock.pass(420_000, 1000);
  t.equal(box.use.leftS, 3600 - 120);
  await box.preview.close();
  t.match(JSON.parse(readFileSync(file, 'utf8')), { day: '2026-11-25', usedS: 120 });
});

t.test('a forbidden preview ends at once, including the picture on its way', async (t) => {
  for (const code of ['suspended', 'detector-down', 'camera-away', 'masks-not-applied'] as const) {
    const box = boxIn(t);
    const [screen, other] = [new Screen(), new Screen()];
    box.preview.start(screen, 1, SESSION);
    box.preview.start(other, 1, SESSION);
    await box.clock.pass(1000);
    let give = (_: PreviewAnswer): void => undefined;
    box.answer = () =>
      new Promise((resolve) => {
        give = resolve;
      });
    await box.clock.pass(1100);
    const pictureCount = screen.pictures;
    t.ok(pictureCount > 0);
    box.forbidden = { code, reason: 'so it is' };
    give({ picture: { ...picture(500), atMs: box.clock.monoMs }, tookMs: 20 });
    await turn();
    t.strictSame([screen.reasons, other.reasons], [[code], [code]], 'at once');
    await box.clock.pass(2000);
    t.strictSame([screen.pictures, other.pictures], [pictureCount, pictureCount], 'and nothing follows');
    t.match(box.preview.start(screen, 1, SESSION), { code });
    t.match(box.entries.slice(-2), [
      { type: 'preview-ended', why: code, frames: pictureCount },
      { why: code },
    ]);
    box.forbidden = undefined;
    box.answer = undefined;
    t.equal(box.preview.start(screen, 1, SESSION), undefined);
    await box.clock.pass(1000);
    t.ok(screen.pictures > pictureCount, 'afterwards the preview may start again');
    await box.preview.close();
  }
});

t.test('masks that do not run yet, or cannot be read, forbid pictures', async (t) => {
  const clock = new HandClock();
  const mask = { id: 'window', polygon: rectangle(0, 0, 0.25, 0.25) };
  let read = (): readonly MaskConfig[] => [mask];
  const masks = new Masks({ running: [mask], onDisk: () => read(), clock });
  const problemOf = (onDisk: typeof read): string | undefined => {
    read = onDisk;
    clock.advance(2000);
    return masks.problem;
  };
  const refuse = (): never => {
    throw new AgentError('config', 'line 3: no such key');
  };
  t.equal(problemOf(read), undefined);
  t.type(
    problemOf(() => [mask, { ...mask, id: 'balcony' }]),
    'string',
  );
  t.match(problemOf(refuse), /no such key/);
  t.equal(
    problemOf(() => [mask]),
    undefined,
  );
});

t.test('no picture is shown without a journal entry, an authorisation and a stored time', async (t) => {
  const box = boxIn(t);
  const screen = new Screen();
  box.journalDown = true;
  t.match(box.preview.start(screen, 1, SESSION), {
    code: 'unauthorised',
    reason: /no preview without a journal entry: the disk/,
  });
  await box.clock.pass(1000);
  t.equal(box.askCount, 0);
  t.equal(box.use.leftS, 3600);
  box.journalDown = false;
  box.order = undefined;
  t.match(box.preview.start(screen, 1, SESSION), { code: 'unauthorised' });
  box.order = '2026-77';
  t.equal(box.preview.start(screen, 1, SESSION), undefined);
  box.order = '2026-78';
  await box.clock.pass(200);
  t.strictSame(screen.reasons, ['unauthorised'], 'the journal has named another order');

  const nowhere = new Box(join(scratch(t), 'none', 'use.json'));
  t.match(nowhere.preview.start(screen, 1, SESSION), { code: 'unauthorised', reason: /cannot be written/ });
  t.strictSame(nowhere.entries, []);
});

t.test('a missing picture is explained, and no picture is sent twice', async (t) => {
  const box = boxIn(t);
  const screen = new Screen();
  const same = { ...picture(500), atMs: 7 };
  box.answer = () => Promise.resolve({ picture: same, tookMs: 20 });
  box.preview.start(screen, 1, SESSION);
  await box.clock.pass(6000);
  t.equal(screen.pictures, 1, 'the same still is not sent again');
  t.strictSame(screen.reasons, ['camera-away']);
  box.answer = () => Promise.resolve({ picture: undefined, reason: 'a damaged still' });
  box.preview.start(screen, 1, SESSION);
  await box.clock.pass(6000);
  t.strictSame(screen.reasons, ['camera-away', 'redaction']);
  t.match(numbers(box), { preview_frames: 1 });
  t.ok(Number(numbers(box)['preview_failed']) >= 5);
  await box.preview.close();
});

t.test('a third viewer and rapid restarts are refused, and a slow reader skips pictures', async (t) => {
  const box = boxIn(t);
  const screen = new Screen();
  t.equal(box.preview.start(screen, 1, SESSION), undefined);
  t.equal(box.preview.start(screen, 2, SESSION), undefined);
  t.match(box.preview.start(screen, 3, SESSION), { code: 'too-many-viewers' });
  t.equal(box.preview.stop(screen, 2), undefined);
  screen.reads = false;
  await box.clock.pass(3000);
  t.equal(screen.pictures, 0);
  t.match(numbers(box), { preview_skipped: 3, preview_frames: 0 });
  screen.reads = true;
  await box.clock.pass(2000);
  t.equal(screen.pictures, 2, 'missed pictures are not repeated');
  const codes: (string | undefined)[] = [];
  for (let i = 0; i < 20; i += 1) {
    codes.push(box.preview.start(screen, 9, SESSION)?.code);
    box.preview.stop(screen, 9);
  }
  t.equal(codes.filter((code) => code === undefined).length, 8, 'ten starts at once');
  t.equal(codes.at(-1), 'too-often');
  box.preview.screenClosed(screen);
  t.match(box.preview.view, { running: false, viewers: 0 });
  t.match(box.entries.at(-1), { type: 'preview-ended', why: 'page gone', frames: 2 });
});

/** A walk test independent of the street: scripts the questions to the technician and the messages. */
async function acted(technician: Technician, signal: AbortSignal): Promise<never> {
  const checkAnswer = (answer: string): void => {
    if (answer === 'abort' || signal.aborted) throw new WalkTestOver('given-up', 'given up');
  };
  checkAnswer(await technician.ready(false));
  technician.watching(3, 30);
  technician.tell({ code: 'missed' });
  checkAnswer(await technician.ready(true));
  technician.tell({ code: 'still-standing' });
  checkAnswer(await technician.ready(true));
  throw new WalkTestOver('off', 'the hours are over');
}

t.test('the page sees each step of a walk test, and one without answers ends', async (t) => {
  const clock = new SteppedClock();
  let on = false;
  const walk = new Walk({ clock, isOn: () => on, walkTest: (test) => acted(test.technician, test.signal) });
  t.match(walk.start(KERB, 3), { code: 'off' });
  t.equal(walk.view, null);
  on = true;
  t.equal(walk.start(KERB, 3), undefined);
  await turn();
  t.match(walk.view, { rule: 'kerb', passes: 3, phase: 'ready', outcomes: [], last: null });
  t.equal(walk.answer('go'), undefined);
  await turn();
  t.match(walk.view, { phase: 'ready', outcomes: ['missed'], last: { code: 'missed', seconds: null } });
  t.equal(walk.answer('go'), undefined);
  await turn();
  t.match(walk.view, { phase: 'ready', outcomes: ['missed'], last: { code: 'still-standing' } });
  t.equal(walk.answer('repeat'), undefined);
  await turn();
  t.match(walk.view, { phase: 'over', outcomes: [], last: { code: 'off', seconds: null } });

  t.equal(walk.start(KERB, 1), undefined);
  await clock.pass(899_000, 1000);
  t.match(walk.view, { phase: 'ready' });
  await clock.pass(2000, 1000);
  t.match(walk.view, { phase: 'over', last: { code: 'given-up' } });
  t.match(walk.answer('go'), { code: 'not-started' });
  await walk.stop();
});
