/** Browser test of an hour's work: a scripted operator judges 60 alerts with two storms by keyboard. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { browserMissing } from '../lib/browser.ts';
import { addIncidents, addStill } from '../lib/console-rows.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { appRoom, contextOf, tabOf } from '../lib/room-browser.ts';
import { hourOfAlerts, workShift } from '../lib/shift-operator.ts';
import { openBrowser } from '../page/phone.ts';

/**
 * Maximum number of keys: one per verdict, two per wrong one, and a few to open the first of each run. Without an
 * incident that opens automatically there would be 147.
 */
const KEYS_MAX = 110;

t.test(
  'an operator judges an hour of alerts by keyboard',
  { skip: browserMissing(), timeout: 240_000 },
  async (t) => {
    const jpeg = await sharp(join(ROOT, 'docs/alert.jpg')).jpeg({ quality: 60 }).toBuffer();
    const sha256 = createHash('sha256').update(jpeg).digest('hex');
    const alerts = hourOfAlerts();
    const browser = await openBrowser(join(scratch(t), 'profile'));
    t.teardown(() => browser.close());
    const room = await appRoom(t, {
      fill: async (db) => {
        const still = (no: number) => ({
          moment: 'snapshot',
          name: `${no}.jpg`,
          time: new Date().toISOString(),
          sha256,
        });
        await addIncidents(
          db,
          alerts.map(({ no, columns }) => ({
            ...columns,
            still: `${no}.jpg`,
            detail: JSON.stringify({ stills: [still(no)], event: `ev-${no}` }),
          })),
        );
        for (const { no, columns } of alerts)
          await addStill(db, { name: `${no}.jpg` }, jpeg, Date.now(), {
            site: 'centre',
            box: String(columns['box']),
            seq: no,
          });
      },
    });
    const context = await contextOf(t, browser, room.home, 'Nadia');
    const { page, waitUntil, pageErrors } = await tabOf(context, room.home, {});
    await page.setViewport({ width: 1280, height: 800 });
    await page.waitForSelector('.row');
    await waitUntil('document.querySelector(".link-live") !== null');
    const { keys, seconds, wrong, undone } = await workShift(page, alerts);
    t.comment(`${keys} keys, ${seconds.toFixed(0)} s, ${wrong} wrong verdicts, ${undone} undone`);
    t.ok(keys <= KEYS_MAX, `${keys} keys`);
    t.ok(wrong > 0 && undone === wrong, `${undone} of ${wrong} wrong verdicts undone`);
    const truth = alerts.map((alert) => ({ no: alert.no, verdict: alert.truth })).sort((a, b) => a.no - b.no);
    t.same(
      await room.db.all('SELECT no, verdict FROM incident ORDER BY no'),
      truth,
      'every verdict is the right one',
    );
    const audit = await room.db.all<{ details: string }>(
      "SELECT more AS details FROM audit WHERE act = 'judge'",
    );
    const unseenCount = audit.filter(({ details }) => details.includes('unseen')).length;
    t.ok(unseenCount > 0 && unseenCount < 15, `${unseenCount} verdicts are audited as unseen`);
    t.strictSame(pageErrors, []);
  },
);
