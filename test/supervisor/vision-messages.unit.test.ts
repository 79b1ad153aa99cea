/**
 * Tests what the agent makes of vision's messages: the analysed rate under heat and slowness, the fault that it reports
 * without video, and one request per picture. Sizes and speeds of objects suggest an input size and a rate.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { FromVision, ToVision } from '../../agent/contract/link.ts';
import { Thermal } from '../../agent/health/thermal.ts';
import { FINDING_TEXTS } from '../../agent/local/finding-texts.ts';
import { viewFindings } from '../../agent/local/view-advice.ts';
import { CameraView } from '../../agent/supervisor/camera-view.ts';
import { LoadControl } from '../../agent/supervisor/load.ts';
import { VisionMessages } from '../../agent/supervisor/messages.ts';
import { PreviewRequests } from '../../agent/supervisor/preview-requests.ts';
import { VisionStatus } from '../../agent/supervisor/status.ts';
import { ViewStatistics } from '../../agent/supervisor/view-statistics.ts';
import { RateControl } from '../../agent/vision/schedule/rate-control.ts';
import { counterValues } from '../lib/counters.ts';
import { HandClock, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { observation, track } from '../lib/street.ts';

/** Number of analysed frames of a 5 fps stream during `seconds`, where each takes `ms`. */
function runFrames(rateControl: RateControl, fromMs: number, seconds: number, ms: number): number {
  let analysed = 0;
  for (let atMs = fromMs; atMs < fromMs + seconds * 1000; atMs += 200) {
    if (!rateControl.isDue(atMs, { fps: 5, pictured: false, isHeld: true })) continue;
    analysed += 1;
    rateControl.noteDuration(ms, atMs);
  }
  return analysed;
}

/** The kernel's files of a board with one sensor; `null` °C makes it unreadable. */
function board(t: Test): { sysClass: string; heat(celsius: number | null): void } {
  const sysClass = scratch(t);
  const zone = join(sysClass, 'thermal', 'thermal_zone0');
  mkdirSync(zone, { recursive: true });
  const heat = (celsius: number | null): void =>
    writeFileSync(join(zone, 'temp'), celsius === null ? '' : `${celsius * 1000}\n`);
  return { sysClass, heat };
}

t.test('a board that is too slow for its camera analyses less, step by step, and more again', async (t) => {
  const rateControl = new RateControl(5, false);
  t.equal(runFrames(rateControl, 0, 60, 60), 300, 'every frame while there is time');
  t.same(rateControl.state, { step: 0, fps: 5, reason: null });
  runFrames(rateControl, 60_000, 20, 250);
  t.match(rateControl.state, { step: 1, fps: 3.33, reason: 'load' });
  runFrames(rateControl, 80_000, 60, 330);
  t.match(rateControl.state, { step: 2, fps: 2.5 }, 'until it fits');
  t.equal(runFrames(rateControl, 140_000, 60, 330), 150, 'every second frame');
  t.equal(rateControl.state.step, 2, 'and stays there');
  runFrames(rateControl, 200_000, 50, 60);
  t.equal(rateControl.state.step, 2, 'not at once back');
  runFrames(rateControl, 250_000, 200, 60);
  t.same(rateControl.state, { step: 0, fps: 5, reason: null });
  t.ok(rateControl.shed > 100);
});

t.test('a time at the edge does not switch the step back and forth', async (t) => {
  const rateControl = new RateControl(5, false);
  const steps: number[] = [];
  for (let minute = 0; minute < 30; minute += 1) {
    runFrames(rateControl, minute * 60_000, 60, minute % 2 === 0 ? 195 : 180);
    if (steps.at(-1) !== rateControl.state.step) steps.push(rateControl.state.step);
  }
  t.same(steps, [1], 'one step, once');
});

t.test('the rate never falls below a frame a second, or below the requested rate', async (t) => {
  const slow = new RateControl(2, false);
  slow.heat(9);
  t.match(slow.state, { step: 2, fps: 1, reason: 'heat' });
  const slower = new RateControl(0.5, false);
  slower.heat(9);
  t.match(slower.state, { step: 0, fps: 0.5, reason: null });
});

t.test('heat lowers the rate by one step at a time, and a cooler minute raises it', async (t) => {
  const { sysClass, heat } = board(t);
  const thermal = new Thermal(sysClass);
  const at = (celsius: number | null, fromS: number, toS: number): number => {
    let steps = 0;
    heat(celsius);
    for (let s = fromS; s < toS; s += 5) steps = thermal.steps(s * 1000);
    return steps;
  };
  t.equal(at(60, 0, 100), 0);
  t.equal(at(76, 100, 200), 1);
  t.equal(at(90, 200, 210), 2, 'one more at once');
  t.equal(at(90, 210, 400), 4, 'and more while it does not help');
  t.equal(at(null, 400, 410), 4, 'a sensor that cannot be read changes nothing');
  t.equal(at(82, 410, 600), 4, 'a little cooler is not enough');
  t.equal(at(60, 600, 655), 4);
  t.equal(at(60, 655, 670), 3);
  t.equal(at(60, 670, 900), 0);
});

t.test('vision reads the sensors’ files, and the room receives vision’s rate', async (t) => {
  const { sysClass, heat } = board(t);
  const thermal = new Thermal(sysClass);
  let nowMs = 0;
  const messages: ToVision[] = [];
  const shedReports: unknown[] = [];
  const loadControl = new LoadControl({
    clock: { nowMs: () => nowMs },
    log: SILENT,
    heatSteps: (atMs) => thermal.steps(atMs),
    send: (message) => messages.push(message) > 0,
    onShed: (active, cause) => shedReports.push([active, cause]),
  });
  const tick = (seconds: number): void => {
    for (const endMs = nowMs + seconds * 1000; nowMs < endMs; nowMs += 500) loadControl.tick();
  };
  heat(55);
  tick(20);
  t.same(messages, []);
  heat(80);
  tick(30);
  t.same(messages.splice(0), [
    { kind: 'heat', steps: 1 },
    { kind: 'heat', steps: 2 },
  ]);
  loadControl.receive({ kind: 'pace', step: 2, fps: 2.5, reason: 'heat' });
  t.same(shedReports.splice(0), [[true, { reason: 'heat', fps: 2.5 }]]);
  t.match(counterValues(loadControl), { load_shed_step: 2, load_shed_steps_down: 1, heat_steps: 2 });
  const source = { widthPx: 640, heightPx: 480 };
  loadControl.receive({
    kind: 'opened',
    source,
    decoder: 'x',
    fps: 5,
    durationMs: null,
    connected: 'test:pattern',
  });
  t.same(messages.splice(0), [{ kind: 'heat', steps: 2 }], 'a new vision process is informed');
  heat(50);
  tick(200);
  t.same(messages.splice(0), [
    { kind: 'heat', steps: 1 },
    { kind: 'heat', steps: 0 },
  ]);
  loadControl.receive({ kind: 'pace', step: 0, fps: 5, reason: null });
  t.same(shedReports.splice(0), [[false, {}]]);
});

const NO_BYTES = new Uint8Array();

function receiver(t: Parameters<typeof scratch>[0]) {
  const reports: string[] = [];
  const sentMessages: ToVision[] = [];
  const unusable: string[] = [];
  const clock = new HandClock();
  const send = (message: ToVision): boolean => sentMessages.push(message) > 0;
  const status = new VisionStatus({ detector: { input: [416, 256] } });
  const nothing = (): void => undefined;
  const messages = new VisionMessages({
    log: SILENT,
    status,
    cameraView: new CameraView({
      stateDir: scratch(t),
      snapshotsDays: () => 7,
      clock,
      log: SILENT,
      send,
      enter: nothing,
      trackLog: { viewConfirmed: nothing },
    }),
    load: new LoadControl({
      clock,
      log: SILENT,
      send,
      heatSteps: () => 0,
      fps: 5,
      onShed: nothing,
    } as never),
    previews: new PreviewRequests({ clock, send }),
    trackLog: { observe: nothing, visionEnded: nothing },
    flow: {
      observe: () => ({ evidence: [] }),
      evidence: nothing,
      condition: (kind, active, cause) =>
        reports.push(`${kind} ${active ? String(cause['reason']) : 'over'}`),
      visionReturns: nothing,
      blind: false,
    },
    view: { evaluating: () => ({ stop: nothing }), recordRequests: nothing, answered: nothing },
    accuracy: { sees: nothing },
    journal: { detectorLoaded: nothing },
    connection: { opened: nothing },
    send,
    onUnusable: ({ message }) => unusable.push(message),
  });
  const hear = (message: FromVision): void => messages.receive({ message, binary: NO_BYTES });
  const frame = (atMs: number): void =>
    hear({ kind: 'frame', observation: observation(atMs, []) } as FromVision);
  const failed = (error: string, message: string): void =>
    hear({ kind: 'failed', error, message } as FromVision);
  return { reports, sentMessages, unusable, frame, failed };
}

t.test('a fault of vision itself is not a lost stream, and ends with the next frame', async (t) => {
  const { reports, unusable, frame, failed } = receiver(t);
  frame(1000);
  t.same(reports.splice(0), ['vision-failed over'], 'one of an earlier life of the agent is over, too');
  frame(1200);
  t.same(reports.splice(0), []);
  for (const [error, kind] of [
    ['bug', 'vision-failed'],
    ['exhausted', 'vision-failed'],
    ['denied', 'vision-failed'],
    ['unavailable', 'stream-lost'],
    ['config', 'stream-lost'],
    ['corrupt', 'detector-down'],
  ] as const) {
    failed(error, 'why');
    t.same(reports.splice(0), [`${kind} why`], error);
    frame(2000);
    t.same(reports.splice(0), kind === 'vision-failed' ? ['vision-failed over'] : [], `${error}: a frame`);
  }
  t.same(unusable, []);
});

t.test('a camera that never worked needs a person', async (t) => {
  const { reports, unusable, failed } = receiver(t);
  failed('config', 'no such camera');
  t.same([reports, unusable], [[], ['no such camera']]);
});

t.test('each frame is acknowledged once, and no other message is', async (t) => {
  const { sentMessages, frame, failed } = receiver(t);
  frame(1000);
  failed('bug', 'why');
  frame(1200);
  t.same(
    sentMessages.map(({ kind }) => kind),
    ['ack', 'ack'],
  );
});

const SOURCE = { widthPx: 1600, heightPx: 900 };
const CONFIGURED = { detector: { input: [416, 256] as [number, number] }, camera: { fps: 5 } };

/**
 * Observes people or cars of one height in turn, each for `looks` frames, moved by `step` of its longer side between
 * them.
 */
function observePassing(
  group: 'person' | 'vehicle',
  { count, height, step, frames = 5 }: { count: number; height: number; step: number; frames?: number },
): ViewStatistics {
  const statistics = new ViewStatistics(CONFIGURED);
  let frame = 0;
  for (let id = 1; id <= count; id += 1) {
    for (let index = 0; index < frames; index += 1) {
      frame += 1;
      const x = (step * index * height * SOURCE.heightPx) / SOURCE.widthPx;
      const box = [x, 0.5, x + 0.001, 0.5 + height] as const;
      const view = observation(
        200 * frame,
        [
          track(id, {
            group,
            label: group === 'person' ? 'person' : 'car',
            xyxyNorm: [...box],
            ground: [x, 0.5 + height],
            pixelsMove: false,
          }),
        ],
        { source: SOURCE },
      );
      statistics.observe(view);
      // A frame without a detector run counts neither for heights nor for steps.
      statistics.observe({ ...view, looked: false });
    }
  }
  return statistics;
}

const advice = (statistics: ViewStatistics, plan?: Parameters<typeof viewFindings>[2]) =>
  viewFindings(statistics.report, FINDING_TEXTS.en, plan)[0];

t.test('heights and steps are measured, and too few of them say nothing', async (t) => {
  const { report } = observePassing('person', { count: 30, height: 0.2, step: 0.3 });
  t.match(report, { people: 150, source: SOURCE, moving: 29, fps: 5 });
  t.ok(Math.abs(report.heightTenthNorm - 0.2) < 0.011 && Math.abs(report.heightHalfNorm - 0.2) < 0.011);
  t.ok(Math.abs(report.stepNineTenths - 0.3) < 0.051, `${report.stepNineTenths}`);
  t.equal(advice(observePassing('person', { count: 3, height: 0.2, step: 0.3 })), undefined);
});

t.test('small people suggest a larger input, until it is set', async (t) => {
  const far = observePassing('person', { count: 30, height: 0.07, step: 0.1 });
  t.match(advice(far), { state: 'failed', fix: /detector\.input: \[640, 384\]/ });
  t.match(advice(far, { input: [640, 384], fps: 5 }), { state: 'ok' });
  t.match(advice(observePassing('person', { count: 30, height: 0.2, step: 0.1 })), { state: 'ok' });
});

t.test('objects that move by more than half of their length suggest a higher rate', async (t) => {
  const fast = observePassing('vehicle', { count: 30, height: 0.1, step: 1 });
  t.match(advice(fast), { state: 'failed', fix: /camera\.fps: 1[01]:/ });
  t.match(advice(fast, { input: [416, 256], fps: 12 }), { state: 'ok' });
  t.match(
    advice(observePassing('vehicle', { count: 30, height: 0.1, step: 1, frames: 2 })),
    undefined,
    'a flicker',
  );
});
