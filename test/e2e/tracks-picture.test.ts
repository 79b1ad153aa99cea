/**
 * Tests the track screen on the demo's made hour with the real signer, box and broker. A question about persons is
 * drawn, refused, approved with the command that the screen shows, and answered. Takes the picture of README;
 * WRITE_SCREENS=1 writes that file.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { browserMissing } from '../lib/browser.ts';
import { ConsoleScreen } from '../lib/console-screen.ts';
import { unlessFull } from '../lib/run.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { roomProgram, start } from '../lib/program.ts';
import { openBrowser } from '../page/phone.ts';

const DEMO = fileURLToPath(new URL('../../scripts/programs/demo/main.js', import.meta.url));
const PICTURE = join(ROOT, process.env['WRITE_SCREENS'] === '1' ? 'docs' : '.cache', 'tracks.png');
const PICTURE_BYTES_MAX = 300_000;
const absent = browserMissing() || (existsSync(STREET_CLIP) ? false : 'no clip: scripts/setup fetches it');
const skip = absent || (process.env['WRITE_SCREENS'] !== '1' && unlessFull);

/** Starts a demo that ends with the test; returns its output, its folder and the console's address. */
async function startDemo(t: Test, expectedOutput: RegExp) {
  let output = '';
  const dir = scratch(t);
  const demo = spawn(process.execPath, [DEMO, '--dir', dir], { cwd: ROOT });
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
  while (!expectedOutput.test(output)) {
    if (demo.exitCode !== null) throw new Error(output);
    await sleep(100);
  }
  const [link = '', url = ''] = /(http:\/\/127\.0\.0\.1:\d+)\/auth\S+/.exec(output) ?? [];
  return { dir, output, consoleEntry: { url, link } };
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

t.test('two people ask about an hour of tracks', { skip, timeout: 150_000 }, async (t) => {
  // By this line a still of the place has arrived.
  const { dir, output, consoleEntry } = await startDemo(t, / {2}ALERT {2}/);
  t.match(output, / g t {5}passages: an hour of \d{3,4} tracks, made from the clip\n/);
  const [, persons = ''] = /: an hour of (\d+) tracks/.exec(output) ?? [];
  t.ok(Number(persons) > 500, persons);
  const browser = await openBrowser(join(scratch(t), 'profile'));
  t.teardown(() => browser.close());
  const screen = await ConsoleScreen.open(browser, consoleEntry, 'operator');
  const { page } = screen;
  const textOf = (selector: string) => page.$eval(selector, ({ textContent }) => textContent);
  const press = (selector: string) => page.evaluate(`document.querySelector('${selector}').click()`);
  await screen.keys('g', 't');
  await screen.waitUntil(
    'the camera is chosen',
    `document.querySelector('[name=box]')?.value === 'square-1'`,
  );
  await page.type('[name=case]', '2026/1432');
  await page.type('[name=reason]', 'theft of a bicycle');
  await press('.d-interval button');
  await page.click('.t-form [type=submit]');
  await screen.waitUntil(
    'the view',
    `document.querySelector('.t-drawing .stage-frame img')?.naturalWidth > 0`,
  );
  t.match(await textOf('.t-sight'), /analysed in 9\d(\.\d)?% of the time; .*gaps? \((?!0%)/);
  t.match(await textOf('.t-order'), 'the hour before its start was made from the clip', 'labelled');

  await press('.t-place button:nth-child(2)');
  await screen.waitUntil('a line', `document.querySelector('.t-shape') !== null`);
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
  await screen.waitUntil('vehicles need one key', `document.querySelector('.t-approval') === null`);
  await page.click('#ask-tracks');
  await screen.waitUntil('an answer about vehicles', `document.querySelector('.t-result') !== null`);
  t.match(await textOf('.t-sentence'), /^\d+ crossed the line to its right/);
  await press('.desk-acts button');
  await screen.waitUntil('the question', `document.querySelector('.t-chips') !== null`);
  await press('.t-chips .check:nth-of-type(3) input');
  await press('.t-chips .check:nth-of-type(1) input');
  await page.click('#ask-tracks');
  await screen.waitUntil('refused', `document.querySelector('main [role=alert]') !== null`);
  t.match(
    await textOf('main [role=alert]'),
    /^Search refused: A question about persons is answered only where a second person has signed/,
  );
  const file = await approveQuestion(t, String(await textOf('.t-command code')), dir);
  const fileInput = await page.$('[name=approval]');
  await (fileInput as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(file);
  await screen.waitUntil(
    'chosen',
    `document.querySelector('.t-approval').textContent.includes('approval.json')`,
  );
  await page.click('#ask-tracks');
  await screen.waitUntil('the answer', `document.querySelector('.t-result') !== null`);
  const [, countText = ''] =
    /^([\d,]+) crossed the line to its right/.exec(String(await textOf('.t-sentence'))) ?? [];
  const crossed = Number(countText.replace(',', ''));
  t.ok(crossed > 100 && crossed < Number(persons), `${crossed} persons crossed it`);
  t.match(await textOf('.t-left'), 'was made from the clip');
  await screen.waitUntil('a replay', `document.querySelector('.t-picture img')?.naturalWidth > 0`);
  const clock = String(await textOf('.t-clock'));
  await screen.waitUntil('it runs', `document.querySelector('.t-clock').textContent !== '${clock}'`);
  await press('.t-tool.main');
  await press('.t-list [data-track="3"] .t-row');
  await screen.waitUntil(
    'paused',
    `document.querySelector('.t-tool.main').getAttribute('aria-label') === 'Play'`,
  );
  // Half a second before the track reaches the line.
  await page.focus('.t-seek');
  await screen.waitUntil('figures', `document.querySelectorAll('[data-shown]').length > 1`);
  await page.evaluate('document.activeElement.blur()');
  await sleep(300);
  mkdirSync(join(PICTURE, '..'), { recursive: true });
  const shot = await page.screenshot();
  const { size, width, height } = await sharp(shot)
    .png({ palette: true, colours: 128, effort: 10 })
    .toFile(PICTURE);
  t.ok(size <= PICTURE_BYTES_MAX, `${size} bytes`);
  t.same([width, height], [1400, 900]);
  t.equal(await page.$eval('html', (html) => html.getAttribute('lang')), 'en');
  t.same(screen.pageErrors, []);
});
