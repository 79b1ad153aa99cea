/** `vigie search`: one signed question to all boxes of a site; their answers in the order of time. */
import type { KeyObject } from 'node:crypto';
import { SingleBar } from 'cli-progress';
import { systemClock } from '../../base/clock.ts';
import { signEnvelope } from '../../base/dsse.ts';
import { AgentError } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { printable } from '../../base/printable.ts';
import { COMMAND_TYPE, type Command } from '../../contract/command.ts';
import type { VigieEvent } from '../../contract/event.ts';
import type { SearchArgs } from '../../contract/search.ts';
import { RoomLink } from '../../mqtt/room-link.ts';
import { print, printJson, printNote } from '../print.ts';
import { type Room, roomOf } from '../room/room-file.ts';
import { signingKey } from '../signing-key.ts';
import type { SiteTime } from '../site-time.ts';
import { type AskedBox, Asking } from './asking.ts';
import { type SearchOptions, searchArgs, timeOfSite } from './request.ts';

export type { SearchOptions };

/** Clocks of boxes and room differ by less. */
const VALID_MS = 300_000;

/** Retained status messages come at once and without a pause; so long a pause is their end. */
const QUIET_MS = 500;
const DISCOVERY_MAX_MS = 10_000;
const TICK_MS = 100;

const UNREADABLE = 'its status cannot be read';
const NAMES_SHOWN = 20;
/** Of a refusal, which a box may give in 500 characters. */
const NOTE_CHARS_MAX = 600;

interface Outcome {
  readonly args: SearchArgs;
  readonly asking: Asking;
  readonly events: readonly VigieEvent[];
  readonly tookMs: number;
}

/** Returns the exit code: 1 when a box did not give all that it has. */
export async function search(options: SearchOptions): Promise<number> {
  const room = roomOf(options);
  const key = signingKey(options.sign);
  const time = timeOfSite(options, room);
  const args = searchArgs(options, time);
  const outcome = await new Search({ options, room, key, args, time }).run();
  if (options.json) printJson(asJson(outcome));
  else tell(outcome, options, time);
  const complete = outcome.asking.boxes.every(({ state }) => state === 'done');
  return complete && outcome.asking.boxes.length > 0 ? 0 : 1;
}

interface SearchParts {
  readonly options: SearchOptions;
  readonly room: Room;
  readonly key: KeyObject;
  readonly args: SearchArgs;
  readonly time: SiteTime;
}

class Search {
  readonly #options: SearchOptions;
  readonly #room: Room;
  readonly #key: KeyObject;
  readonly #args: SearchArgs;
  readonly #time: SiteTime;
  readonly #link: RoomLink;
  readonly #asking: Asking;
  readonly #known = new Map<string, { online: boolean; note: string }>();
  readonly #bar = new SingleBar({
    format: 'search {bar} {value}/{total} boxes, {events} events',
    stream: process.stderr,
    hideCursor: true,
  });
  /** The newest counter that each box has seen, and every box. */
  readonly #counters = new Map<string, number>();
  #counterOfAll = 0;
  #statusAtMs = 0;
  #fault: Error | undefined;

  constructor({ options, room, key, args, time }: SearchParts) {
    this.#options = options;
    this.#room = room;
    this.#key = key;
    this.#args = args;
    this.#time = time;
    this.#link = new RoomLink({
      config: room.mqtt,
      site: room.site,
      onStatus: (box, payload) => this.#status(box, payload),
      onReply: (box, payload, correlation) => this.#asking.received(box, payload, correlation),
    });
    this.#asking = new Asking({
      clock: systemClock,
      timeoutMs: options.timeout * 1000,
      eventsMax: options.max,
      send: (box, cursor) => this.#send(box, cursor),
    });
  }

  async run(): Promise<Outcome> {
    const stop = new AbortController();
    const interrupt = (): void => {
      this.#fault ??= new AgentError('unavailable', 'search interrupted');
      stop.abort();
    };
    process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
    try {
      await this.#link.start(stop.signal);
      void this.#link.closed.then((fault) => {
        this.#fault ??= fault;
      });
      const { box } = this.#options;
      if (box === undefined) await this.#discover(stop.signal);
      const beganMs = systemClock.nowMs();
      if (box === undefined) this.#asking.all(this.#known);
      else for (const name of new Set(box)) this.#askOne(name);
      await this.#wait(stop.signal);
      const tookMs = systemClock.nowMs() - beganMs;
      const events = this.#asking.events.sort((a, b) => order(a.time, b.time) || order(a.source, b.source));
      return { args: this.#args, asking: this.#asking, events, tookMs };
    } finally {
      this.#bar.stop();
      process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
      await this.#link.stop();
    }
  }

  #askOne(box: string): void {
    this.#asking.one(box);
    const known = this.#known.get(box);
    if (known?.online === false) this.#asking.away(box, known.note);
  }

  /** The boxes of the site are those that have left a status at the broker. */
  async #discover(signal: AbortSignal): Promise<void> {
    const beganMs = systemClock.nowMs();
    this.#statusAtMs = beganMs;
    while (!signal.aborted && systemClock.nowMs() - this.#statusAtMs < QUIET_MS) {
      if (systemClock.nowMs() - beganMs > DISCOVERY_MAX_MS) return;
      await systemClock.sleep(50, signal);
    }
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const progress = (): [number, object] => {
      const { boxes, open, events } = this.#asking;
      return [boxes.length - open, { events: events.length }];
    };
    if (process.stderr.isTTY) this.#bar.start(this.#asking.boxes.length, ...progress());
    // Boxes that have left no status may answer too: a moment for them where nobody is known.
    const untilMs =
      systemClock.nowMs() + (this.#asking.boxes.length === 0 ? this.#options.timeout * 1000 : 0);
    while (this.#fault === undefined && (this.#asking.open > 0 || systemClock.nowMs() < untilMs)) {
      await systemClock.sleep(TICK_MS, signal);
      this.#asking.tick();
      this.#bar.setTotal(this.#asking.boxes.length);
      if (process.stderr.isTTY) this.#bar.update(...progress());
    }
    if (this.#fault !== undefined) throw this.#fault;
  }

  #send(box: string | undefined, cursor: string | undefined): number {
    const nowMs = systemClock.wallMs();
    const newest = box === undefined ? 0 : (this.#counters.get(box) ?? this.#counterOfAll);
    const counter = Math.max(newest + 1, nowMs);
    if (box === undefined) this.#counterOfAll = counter;
    else this.#counters.set(box, counter);
    const command: Command = {
      site: this.#room.site,
      box: box ?? '*',
      counter,
      notBefore: new Date(nowMs - VALID_MS).toISOString(),
      notAfter: new Date(nowMs + VALID_MS).toISOString(),
      op: 'search',
      args: { ...this.#args, ...(cursor !== undefined && { cursor }) },
    };
    const envelope = signEnvelope(COMMAND_TYPE, JSON.stringify(command), this.#key);
    this.#link.ask(box, envelope, `${counter}`, (refusal) => {
      this.#fault ??= refusal;
    });
    return counter;
  }

  #status(box: string, payload: Buffer): void {
    this.#statusAtMs = systemClock.nowMs();
    // An empty message takes a retained one back: the box has left the site.
    if (payload.length === 0) {
      this.#known.delete(box);
      return;
    }
    const { state, time } = Object(jsonOf(payload.toString())) as { state?: unknown; time?: unknown };
    const online = state === 'online';
    const note =
      typeof state === 'string' ? `${state}, ${this.#time.rfc3339(Date.parse(String(time)))}` : UNREADABLE;
    this.#known.set(box, { online, note });
    if (!online) this.#asking.away(box, note);
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function asJson({ args, asking, events, tookMs }: Outcome): object {
  const boxes = asking.boxes.map(({ box, state, note, matches, given, keptDays, oldest }) => ({
    ...{ box, state, note: note ?? null, matches, given },
    ...(keptDays !== undefined && { kept: { days: keptDays, oldest } }),
  }));
  return { ...args, tookMs: Math.round(tookMs), boxes, events };
}

function tell({ args, asking, events, tookMs }: Outcome, { timeout }: SearchOptions, time: SiteTime): void {
  print(...events.map((event) => eventLine(event, time)));
  const { boxes, strange } = asking;
  const of = (state: AskedBox['state']): AskedBox[] => boxes.filter((asked) => asked.state === state);
  const answered = [...of('done'), ...of('cut')];
  const hits = answered.filter(({ matches }) => matches > 0).length;
  const { from, to } = args.query;
  const span = [from, to].map((text) => time.rfc3339(Date.parse(text))).join(' to ');
  printNote(
    `case ${args.case}: ${counted(events.length, 'event')} of ${counted(hits, 'box')}, ${span}; ` +
      `${answered.length} of ${counted(boxes.length, 'box')} answered in ${(tookMs / 1000).toFixed(1)} s`,
  );
  const short = answered.filter(
    ({ keptDays }) => keptDays !== undefined && Date.parse(from) < Date.now() - keptDays * 86_400_000,
  );
  if (short.length > 0) {
    const days = Math.min(...short.map(({ keptDays = 0 }) => keptDays));
    printNote(
      `events are kept for ${days} days only: that nothing was found before that time proves nothing`,
    );
  }
  if (of('cut').length > 0) printNote(`not all was fetched (--max) from: ${names(of('cut'))}`);
  if (of('offline').length > 0) printNote(`not connected: ${names(of('offline'))}`);
  if (of('silent').length > 0) printNote(`no answer within ${timeout} s: ${names(of('silent'))}`);
  for (const { box, note } of of('refused').slice(0, NAMES_SHOWN))
    printNote(`refused by ${printable(box)}: ${printable(note ?? '', NOTE_CHARS_MAX)}`);
  if (of('refused').length > NAMES_SHOWN)
    printNote(`refused by ${of('refused').length - NAMES_SHOWN} more (--json lists all)`);
  if (strange > 0) printNote(`${strange} messages that were no answers were ignored`);
  if (boxes.length === 0) printNote('no box has left its status at this broker, and none answered');
}

/** `2026-11-24T15:00:00+01:00  canebiere-017  loitering start  zone/forecourt  person ×2  b1c2-7`. */
function eventLine({ time: text, source, subject, id, data }: VigieEvent, time: SiteTime): string {
  const labels = new Map<string, number>();
  for (const { label } of data.objects) labels.set(label, (labels.get(label) ?? 0) + 1);
  const objects = [...labels]
    .map(([label, count]) => (count === 1 ? label : `${label} ×${count}`))
    .join(', ');
  const box = source.split(':').at(-1) ?? '';
  const what = `${data.rule.kind} ${data.phase}`;
  return [time.rfc3339(Date.parse(text)), box, what, printable(subject), objects || '-', printable(id)].join(
    '  ',
  );
}

function names(boxes: readonly AskedBox[]): string {
  const shown = boxes
    .slice(0, NAMES_SHOWN)
    .map(({ box, note }) => (note === undefined ? printable(box) : `${printable(box)} (${printable(note)})`));
  const more = boxes.length - shown.length;
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more (--json lists all)` : ''}`;
}

function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? '' : name === 'box' ? 'es' : 's'}`;
}
