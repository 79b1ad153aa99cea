/**
 * Tests that vision survives every fault of HailoRT's element, told as what it is. The element is fake-element.c on a
 * made board with a Hailo-8 (hailo-board.ts).
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import { ElementVision } from '../lib/element-vision.ts';
import { FULL } from '../lib/run.ts';
import type { BoardChange } from '../lib/hailo-board.ts';
import { noCompiler } from '../lib/inference-element.ts';
import { slowness } from '../lib/slowness.ts';

t.setTimeout(600_000);

const HAILONET = 'hailonet';
const AT = 'from 12';
/** Limits as in inference-element.test.ts, ms. */
const AGAIN_MS = 2000;
const STALLED_MS = 5000;
const SPARE = 3;

interface Fault {
  readonly name: string;
  readonly script: readonly string[];
  /** Reason that vision reports. */
  readonly reason: RegExp;
  /** The fault is detected only because no answer arrives. */
  readonly silent?: boolean;
  /** Played by an ordinary run too. */
  readonly always?: boolean;
}

const FAULTS: readonly Fault[] = [
  { name: 'late answers', script: ['fault late', AT], reason: /answers for the frame of/ },
  { name: 'garbage', script: ['fault garbage', AT], reason: /boxes of class|invalid box/ },
  {
    name: 'an odd count',
    script: ['fault odd-count 202', AT],
    reason: /gives 101 boxes of class 0; the card allows 0 to 100/,
  },
  { name: 'a second output', script: ['fault extra', AT], reason: /gives nms .* and embedding/ },
  { name: 'segfault', script: ['fault segfault', AT], reason: /^vision ended while its element was tried;/ },
  {
    name: 'g_error',
    script: ['fault g-error', AT],
    reason: /^vision ended while its element was tried: .*HAILO_STREAM_ABORTED\(62\): inference failed/,
    always: true,
  },
  ...[26, 74, 76].map((status) => ({
    name: `status ${status}`,
    script: [`fault status ${status}`, AT],
    reason: new RegExp(`was tried: \\[HailoRT\\] \\[error\\] CHECK_SUCCESS failed with status=${status};`),
    silent: true,
  })),
  {
    name: 'a hang in a frame',
    script: ['fault stall', AT],
    reason: /gives no answer within 5 s/,
    silent: true,
  },
  {
    name: 'a hang in being stopped after an error',
    script: ['fault error-and-stall', AT],
    reason: /fails: no device/,
  },
];

const table: string[] = [];

for (const { name, script, reason, silent = false, always = false } of FAULTS) {
  const skip = noCompiler || (!always && !FULL && 'set VIGIE_TEST_RUN=full for every fault');
  t.test(`the CPU takes over from hailonet after ${name}`, { skip }, async (t) => {
    const box = new ElementVision(t, script, {}, {}, {}).start();
    t.ok(await box.runsOn(HAILONET, 1), 'the element runs the model');
    t.ok(await box.runsOn('cpu', 2), 'then the CPU');
    t.equal(box.ends.length, 1, 'by one end of vision');
    const { fallback = '' } = box.detectors[1] ?? {};
    t.match(fallback, reason, `told: ${fallback}`);
    t.match(fallback, /; it is tried again at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    t.notMatch(fallback, /\n/);
    t.match(box.trial, { failures: 1, isOn: false });
    const limitMs = SPARE * AGAIN_MS * slowness() + (silent ? STALLED_MS : 0);
    t.ok(
      box.gapMs <= limitMs,
      `frames again after ${Math.round(box.gapMs)} ms, at most ${Math.round(limitMs)}`,
    );
    table.push(`${name}: ${(box.gapMs / 1000).toFixed(1)} s: ${fallback}`);
  });
}

t.test(
  'hailonet is tried again after a fault, and old bytes behind its last box are not read',
  { skip: noCompiler },
  async (t) => {
    const box = new ElementVision(t, ['fault error', AT], {}, {}, {}).start();
    t.ok(await box.runsOn(HAILONET, 1));
    t.ok(await box.runsOn('cpu', 2));
    box.plugIn();
    box.writeTrial({ failedAtMs: Date.now() - 60_000 });
    box.kill();
    t.ok(await box.runsOn(HAILONET, 3));
    const before = box.frames.length;
    await box.msUntil(() => box.frames.length > before + 15);
    t.equal(box.detectors.length, 3, 'and runs on');
    for (const { message } of box.frames.slice(before))
      t.same(
        message.detections.map(({ label }) => label),
        ['person'],
      );
  },
);

t.test(
  'a board on which HailoRT would end vision is refused before it is loaded',
  { skip: noCompiler },
  async (t) => {
    const boards: [string, BoardChange, RegExp][] = [
      [
        'versions',
        { 'sys/module/hailo_pci/version': '4.22.0\n' },
        /^detector\.element hailonet: driver hailo_pci 4\.22\.0 and libhailort 4\.23\.0 have different versions; sudo apt/,
      ],
      [
        'node',
        { 'dev/hailo0': null, 'dev/other': '' },
        /hailonet: \/dev\/hailo0 or \/dev\/h1x-0 is missing; restart/,
      ],
    ];
    for (const [name, board, reason] of FULL ? boards : boards.slice(0, 1))
      await t.test(`the ${name} of the board are refused`, async (t) => {
        const box = new ElementVision(t, ['fault status 76'], {}, {}, board).start();
        t.ok(await box.runsOn('cpu', 1));
        t.match(box.last?.fallback, reason);
        t.same(box.ends, [], 'no vision had to end');
        t.equal(box.trial, undefined, 'and the element is not held off');
      });
  },
);

for (const [name, script, always] of [
  ['in a frame', ['fault stall', AT], false],
  ['while it is loaded', ['fault stall-start'], true],
  ['in being stopped', ['fault stall-stop', AT], false],
] as const) {
  const skip = noCompiler || (!always && !FULL && 'set VIGIE_TEST_RUN=full for every fault');
  t.test(`a suspension ends vision in time while hailonet hangs ${name}`, { skip }, async (t) => {
    const box = new ElementVision(t, script, {}, {}, {}).start();
    if (script.length > 1) t.ok(await box.runsOn(HAILONET, 1));
    else await box.msUntil(() => box.trial?.isOn === true);
    await box.msUntil(() => false, 1500);
    const { pid = 0 } = box.vision;
    box.vision.send({ kind: 'stop' });
    const tookMs = await box.msUntil(() => !existsSync(`/proc/${pid}`), 10_000);
    t.ok(tookMs < 2000, `gone after ${Math.round(tookMs)} ms`);
    t.notOk(box.failures[0], 'and that does not count as a failure of vision');
  });
}

t.teardown(() => {
  for (const line of table) t.comment(line);
});
