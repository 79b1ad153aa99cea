/**
 * Takes the pictures of README on the demo, by its queue and by its made hour of tracks, and tests that the demo has
 * what it prints to try. WRITE_SCREENS=1 writes the files.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { parseYaml } from '../../agent/base/yaml-text.ts';
import type { SearchState } from '../../scripts/products/room/contract/api.ts';
import type { ClosedPage } from '../../scripts/products/room/contract/closed.ts';
import type { Incident, IncidentDetail, Queue } from '../../scripts/products/room/contract/incident.ts';
import type { Session } from '../../scripts/products/room/contract/session.ts';
import { priorityOf } from '../../scripts/products/room/contract/terms.ts';
import { browserMissing } from '../lib/browser.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { roomProgram, start } from '../lib/program.ts';
import { browserOf, openByLink, type Tab } from '../lib/room-browser.ts';
import { unlessFull } from '../lib/run.ts';

const DEMO = fileURLToPath(new URL('../../scripts/workshop/demo/main.js', import.meta.url));
const DEMO_CONFIG = join(ROOT, 'scripts/workshop/demo/config.yaml');
/** Box of that configuration. */
const BOX = 'square-1';
const IS_WRITTEN = process.env['WRITE_SCREENS'] === '1';
/** Number of lines that lets a reader recognise a queue. */
const ALERTS = 9;
const SIZE = { width: 1400, height: 900 };
const PICTURE_BYTES_MAX = 300_000;
const absent = browserMissing() || (existsSync(STREET_CLIP) ? false : 'no clip: scripts/setup fetches it');
const skip = absent || (!IS_WRITTEN && unlessFull);

interface Demo {
  readonly dir: string;
  readonly output: string;
  open(t: Test, account: string): Promise<Tab>;
}

t.test('the demo has what it prints to try', { skip, timeout: 270_000 }, async (t) => {
  const browser = await browserOf(t);
  const demo = await startDemo(t, browser);
  await t.test('a storm, a map, patrols, closed incidents, a search and a rule for the alarm', (t) =>
    checkQueue(t, demo),
  );
  await t.test('two people ask about an hour of tracks', (t) => checkTracks(t, demo));
});

/** Starts a demo that ends with the test; resolves when the verdicts that it gives itself are over. */
async function startDemo(t: Test, browser: Browser): Promise<Demo> {
  const dir = scratch(t);
  const demo = start(t, process.execPath, [DEMO, '--dir', dir]);
  t.teardown(() => {
    demo.child.kill('SIGTERM');
    return demo.exit;
  });
  const alerts = (): number => demo.out.match(/ {2}ALERT {2}/g)?.length ?? 0;
  while (alerts() < ALERTS || !demo.out.includes('has closed 4 alerts')) {
    if (demo.code !== undefined) throw new Error(demo.out + demo.err);
    await sleep(100);
  }
  const [link = '', url = ''] = /(http:\/\/127\.0\.0\.1:\d+)\/auth\S+/.exec(demo.out) ?? [];
  const options = { size: SIZE, excused: /status of 4|net::ERR_|favicon/ };
  return {
    dir,
    output: demo.out,
    open: (t, account) => openByLink(t, browser, { url, link }, account, options),
  };
}

async function takePicture(t: Test, { page }: Tab, name: string): Promise<void> {
  const file = join(ROOT, IS_WRITTEN ? 'docs' : '.cache', name);
  mkdirSync(dirname(file), { recursive: true });
  const image = sharp(await page.screenshot()).png({ palette: true, colours: 128, effort: 10 });
  const { size, width, height } = await image.toFile(file);
  t.ok(size <= PICTURE_BYTES_MAX, `${size} bytes`);
  t.same([width, height], [SIZE.width, SIZE.height]);
  t.equal(await page.$eval('html', (html) => html.getAttribute('lang')), 'en');
}

/** Sends a request from within the page and returns the reply. */
async function request<T>({ page }: Tab, path: string, body?: object): Promise<T> {
  const headers = { 'content-type': 'application/json', 'idempotency-key': path };
  const options = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) };
  const call = `fetch(${JSON.stringify(path)}, ${JSON.stringify(options)})`;
  return (await page.evaluate(`${call}.then((answer) => answer.json())`)) as T;
}

async function checkQueue(t: Test, demo: Demo): Promise<void> {
  const { output } = demo;
  const screen = await demo.open(t, 'operator');
  t.notMatch(output, /clock was not synchronised/, 'not beside each alert');
  t.ok(output.split('clock is not set by the network').length <= 2, 'once, where it is so');
  await screen.waitUntil(`document.querySelector('.row .fold') !== null`);
  const cameraOnMap = `document.querySelector('.queue-map [data-key="demo/square-1"]') !== null`;
  await screen.waitUntil(cameraOnMap);
  const fill = `getComputedStyle(document.querySelector('.queue-map .d-streets')).fill`;
  t.equal(await screen.page.evaluate(fill), 'none', 'its streets are lines');
  t.match(JSON.stringify(await request(screen, '/api/patrols')), 'Night patrol');
  const hasPicture = `document.querySelector('.pictures img')?.naturalWidth > 0`;
  // A colleague has claimed one incident and dispatched someone to another.
  const colleague = await demo.open(t, 'operator-2');
  for (const action of ['dispatch', 'claim']) {
    const { incidents } = await request<Queue>(colleague, '/api/queue');
    const one = incidents.find(({ state, kind }) => state === 'new' && kind === 'line-crossing');
    const { revision } = await request<Incident>(colleague, `/api/incidents/${one?.no}/claim`, {});
    if (action === 'dispatch') await request(colleague, `/api/incidents/${one?.no}/dispatch`, { revision });
  }
  await colleague.page.close();
  await screen.page.bringToFront();
  await screen.waitUntil(`document.querySelector('.row.dispatched') !== null`);
  // From the top: expand the storms, then claim and open the first loitering incident.
  for (let i = 0; i < 30; i++) {
    const selectedText = await screen.page.evaluate(
      `document.querySelector('.row[aria-selected=true]')?.textContent ?? ''`,
    );
    if (/^(?!.*▸).*Loitering/.test(String(selectedText))) break;
    await screen.press(...(String(selectedText).includes('▸') ? ['Enter', 'j'] : ['j']));
    await sleep(50);
  }
  await screen.press('c', 'Enter');
  await screen.waitUntil(hasPicture);
  await screen.waitUntil(`document.querySelector('.link-live') !== null`);
  await sleep(300);
  await takePicture(t, screen, 'console.png');
  const rows = Number(await screen.page.evaluate(`document.querySelectorAll('.row').length`));
  t.ok(rows >= 3, `${rows} lines`);
  t.equal(await screen.page.evaluate(hasPicture), true, 'the picture is shown');
  const map = `getComputedStyle(document.querySelector('.queue-map')).display`;
  t.equal(await screen.page.evaluate(map), 'none', 'the picture takes the place of the map');
  const { timeZone } = await request<Session>(screen, '/api/session');
  const path = String(await screen.page.evaluate('location.pathname'));
  const detail = await request<IncidentDetail>(screen, `/api${path}`);
  t.equal(detail.timeZone, timeZone, 'the still has the time zone of the screen');
  const isInDoubt = output.includes('clock is not set by the network');
  t.equal((await screen.page.$('.demo-clock')) !== null, isInDoubt, 'the head states a clock in doubt');
  const incidentText = String(await screen.page.evaluate(`document.querySelector('.work').textContent`));
  t.notMatch(incidentText, /clock/i, 'no incident repeats it');
  t.same(await searchMatches(screen), [BOX], 'the box answers a search');
  const { incidents } = await request<ClosedPage>(screen, '/api/closed');
  t.equal(incidents.length, 4, 'the demo has closed incidents');
  for (const { no } of incidents) {
    const { notes } = await request<IncidentDetail>(screen, `/api/incidents/${no}`);
    t.match(notes, [{ account: 'demo-program', text: /no person judged it/ }], 'each is marked');
  }
  const { rules } = parseYaml(readFileSync(DEMO_CONFIG, 'utf8')) as { rules: { kind: string }[] };
  t.ok(
    rules.some(({ kind }) => priorityOf('alert', kind) === 1),
    'a rule has priority 1',
  );
  t.same(screen.pageErrors, []);
}

/** Names of the boxes with a match, from a search as the screen sends it. */
async function searchMatches(screen: Tab): Promise<string[]> {
  const [from, to] = [-3_600_000, 60_000].map((ms) => new Date(Date.now() + ms).toISOString());
  const body = { case: 'demo/1', reason: 'a test', from, to };
  let state = await request<SearchState>(screen, '/api/searches', body);
  while (!state.isDone) {
    await sleep(200);
    state = await request<SearchState>(screen, `/api/searches/${state.id}`);
  }
  return [...new Set(state.matches.map(({ box }) => box))];
}

/** Runs the command as the second person types it, with their files. */
async function approveQuestion(t: Test, command: string, dir: string): Promise<string> {
  const file = join(dir, 'approval.json');
  const filledCommand = command
    .replace(/^vigie-room tracks /, `'${process.execPath}' '${roomProgram('tracks')}' `)
    .replace('room.yaml', join(dir, 'room.yaml'))
    .replace('KEY.pem', join(dir, 'magistrate.pem'))
    .replace('approval.json', file);
  const program = start(t, 'sh', ['-c', filledCommand]);
  t.equal(await program.exit, 0, program.err);
  return file;
}

async function checkTracks(t: Test, demo: Demo): Promise<void> {
  const { output, dir } = demo;
  t.match(output, / g t {5}passages: an hour of \d{3,4} tracks, made from the clip\n/);
  const [, persons = ''] = /: an hour of (\d+) tracks/.exec(output) ?? [];
  t.ok(Number(persons) > 500, persons);
  const screen = await demo.open(t, 'operator');
  const { page } = screen;
  const textOf = (selector: string) => page.$eval(selector, ({ textContent }) => textContent);
  const press = (selector: string) => page.evaluate(`document.querySelector('${selector}').click()`);
  await screen.press('g', 't');
  await screen.waitUntil(`document.querySelector('[name=box]')?.value === 'square-1'`);
  await page.type('[name=case]', '2026/1432');
  await page.type('[name=reason]', 'theft of a bicycle');
  await press('.d-interval button');
  await page.click('.t-form [type=submit]');
  await screen.waitUntil(`document.querySelector('.t-drawing .stage-frame img')?.naturalWidth > 0`);
  t.match(await textOf('.t-sight'), /analysed in 9\d(\.\d)?% of the time; .*gaps? \((?!0%)/);
  t.match(await textOf('.t-order'), 'the hour before its start was made from the clip', 'labelled');

  await press('.t-place button:nth-child(2)');
  await screen.waitUntil(`document.querySelector('.t-shape') !== null`);
  const [left, top, w, h] = (await page.evaluate(`(() => {
    const frame = document.querySelector('.stage-frame');
    frame.scrollIntoView({ block: 'center' });
    const { left, top, width, height } = frame.getBoundingClientRect();
    return [left, top, width, height];
  })()`)) as [number, number, number, number];
  // Across the road on the right, like the demo's own line.
  await page.mouse.move(left + 0.9 * w, top + 0.34 * h);
  await page.mouse.down();
  await page.mouse.move(left + 0.82 * w, top + 0.75 * h, { steps: 5 });
  await page.mouse.up();
  await page.select('[name=direction]', 'right');

  await press('.t-chips .check:nth-of-type(3) input');
  await screen.waitUntil(`document.querySelector('.t-approval') === null`);
  await page.click('#ask-tracks');
  await screen.waitUntil(`document.querySelector('.t-result') !== null`);
  t.match(await textOf('.t-sentence'), /^\d+ crossed the line to its right/);
  await press('.desk-acts button');
  await screen.waitUntil(`document.querySelector('.t-chips') !== null`);
  await press('.t-chips .check:nth-of-type(3) input');
  await press('.t-chips .check:nth-of-type(1) input');
  await page.click('#ask-tracks');
  await screen.waitUntil(`document.querySelector('main [role=alert]') !== null`);
  t.match(
    await textOf('main [role=alert]'),
    /^Search refused: A question about persons is answered only where an approver has signed/,
  );
  const file = await approveQuestion(t, String(await textOf('.t-command code')), dir);
  const fileInput = await page.$('[name=approval]');
  await (fileInput as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(file);
  await screen.waitUntil(`document.querySelector('.t-approval').textContent.includes('approval.json')`);
  await page.click('#ask-tracks');
  await screen.waitUntil(`document.querySelector('.t-result') !== null`);
  const [, countText = ''] =
    /^([\d,]+) crossed the line to its right/.exec(String(await textOf('.t-sentence'))) ?? [];
  const crossed = Number(countText.replace(',', ''));
  t.ok(crossed > 100 && crossed < Number(persons), `${crossed} persons crossed it`);
  t.match(await textOf('.t-left'), 'was made from the clip');
  await screen.waitUntil(`document.querySelector('.t-picture img')?.naturalWidth > 0`);
  const clock = String(await textOf('.t-clock'));
  await screen.waitUntil(`document.querySelector('.t-clock').textContent !== '${clock}'`);
  await press('.t-tool.main');
  await press('.t-list [data-track="3"] .t-row');
  await screen.waitUntil(`document.querySelector('.t-tool.main').getAttribute('aria-label') === 'Play'`);
  // Half a second before the track reaches the line.
  await page.focus('.t-seek');
  await screen.waitUntil(`document.querySelectorAll('[data-shown]').length > 1`);
  await page.evaluate('document.activeElement.blur()');
  await sleep(300);
  await takePicture(t, screen, 'tracks.png');
  t.same(screen.pageErrors, []);
}
