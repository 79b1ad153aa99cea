/** Tests the console's app with the real server: its size, and an operator's work by keyboard in a browser. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import t from 'tap';
import { iso } from '../../scripts/products/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { BUILT_APP } from '../lib/console.ts';
import { addIncidents, addPictured, insert } from '../lib/console-rows.ts';
import { ROOT } from '../lib/paths.ts';
import { browserOf, openConsole } from '../lib/room-browser.ts';
import { numbered } from '../lib/room-evening.ts';

/** Maximum size of the files that a browser loads for the queue, gzip. */
const FIRST_LOAD_KB_MAX = 75;
/** Maximum size of all files, with every screen, gzip. */
const WHOLE_KB_MAX = 140;

/** The built file, and every file that it imports before it runs. */
function withImports(name: string): string[] {
  const text = readFileSync(join(BUILT_APP, name), 'utf8');
  const imported = [...text.matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g)].map(([, path = '']) =>
    join(dirname(name), path),
  );
  return [...new Set([name, ...imported.flatMap(withImports)])];
}

t.test('the first load and the whole app are small, without a schema library', (t) => {
  const checkSize = (name: string, files: readonly string[], maxKB: number): void => {
    const kB =
      files.reduce((sum, file) => sum + gzipSync(readFileSync(join(BUILT_APP, file))).length, 0) / 1000;
    t.comment(`${name}: ${kB.toFixed(1)} kB gzip in ${files.length} files`);
    t.ok(kB <= maxKB, `${name}: ${kB} kB`);
  };
  const firstNames = ['index.html', 'style.css', ...withImports('app.js')];
  const chunks = readdirSync(join(BUILT_APP, 'chunks')).map((chunk) => join('chunks', chunk));
  const allNames = ['index.html', 'style.css', 'views.css', 'app.js', ...chunks];
  t.ok(
    firstNames.length < allNames.length && firstNames.every((name) => allNames.includes(name)),
    firstNames.join(' '),
  );
  checkSize('first load', firstNames, FIRST_LOAD_KB_MAX);
  checkSize('whole', allNames, WHOLE_KB_MAX);
  const texts = allNames.map((name) => readFileSync(join(BUILT_APP, name), 'utf8'));
  t.notMatch(texts.join(''), /TypeBox|https?:\/\/(?!www\.w3\.org)/);
  t.end();
});

const PICTURE = 'document.querySelector(".pictures img")?.naturalWidth > 0';
const NOTE = 'Looked twice; t and f are letters here.';
const says = (text: string): string => `document.querySelector(".toasts").textContent.includes("${text}")`;

t.test('an operator works a shift by keyboard alone', { skip: browserMissing() }, async (t) => {
  const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).jpeg({ quality: 60 }).toBuffer();
  const hostile = '<img src=x onerror=alert(1)>\u001b[31m'.repeat(10).slice(0, 300);
  const { page, room, posts, pageErrors, waitUntil, press, text } = await openConsole(t, await browserOf(t));
  const alert = { ...numbered(1), no: 1, box: 'cam-1', place: `zone/${hostile}`.slice(0, 80) };
  await addPictured(room.db, jpeg, 'centre', [alert]);
  await insert(room.db, 'note', { incident: 1, at: iso(Date.now()), account: 'Omar', text: hostile });
  await waitUntil('document.querySelector(".row[data-no=\'1\']") !== null');
  t.pass('an alert arrives');

  await press('j', 't');
  await page.waitForSelector('dialog[open]');
  t.match(await text('dialog'), 'have not opened the picture');
  t.match(await page.evaluate('document.activeElement.textContent'), 'Open the picture');
  await press('Enter');
  await waitUntil(PICTURE);
  t.strictSame(posts, [], 'no verdict is sent without a look');
  t.match(await text('.incident'), '<img src=x', 'text of a box is text');
  t.equal(await page.$('[onerror]'), null);

  await press('c');
  await waitUntil('document.querySelector(".incident .mark.claimed") !== null');
  await press('n');
  await page.waitForSelector('dialog[open] textarea');
  await page.keyboard.type(NOTE);
  await press('Enter');
  await waitUntil(says('The note is saved'));
  await press('d');
  await waitUntil('document.querySelector(".incident .mark.dispatched") !== null');
  await waitUntil(says('Dispatched'));

  for (const isLast of [false, true]) {
    const { length } = posts;
    room.link.hold(false, true);
    await press('t');
    await waitUntil('document.querySelector(".incident .mark.closed") !== null');
    t.equal(posts.length, length, 'a verdict is drawn before its answer');
    room.link.hold(false, false);
    await waitUntil('document.querySelectorAll(".row").length === 0');
    if (isLast) break;
    await press('z');
    await waitUntil('document.querySelectorAll(".row").length === 1');
    await waitUntil('document.querySelector(".incident .mark.dispatched") !== null');
    await waitUntil(says('Undone'));
  }
  t.same(await room.db.all('SELECT state, verdict FROM incident'), [
    { state: 'closed', verdict: 'confirmed' },
  ]);
  t.same(
    (await room.record('see-still', 'claim', 'note', 'dispatch', 'judge', 'undo')).map(({ account, act }) =>
      [account, act].join(),
    ),
    ['see-still', 'claim', 'note', 'dispatch', 'judge', 'undo', 'judge'].map((act) => `Nadia,${act}`),
  );
  await addIncidents(room.db, [numbered(2)]);
  await waitUntil('document.querySelector(".row[data-no=\'2\']") !== null');
  t.strictSame(pageErrors, []);
});
