/**
 * Tests the agent's side of the technician's page through its socket: a real agent with real vision on the street clip.
 * Pages that flood, send rubbish, come in numbers or do not read harm nothing.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { Config, MaskConfig } from '../../agent/contract/config.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { encodePagePicture } from '../../agent/contract/page-frames.ts';
import { PREVIEW_BYTES_MAX, PREVIEW_LONG_SIDE_PX_MAX } from '../../agent/contract/page-link.ts';
import { SNAPSHOT_BYTES_MAX, SNAPSHOT_LONG_SIDE_PX_MAX } from '../../agent/contract/redacted-jpeg.ts';
import type { Agent } from '../../agent/main.ts';
import { SUSPENSION_FILE } from '../../agent/orders/suspension.ts';
import { Suspension } from '../../agent/restraint/suspension.ts';
import { PageServer } from '../../agent/technician/page-server.ts';
import type { Screen } from '../../agent/technician/preview.ts';
import { contentOf } from '../../scripts/products/oversight/timeline/content.ts';
import { configOf, makeAgent } from '../lib/agent.ts';
import { fits } from '../lib/config-lives.ts';
import { smallStreet } from '../lib/encoded-clip.ts';
import { picture, SILENT } from '../lib/outbox.ts';
import { Page } from '../lib/page-asking.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { BOX, SITE, waitUntil } from '../lib/room.ts';
import { rectangle } from '../lib/shapes.ts';

const skip = !existsSync(STREET_CLIP) && 'no street clip: run scripts/setup';
const SLOW_MS = 60_000;
const SESSION = '0123456789abcdef';
const OTHER_SESSION = 'fedcba9876543210';
const MASK: MaskConfig = { id: 'window', polygon: rectangle(0, 0, 0.25, 0.25) };

const boxConfig = (): Config =>
  configOf({
    site: SITE,
    box: BOX,
    camera: { source: `file:${smallStreet().clip}`, fps: 5 },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    masks: [MASK],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
    alertsPerHour: 3600,
    // No broker answers at this address, so everything stays in the outbox.
    mqtt: { url: 'mqtt://127.0.0.1:1', ack: 'broker' },
  });

interface Box {
  readonly agent: Agent;
  readonly stateDir: string;
  readonly socket: string;
  /** Masks of the file on disk. */
  masks: readonly MaskConfig[];
}

async function runningBox(t: Test): Promise<Box> {
  const stateDir = join(scratch(t), 'state');
  const box = { stateDir, socket: join(stateDir, 'page.sock'), masks: [MASK] as Box['masks'] };
  const agent = makeAgent(t, boxConfig(), stateDir, { masksOnDisk: () => box.masks });
  await agent.start();
  return Object.assign(box, { agent });
}

/** Journal entries as the report reads them; an entry of another form would have another type. */
function entries(stateDir: string, type: RegExp): JournalContent[] {
  const lines = readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8').trim().split('\n');
  return lines
    .map((line) => contentOf((JSON.parse(line) as { content: JournalContent }).content))
    .filter((content) => type.test(content.type));
}

const counter = (agent: Agent, name: string): number => agent.report().counters[name] ?? Number.NaN;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Checks that the picture fits its limits and is black under the mask; returns its size. */
async function checkPicture(t: Test, jpeg: Uint8Array, bytesMax: number, sideMax: number): Promise<number[]> {
  t.ok(jpeg.length <= bytesMax, `${jpeg.length} bytes`);
  const { width = 0, height = 0, format } = await sharp(jpeg).metadata();
  t.equal(format, 'jpeg');
  t.ok(Math.max(width, height) <= sideMax, `${width} × ${height}`);
  const corner = await sharp(jpeg)
    .extract({ left: 8, top: 8, width: (width >> 2) - 22, height: (height >> 2) - 24 })
    .raw()
    .toBuffer();
  t.ok(Math.max(...corner) < 16, `black under the mask: ${Math.max(...corner)} at most`);
  return [width, height];
}

/** Tests the preview for two technicians; returns the number of pictures of the first. */
async function preview(t: Test, { agent, stateDir, socket }: Box): Promise<number> {
  t.equal(statSync(socket).mode & 0o777, 0o600, 'in a plain run only the agent’s user may use it');
  const page = await Page.connect(t, socket, SESSION);
  const other = await Page.connect(t, socket, OTHER_SESSION);
  await page.startsPreview(7);
  t.equal(await page.ask({ op: 'preview-start', viewer: 7 }), null, 'a present viewer may start again');
  t.equal(await other.ask({ op: 'preview-start', viewer: 7 }), null);
  t.equal(await page.ask({ op: 'preview-start', viewer: 8 }), 'too-many-viewers');
  await waitUntil(t, 'pictures', () => page.pictures.length >= 6 && other.pictures.length >= 4, SLOW_MS);
  for (const { header, jpeg } of page.pictures) {
    const size = await checkPicture(t, jpeg, PREVIEW_BYTES_MAX, PREVIEW_LONG_SIDE_PX_MAX);
    t.strictSame(size, [header.widthPx, header.heightPx]);
  }
  const times = page.pictures.map(({ header }) => header.atMs);
  const gaps = times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0));
  t.ok(Math.min(...gaps) > 0, 'each newer than the one before');
  await waitUntil(t, 'tracks', () => page.pictures.some(({ header }) => header.tracks.length > 0), SLOW_MS);

  const state = await page.state();
  t.match(state, { mode: 'active', preview: { running: true, viewers: 2 }, refusedRules: [], walk: null });
  t.match(state.order, { order: '2026-77', authority: 'Ville de Test', installation: false });
  t.match(state.running.masks, [{ id: 'window' }]);
  const isToldToRoom = ({ status }: typeof state): boolean =>
    status.standing.some(({ kind }) => kind === 'preview');
  t.ok(isToldToRoom(state), 'the room is informed');
  for (const [language, detail] of [
    ['en', /^a technician has been viewing .* since /],
    ['fr', /^un technicien regarde /],
  ] as const) {
    const { findings } = await page.state(language);
    t.match(
      findings.find(({ name }) => name === 'preview'),
      { verdict: 'ok', detail },
    );
  }
  t.equal(await page.ask({ op: 'preview-stop', viewer: 7 }), null);
  t.equal(await page.ask({ op: 'preview-stop', viewer: 7 }), 'not-started');
  const pictureCount = page.pictures.length;
  other.socket.destroy();
  let after = state;
  while (after.preview.viewers > 0 || isToldToRoom(after)) {
    await sleep(100);
    after = await page.state();
  }
  const { leftTodayS } = after.preview;
  t.ok(leftTodayS < 3600 && leftTodayS > 3500, `${leftTodayS} s left today`);
  t.equal(counter(agent, 'preview_viewers'), 0);
  t.equal(page.pictures.length, pictureCount, 'a stopped viewer gets no picture');
  const use = JSON.parse(readFileSync(join(stateDir, 'preview-use.json'), 'utf8')) as object;
  t.strictSame(Object.keys(use), ['day', 'usedS']);
  page.socket.destroy();
  return pictureCount;
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

async function untilIssued(t: Test, agent: Agent, count: number): Promise<void> {
  await waitUntil(t, `receipt ${count}`, () => counter(agent, 'receipts_issued') === count, SLOW_MS);
}

/** Tests that a receipt is an event with a redacted still, in the outbox and in the journal. */
async function receipts(t: Test, { agent, stateDir }: Box, page: Page): Promise<void> {
  t.match(await page.state(), { receipt: null, receiptWaits: false });
  t.equal(await page.ask({ op: 'receipt-still' }), 'no-still');
  t.equal(await page.ask({ op: 'receipt' }), null);
  await untilIssued(t, agent, 1);
  const { receipt } = await page.state();
  t.match(receipt, { passed: Boolean, still: /^[0-9a-f]{64}$/, absent: null, delivered: false });
  t.equal(await page.ask({ op: 'receipt-still' }), null);
  const [still = Buffer.alloc(0)] = page.stills;
  t.equal(sha256(still), receipt?.still, 'the still that the event names');
  await checkPicture(t, still, SNAPSHOT_BYTES_MAX, SNAPSHOT_LONG_SIDE_PX_MAX);
  t.notOk(page.pictures.map(({ jpeg }) => sha256(jpeg)).includes(sha256(still)), 'no frame of the preview');

  const rows = waitingMessages(stateDir);
  const events = rows
    .filter(({ topic }) => topic.endsWith('/evt/system/installed'))
    .map(({ body }) => JSON.parse(body.toString()) as VigieEvent);
  t.match(events, [{ data: { phase: 'start' } }, { data: { phase: 'end' } }]);
  const [start] = events;
  t.match(start?.data.cause, { session: SESSION, order: '2026-77', zones: 0, lines: 1, masks: 1 });
  t.equal(start?.data.cause['rules'], 'passing –');
  t.ok(fits('installed', 'cause', start?.data.cause), 'fits the published schema');
  t.equal(start?.data.evidence.sealed, undefined, 'no sealed still of an installation');
  const isStill = (topic: string, body: Buffer): boolean =>
    topic.endsWith(`/snap/${start?.id}`) && body.equals(still);
  t.ok(
    rows.some(({ topic, body }) => isStill(topic, body)),
    'the same picture goes to the room',
  );
  t.strictSame(
    entries(stateDir, /^receipt$/).map(({ at: _, ...entry }) => entry),
    [{ type: 'receipt', id: start?.id, session: SESSION, order: '2026-77', picture: receipt?.still }],
  );
  const attempts = Array.from({ length: 3 }, () => page.ask({ op: 'receipt' }));
  t.strictSame(await Promise.all(attempts), [null, 'receipt-waits', 'receipt-waits']);
  await untilIssued(t, agent, 2);
  t.match(agent.report().counters, { receipts_issued: 2, receipts_refused: 2 });
}

/** Tests that no picture is shown while drawn masks do not run yet. */
async function drawnMasks(t: Test, box: Box, page: Page): Promise<void> {
  box.masks = [MASK, { ...MASK, id: 'balcony' }];
  await waitUntil(t, 'told', () => page.noPictures.length > 0);
  t.match(page.noPictures, [{ why: 'masks-not-applied' }]);
  t.equal(await page.ask({ op: 'preview-start', viewer: 1 }), 'masks-not-applied');
  box.masks = [MASK];
  await page.startsPreview(1);
  page.noPictures.length = 0;
}

async function suspended(t: Test, { agent, stateDir }: Box, page: Page): Promise<void> {
  new Suspension(join(stateDir, SUSPENSION_FILE)).suspend('order of the court', 'box', Date.now());
  const tookMs = await waitUntil(t, 'told', () => page.noPictures.length > 0);
  t.ok(tookMs <= 1000, `after ${tookMs} ms`);
  t.match(page.noPictures, [{ why: 'suspended', reason: 'order of the court', viewer: null }]);
  const pictureCount = page.pictures.length;
  t.equal(await page.ask({ op: 'preview-start', viewer: 1 }), 'suspended');
  await waitUntil(t, 'the suspension', () => agent.report().mode === 'suspended', SLOW_MS);
  const stillCount = page.stills.length;
  t.equal(await page.ask({ op: 'receipt-still' }), 'suspended');
  t.equal(await page.ask({ op: 'receipt' }), null);
  await untilIssued(t, agent, 3);
  t.match(await page.state(), {
    mode: 'suspended',
    reason: 'order of the court',
    preview: { running: false },
    receipt: { passed: false, still: null, absent: /order of the court/ },
  });
  t.equal(page.stills.length, stillCount, 'no still is shown');
  t.equal(page.pictures.length, pictureCount, 'and no picture');
}

t.test('a technician looks, issues a receipt, and sees nothing after a suspension', { skip }, async (t) => {
  const box = await runningBox(t);
  let pictureCount = 0;
  await t.test('two may look, a third may not, and the box says so', async (t) => {
    pictureCount = await preview(t, box);
  });
  const page = await Page.connect(t, box.socket, SESSION);
  await page.startsPreview(1);
  await waitUntil(t, 'a picture', () => page.pictures.length > 0, SLOW_MS);
  await t.test('no picture is shown while drawn masks do not run', (t) => drawnMasks(t, box, page));
  await t.test('a receipt goes to the room with its still', (t) => receipts(t, box, page));
  await t.test('a suspension removes the picture within a second, and a receipt has no still', (t) =>
    suspended(t, box, page),
  );
  await box.agent.stop();
  const [type, order] = ['preview-started', '2026-77'];
  t.match(entries(box.stateDir, /^preview-/), [
    { type, session: SESSION, order },
    { type, session: OTHER_SESSION, order },
    { type: 'preview-ended', session: SESSION, why: 'stopped', frames: pictureCount },
    { type: 'preview-ended', session: OTHER_SESSION, why: 'page gone' },
    { type, session: SESSION, order },
    { type: 'preview-ended', session: SESSION, why: 'masks-not-applied' },
    { type, session: SESSION, order },
    { type: 'preview-ended', session: SESSION, why: 'suspended' },
  ]);
});

/** Serves pages that get no answer, and notes what the agent hears of them. */
async function served(t: Test, socket: string) {
  const calls = { count: 0, closed: 0, screen: undefined as Screen | undefined };
  const server = new PageServer({
    socket,
    mode: 0o600,
    clock: systemClock,
    log: SILENT,
    ask: (_message, screen) => {
      calls.count += 1;
      calls.screen = screen;
    },
    onScreenClosed: () => {
      calls.closed += 1;
    },
  });
  await server.start();
  t.teardown(() => server.stop());
  return { server, calls, socket };
}

void t.test('a flood of requests is refused, and reaches the agent at its rate only', async (t) => {
  const { server, calls, socket } = await served(t, join(scratch(t), 'page.sock'));
  const page = await Page.connect(t, socket);
  page.flood({ op: 'state', language: 'fr' }, 10_000);
  await waitUntil(t, 'refusals', () => page.answers.size > 100);
  t.match([...page.answers.values()][0], { refused: { code: 'too-many' }, state: null });
  t.ok(Number(server.counters['page_limited']) >= 100);
  t.ok(calls.count < 200, `${calls.count} of 10,000`);
});

void t.test('rubbish and a third page end their own connection only', async (t) => {
  const { server, calls, socket } = await served(t, join(scratch(t), 'page.sock'));
  for (const bytes of [randomBytes(4096), Buffer.from([0, 0x10, 0, 0])]) {
    const page = await Page.connect(t, socket);
    page.socket.write(bytes);
    await waitUntil(t, 'its connection ends', () => page.closed);
  }
  await waitUntil(t, 'the agent knows', () => calls.closed === 2);
  t.equal(calls.count, 0, 'with no other effect');
  const two = [await Page.connect(t, socket), await Page.connect(t, socket)];
  const third = await Page.connect(t, socket);
  await waitUntil(t, 'a third connection ends', () => third.closed);
  t.same(
    two.map(({ closed }) => closed),
    [false, false],
  );
  t.match(server.counters, { page_refused: 3 });
});

void t.test('a page that does not read gets no queue of pictures', async (t) => {
  const { calls, socket } = await served(t, join(scratch(t), 'page.sock'));
  const page = await Page.connect(t, socket);
  page.flood({ op: 'state', language: 'fr' }, 1);
  await waitUntil(t, 'it was calls', () => calls.screen !== undefined);
  page.socket.pause();
  const encoded = encodePagePicture(picture(100_000), []);
  let sentCount = 0;
  for (let count = 0; count < 100; count += 1) {
    if (calls.screen?.show(encoded) === true) sentCount += 1;
    await sleep(1);
  }
  t.ok(sentCount > 0 && sentCount < 20, `${sentCount} of 100 were sent`);
  page.socket.resume();
  await waitUntil(t, 'those arrive', () => page.pictures.length === sentCount);
});

void t.test('the agent runs on where it cannot listen', async (t) => {
  const { server } = await served(t, join(scratch(t), 'no/such/page.sock'));
  t.match(server.counters, { page_unserved: { gauge: 1 } });
});
