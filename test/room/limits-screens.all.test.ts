/** Browser tests of the screens about a hostile box and a concurrent operator, by a supervisor. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { Register } from '../../scripts/programs/room/archive/register.ts';
import { Withdrawal } from '../../scripts/programs/room/archive/withdrawal.ts';
import { iso } from '../../scripts/programs/room/database/sql.ts';
import { browserMissing } from '../lib/browser.ts';
import { enter } from '../lib/console.ts';
import { addIncident, insert, putCameras } from '../lib/console-rows.ts';
import { enrolled, revoked, writeBoxes } from '../lib/enrolled-boxes.ts';
import { scratch } from '../lib/paths.ts';
import { browserOf, openConsole } from '../lib/room-browser.ts';

t.test(
  'the screens tell of a revoked box, strangers and limits',
  { skip: browserMissing(), timeout: 240_000 },
  async (t) => {
    const tab = await openConsole(t, await browserOf(t), { user: 'Omar' });
    const { room } = tab;
    const { db, home } = room;
    const now = Date.now();
    const cameras = Array.from({ length: 5000 }, (_, n) => ({ box: `b-${n}`, last_report: iso(now) }));
    await putCameras(db, [
      ...cameras,
      { box: 'thief', site: 'a', last_report: iso(now), share_until: iso(now + 3_600_000) },
    ]);
    const at = iso(now);
    await insert(db, 'stranger', {
      site: 'x',
      box: 'nobody',
      first_at: at,
      last_at: at,
      messages: 1,
      bytes: 1,
    });
    const no = await addIncident(db, now, { box: 'thief', site: 'a' });
    await enter(home, 'Nadia');
    await tab.page.goto(`${home}/cameras`);
    await tab.waitUntil('document.querySelectorAll("[role=option]").length === 5000', 30_000);
    const list = await tab.text();
    t.match(list, /Cameras not listed here: 1\./);
    t.match(list, /Boxes that are not enrolled and sent data in the last 24 hours: 1/);
    t.match(list, /Exceeds the daily storage limit per box/);
    const file = join(scratch(t), 'boxes.json');
    writeBoxes(file, [enrolled('a', 'thief')]);
    const register = new Register(file, (line) => t.comment(line));
    const withdrawal = new Withdrawal({
      db,
      register,
      instanceId: randomUUID(),
      nowMs: Date.now,
      log: (line) => t.comment(line),
    });
    t.teardown(() => withdrawal.stop());
    withdrawal.start();
    writeBoxes(file, [revoked('a', 'thief')]);
    register.refresh();
    withdrawal.wake();
    await tab.waitUntil('!document.querySelector("main").textContent.includes("thief")', 30_000);
    t.pass('the camera leaves the list that is shown');
    await tab.page.goto(`${home}/incidents/${no}`);
    await tab.waitUntil('document.querySelector(".facts") !== null', 30_000);
    t.match(await tab.text(), /closed by the control room: the certificates of its box were revoked/);
    await tab.page.goto(`${home}/audit`);
    await tab.waitUntil('document.querySelector(".d-people summary") !== null', 30_000);
    await tab.page.click('.d-people summary');
    await tab.waitUntil('document.querySelectorAll(".d-people tbody tr").length === 2', 30_000);
    await tab.page.click('.d-people tbody tr button');
    await tab.waitUntil('document.querySelectorAll(".d-people tbody tr").length === 1', 30_000);
    t.match(await tab.text('.toasts'), /One session of Nadia is ended/);
    t.match(await room.record('end-sessions', 'box-revoked'), [
      { account: 'room', act: 'box-revoked' },
      { account: 'Omar', act: 'end-sessions' },
    ]);
    t.same(tab.pageErrors, []);
  },
);
