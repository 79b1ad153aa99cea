/**
 * Tests that the technician's page calls a configuration unreadable, never empty, on each step that works on it: in a
 * browser, with a box whose root program does not answer.
 */
import t from 'tap';
import { CONFIGURATION_SCREENS } from '../../agent/page/app/screens.ts';
import { EN } from '../../agent/page/app/words/en.ts';
import { FR } from '../../agent/page/app/words/fr.ts';
import { browserMissing } from '../lib/browser.ts';
import { openApp, sharedBrowser } from './ways.ts';

const REASON = 'a configuration is tried by vigie-root, which is not here';
const skip = browserMissing();

t.test(
  'a configuration that cannot be read is one state on steps 3 to 7',
  { skip, timeout: 120_000 },
  async (t) => {
    const browser = await sharedBrowser(t);
    for (const [language, words] of [
      ['en', EN],
      ['fr', FR],
    ] as const)
      await t.test(language, async (t) => {
        const { box, phone } = await openApp(t, browser, { look: [language, 'light'], paired: false });
        box.configReason = REASON;
        await phone.type('[name=code]', '7XKQ-93MD-22PV-H0TT');
        await phone.tap('#pair');
        await phone.untilTrue('paired', 'document.querySelector("[data-screen=aim]") !== null');
        const screenText = (): Promise<string> => phone.text('main');
        for (const screen of CONFIGURATION_SCREENS) {
          await phone.go(screen);
          const text = await screenText();
          for (const part of [words.configUnavailable, words.configFix, REASON]) t.match(text, part, screen);
          for (const empty of [words.walk.none, words.fires.none, words.rules.none, words.try.intro])
            t.notMatch(text, empty, `${screen} calls nothing empty`);
          t.same(await phone.check(screen), []);
        }
        box.configReason = null;
        await phone.untilTrue('read', 'document.querySelector("#unreadable-config") === null');
        t.notMatch(await screenText(), words.walk.none, 'the walk test offers the installed rules');
        box.configReason = REASON;
        await phone.untilTrue('unreadable again', 'document.querySelector("#unreadable-config") !== null');
        t.match(await screenText(), words.walk.intro, 'a screen whose configuration was read stays');
      });
  },
);
