/** Tests how the room stores the receipt of an installation and shows it, and removed masks, at the camera. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { IPublishPacket } from 'mqtt';
import type { Browser } from 'puppeteer-core';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { SNAPSHOT_BYTES_MAX } from '../../agent/contract/redacted-jpeg.ts';
import { arrivalOf } from '../../scripts/programs/room/archive/message.ts';
import { stillOf } from '../../scripts/programs/room/console/stills.ts';
import { browserMissing } from '../lib/browser.ts';
import { callOf } from '../lib/console-room.ts';
import { addIncident, addStill, putCamera } from '../lib/console-rows.ts';
import { onEachDatabase } from '../lib/databases.ts';
import { eventText } from '../lib/events.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { packet } from '../lib/room-alerts.ts';
import { appRoom, contextOf, tabOf } from '../lib/room-browser.ts';
import { unlessAll } from '../lib/run.ts';
import { violations } from '../page/in-page.ts';
import { type Look, openBrowser, savePicture } from '../page/phone.ts';

const NOW = Date.parse('2026-11-24T15:00:00.000Z');
const JPEG = await sharp({ create: { width: 64, height: 48, channels: 3, background: '#678' } })
  .jpeg()
  .toBuffer();
const CAUSE = {
  passed: false,
  problems: 'clock, broker',
  order: '2026/1234',
  orderUntil: '2027-11-24T00:00:00.000Z',
  version: '0.1.0',
  configuration: 'a'.repeat(64),
  journalEntries: 1234,
  journalRoot: 'b'.repeat(43),
  zones: 2,
  lines: 1,
  masks: 1,
  rules: 'stays 4/5, passes –',
  reason: 'the final check has failed',
  session: '0123456789abcdef',
  durationS: 0,
};
const SHA256 = createHash('sha256').update(JPEG).digest('hex');

const inBulk = (topic: string, payload: string | Buffer, seq: number): IPublishPacket =>
  packet(`vigie/lyon/b-1/${topic}`, payload, { lane: 'bulk', seq: String(seq) });

function receiptText(source = 'urn:vigie:lyon:b-1'): string {
  const event = JSON.parse(eventText({ site: 'lyon', box: 'b-1', id: 'r-1', seq: 1 })) as VigieEvent;
  const { zone: _zone, ...data } = event.data;
  return JSON.stringify({
    ...event,
    source,
    type: 'vigie.installed.v1',
    subject: 'camera',
    data: {
      ...data,
      severity: 'system',
      rule: { id: 'built-in', kind: 'installed', params: {} },
      cause: CAUSE,
      objects: [],
      evidence: {
        snapshot: {
          sha256: SHA256,
          bytes: JPEG.length,
          time: event.time,
          redaction: { figures: 0, cleanPlate: { ratio: 0, maxAgeS: 0 }, mosaicShare: 0, masks: 1 },
        },
      },
    },
  });
}

onEachDatabase('the receipt of an installation is archived', async (t, database) => {
  const archive = await database.open(() => NOW);
  const arrivals = [
    arrivalOf(inBulk('evt/system/installed', receiptText(), 1), NOW),
    arrivalOf(inBulk('snap/r-1', JPEG, 2), NOW),
  ];
  const stored = await archive.store(arrivals);
  t.equal(stored.newArrivals.length, 2);
  t.equal((await archive.store(arrivals)).newArrivals.length, 0, 'a repeated one is stored once');
  const db = database.sql();
  const [row] = await db.all<{ no: number; kind: string; cause: string; still: string }>(
    "SELECT no, kind, cause, still FROM incident WHERE kind = 'installed'",
  );
  t.match(row, { kind: 'installed', still: 'r-1' });
  t.strictSame(JSON.parse(row?.cause ?? ''), CAUSE, 'every fact is kept');
  const params = { no: row?.no ?? 0, moment: 'snapshot' } as const;
  const jpeg = await stillOf(db, callOf<'still'>('operator', NOW, { params }));
  t.ok(jpeg.equals(JPEG), 'an operator gets the picture');
  t.match(
    await db.all("SELECT account, incident FROM audit WHERE act = 'see-still'"),
    [{ account: 'operator', incident: row?.no }],
    'and the audit log has the view',
  );

  const other = arrivalOf(inBulk('evt/system/installed', receiptText('urn:vigie:lyon:b-2'), 3), NOW);
  t.match(other, { unread: '/source: urn:vigie:lyon:b-2 on a topic of urn:vigie:lyon:b-1' });
  await archive.store([other]);
  t.equal((await db.all('SELECT no FROM incident')).length, 1, 'a receipt of another box is not shown');
});

void t.test('a picture above the limit is refused', async (t) => {
  const large = Buffer.alloc(SNAPSHOT_BYTES_MAX + 1);
  t.throws(() => arrivalOf(inBulk('snap/r-1', large, 1), NOW), /a picture of 150001 bytes; at most 150000/);
  t.ok(arrivalOf(inBulk('snap/r-1', large.subarray(1), 1), NOW));
});

void t.test(
  'the camera shows its receipt and removed masks',
  { skip: unlessAll || browserMissing() },
  async (t) => {
    const browser = await openBrowser(join(scratch(t), 'profile'));
    t.teardown(() => browser.close());
    await t.test('a phone shows them in French', (t) => atTheCamera(t, browser, ['fr', 'dark'], 390));
    await t.test('a desk shows them in English', (t) => atTheCamera(t, browser, ['en', 'light'], 1280));
  },
);

const TEXTS = {
  en: [/Privacy mask removed: windows by a technician/, /final check: FAIL/, /stays 4\/5/],
  fr: [/Masque de confidentialité retiré : windows par un technicien/, /NON CONFORME/, /stays 4\/5/],
} as const;

async function atTheCamera(t: Test, browser: Browser, look: Look, width: number): Promise<void> {
  const receivedMs = Date.now() - 60_000;
  const detail = {
    stills: [{ moment: 'snapshot', name: 'r-1', time: new Date(receivedMs).toISOString(), sha256: SHA256 }],
  };
  const system = { severity: 'system', priority: 3, rule: 'built-in', place: 'camera' };
  const room = await appRoom(t, {
    fill: async (db) => {
      await putCamera(db, 'b-1', Date.now());
      await addIncident(db, receivedMs, {
        ...system,
        kind: 'installed',
        cause: JSON.stringify(CAUSE),
        still: 'r-1',
        detail: JSON.stringify(detail),
      });
      await addStill(db, { name: 'r-1' }, JPEG, receivedMs);
      const cause = JSON.stringify({ removed: 'windows', smaller: '', by: 'technician' });
      await addIncident(db, receivedMs, { ...system, kind: 'mask-removed', cause });
    },
  });
  const context = await contextOf(t, browser, room.home, 'Nadia');
  const before = `localStorage.setItem('theme', '${look[1]}')`;
  const tab = await tabOf(context, room.home, {
    look,
    before,
    size: { width, height: 900 },
    path: '/cameras',
  });
  await tab.waitUntil('document.querySelector("[role=option]") !== null');
  await tab.page.click('[role=option]');
  await tab.waitUntil('document.querySelector("#installation #receipt-still") !== null');
  const text = await tab.text('#installation');
  for (const part of TEXTS[look[0]]) t.match(text, part);
  t.strictSame(await room.record('see-still'), [], 'no picture is loaded unasked');
  await tab.page.click('#receipt-still');
  await tab.waitUntil('document.querySelector("#installation img")?.naturalWidth > 0');
  t.match(await room.record('see-still'), [{ account: 'Nadia' }]);
  await savePicture(tab.page, join(ROOT, `.cache/room-desk-screens/receipt-${look.join('-')}.png`), true);
  t.strictSame(await violations(tab.page), []);
  t.equal(await tab.page.evaluate('document.documentElement.scrollWidth > innerWidth'), false);
  t.strictSame(tab.pageErrors, []);
}
