/**
 * Tests the chain from boxes to a browser without stand-ins: latency, bursts with killed programs, a shift's work,
 * hostile boxes.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser } from 'puppeteer-core';
import t, { type Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { browserMissing } from '../lib/browser.ts';
import { ConsoleScreen } from '../lib/console-screen.ts';
import { FULL, unlessFull } from '../lib/run.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { clientOf, SITE, waitUntil } from '../lib/room.ts';
import { type Chain, incidentOf, recordOf, startChain, watchCommits } from '../lib/room-chain.ts';
import { slowness } from '../lib/slowness.ts';
import { VERDICT_TIME } from '../page/in-page.ts';
import { openBrowser } from '../page/phone.ts';

const JPEG = readFileSync(join(ROOT, 'docs/alert.jpg'));
/** Latency from the commit of a row to its drawing (docs/design/026-room.md), ms. */
const DRAWN_P95_MS = 300;
const DRAWN_MAX_MS = 1000;
/**
 * Time until an operator's own action shows, and until another operator's shows, ms. In the normal run other tests share
 * the processors, and one frame can be late: there `room/app` measures the 100 ms on several actions.
 */
const OWN_ACTION_MS = FULL ? 100 : 1000;
const OTHERS_ACTION_MS = 1000;
/** More than the 2,000 lines that a screen holds. */
const BURST = FULL ? 5000 : 2400;
/** Messages in one transaction of a box's outbox, because a disk manages some hundred transactions a second. */
const TOGETHER = 20;
const BURST_WITHIN_MS = 180_000;
const DAY_MS = 86_400_000;

t.test(
  'alerts travel from the box to the screen',
  { skip: browserMissing(), timeout: 900_000 },
  async (t) => {
    const browser = await openBrowser(join(scratch(t), 'profile'));
    t.teardown(() => browser.close());
    await t.test('the console works with PostgreSQL', async (t) => {
      const chain = await startChain(t, 'postgres');
      const setup = { chain, browser };
      await t.test('two operators on one incident see each other’s actions', (t) =>
        testTwoOperators(t, setup),
      );
      await t.test('a shift is worked by keyboard alone', (t) => testShift(t, setup));
      await t.test('an auditor sees no picture and may not act', (t) => testAuditor(t, setup));
      await t.test('a hostile box harms neither room nor screen', (t) => testHostileBox(t, setup));
      await t.test('ages follow the room’s clock although boxes are a day off', (t) => testClocks(t, setup));
      await t.test('two alerts a second are drawn in time', (t) =>
        testLatency(t, setup, { count: FULL ? 200 : 30, perS: 2 }),
      );
      await t.test('twenty alerts a second are counted as storms', (t) =>
        testLatency(t, setup, { count: FULL ? 200 : 100, perS: 20 }),
      );
      await t.test('a burst survives a killed console and database', (t) => testBurst(t, setup));
    });
    await t.test('the console works with SQLite', { skip: unlessFull }, async (t) => {
      const chain = await startChain(t, 'sqlite');
      const setup = { chain, browser };
      await t.test('a shift is worked by keyboard alone', (t) => testShift(t, setup));
      await t.test('two alerts a second are drawn in time', (t) =>
        testLatency(t, setup, { count: 40, perS: 2 }),
      );
      await t.test('twenty alerts a second are counted as storms', (t) =>
        testLatency(t, setup, { count: 100, perS: 20 }),
      );
    });
  },
);

interface ConsoleSetup {
  readonly chain: Chain;
  readonly browser: Browser;
}

async function at(t: Test, { chain, browser }: ConsoleSetup, account: string): Promise<ConsoleScreen> {
  const screen = await ConsoleScreen.open(browser, chain.consoleProgram, account);
  t.teardown(() => screen.page.browserContext().close());
  return screen;
}

const row = (no: number, more = ''): string => `document.querySelector('.row[data-no="${no}"]${more}')`;

/** Selects the incident's line by keyboard. */
async function selectLine(screen: ConsoleScreen, no: number): Promise<void> {
  await screen.waitUntil('a line', `${row(no)} !== null`);
  for (let i = 0; i < 60; i++) {
    if ((await screen.page.evaluate(`${row(no, '[aria-selected=true]')} !== null`)) === true) return;
    await screen.keys(i < 30 ? 'j' : 'k');
    await sleep(20);
  }
  throw new Error(`the keys do not lead to ${no}`);
}

/** Closes all open incidents through the API, as a program or another operator would. */
async function closeAll(screen: ConsoleScreen, only?: readonly string[]): Promise<number> {
  const fits = only === undefined ? 'true' : `${JSON.stringify(only)}.includes(String(no))`;
  const closed = await screen.page.evaluate(`(async () => {
    const incidents = (await (await fetch('/api/queue')).json()).incidents.filter(({ no }) => ${fits});
    const close = ({ no, revision }) => fetch('/api/incidents/' + no + '/verdict', {
      method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ revision, verdict: 'unclear', withoutLooking: true }),
    });
    for (let i = 0; i < incidents.length; i += 20) await Promise.all(incidents.slice(i, i + 20).map(close));
    return incidents.length;
  })()`);
  return Number(closed);
}

async function testTwoOperators(t: Test, setup: ConsoleSetup): Promise<void> {
  const one = await at(t, setup, 'operator');
  const other = await at(t, setup, 'operator-2');
  const no = await incidentOf(setup.chain, { id: 'together', jpeg: JPEG });
  for (const screen of [one, other]) await selectLine(screen, no);
  const pressedMs = performance.now();
  await Promise.all([one.keys('c'), other.keys('c')]);
  const isRefused = `document.querySelector('.toast.bad')?.textContent.includes('Action refused: operator')`;
  const loser = await Promise.race(
    [one, other].map(async (screen) => {
      await screen.page.waitForFunction(isRefused, { timeout: 5000, polling: 20 }).catch(() => sleep(5000));
      return screen;
    }),
  );
  const toldMs = performance.now() - pressedMs;
  const winner = loser === one ? other : one;
  t.ok(toldMs <= OTHERS_ACTION_MS, `the second operator is informed after ${Math.round(toldMs)} ms`);
  await loser.waitUntil('claimed', `${row(no, '.claimed')} !== null`, OTHERS_ACTION_MS);
  t.equal((await loser.request(`/api/incidents/${no}/claim`, {})).status, 409);
  t.equal(await winner.page.evaluate(`${row(no)}.querySelector('.owner b').textContent`), 'you');
  await winner.keys('r');
  await loser.waitUntil('waits again', `${row(no, '.new')} !== null`, OTHERS_ACTION_MS);

  await winner.keys('Enter');
  await winner.waitUntil('opened', `document.querySelector('[data-incident="${no}"] .acts') !== null`);
  await winner.waitUntil('the picture', `document.querySelector('.pictures img')?.naturalWidth > 0`);
  await winner.page.evaluate(VERDICT_TIME);
  await winner.keys('t');
  await winner.waitUntil('a verdict', 'globalThis.verdictMs !== undefined');
  const verdictMs = Number(await winner.page.evaluate('globalThis.verdictMs'));
  t.ok(verdictMs <= OWN_ACTION_MS, `a verdict is drawn after ${Math.round(verdictMs)} ms`);
  await loser.waitUntil('gone from the other queue', `${row(no)} === null`, OTHERS_ACTION_MS);
  t.same([...one.pageErrors, ...other.pageErrors], []);
}

async function testShift(t: Test, setup: ConsoleSetup): Promise<void> {
  const { chain } = setup;
  const screen = await at(t, setup, 'operator');
  const no = await incidentOf(chain, { id: 'shift', jpeg: JPEG });
  await selectLine(screen, no);
  await screen.keys('c');
  await screen.waitUntil('mine', `${row(no, '.claimed')} !== null`);
  await screen.keys('Enter');
  await screen.waitUntil('the picture', `document.querySelector('.pictures img')?.naturalWidth > 0`);
  const address = `/api/incidents/${no}/stills/snapshot`;
  const shownAddress = await screen.page.evaluate(
    `document.querySelector('.pictures img').getAttribute('src')`,
  );
  t.equal(shownAddress, address);
  await screen.keys('n');
  await screen.waitUntil('a field', `document.activeElement?.tagName === 'TEXTAREA'`);
  await screen.page.keyboard.type('Patrol 2 is near');
  await screen.keys('Enter');
  await screen.waitUntil(
    'a note',
    `document.querySelector('.notes')?.textContent.includes('Patrol 2 is near')`,
  );
  await screen.keys('d');
  await screen.waitUntil('the patrols', `document.querySelector('dialog[open] .option') !== null`);
  await screen.keys('1');
  await screen.waitUntil('sent', `document.querySelector('.incident .mark.dispatched') !== null`);
  await screen.keys('t');
  await screen.waitUntil(
    'kept',
    `document.querySelector('.toasts').textContent.includes('Closed as confirmed')`,
  );
  const record = await recordOf(chain, no);
  const actions = record.map(({ act }) => String(act));
  t.same(
    [...actions].sort(),
    ['claim', 'dispatch', 'judge', 'note', 'see-still'],
    'the audit log has all of it',
  );
  t.ok(actions.indexOf('see-still') < actions.indexOf('note'), 'the picture was viewed before the verdict');
  t.same([...new Set(record.map(({ account }) => account))], ['operator']);
  const sha256 = createHash('sha256').update(JPEG).digest('hex');
  t.match(String(record[actions.indexOf('see-still')]?.['more']), sha256, 'the audit log names the picture');
  const due = await chain.database.read(`SELECT * FROM verdict_due WHERE episode = 'shift-e'`);
  t.match(due, [{ box: 'quay-00', verdict: 'confirmed' }], 'the verdict is due at the box');
  t.notMatch(JSON.stringify(due), 'operator', 'without the operator’s name');
  t.same(screen.pageErrors, []);
}

async function testAuditor(t: Test, setup: ConsoleSetup): Promise<void> {
  const { chain } = setup;
  const no = await incidentOf(chain, { id: 'audited', jpeg: JPEG });
  const screen = await at(t, setup, 'auditor');
  await selectLine(screen, no);
  await screen.keys('Enter');
  await screen.waitUntil('opened', `document.querySelector('.no-picture') !== null`);
  t.match(
    await screen.page.$eval('.no-picture', ({ textContent }) => textContent),
    'Auditors have no access to pictures',
  );
  t.equal(await screen.page.$('.pictures'), null);
  t.same(await recordOf(chain, no), [], 'no one has seen it');
  t.equal((await screen.request(`/api/incidents/${no}/stills/snapshot`)).status, 403);
  await screen.keys('t');
  t.equal(
    (await screen.request(`/api/incidents/${no}/verdict`, { revision: 0, verdict: 'confirmed' })).status,
    403,
  );
  const refusals = await chain.database.read(
    "SELECT account, more FROM audit WHERE act = 'refused' ORDER BY no",
  );
  t.match(refusals, [{ account: 'auditor' }, { account: 'auditor' }]);
  t.match(String(refusals[0]?.['more']), /still/, 'the audit log has the attempt');
  t.same(screen.pageErrors, []);
}

const HTML = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
const ESCAPES = '\u001b[2J\u001b]0;owned\u0007\u202egnp.exe\u2028\u0000';

const HOSTILE: Readonly<Record<string, (event: VigieEvent) => void>> = {
  html: ({ data }) => {
    if (data.zone !== undefined) Object.assign(data.zone, { purpose: HTML.slice(0, 64), legalBasis: HTML });
    data.evidence = { absent: HTML };
  },
  place: (event) => {
    event.subject = `zone/${HTML}`.slice(0, 80);
  },
  escapes: (event) => {
    event.subject = `zone/${ESCAPES}`;
    event.data.evidence = { absent: ESCAPES };
  },
  kind: (event) => {
    event.data.rule.kind = 'flying-car';
    event.type = 'vigie.flying-car.v1';
    event.data.cause = { reason: HTML, __proto__: 1, constructor: HTML };
  },
  reason: ({ data }) => {
    data.rule.kind = 'toaster-on-fire';
    data.cause = { reason: HTML + 'x'.repeat(200_000) };
  },
  future: (event) => {
    event.time = '9999-12-31T23:59:59.999Z';
  },
};

async function testHostileBox(t: Test, setup: ConsoleSetup): Promise<void> {
  const { chain } = setup;
  const screen = await at(t, setup, 'operator');
  await closeAll(screen);
  const incidentNos: Record<string, number> = {};
  for (const [i, [name, change]] of Object.entries(HOSTILE).entries())
    incidentNos[name] = await incidentOf(chain, { id: `hostile-${name}`, change }, i);
  // The room stores the event with the impossible date unparsed, and ends the connection of the box that sends a
  // megabyte.
  chain.street[8]?.tell({
    id: 'hostile-day',
    change: (event) => {
      event.time = '2026-02-30T10:00:00.000Z';
    },
  });
  const flooder = await clientOf(t, chain.room, 'flooder', { reconnectPeriod: 0 });
  flooder.on('error', (error) => t.comment(error.message));
  const closed = new Promise<void>((resolve) => flooder.once('close', () => resolve()));
  const properties = { userProperties: { seq: '1', first: '1', lane: 'alert', epoch: 'e1' } };
  const large = JSON.stringify({ reason: 'x'.repeat(1_048_576) });
  flooder.publish(`vigie/${SITE}/flooder/evt/alert/loitering`, large, { qos: 1, properties });
  await closed;
  const read: Record<string, string> = {};
  for (const [name, no] of Object.entries(incidentNos)) {
    await selectLine(screen, no);
    await screen.keys('Enter');
    await screen.waitUntil(
      name,
      `document.querySelector('[data-incident="${no}"]')?.textContent.includes('Same box, one hour')`,
    );
    read[name] = String(await screen.page.evaluate(`document.querySelector('.incident').textContent`));
    await screen.keys('Escape');
  }
  t.match(read['html'], HTML, 'shown as text');
  t.match(read['kind'], /flying-car.*newer than this console/s);
  t.match(read['reason'], /<img src=x.*x{100}/s);
  t.ok((read['reason'] ?? '').length < 3000, 'and cut');
  t.match(read['future'], 'clock is not reliable');
  const shownText =
    Object.values(read).join('') +
    String(await screen.page.evaluate(`document.querySelector('.queue').textContent`));
  t.notMatch(shownText, /[\p{Cc}\p{Cf}\u2028\u2029]/u, 'nothing turns, hides or breaks a line');
  await waitUntil(t, 'kept', () => chain.street.every(({ waiting }) => waiting === 0));
  const [unread] = await chain.database.read(
    "SELECT unread FROM event WHERE box = 'quay-08' AND unread IS NOT NULL",
  );
  t.match(
    unread,
    { unread: /^\/time: must be a moment that exists/ },
    'an impossible date is stored and marked as invalid',
  );
  t.same(await chain.database.read("SELECT id FROM event WHERE box = 'flooder'"), []);
  const isHacked =
    'window.hacked !== undefined || document.querySelector("[onerror], .queue script, .incident script") !== null';
  t.equal(await screen.page.evaluate(isHacked), false, 'no part of it was run');
  t.same(screen.pageErrors, [], 'the policy had nothing to stop');
  await closeAll(screen);
}

async function testClocks(t: Test, setup: ConsoleSetup): Promise<void> {
  const { chain } = setup;
  const screen = await at(t, setup, 'operator');
  const aheadNo = await incidentOf(chain, { id: 'ahead', timeMs: Date.now() + DAY_MS });
  const unsynced = {
    timeMs: Date.now() - DAY_MS,
    change: ({ data }: VigieEvent) => {
      data.clock.synced = false;
    },
  };
  const behindNo = await incidentOf(chain, { id: 'behind', ...unsynced }, 1);
  const late = await incidentOf(chain, { id: 'late', timeMs: Date.now() - DAY_MS }, 2);
  const right = await incidentOf(chain, { id: 'right' }, 3);
  // While all open incidents are in doubt, the head of a demonstration says so, and the lines do not.
  await screen.waitUntil('all lines', `${row(right)} !== null`);
  const lineOf = async (no: number): Promise<{ age: string; doubt: boolean }> => {
    await screen.waitUntil('a line', `${row(no)} !== null`);
    const expression = `({ age: ${row(no)}.querySelector('.age').textContent, doubt: ${row(no, ' .doubt')} !== null })`;
    return (await screen.page.evaluate(expression)) as { age: string; doubt: boolean };
  };
  for (const [no, doubt] of [
    [aheadNo, true],
    [behindNo, true],
    [late, false],
    [right, false],
  ] as const) {
    t.match(await lineOf(no), { age: /^0:[0-3]\d$/, doubt }, 'its age is that of the room’s clock');
  }
  await selectLine(screen, aheadNo);
  await screen.keys('Enter');
  await screen.waitUntil('told', `document.querySelector('.incident .notice.warn') !== null`);
  t.match(await screen.page.$eval('.incident', ({ textContent }) => textContent), 'clock is not reliable');
  t.same(screen.pageErrors, []);
  await closeAll(screen);
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

async function testBurst(t: Test, setup: ConsoleSetup): Promise<void> {
  const { chain } = setup;
  const { database, consoleProgram, street } = chain;
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
  await consoleProgram.kill();
  const atConsole = (await stored()).length;
  await consoleProgram.start();
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
  await screen.waitUntil('live again', `document.querySelector('.link-live') !== null`, 30_000);
  await sleep(2000);
  const missing = async (): Promise<number[]> => {
    const shownNos = await screen.reportedIncidents();
    return storedNos.filter((no) => !shownNos.has(no));
  };
  const missingCount = (await missing()).length;
  t.comment(`${missingCount} of them had not come to the screen, which holds 2,000`);
  await screen.waitUntil(
    'all are counted',
    `document.querySelector('.counts').textContent.includes('${BURST} open')`,
    20_000,
  );
  // While the shift works the queue off, the incidents beyond the screen's limit appear.
  const closedAtOnce = 500;
  for (let i = 0; i < BURST && (await missing()).length > 0; i += closedAtOnce) {
    const nos = storedNos.slice(i, i + closedAtOnce).map(String);
    await closeAll(colleague, nos);
    await sleep(1500);
  }
  t.same(await missing(), [], 'the screen received each');
  const all = new Set((await database.read('SELECT no FROM incident')).map(({ no }) => Number(no)));
  t.same(
    [...(await screen.reportedIncidents())].filter((no) => !all.has(no)),
    [],
    'and of none that is not there',
  );
  t.same(await screen.page.evaluate('window.twice'), [], 'none has two lines');
  await sleep(6000);
  const announced = Number(await screen.page.evaluate('window.announcedSum'));
  t.ok(announced <= BURST, `${announced} announced as new, none twice`);
  t.same(screen.pageErrors, []);
}
