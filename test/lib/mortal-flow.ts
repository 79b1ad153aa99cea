/**
 * A flow with a real outbox, made to be killed: `FILE BOOT PERSONS KILL-AT`.
 *
 * One person comes, stays until the outbox has reported it, and leaves. The next person comes when the outbox has
 * reported the departure. The state of the street is read from the outbox itself, so that each run continues in the
 * same street.
 *
 * KILL-AT is a point at which the process kills itself, `<point>:<n>` for the n-th time that it passes there, or `-`.
 * Prints `done` when the street has been empty long enough to forget everyone: PERSONS have left, or a departure was lost.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../agent/base/clock.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { EventSink } from '../../agent/contract/event-sink.ts';
import type { Outbox } from '../../agent/contract/outbox.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import { accepting } from './accepting.ts';
import { allowing, makeFlow } from './kept-notes.ts';
import { makeOutbox, REDACTION } from './outbox.ts';
import { observation, track } from './street.ts';

const RULE: RuleConfig = {
  id: 'stays',
  kind: 'loitering',
  zone: 'square',
  purpose: 'public-order',
  classes: ['person'],
  afterS: 1,
};
/** Media time runs faster than the test's. */
const FRAME_MS = 200;
const PAUSE_MS = 4;
/** Frames until the picture of a start arrives. */
const PICTURE_AFTER = 6;
/**
 * Frames of the empty street at the end. A stay from before a death is searched for a minute, and its note is deleted
 * within five seconds after that.
 */
const EMPTY_FRAMES = 70_000 / FRAME_MS;

const [file = '', boot = '', persons = '1', killAt = '-'] = process.argv.slice(2);
const [point = '', nth = '0'] = killAt.split(':');
let passed = 0;

/** Passes a point at which a death does most damage; kills the process there where KILL_AT says so. */
function passing(cutPoint: string): void {
  if (cutPoint !== point) return;
  passed += 1;
  if (passed >= Number(nth)) process.kill(process.pid, 'SIGKILL');
}

function mortal(sink: EventSink): EventSink {
  return {
    remember: (notes) => {
      passing('before-remember');
      sink.remember(notes);
      passing('after-remember');
    },
    accept: (event, pictures, notes) => {
      passing('before-accept');
      sink.accept(event, pictures, notes);
      passing('after-accept');
    },
  };
}

/** The reports that are in the outbox. */
class OutboxReports {
  readonly #outbox: Outbox;
  #readThrough = 0;
  #endCount = 0;
  readonly #started = new Set<number>();

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** The person who is there, and whether the box has reported it. */
  get street(): { person: number; isReported: boolean } {
    for (const row of this.#outbox.peek('alert', this.#readThrough, 1000)) {
      this.#readThrough = row.seq;
      if (row.kind !== 'message' || !row.topic.includes('/evt/')) continue;
      const { data } = JSON.parse(Buffer.from(row.body).toString()) as VigieEvent;
      if (data.phase === 'end') this.#endCount += 1;
      if (data.phase === 'start') this.#started.add(data.objects[0]?.track ?? 0);
    }
    const person = this.#endCount + 1;
    return { person, isReported: this.#started.has(person) };
  }
}

const { outbox } = makeOutbox(file, { boot, limitMiB: 16 });
outbox.start();
const nothing = { add: () => undefined, progress: () => 0 };
const sink = mortal(accepting(outbox, nothing));
const flow = makeFlow(sink, systemClock, { rules: [RULE], alertsPerHour: 10_000 }, { boot });
flow.start(outbox);
flow.permit(allowing([RULE]));

const left = (person: number): number => (person % 8) / 10;
const pictures: { request: number; frame: number; atMs: number }[] = [];
const outboxTold = new OutboxReports(outbox);
let stay: { person: number; atMs: number } | undefined;
let emptyFrames = 0;
// A live camera's media time is the monotonic clock's.
const startMs = systemClock.nowMs();
writeSync(1, 'lives\n');
for (let frame = 1; emptyFrames < EMPTY_FRAMES; frame += 1) {
  const { person, isReported } = outboxTold.street;
  const allGone = person > Number(persons);
  const atMs = startMs + frame * FRAME_MS;
  if (stay?.person !== person) stay = { person, atMs };
  const tracks =
    isReported || allGone
      ? []
      : [
          track(person, {
            firstMs: stay.atMs,
            // No one comes where another person has just been.
            xyxyNorm: [left(person), 0.4, left(person) + 0.05, 0.6],
            zones: [{ zone: 'square', sinceMs: stay.atMs }],
          }),
        ];
  emptyFrames = tracks.length === 0 ? emptyFrames + 1 : 0;
  const { evidence } = flow.observe(observation(atMs, tracks, { wallMs: Date.now() }));
  for (const { request } of evidence) pictures.push({ request, frame, atMs });
  while (pictures[0] !== undefined && frame - pictures[0].frame >= PICTURE_AFTER) {
    const { request, atMs: shownMs } = pictures.shift() as (typeof pictures)[0];
    passing('before-picture');
    const size = { widthPx: 1, heightPx: 1, sha256: '0'.repeat(64) };
    const header = { kind: 'snapshot', request, ...size, atMs: shownMs, redaction: REDACTION } as const;
    flow.evidence({ message: header, binary: Buffer.from('picture') });
  }
  flow.flush();
  await sleep(PAUSE_MS);
}
flow.handOver();
await outbox.stop();
writeSync(1, 'done\n');
