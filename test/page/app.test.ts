/** Tests the technician's app in a real browser, on the shortest whole way: pair, aim, draw, try, keep, receipt. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { browserMissing } from '../lib/browser.ts';
import { ROOT } from '../lib/paths.ts';
import { RECEIPT } from './canned.ts';
import { cornerIs, openApp, sharedBrowser } from './ways.ts';

/** Limit for everything that a phone loads, gzip, kB. */
const WEIGHT_KB_MAX = 60;

t.test('the app weighs little, and brings no schema library', async (t) => {
  const files = ['index.html', 'app.js', 'style.css'].map((name) =>
    readFileSync(join(ROOT, 'dist/agent/page/app', name)),
  );
  const kB = files.reduce((sum, file) => sum + gzipSync(file).length, 0) / 1000;
  t.comment(`${kB.toFixed(1)} kB gzip`);
  t.ok(kB <= WEIGHT_KB_MAX, `${kB} kB`);
  t.notMatch(files.join(''), /TypeBox|https?:\/\/(?!www\.w3\.org)/);
});

t.test(
  'a technician goes from the code on the label to the receipt',
  { skip: browserMissing() },
  async (t) => {
    const browser = await sharedBrowser(t);
    const { box, phone } = await openApp(t, browser, { paired: false, hash: '#7xkq-93md-22pv-h0tt' });
    t.equal(new URL(phone.page.url()).hash, '', 'the code stays in no history');
    await phone.tap('#pair');
    await phone.untilThere('[data-screen=aim]');
    t.equal(
      await phone.page.evaluate('sessionStorage.getItem("setup-code")'),
      null,
      'a used code is removed',
    );
    await phone.picture();
    await phone.tap('#next');
    await phone.picture();
    await phone.tap('[data-chip="zone/lawn"]');
    await phone.drag([0.2, 0.48], [0.8, 0.95]);
    await phone.untilThere("[data-reason='zone/lawn']");
    t.match(await phone.text('[data-reason]'), 'Sides cross');
    await phone.tap('#undo');
    await phone.drag([0.5, 0.62], [0.6, 0.4]);
    await cornerIs(t, phone, 2, [60, 40]);
    t.same(await phone.check('way-zones'), []);

    await phone.go('try');
    await phone.tap('#try');
    await phone.untilThere('.trial');
    t.notOk(await phone.page.$('#next'), 'no next step while a trial runs');
    await phone.tap('#keep');
    await phone.untilThere('[data-fate=kept]');
    t.same(
      box.installed.zones[0]?.polygon[2]?.map((ratio) => Math.round(ratio * 100)),
      [60, 40],
    );

    box.brokerFails = false;
    await phone.go('go');
    await phone.untilThere('#verdict.ok');
    await phone.tap('#next');
    await phone.tap('#issue');
    await phone.untilText(/making the still/);
    box.receiptWaits = false;
    box.receipt = RECEIPT;
    await phone.untilTrue('the still', 'document.querySelector("#issued img")?.naturalWidth === 768');
    t.same(await phone.check('way-receipt'), []);
    await phone.tap('#unpair');
    await phone.untilThere('[data-screen=pair]');
    t.same(phone.pageErrors, []);
  },
);
