/** Tests the chain from boxes to a browser: latency, storms and a burst with killed programs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser } from 'puppeteer-core';
import t, { type Test } from 'tap';
import type { Sql } from '../../scripts/products/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { ROOT } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';
import { browserOf, openByLink, type Tab } from '../lib/room-browser.ts';
import { type Chain, startChain, watchCommits } from '../lib/room-chain.ts';
import { FULL, unlessFull } from '../lib/run.ts';
import { slowness } from '../lib/slowness.ts';

const JPEG = readFileSync(join(ROOT, 'docs/alert.jpg'));
/** Latency from the commit of a row to its drawing (docs/design/026-room.md), ms. */
const DRAWN_P95_MS = 300;
const DRAWN_MAX_MS = 1000;
/** More than the 2,000 lines that a screen holds. */
const BURST = FULL ? 5000 : 2400;
/** Messages in one transaction of a box's outbox, because a disk manages some hundred transactions a second. */
const TOGETHER = 20;
const BURST_WITHIN_MS = 180_000;

/** Records what the stream and the queue report, and when incidents are drawn and counted. */
const HOOKS = `
  window.told = new Set();
  window.firstDrawn = {};
  window.counted = [];
  window.announcedSum = 0;
  window.twice = [];
  const take = (incidents) => { for (const { no } of incidents) window.told.add(no); };
  const Source = window.EventSource;
  window.EventSource = class extends Source {
    constructor(...given) {
      super(...given);
      this.addEventListener('incidents', (event) => take(JSON.parse(event.data)));
    }
  };
  const ask = window.fetch;
  window.fetch = async (...given) => {
    const answer = await ask(...given);
    if (String(given[0]).endsWith('/api/queue') && answer.ok)
      void answer.clone().json().then(({ incidents }) => take(incidents));
    return answer;
  };
  addEventListener('DOMContentLoaded', () => {
    let announced = '';
    new MutationObserver(() => {
      const now = Date.now();
      const rows = new Set();
      for (const row of document.querySelectorAll('.row[data-no]')) {
        const { no } = row.dataset;
        if (rows.has(no)) window.twice.push(no);
        rows.add(no);
        window.firstDrawn[no] ??= now;
      }
      const waiting = Number(/\\d+/.exec(document.querySelector('.counts strong')?.textContent ?? '')?.[0] ?? 0);
      if (waiting !== window.counted.at(-1)?.[1]) window.counted.push([now, waiting]);
      const said = document.querySelector('.queue [role=status]')?.textContent ?? '';
      if (said !== announced && said !== '') window.announcedSum += Number(/\\d+/.exec(said)?.[0] ?? 1);
      announced = said;
    }).observe(document, { subtree: true, childList: true, characterData: true });
  });`;

for (const kind of ['postgres', 'sqlite'] as const) {
  const skip = browserMissing() || (kind === 'sqlite' && unlessFull);
  t.test(`alerts travel from the box to the screen, ${kind}`, { skip, timeout: 900_000 }, async (t) => {
    const setup = { chain: await startChain(t, kind), browser: await browserOf(t) };
    await t.test('two alerts a second are drawn in time', (t) =>
      testLatency(t, setup, { count: FULL ? 200 : 30, perS: 2 }),
    );
    await t.test('twenty alerts a second are counted as storms', (t) =>
      testLatency(t, setup, { count: FULL ? 200 : 100, perS: 20 }),
    );
    if (kind === 'postgres')
      await t.test('a burst survives a killed console and database', (t) => testBurst(t, setup));
  });
}

interface ConsoleSetup {
  readonly chain: Chain;
  readonly browser: Browser;
}

const at = (t: Test, { chain, browser }: ConsoleSetup, account: string): Promise<Tab> =>
  openByLink(t, browser, chain.consoleProgram, account, { before: HOOKS, excused: /status of|net::ERR_/ });

/** Numbers of the incidents that the stream and the queue have reported. */
const reportedTo = async ({ page }: Tab): Promise<Set<number>> =>
  new Set((await page.evaluate('[...window.told]')) as number[]);

/** Closes all open incidents through the API, as a program or another operator would. */
async function closeAll({ page }: Tab, only?: readonly string[]): Promise<void> {
  const fits = only === undefined ? 'true' : `${JSON.stringify(only)}.includes(String(no))`;
  await page.evaluate(`(async () => {
    const incidents = (await (await fetch('/api/queue')).json()).incidents.filter(({ no }) => ${fits});
    const close = async ({ no, revision }) => {
      const { status } = await fetch('/api/incidents/' + no + '/verdict', {
        method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ revision, verdict: 'unclear', withoutLooking: true }),
      });
      if (status === 429) throw new Error('incident ' + no + ': a limit of the account');
    };
    for (let i = 0; i < incidents.length; i += 20) await Promise.all(incidents.slice(i, i + 20).map(close));
  })()`);
}

interface RateControl {
  readonly count: number;
  readonly perS: number;
}

/**
 * Measures the latency of incidents. At two a second a colleague closes those that are drawn, and each has its line; at
 * twenty a second they are grouped into storms and counted.
 */
async function testLatency(t: Test, setup: ConsoleSetup, { count, perS }: RateControl): Promise<void> {
  const { chain } = setup;
  const colleague = await at(t, setup, 'operator-2');
  await closeAll(colleague);
  const screen = await at(t, setup, 'operator');
  const commits = await watchCommits(t, chain);
  const before = new Set(commits.keys());
  const isStorm = perS > 5;
  const beganMs = performance.now();
  for (let i = 0; i < count; i++) {
    await sleep(Math.max(0, beganMs + (i * 1000) / perS - performance.now()));
    const box = chain.street[i % chain.street.length];
    const kind = Math.floor(i / chain.street.length) % 2 === 0 ? 'loitering' : 'line-crossing';
    box?.tell({ id: `pace-${perS}-${i}`, kind, jpeg: JPEG });
    if (isStorm || i % 2 === 0) continue;
    const drawnNos = (await screen.page.evaluate('Object.keys(window.firstDrawn)')) as string[];
    await closeAll(colleague, drawnNos);
  }
  await waitUntil(t, 'stored', () => commits.size >= before.size + count);
  await sleep(DRAWN_MAX_MS);
  const drawnMs = (await screen.page.evaluate('window.firstDrawn')) as Record<string, number>;
  const counted = (await screen.page.evaluate('window.counted')) as [number, number][];
  const newCommits = [...commits].filter(([no]) => !before.has(no));
  const took = newCommits.map(([no, committedMs], i) => {
    const countedMs = counted.find(([, waiting]) => waiting > i)?.[0];
    return ((isStorm ? countedMs : drawnMs[no]) ?? Number.POSITIVE_INFINITY) - committedMs;
  });
  took.sort((a, b) => a - b);
  const quantile = (part: number): number =>
    took[Math.min(took.length - 1, Math.floor(took.length * part))] ?? Number.NaN;
  const [p50, p95, max] = [quantile(0.5), quantile(0.95), quantile(1)];
  t.comment(
    `${chain.name}, ${perS} a second: from commit to screen p50 ${p50}, p95 ${p95}, max ${max} ms of ${took.length}`,
  );
  t.equal(took.length, count);
  const slow = slowness();
  t.ok(
    p95 <= DRAWN_P95_MS * slow,
    `p95 ${p95} ms on a machine ${slow.toFixed(1)} times as slow as a quiet one`,
  );
  t.ok(max <= DRAWN_MAX_MS * slow, `max ${max} ms`);
  t.same(await screen.page.evaluate('window.twice'), []);
  t.same(screen.pageErrors, []);
  await closeAll(colleague);
}

/** Dates what was closed an hour back: an account closes 500 incidents in five minutes at most. */
const letAnHourPass = (sql: Sql): Promise<unknown> =>
  sql.run('UPDATE incident SET closed_at = $1 WHERE closed_at IS NOT NULL', [
    new Date(Date.now() - 3_600_000).toISOString(),
  ]);

async function testBurst(t: Test, setup: ConsoleSetup): Promise<void> {
  const { chain } = setup;
  const { database, consoleProgram, street } = chain;
  const sql = database.sql();
  await letAnHourPass(sql);
  const colleague = await at(t, setup, 'operator-2');
  await closeAll(colleague);
  const screen = await at(t, setup, 'operator');
  const beganMs = performance.now();
  const tell = async (from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i += TOGETHER) {
      const ids = Array.from({ length: TOGETHER }, (_, j) => ({ id: `burst-${i + j}` }));
      street[(i / TOGETHER) % street.length]?.tell(...ids);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const stored = async (): Promise<number[]> =>
    (await database.read("SELECT no FROM incident WHERE episode LIKE 'burst-%'")).map(({ no }) => Number(no));
  const reached = async (count: number): Promise<void> => {
    while ((await stored()).length < count) await sleep(50);
  };
  const first = tell(0, BURST / 2);
  await reached(BURST / 16);
  await consoleProgram.end('SIGKILL');
  const atConsole = (await stored()).length;
  await consoleProgram.startListening();
  await first;
  const second = tell(BURST / 2, BURST);
  await reached((BURST * 9) / 16);
  await database.server?.kill();
  await second;
  await database.server?.start();
  const atDatabase = (await stored()).length;
  t.comment(`killed: the console at ${atConsole}, the database at ${atDatabase} of ${BURST}`);
  t.ok(atConsole < BURST / 2 && atDatabase < BURST, 'in the middle of it');
  await waitUntil(t, 'all delivered', () => street.every(({ waiting }) => waiting === 0), BURST_WITHIN_MS);
  const burstS = (performance.now() - beganMs) / 1000;
  const storedNos = await stored();
  t.equal(storedNos.length, BURST, 'every incident is in the database once');
  t.comment(`${BURST} incidents in ${burstS.toFixed(1)} s, ${Math.round(BURST / burstS)} a second`);
  await screen.waitUntil(`document.querySelector('.link-live') !== null`, 30_000);
  await sleep(2000);
  const missing = async (): Promise<number[]> => {
    const shownNos = await reportedTo(screen);
    return storedNos.filter((no) => !shownNos.has(no));
  };
  const missingCount = (await missing()).length;
  t.comment(`${missingCount} of them had not come to the screen, which holds 2,000`);
  await screen.waitUntil(`document.querySelector('.counts').textContent.includes('${BURST} open')`, 20_000);
  // While the shift works the queue off, the incidents beyond the screen's limit appear.
  const closedAtOnce = 500;
  for (let i = 0; i < BURST && (await missing()).length > 0; i += closedAtOnce) {
    const nos = storedNos.slice(i, i + closedAtOnce).map(String);
    await letAnHourPass(sql);
    await closeAll(colleague, nos);
    await sleep(1500);
  }
  t.same(await missing(), [], 'the screen received each');
  const all = new Set((await database.read('SELECT no FROM incident')).map(({ no }) => Number(no)));
  t.same(
    [...(await reportedTo(screen))].filter((no) => !all.has(no)),
    [],
    'and of none that is not there',
  );
  t.same(await screen.page.evaluate('window.twice'), [], 'none has two lines');
  await sleep(6000);
  const announced = Number(await screen.page.evaluate('window.announcedSum'));
  t.ok(announced <= BURST, `${announced} announced as new, none twice`);
  t.same(screen.pageErrors, []);
}
