/** Sends one signed search to all boxes of a site, and prints their answers in order of time. */
import type { KeyObject } from 'node:crypto';
import { SingleBar } from 'cli-progress';
import { printable } from '../../../../agent/base/printable.ts';
import type { SiteTime } from '../../../../agent/base/site-time.ts';
import { print, printJson, printNote } from '../../../../agent/cli/print.ts';
import { signingKey } from '../../../../agent/cli/signing-key.ts';
import type { VigieEvent } from '../../../../agent/contract/event.ts';
import type { SearchArgs } from '../../../../agent/contract/search.ts';
import { type Room, type RoomOptions, roomOf } from '../../../lib/room-link/room-file.ts';
import { FleetSearch } from '../questions/search/fleet-search.ts';
import { type SearchAsked, searchArgs } from '../questions/search/request.ts';
import type { AskedBox, Asking } from '../questions/search/search-progress.ts';
import { timeOfSite } from '../questions/time-of-site.ts';

export interface SearchOptions extends RoomOptions, SearchAsked {
  readonly sign: string;
  readonly timeout: number;
  readonly max: number;
  readonly timeZone?: string;
  readonly json?: boolean;
}

const NAMES_SHOWN = 20;
/** Maximum length of a refusal, which a box may give in 500 characters. */
const NOTE_CHARS_MAX = 600;

interface Outcome {
  readonly args: SearchArgs;
  readonly asking: Asking;
  readonly events: readonly VigieEvent[];
  readonly tookMs: number;
}

/** Runs the search. Returns the exit code: 1 if a box did not return all its matches. */
export async function search(options: SearchOptions): Promise<number> {
  const room = roomOf(options);
  const key = signingKey(options.sign);
  const time = timeOfSite(options, room);
  const args = searchArgs(options, time);
  const outcome = await searched({ options, room, key, args, time });
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

/** Runs the search with a progress bar on a terminal. SIGINT and SIGTERM end it. */
async function searched({ options, room, key, args, time }: SearchParts): Promise<Outcome> {
  const bar = process.stderr.isTTY
    ? new SingleBar({
        format: 'search {bar} {value}/{total} boxes, {events} events',
        stream: process.stderr,
        hideCursor: true,
      })
    : undefined;
  const onProgress = ({ boxes, open, events }: Asking): void => {
    if (bar === undefined) return;
    const payload = { events: events.length };
    if (bar.isActive) bar.update(boxes.length - open, payload);
    else bar.start(boxes.length, boxes.length - open, payload);
    bar.setTotal(boxes.length);
  };
  const { box: boxes, timeout: timeoutS, max: eventsMax } = options;
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const search = new FleetSearch({ room, key, args, time, boxes, timeoutS, eventsMax, onProgress });
    const { asking, tookMs } = await search.run(stop.signal);
    const events = asking.events.sort((a, b) => compare(a.time, b.time) || compare(a.source, b.source));
    return { args, asking, events, tookMs };
  } finally {
    bar?.stop();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function asJson({ args, asking, events, tookMs }: Outcome): object {
  const boxes = asking.boxes.map(({ box, state, note, matches, receivedCount, keptDays, oldest }) => ({
    box,
    state,
    note: note ?? null,
    matches,
    receivedCount,
    ...(keptDays !== undefined && { kept: { days: keptDays, oldest } }),
  }));
  return { ...args, tookMs: Math.round(tookMs), boxes, events };
}

function tell({ args, asking, events, tookMs }: Outcome, { timeout }: SearchOptions, time: SiteTime): void {
  print(...events.map((event) => eventLine(event, time)));
  const { boxes, strange } = asking;
  const of = (state: AskedBox['state']): AskedBox[] => boxes.filter((entry) => entry.state === state);
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
  if (strange > 0) printNote(`${strange} messages that were not replies were ignored`);
  if (boxes.length === 0) printNote('no box has left its status at this broker, and none answered');
}

/** Formats an event: `2026-11-24T15:00:00+01:00  canebiere-017  loitering start  zone/forecourt  person ×2  b1c2-7`. */
function eventLine({ time: text, source, subject, id, data }: VigieEvent, time: SiteTime): string {
  const labels = new Map<string, number>();
  for (const { label } of data.objects) labels.set(label, (labels.get(label) ?? 0) + 1);
  const objects = [...labels]
    .map(([label, count]) => (count === 1 ? label : `${label} ×${count}`))
    .join(', ');
  const box = source.split(':').at(-1) ?? '';
  const ruleText = `${data.rule.kind} ${data.phase}`;
  return [
    time.rfc3339(Date.parse(text)),
    box,
    ruleText,
    printable(subject),
    objects || '-',
    printable(id),
  ].join('  ');
}

function names(boxes: readonly AskedBox[]): string {
  const shownNames = boxes
    .slice(0, NAMES_SHOWN)
    .map(({ box, note }) => (note === undefined ? printable(box) : `${printable(box)} (${printable(note)})`));
  const restCount = boxes.length - shownNames.length;
  return `${shownNames.join(', ')}${restCount > 0 ? ` and ${restCount} more (--json lists all)` : ''}`;
}

function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? '' : name === 'box' ? 'es' : 's'}`;
}
