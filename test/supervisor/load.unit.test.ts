/** Tests that heat and slowness lower the analysed rate in steps, and that it rises again with hysteresis. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { ToVision } from '../../agent/contract/link.ts';
import { Thermal } from '../../agent/health/thermal.ts';
import { LoadControl } from '../../agent/supervisor/load.ts';
import { RateControl } from '../../agent/vision/schedule/rate-control.ts';
import { counterValues } from '../lib/counters.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';

/** Number of analysed frames of a 5 fps stream during `seconds`, where each takes `ms`. */
function runFrames(rateControl: RateControl, fromMs: number, seconds: number, ms: number): number {
  let analysed = 0;
  for (let atMs = fromMs; atMs < fromMs + seconds * 1000; atMs += 200) {
    if (!rateControl.isDue(atMs, { fps: 5, pictured: false })) continue;
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
