/** Tests in a browser that an empty queue tells an operator whether an alert can come, and if not, why. */
import { join } from 'node:path';
import t from 'tap';
import { browserMissing } from '../lib/browser.ts';
import { putCamera } from '../lib/console-rows.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { appRoom, contextOf, tabOf } from '../lib/room-browser.ts';
import { unlessAll } from '../lib/run.ts';
import { openBrowser, savePicture } from '../page/phone.ts';

const SCREENS_DIR = join(ROOT, '.cache/room-quiet-screens');
const WIDTHS = [390, 1280, 1920];

const SAYS = {
  en: {
    never: 'No alert can come: no camera has reported yet.',
    none: 'No alert can come: the camera is not watching.',
    reason: /lyon\/b-1.*Suspended.*authorisation/i,
    some: 'No alert can come from 1 of 2 cameras, which is not watching.',
    demo: /Demonstration: its own clip brings the first alert/,
  },
  fr: {
    never: 'Aucune alerte ne peut arriver : aucune caméra n’a encore donné signe.',
    none: 'Aucune alerte ne peut arriver : la caméra ne surveille rien.',
    reason: /lyon\/b-1.*Suspendue.*arrêté/i,
    some: 'Aucune alerte ne peut arriver de 1 caméra sur 2, qui ne surveille rien.',
    demo: /Démonstration : son propre film donne la première alerte/,
  },
};
const skip = browserMissing() || unlessAll;

for (const language of ['en', 'fr'] as const)
  void t.test(`an empty queue, ${language}`, { skip, timeout: 120_000 }, async (t) => {
    const says = SAYS[language];
    const browser = await openBrowser(scratch(t));
    t.teardown(() => browser.close());
    const { db, home } = await appRoom(t);
    const look = [language, 'light'] as const;
    const tab = await tabOf(await contextOf(t, browser, home, 'Omar'), home, { look });
    const waitForText = (text: string) =>
      tab.waitUntil(`document.querySelector('.empty')?.textContent.includes(${JSON.stringify(text)})`);
    const pictures = async (name: string): Promise<void> => {
      for (const width of WIDTHS) {
        await tab.page.setViewport({ width, height: 900 });
        const isFitting = await tab.page.evaluate('document.documentElement.scrollWidth <= innerWidth');
        t.ok(isFitting, `${name} fits into ${width} px`);
        await savePicture(tab.page, join(SCREENS_DIR, `${name}-${language}-${width}.png`));
      }
    };
    await waitForText(says.never);
    await putCamera(db, 'b-1', Date.now(), { mode: 'unauthorised', conditions: '["unauthorised"]' });
    await waitForText(says.none);
    t.match(await tab.text('.empty'), says.reason, 'with its reason');
    t.notMatch(await tab.text('.empty'), says.demo);
    await pictures('none');
    await putCamera(db, 'b-2', Date.now());
    await waitForText(says.some);
    await putCamera(db, 'b-1', Date.now());
    await tab.waitUntil(`document.querySelector('.empty li, .empty .cannot') === null`);
    t.match(await tab.text('.empty'), says.demo, 'the demonstration says when to expect its first alert');
    await pictures('watching');
    t.same(tab.pageErrors, []);
  });
