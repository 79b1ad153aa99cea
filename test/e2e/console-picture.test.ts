/**
 * Tests that the demo has what it prints to try, and takes the picture of README; WRITE_SCREENS=1 writes that file.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import t from 'tap';
import { parseYaml } from '../../agent/base/yaml-text.ts';
import type { SearchState } from '../../scripts/programs/room/contract/api.ts';
import type { ClosedPage } from '../../scripts/programs/room/contract/closed.ts';
import type { Incident, IncidentDetail, Queue } from '../../scripts/programs/room/contract/incident.ts';
import type { Session } from '../../scripts/programs/room/contract/session.ts';
import { priorityOf } from '../../scripts/programs/room/contract/terms.ts';
import { browserMissing } from '../lib/browser.ts';
import { ConsoleScreen } from '../lib/console-screen.ts';
import { unlessFull } from '../lib/run.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { openBrowser } from '../page/phone.ts';

const DEMO = fileURLToPath(new URL('../../scripts/programs/demo/main.js', import.meta.url));
const DEMO_CONFIG = join(ROOT, 'scripts/programs/demo/config.yaml');
/** Box of that configuration. */
const BOX = 'square-1';
const PICTURE = join(ROOT, process.env['WRITE_SCREENS'] === '1' ? 'docs' : '.cache', 'console.png');
/** Number of lines that lets a reader recognise a queue. */
const ALERTS = 9;
const PICTURE_BYTES_MAX = 300_000;
const absent = browserMissing() || (existsSync(STREET_CLIP) ? false : 'no clip: scripts/setup fetches it');
const skip = absent || (process.env['WRITE_SCREENS'] !== '1' && unlessFull);

t.test(
  'the demo has a storm, a map, patrols, closed incidents, a search and a rule for the alarm',
  { skip, timeout: 120_000 },
  async (t) => {
    let output = '';
    const demo = spawn(process.execPath, [DEMO, '--dir', scratch(t)], { cwd: ROOT });
    const demoEnd = new Promise((resolve) => demo.once('close', resolve));
    for (const stream of [demo.stdout, demo.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    t.teardown(async () => {
      demo.kill('SIGTERM');
      await demoEnd;
    });
    const alerts = (): number => output.match(/ {2}ALERT {2}/g)?.length ?? 0;
    // The verdicts that the demo gives are over before a person begins here.
    while (alerts() < ALERTS || !output.includes('has closed 4 alerts')) {
      if (demo.exitCode !== null) throw new Error(output);
      await sleep(100);
    }
    t.notMatch(output, /clock was not synchronised/, 'not beside each alert');
    t.ok(output.split('clock is not set by the network').length <= 2, 'once, where it is so');
    const [link = '', url = ''] = /(http:\/\/127\.0\.0\.1:\d+)\/auth\S+/.exec(output) ?? [];
    const consoleEntry = { url, link };
    const browser = await openBrowser(join(scratch(t), 'profile'));
    t.teardown(() => browser.close());
    const screen = await ConsoleScreen.open(browser, consoleEntry, 'operator');
    await screen.waitUntil('a storm', `document.querySelector('.row .fold') !== null`);
    const cameraOnMap = `document.querySelector('.queue-map [data-key="demo/square-1"]') !== null`;
    await screen.waitUntil('the map', cameraOnMap);
    const fill = `getComputedStyle(document.querySelector('.queue-map .d-streets')).fill`;
    t.equal(await screen.page.evaluate(fill), 'none', 'its streets are lines');
    t.match(await screen.request('/api/patrols'), { text: /Night patrol/ });
    const hasPicture = `document.querySelector('.pictures img')?.naturalWidth > 0`;
    // A colleague has claimed one incident and dispatched someone to another.
    const colleague = await ConsoleScreen.open(browser, consoleEntry, 'operator-2');
    for (const action of ['dispatch', 'claim']) {
      const { incidents } = JSON.parse((await colleague.request('/api/queue')).text) as Queue;
      const one = incidents.find(({ state, kind }) => state === 'new' && kind === 'line-crossing');
      const claimed = await colleague.request(`/api/incidents/${one?.no}/claim`, {});
      const { revision } = JSON.parse(claimed.text) as Incident;
      if (action === 'dispatch') await colleague.request(`/api/incidents/${one?.no}/dispatch`, { revision });
    }
    await colleague.page.browserContext().close();
    await screen.page.bringToFront();
    await screen.waitUntil('taken', `document.querySelector('.row.dispatched') !== null`);
    // From the top: expand the storms, then claim and open the first loitering incident.
    for (let i = 0; i < 30; i++) {
      const selectedText = await screen.page.evaluate(
        `document.querySelector('.row[aria-selected=true]')?.textContent ?? ''`,
      );
      if (/^(?!.*▸).*Loitering/.test(String(selectedText))) break;
      await screen.keys(...(String(selectedText).includes('▸') ? ['Enter', 'j'] : ['j']));
      await sleep(50);
    }
    await screen.keys('c', 'Enter');
    await screen.waitUntil('a picture', hasPicture);
    await screen.waitUntil('live', `document.querySelector('.link-live') !== null`);
    await sleep(300);
    mkdirSync(join(PICTURE, '..'), { recursive: true });
    const shot = await screen.page.screenshot();
    const { size } = await sharp(shot).png({ palette: true, colours: 128, effort: 10 }).toFile(PICTURE);
    t.ok(size <= PICTURE_BYTES_MAX, `${size} bytes`);
    const { width, height } = await sharp(PICTURE).metadata();
    t.same([width, height], [1400, 900]);
    const rows = Number(await screen.page.evaluate(`document.querySelectorAll('.row').length`));
    t.ok(rows >= 3, `${rows} lines`);
    t.equal(await screen.page.evaluate(hasPicture), true, 'the picture is shown');
    const map = `getComputedStyle(document.querySelector('.queue-map')).display`;
    t.equal(await screen.page.evaluate(map), 'none', 'the picture takes the place of the map');
    const { timeZone } = JSON.parse((await screen.request('/api/session')).text) as Session;
    const detail = (await screen.page.evaluate(
      `fetch('/api' + location.pathname).then((answer) => answer.json())`,
    )) as IncidentDetail;
    t.equal(detail.timeZone, timeZone, 'the still has the time zone of the screen');
    const isInDoubt = output.includes('clock is not set by the network');
    t.equal((await screen.page.$('.demo-clock')) !== null, isInDoubt, 'the head states a clock in doubt');
    const incidentText = String(await screen.page.evaluate(`document.querySelector('.work').textContent`));
    t.notMatch(incidentText, /clock/i, 'no incident repeats it');
    t.equal(await screen.page.$eval('html', (html) => html.getAttribute('lang')), 'en');
    t.same(await searchMatches(screen), [BOX], 'the box answers a search');
    const { incidents } = JSON.parse((await screen.request('/api/closed')).text) as ClosedPage;
    t.equal(incidents.length, 4, 'the demo has closed incidents');
    for (const { no } of incidents) {
      const { notes } = JSON.parse((await screen.request(`/api/incidents/${no}`)).text) as IncidentDetail;
      t.match(notes, [{ account: 'demo-program', text: /no person judged it/ }], 'each is marked');
    }
    const { rules } = parseYaml(readFileSync(DEMO_CONFIG, 'utf8')) as { rules: { kind: string }[] };
    t.ok(
      rules.some(({ kind }) => priorityOf('alert', kind) === 1),
      'a rule has priority 1',
    );
    t.same(screen.pageErrors, []);
  },
);

/** Names of the boxes with a match, from a search as the screen sends it. */
async function searchMatches(screen: ConsoleScreen): Promise<string[]> {
  const [from, to] = [-3_600_000, 60_000].map((ms) => new Date(Date.now() + ms).toISOString());
  const body = { case: 'demo/1', reason: 'a test', from, to };
  let state = JSON.parse((await screen.request('/api/searches', body)).text) as SearchState;
  while (!state.isDone) {
    await sleep(200);
    state = JSON.parse((await screen.request(`/api/searches/${state.id}`)).text) as SearchState;
  }
  return [...new Set(state.matches.map(({ box }) => box))];
}
