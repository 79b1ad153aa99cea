/** Tests one search of a whole site over a real Mosquitto with mTLS: every box answers from an archive of 30 days. */
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { EventArchive } from '../../agent/archive/archive.ts';
import { systemClock } from '../../agent/base/clock.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { makeSigner } from '../lib/commands.ts';
import { entry, history } from '../lib/history.ts';
import { SILENT } from '../lib/outbox.ts';
import { roomProgram, start } from '../lib/program.ts';
import { makeRoom, pairOf, type Room, SITE, waitUntil } from '../lib/room.ts';
import { FULL } from '../lib/run.ts';
import type { SearchableBoxOptions } from '../lib/searchable-box.ts';
import { deskOf } from '../lib/signer-desk.ts';

const BOXES = FULL ? 1500 : 100;
/** Events per box and day; 11 GB of archives with 1,500 boxes. */
const PER_DAY = FULL ? 200 : 20;
const DAYS = 30;
const PROCESSES = 3;
const HOUR_MS = 3_600_000;
/** Span of the narrow query, long enough to match events. */
const SPAN_HOURS = FULL ? 1 : 24;
if (FULL) t.setTimeout(3_600_000);

const FLEET = fileURLToPath(new URL('../lib/fleet-boxes.js', import.meta.url));

/** Names of equal length, so that replacing bytes turns one archive into another's. */
const nameOf = (index: number): string => `fleet-${String(index).padStart(5, '0')}`;

async function template(file: string, nowMs: number): Promise<VigieEvent[]> {
  const name = nameOf(0);
  const archive = new EventArchive({
    file,
    limitMiB: 64,
    boot: 'boot-1',
    clock: systemClock,
    log: SILENT,
    eventsDays: () => DAYS,
    steady: { trusted: () => true },
  });
  archive.start();
  // Slightly shorter than the retention, or the oldest would expire during the test.
  const events = history(nowMs, DAYS, PER_DAY, name).map((event) => ({
    ...event,
    id: `${name}-${event.id}`,
  }));
  archive.add(events.map((event, i) => entry(i + 1, event)));
  await archive.stop();
  return events;
}

function copyAs(from: Buffer, name: string, file: string): void {
  const bytes = Buffer.from(from);
  const old = Buffer.from(nameOf(0));
  for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at + old.length)) bytes.write(name, at);
  writeFileSync(file, bytes);
}

async function startFleet(
  t: Test,
  room: Room,
  dir: string,
  archive: Buffer,
  keys: SearchableBoxOptions['keys'],
): Promise<void> {
  const boxes: Omit<SearchableBoxOptions, 'outbox'>[] = [];
  for (let index = 1; index <= BOXES; index += 1) {
    const box = nameOf(index);
    const { cert, key } = await pairOf(room, box);
    const stateDir = join(dir, box);
    mkdirSync(stateDir);
    copyAs(archive, box, join(stateDir, 'archive.db'));
    boxes.push({ site: SITE, box, stateDir, mqtt: { ...room.config, cert, key }, keys });
  }
  const programs = Array.from({ length: PROCESSES }, (_, i) => {
    const file = join(dir, `boxes-${i}.json`);
    writeFileSync(file, JSON.stringify(boxes.filter((_, index) => index % PROCESSES === i)));
    return start(t, process.execPath, ['--max-old-space-size=2048', FLEET, file]);
  });
  const areOnline = (): boolean => programs.every(({ out }) => out.includes('online'));
  await waitUntil(t, `${BOXES} boxes online`, areOnline, FULL ? 900_000 : 120_000);
}

interface Answer {
  readonly tookMs: number;
  readonly boxes: { state: string; matches: number }[];
  readonly events: VigieEvent[];
}

async function ask(t: Test, desk: readonly string[], args: readonly string[]): Promise<Answer> {
  const common = [...desk, '--case', 'm-1'];
  const form = ['--reason', 'm', '--json', '--timeout', '120'];
  const program = start(t, process.execPath, [roomProgram('search'), ...common, ...form, ...args]);
  t.equal(await program.exit, 0, `all have answered: ${program.err}`);
  return JSON.parse(program.out) as Answer;
}

void t.test(`a search reaches ${BOXES} boxes with ${DAYS} days of ${PER_DAY} events each`, async (t) => {
  const room = await makeRoom(t);
  const signer = makeSigner();
  const { dir, args: desk } = await deskOf(t, room, signer);
  const nowMs = Date.now();
  const file = join(dir, 'template.db');
  const events = await template(file, nowMs);
  t.comment(`an archive of ${events.length} events: ${(statSync(file).size / 1e6).toFixed(1)} MB`);
  await startFleet(t, room, dir, readFileSync(file), [signer.config]);

  const iso = (ms: number): string => new Date(ms).toISOString();
  const hours = (from: number, to: number): string[] => [
    ...['--from', iso(nowMs - from * HOUR_MS), '--to', iso(nowMs - to * HOUR_MS)],
  ];
  const expected = (from: number, to: number, kind?: string): number =>
    events.filter(
      ({ time, data }) =>
        time >= iso(nowMs - from * HOUR_MS) &&
        time < iso(nowMs - to * HOUR_MS) &&
        (kind === undefined || data.rule.kind === kind),
    ).length;
  const narrow = [240 + SPAN_HOURS, 240] as const;
  const questions: [string, string[], number][] = [
    ['one kind ten days ago', [...hours(...narrow), '--kind', 'loitering'], expected(...narrow, 'loitering')],
    ['a day, one kind without events', [...hours(48, 24), '--kind', 'graffiti'], 0],
    ['two hours, everything', [...hours(74, 72), '--max', '1000000'], expected(74, 72)],
  ];
  for (const [name, args, each] of questions) {
    const { boxes, events: foundEvents, tookMs } = await ask(t, desk, args);
    const doneBoxes = boxes.filter(({ state, matches }) => state === 'done' && matches === each);
    t.equal(doneBoxes.length, BOXES, `${name}: ${each} events from each of ${doneBoxes.length} boxes`);
    t.equal(new Set(foundEvents.map(({ id }) => id)).size, each * BOXES, 'each event once');
    const times = foundEvents.map(({ time }) => time);
    t.strictSame(times, [...times].sort(), 'in the order of time');
    t.comment(
      `${name}: ${each * BOXES} events; all answered ${(tookMs / 1000).toFixed(1)} s after the question`,
    );
  }
});
