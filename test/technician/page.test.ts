/**
 * Tests the agent's side of the technician's page through its socket: a real agent with real vision on the street clip.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import type { Config, MaskConfig } from '../../agent/contract/config.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { PREVIEW_BYTES_MAX, PREVIEW_LONG_SIDE_PX_MAX } from '../../agent/contract/page-link.ts';
import type { Agent } from '../../agent/main.ts';
import { SUSPENSION_FILE } from '../../agent/orders/suspension.ts';
import type { AgentOptions } from '../../agent/parts.ts';
import { Suspension } from '../../agent/restraint/suspension.ts';
import { contentOf } from '../../scripts/programs/oversight/timeline/content.ts';
import { configOf, makeAgent } from '../lib/agent.ts';
import { Page } from '../lib/page-asking.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import { BOX, SITE, waitUntil } from '../lib/room.ts';

const skip = !existsSync(STREET_CLIP) && 'no street clip: run scripts/setup';
const SLOW_MS = 60_000;
const MASK: MaskConfig = {
  id: 'window',
  polygon: [
    [0, 0],
    [0.25, 0],
    [0.25, 0.25],
    [0, 0.25],
  ],
};

const boxConfig = (): Config =>
  configOf({
    site: SITE,
    box: BOX,
    camera: { source: `file:${STREET_CLIP}`, fps: 5 },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    masks: [MASK],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
    alertsPerHour: 3600,
    // No broker answers at this address.
    mqtt: { url: 'mqtt://127.0.0.1:1', ack: 'broker' },
  });

async function runningBox(
  t: Test,
  options: Partial<AgentOptions> = {},
): Promise<{ agent: Agent; stateDir: string; socket: string }> {
  const stateDir = join(scratch(t), 'state');
  const agent = makeAgent(t, boxConfig(), stateDir, options);
  await agent.start();
  return { agent, stateDir, socket: join(stateDir, 'page.sock') };
}

/** Preview entries as the report reads them; an entry of another form would have another type. */
function previewEntries(stateDir: string): JournalContent[] {
  const lines = readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8').trim().split('\n');
  return lines
    .map((line) => contentOf((JSON.parse(line) as { content: JournalContent }).content))
    .filter(({ type }) => type.startsWith('preview-'));
}

const counter = (agent: Agent, name: string): number => agent.report().counters[name] ?? Number.NaN;

t.test('one and a second technician may look, a third may not, and the box says so', { skip }, async (t) => {
  const { agent, stateDir, socket } = await runningBox(t);
  t.equal(statSync(socket).mode & 0o777, 0o600, 'in a plain run only the agent’s user may use it');
  const page = await Page.connect(t, socket);
  const other = await Page.connect(t, socket, 'fedcba9876543210');
  await page.startsPreview(7);
  t.equal(await page.ask({ op: 'preview-start', viewer: 7 }), null, 'a present viewer may start again');
  t.equal(await other.ask({ op: 'preview-start', viewer: 7 }), null);
  t.equal(await page.ask({ op: 'preview-start', viewer: 8 }), 'too-many-viewers');
  await waitUntil(t, 'pictures', () => page.pictures.length >= 6 && other.pictures.length >= 4, SLOW_MS);

  for (const { header, jpeg } of page.pictures) {
    t.ok(jpeg.length <= PREVIEW_BYTES_MAX, `${jpeg.length} bytes`);
    const { width = 0, height = 0, format } = await sharp(jpeg).metadata();
    t.strictSame([width, height, format], [header.widthPx, header.heightPx, 'jpeg']);
    t.ok(Math.max(width, height) <= PREVIEW_LONG_SIDE_PX_MAX, `${width} × ${height}`);
  }
  const last = page.pictures.at(-1);
  const part = { left: 8, top: 8, width: 170, height: 120 };
  const corner = await sharp(last?.jpeg).extract(part).raw().toBuffer();
  t.ok(Math.max(...corner) < 16, `black under the mask: ${Math.max(...corner)} at most`);
  const times = page.pictures.map(({ header }) => header.atMs);
  t.strictSame(
    times,
    [...new Set(times)].sort((a, b) => a - b),
    'each newer than the one before',
  );
  const spanMs = (last?.atMs ?? 0) - (page.pictures[0]?.atMs ?? 0);
  t.ok(spanMs >= (page.pictures.length - 1) * 450, `two a second at most: ${Math.round(spanMs)} ms`);
  await waitUntil(t, 'tracks', () => page.pictures.some(({ header }) => header.tracks.length > 0), SLOW_MS);

  const state = await page.state();
  t.match(state, { mode: 'active', preview: { running: true, viewers: 2 }, refusedRules: [], walk: null });
  t.match(state.order, { order: '2026-77', authority: 'Ville de Test', installation: false });
  t.match(state.running.masks, [{ id: 'window' }]);
  t.ok(
    state.status.standing.some(({ kind }) => kind === 'preview'),
    'the room is informed',
  );
  const previewFinding = (findings: typeof state.findings) => findings.find(({ name }) => name === 'preview');
  t.match(previewFinding(state.findings), {
    verdict: 'ok',
    detail: /^a technician has been viewing .* since /,
  });
  t.match(previewFinding((await page.state('fr')).findings), { detail: /^un technicien regarde / });

  t.equal(await page.ask({ op: 'preview-stop', viewer: 7 }), null);
  t.equal(await page.ask({ op: 'preview-stop', viewer: 7 }), 'not-started');
  const pictureCount = page.pictures.length;
  other.socket.destroy();
  await waitUntil(t, 'no viewer remains', () => counter(agent, 'preview_viewers') === 0, SLOW_MS);
  // The agent renews the state twice a second.
  await sleep(600);
  const after = await page.state();
  t.match(after.preview, { running: false, viewers: 0 });
  t.ok(
    after.preview.leftTodayS < 3600 && after.preview.leftTodayS > 3500,
    `${after.preview.leftTodayS} s left`,
  );
  t.notOk(
    after.status.standing.some(({ kind }) => kind === 'preview'),
    'and that it is over',
  );
  await sleep(1200);
  t.equal(page.pictures.length, pictureCount, 'a stopped viewer gets no picture');
  t.strictSame(Object.keys(JSON.parse(readFileSync(join(stateDir, 'preview-use.json'), 'utf8'))), [
    'day',
    'usedS',
  ]);

  await agent.stop();
  t.match(previewEntries(stateDir), [
    { type: 'preview-started', session: '0123456789abcdef', order: '2026-77' },
    { type: 'preview-started', session: 'fedcba9876543210', order: '2026-77' },
    { type: 'preview-ended', session: '0123456789abcdef', why: 'stopped', frames: pictureCount },
    { type: 'preview-ended', session: 'fedcba9876543210', why: 'page gone' },
  ]);
});

interface Box extends Awaited<ReturnType<typeof runningBox>> {
  /** Masks of the file on disk; undefined when the file is refused. */
  readonly onDisk: { masks: readonly MaskConfig[] | undefined };
}

async function drawnMasks(t: Test, { socket, onDisk }: Box): Promise<void> {
  const page = await Page.connect(t, socket);
  await page.startsPreview(1);
  await waitUntil(t, 'a picture', () => page.pictures.length > 0, SLOW_MS);
  onDisk.masks = [MASK, { ...MASK, id: 'balcony' }];
  await waitUntil(t, 'told', () => page.noPictures.length > 0);
  t.match(page.noPictures, [{ why: 'masks-not-applied' }]);
  onDisk.masks = undefined;
  await sleep(2000);
  t.equal(
    await page.ask({ op: 'preview-start', viewer: 1 }),
    'masks-not-applied',
    'nor where they cannot be read',
  );
  onDisk.masks = [MASK];
  await sleep(2000);
  t.equal(await page.ask({ op: 'preview-start', viewer: 1 }), null);
  t.equal(await page.ask({ op: 'preview-stop', viewer: 1 }), null);
  page.socket.destroy();
}

async function misuse(t: Test, { agent, socket }: Box): Promise<void> {
  const page = await Page.connect(t, socket);
  await page.startsPreview(1);

  const lag = monitorEventLoopDelay({ resolution: 5 });
  lag.enable();
  page.flood({ op: 'state', language: 'fr' }, 10_000);
  await waitUntil(t, 'answers', () => page.answers.size > 500, SLOW_MS);
  lag.disable();
  // This process is both agent and page, so the delay includes the page's own work.
  t.ok(lag.max / 1e6 < 500, `the loop was held up for ${Math.round(lag.max / 1e6)} ms at most`);
  t.ok(counter(agent, 'page_limited') > 100, `${counter(agent, 'page_limited')} refused`);
  page.socket.destroy();
  await waitUntil(t, 'gone', () => counter(agent, 'preview_viewers') === 0);

  const rubbish = await Page.connect(t, socket);
  rubbish.socket.write(randomBytes(4096));
  await waitUntil(t, 'its connection ends', () => rubbish.closed);
  const long = await Page.connect(t, socket);
  long.socket.write(Buffer.from([0, 0x10, 0, 0]));
  await waitUntil(t, 'its connection ends', () => long.closed);
  await waitUntil(t, 'it is counted', () => counter(agent, 'page_refused') >= 2);

  const two = [await Page.connect(t, socket), await Page.connect(t, socket)];
  const third = await Page.connect(t, socket);
  await waitUntil(t, 'a third connection ends', () => third.closed);
  t.match(await two[0]?.state(), { mode: 'active' });

  const deaf = two[1] as Page;
  await deaf.startsPreview(2);
  await waitUntil(t, 'a picture', () => deaf.pictures.length > 0, SLOW_MS);
  deaf.socket.pause();
  const skipped = counter(agent, 'preview_skipped');
  await waitUntil(t, 'pictures are left out', () => counter(agent, 'preview_skipped') > skipped + 2, SLOW_MS);
  t.equal(agent.report().mode, 'active');
  for (const one of two) one.socket.destroy();
}

async function walkTest(t: Test, { agent, socket }: Box): Promise<void> {
  const page = await Page.connect(t, socket);
  t.equal(await page.ask({ op: 'walk-answer', answer: 'go' }), 'not-started');
  t.equal(await page.ask({ op: 'walk-start', rule: 'nobody', passes: 1 }), 'no-such-rule');
  t.equal(await page.ask({ op: 'confirm-view' }), 'not-confirmed', 'the camera has not moved');
  await page.startsPreview(1);
  await waitUntil(t, 'frames', () => page.pictures.length > 0, SLOW_MS);
  t.equal(await page.ask({ op: 'walk-start', rule: 'passing', passes: 2 }), null);
  t.equal(await page.ask({ op: 'walk-start', rule: 'passing', passes: 2 }), 'walk-runs');
  t.match((await page.state()).walk, {
    rule: 'passing',
    passes: 2,
    phase: 'ready',
    outcomes: [],
    last: null,
  });
  t.equal(await page.ask({ op: 'walk-answer', answer: 'repeat' }), 'nothing-to-repeat');
  const walks = async (phase: string, outcomes: string[]): Promise<void> => {
    const endMs = performance.now() + SLOW_MS;
    for (;;) {
      const { walk } = await page.state();
      if (walk?.phase === phase && walk.outcomes.length === outcomes.length) {
        t.match(walk, { outcomes, last: phase === 'over' ? {} : { code: 'seen', seconds: Number } });
        return;
      }
      if (performance.now() > endMs) throw new Error(`${phase}: ${JSON.stringify(walk)}`);
      await sleep(200);
    }
  };
  t.equal(await page.ask({ op: 'walk-answer', answer: 'go' }), null);
  t.match((await page.state()).walk, { phase: /watching|ready/ });
  await walks('ready', ['seen']);
  t.equal(await page.ask({ op: 'walk-answer', answer: 'go' }), null);
  await walks('done', ['seen', 'seen']);
  t.equal(await page.ask({ op: 'walk-answer', answer: 'go' }), null);
  await walks('kept', ['seen', 'seen']);
  t.match(
    agent.report().accuracy?.rules,
    [{ rule: 'passing', walk: { passes: 2, seen: 2 } }],
    'the result is saved',
  );

  t.equal(await page.ask({ op: 'walk-start', rule: 'passing', passes: 1 }), null);
  t.equal(await page.ask({ op: 'walk-answer', answer: 'abort' }), null);
  t.match((await page.state()).walk, { phase: 'over', last: { code: 'given-up', seconds: null } });
  page.socket.destroy();
}

async function suspended(t: Test, { stateDir, socket }: Box): Promise<void> {
  const page = await Page.connect(t, socket);
  await page.startsPreview(1);
  await waitUntil(t, 'a picture', () => page.pictures.length > 0, SLOW_MS);
  new Suspension(join(stateDir, SUSPENSION_FILE)).suspend('order of the court', 'box', Date.now());
  const tookMs = await waitUntil(t, 'told', () => page.noPictures.length > 0);
  t.ok(tookMs <= 1000, `after ${tookMs} ms`);
  t.match(page.noPictures, [{ why: 'suspended', reason: 'order of the court', viewer: null }]);
  const pictureCount = page.pictures.length;
  t.equal(await page.ask({ op: 'preview-start', viewer: 1 }), 'suspended');
  await sleep(1500);
  t.equal(page.pictures.length, pictureCount);
  t.match(await page.state(), {
    mode: 'suspended',
    reason: 'order of the court',
    preview: { running: false },
  });
}

t.test(
  'a box with its page is used, misused, led through a walk test, and suspended',
  { skip },
  async (t) => {
    const onDisk: Box['onDisk'] = { masks: [MASK] };
    const masksOnDisk = (): readonly MaskConfig[] => {
      if (onDisk.masks === undefined) throw new AgentError('config', 'line 3: no such key');
      return onDisk.masks;
    };
    const box = { ...(await runningBox(t, { masksOnDisk })), onDisk };
    await t.test('no picture is shown while drawn masks do not run yet', (t) => drawnMasks(t, box));
    await t.test('the agent continues whatever the page does', (t) => misuse(t, box));
    await t.test('a walk test runs by messages', (t) => walkTest(t, box));
    await t.test('a suspension removes the picture within a second, and none follows', (t) =>
      suspended(t, box),
    );
  },
);

t.test('the agent runs on where it cannot listen', async (t) => {
  const stateDir = join(scratch(t), 'state');
  const config = configOf({
    site: SITE,
    box: BOX,
    camera: { source: 'test:pattern', fps: 5 },
    mqtt: { url: 'mqtt://127.0.0.1:1', ack: 'broker' },
  });
  const agent = makeAgent(t, config, stateDir, { pageSocket: join(stateDir, 'no/such/page.sock') });
  await agent.start();
  t.equal(counter(agent, 'page_unserved'), 1);
  await agent.stop();
});
