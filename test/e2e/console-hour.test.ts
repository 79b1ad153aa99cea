/**
 * Tests the whole chain for an hour at ten times the demo's rate: the page's heap stays bounded and no incident is
 * missed.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { messageOf } from '../../agent/base/errors.ts';
import { browserMissing } from '../lib/browser.ts';
import { ConsoleProgram } from '../lib/console-program.ts';
import { ConsoleScreen } from '../lib/console-screen.ts';
import { DATABASES } from '../lib/databases.ts';
import { FULL } from '../lib/run.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { makeRoom, waitUntil } from '../lib/room.ts';
import { RoomProgram } from '../lib/room-program.ts';
import { type Report, type StreetBox, startStreet } from '../lib/street-boxes.ts';
import { openBrowser } from '../page/phone.ts';

const SECONDS = Number(process.env['VIGIE_HOUR_S'] ?? (FULL ? 3600 : 20));
/** Ten times the 906 incidents an hour of the demo. */
const PER_S = 9060 / 3600;
const BOXES = 10;
/** Mean length of the demo's episodes, ms. */
const LASTS_MS = 8000;
/** Size of the demo's stills, in bytes. */
const STILL_BYTES = 58_000;
const HEAP_MB_MAX = 50;
const MEASURE_EVERY_MS = FULL ? 60_000 : 5000;
/** Time that a person thinks before closing the next incident, ms. */
const THINKS_MS = 1500;

t.test(
  'the console shows every incident of ten demos for an hour within its memory',
  { skip: browserMissing(), timeout: (SECONDS + 300) * 1000 },
  async (t) => {
    const database = await DATABASES.postgres(t);
    const room = await makeRoom(t);
    await RoomProgram.start(t, room, '--database', database.address, '--quiet');
    const street = await startStreet(t, room, BOXES);
    const consoleProgram = await ConsoleProgram.start(t, database.address);
    const browser = await openBrowser(join(scratch(t), 'profile'));
    t.teardown(() => browser.close());
    const screen = await ConsoleScreen.open(browser, consoleProgram, 'operator');

    const endsMs = performance.now() + SECONDS * 1000;
    const isOver = (): boolean => performance.now() >= endsMs;
    const [toldCount, { closedCount, errors }, heaps] = await Promise.all([
      raiseIncidents(street, isOver),
      work(t, screen, isOver),
      measureHeap(t, screen, consoleProgram, endsMs),
    ]);
    await waitUntil(t, 'all delivered', () => street.every(({ waiting }) => waiting === 0), 60_000);
    const numbers = async (): Promise<number[]> =>
      (await database.read('SELECT no FROM incident')).map(({ no }) => Number(no));
    const archivedNos = await numbers();
    t.equal(archivedNos.length, toldCount, 'every incident is in the archive, once');
    await screen.waitUntil('all told', `window.told.size >= ${archivedNos.length}`, 20_000);
    const drawnNos = await screen.reportedIncidents();
    t.same(
      archivedNos.filter((no) => !drawnNos.has(no)),
      [],
      'and the screen received each',
    );
    t.equal(drawnNos.size, archivedNos.length, 'and of no other');
    const [closedRow] = await database.read("SELECT count(*) AS n FROM incident WHERE state = 'closed'");
    t.equal(Number(closedRow?.['n']), closedCount, 'the incidents that the operator closed are closed');
    t.ok(closedCount > 0, `${closedCount} closed by keyboard`);
    t.same(errors, [], 'nothing went otherwise than a person expects');
    t.same(await screen.page.evaluate('window.twice'), [], 'no incident is in two lines');
    t.same(screen.pageErrors, []);
    t.comment(
      `${toldCount} incidents in ${SECONDS} s, ${closedCount} closed; heap ${Math.min(...heaps).toFixed(1)} to ` +
        `${Math.max(...heaps).toFixed(1)} MB; console ${consoleProgram.rssMB.toFixed(0)} MB`,
    );
    t.ok(Math.max(...heaps) <= HEAP_MB_MAX, 'the heap of the page');
  },
);

/** Raises incidents on the boxes in turn and ends each after a while; returns the number of incidents. */
async function raiseIncidents(street: readonly StreetBox[], isOver: () => boolean): Promise<number> {
  // Padded to the size of the demo's stills; decoders ignore the bytes after the end of a JPEG.
  const small = await sharp(join(ROOT, 'docs/alert.jpg')).jpeg({ quality: 50 }).toBuffer();
  const jpeg = Buffer.concat([small, Buffer.alloc(Math.max(0, STILL_BYTES - small.length))]);
  const beganMs = performance.now();
  const ends: { readonly atMs: number; readonly box: StreetBox; readonly end: Report }[] = [];
  let toldCount = 0;
  for (; !isOver(); toldCount += 1) {
    const dueMs = beganMs + (toldCount * 1000) / PER_S;
    await sleep(Math.max(0, dueMs - performance.now()));
    const box = street[toldCount % street.length] as StreetBox;
    const kind = Math.floor(toldCount / street.length) % 3 === 0 ? 'line-crossing' : 'loitering';
    const id = `hour-${toldCount}`;
    box.tell({ id, kind, jpeg });
    ends.push({ atMs: performance.now() + LASTS_MS, box, end: { id, kind, phase: 'end' } });
    while (ends[0] !== undefined && ends[0].atMs < performance.now()) {
      const over = ends.shift();
      over?.box.tell(over.end);
    }
  }
  return toldCount;
}

interface WorkResult {
  closedCount: number;
  /** Deviations from what a person expects, in words. */
  readonly errors: string[];
}

async function work(t: Test, screen: ConsoleScreen, isOver: () => boolean): Promise<WorkResult> {
  const result: WorkResult = { closedCount: 0, errors: [] };
  while (!isOver()) {
    try {
      if (await screen.closeNext(result.closedCount % 3 === 0 ? 'f' : 't')) {
        result.closedCount += 1;
        await sleep(THINKS_MS);
      } else await sleep(100);
    } catch (error) {
      // The hour continues; the failure is reported at its end.
      result.errors.push(messageOf(error));
      t.comment(messageOf(error).slice(0, 300));
      await screen.keys('Escape');
    }
  }
  return result;
}

/** Heap of the page in MB, at each measurement. */
async function measureHeap(
  t: Test,
  screen: ConsoleScreen,
  consoleProgram: ConsoleProgram,
  endsMs: number,
): Promise<number[]> {
  const heaps: number[] = [];
  const beganMs = performance.now();
  while (performance.now() < endsMs) {
    await sleep(Math.min(MEASURE_EVERY_MS, Math.max(0, endsMs - performance.now())));
    const heapMB = await screen.heapMB();
    heaps.push(heapMB);
    const drawnCount = await screen.page.evaluate('window.told.size');
    const s = Math.round((performance.now() - beganMs) / 1000);
    t.comment(
      `${s} s: heap ${heapMB.toFixed(1)} MB, console ${consoleProgram.rssMB.toFixed(0)} MB, ${String(drawnCount)} told`,
    );
  }
  return heaps;
}
