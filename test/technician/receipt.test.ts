/** Tests the receipt of an installation on the agent's side: a real agent with real vision on the street clip. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import type { Config } from '../../agent/contract/config.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { SNAPSHOT_BYTES_MAX, SNAPSHOT_LONG_SIDE_PX_MAX } from '../../agent/contract/redacted-jpeg.ts';
import type { Agent } from '../../agent/main.ts';
import { SUSPENSION_FILE } from '../../agent/orders/suspension.ts';
import { Suspension } from '../../agent/restraint/suspension.ts';
import { contentOf } from '../../scripts/programs/oversight/timeline/content.ts';
import { configOf, makeAgent } from '../lib/agent.ts';
import { fits } from '../lib/config-lives.ts';
import { Page } from '../lib/page-asking.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { BOX, SITE, waitUntil } from '../lib/room.ts';

const skip = !existsSync(STREET_CLIP) && 'no street clip: run scripts/setup';
const SLOW_MS = 60_000;
const SESSION = 'fedcba9876543210';

const boxConfig = (): Config =>
  configOf({
    site: SITE,
    box: BOX,
    camera: { source: `file:${STREET_CLIP}`, fps: 5 },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    masks: [
      {
        id: 'window',
        polygon: [
          [0, 0],
          [0.25, 0],
          [0.25, 0.25],
          [0, 0.25],
        ],
      },
    ],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
    // No broker answers at this address, so everything stays in the outbox.
    mqtt: { url: 'mqtt://127.0.0.1:1', ack: 'broker' },
  });

async function pagedBox(t: Test): Promise<{ agent: Agent; stateDir: string; page: Page }> {
  const stateDir = join(scratch(t), 'state');
  const agent = makeAgent(t, boxConfig(), stateDir);
  await agent.start();
  const page = await Page.connect(t, join(stateDir, 'page.sock'), SESSION);
  await page.startsPreview(1);
  await waitUntil(t, 'a picture', () => page.pictures.length > 0, SLOW_MS);
  return { agent, stateDir, page };
}

/** Messages that wait for the broker. */
function waitingMessages(stateDir: string): { readonly topic: string; readonly body: Buffer }[] {
  const db = new Database(join(stateDir, 'outbox.db'), { readonly: true });
  try {
    return db.prepare('SELECT topic, body FROM bulk ORDER BY seq').all() as { topic: string; body: Buffer }[];
  } finally {
    db.close();
  }
}

async function issued(t: Test, agent: Agent, count: number): Promise<void> {
  await waitUntil(t, `receipt ${count}`, () => agent.report().counters['receipts_issued'] === count, SLOW_MS);
}

function receiptEntries(stateDir: string): JournalContent[] {
  const lines = readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8').trim().split('\n');
  return lines
    .map((line) => contentOf((JSON.parse(line) as { content: JournalContent }).content))
    .filter(({ type }) => type === 'receipt');
}

t.test(
  'a receipt is an event with a redacted still, in the outbox and in the journal',
  { skip },
  async (t) => {
    const { agent, stateDir, page } = await pagedBox(t);
    t.match(await page.state(), { receipt: null, receiptWaits: false });
    t.equal(await page.ask({ op: 'receipt-still' }), 'no-still');

    t.equal(await page.ask({ op: 'receipt' }), null);
    await issued(t, agent, 1);
    const { receipt } = await page.state();
    t.match(receipt, { passed: Boolean, still: /^[0-9a-f]{64}$/, absent: null, delivered: false });
    t.equal(await page.ask({ op: 'receipt-still' }), null);
    const [still = Buffer.alloc(0)] = page.stills;
    t.equal(
      createHash('sha256').update(still).digest('hex'),
      receipt?.still,
      'the still that the event names',
    );
    const { width = 0, height = 0, format } = await sharp(still).metadata();
    t.equal(format, 'jpeg');
    t.ok(still.length <= SNAPSHOT_BYTES_MAX && Math.max(width, height) <= SNAPSHOT_LONG_SIDE_PX_MAX);
    const corner = await sharp(still).extract({ left: 8, top: 8, width: 170, height: 120 }).raw().toBuffer();
    t.ok(Math.max(...corner) < 16, 'black under the mask');
    const frames = page.pictures.map(({ jpeg }) => createHash('sha256').update(jpeg).digest('hex'));
    t.notOk(frames.includes(receipt?.still ?? ''), 'not a frame of the preview');

    const rows = waitingMessages(stateDir);
    const events = rows
      .filter(({ topic }) => topic.endsWith('/evt/system/installed'))
      .map(({ body }) => JSON.parse(body.toString()) as VigieEvent);
    t.strictSame(
      events.map(({ data }) => data.phase),
      ['start', 'end'],
    );
    const [start] = events;
    t.match(start?.data.cause, { session: SESSION, order: '2026-77', zones: 0, lines: 1, masks: 1 });
    t.equal(start?.data.cause['rules'], 'passing –');
    t.ok(fits('installed', 'cause', start?.data.cause), 'fits the published schema');
    t.equal(start?.data.evidence.sealed, undefined, 'no sealed still of an installation');
    t.ok(
      rows.some(({ topic, body }) => topic.endsWith(`/snap/${start?.id}`) && body.equals(still)),
      'the same picture goes to the room',
    );
    t.strictSame(
      receiptEntries(stateDir).map(({ at: _, ...entry }) => entry),
      [{ type: 'receipt', id: start?.id, session: SESSION, order: '2026-77', picture: receipt?.still }],
    );
    t.match(agent.report().counters, { receipts_issued: 1, receipts_refused: 0 });

    const attempts = Array.from({ length: 3 }, () => page.ask({ op: 'receipt' }));
    t.strictSame(await Promise.all(attempts), [null, 'receipt-waits', 'receipt-waits']);
    await issued(t, agent, 2);
    t.equal(agent.report().counters['receipts_refused'], 2);
  },
);

t.test('a suspended box issues a receipt without a still, and shows none', { skip }, async (t) => {
  const { agent, stateDir, page } = await pagedBox(t);
  t.equal(await page.ask({ op: 'receipt' }), null);
  await issued(t, agent, 1);
  new Suspension(join(stateDir, SUSPENSION_FILE)).suspend('order of the court', 'box', Date.now());
  await waitUntil(t, 'the suspension', () => agent.report().mode === 'suspended', SLOW_MS);
  t.equal(await page.ask({ op: 'receipt-still' }), 'suspended');
  t.equal(await page.ask({ op: 'receipt' }), null);
  await issued(t, agent, 2);
  t.match((await page.state()).receipt, { passed: false, still: null, absent: /order of the court/ });
  t.equal(page.stills.length, 0);
});
