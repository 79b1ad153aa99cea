/** Unit tests of boxes that begin a change and fall silent: when a rollout halts, holds and continues. */
import fc from 'fast-check';
import t from 'tap';
import type { Incoming } from '../../scripts/products/fleet/broker.ts';
import { Knowledge } from '../../scripts/products/fleet/rollout/knowledge.ts';
import { stalledAt } from '../../scripts/products/fleet/rollout/stall.ts';
import type { RolloutBox, Step } from '../../scripts/products/fleet/rollout/states.ts';
import { inParts } from '../../scripts/products/fleet/rollout/stratify.ts';
import { FleetStore } from '../../scripts/products/fleet/store.ts';
import { scratch } from '../lib/paths.ts';
import { boxesOf, HOUR, Lifetime, PLAN } from '../lib/rollout-life.ts';
import { runStreet, type Street } from '../lib/rollout-street.ts';
import { ALL, FULL } from '../lib/run.ts';

const THRESHOLDS = PLAN.thresholds;
const actionsOf = ({ orders }: Step, action: string): number =>
  orders.filter((order) => order.action === action).length;

/** Seven canaries and two waves at two sites, each step with the plan's own limits. */
function fleet(change: Partial<Lifetime['rollout']> = {}): Lifetime {
  const boxes = [...boxesOf(7, 0), ...boxesOf(60, 1, 7), ...boxesOf(140, 2, 67)];
  const placed = boxes.map((one, i) => ({ ...one, id: `site-${i % 2}/${one.id}` }));
  return new Lifetime(placed, { thresholds: THRESHOLDS, soakMs: [0, 0, 0], ...change });
}

/** Brings a rollout to its first wave, with every canary confirmed and heard. */
function inFirstWave(): Lifetime {
  const run = fleet();
  run.at(0);
  run.say(({ wave }) => wave === 0, { progress: 'confirmed' }).at(1);
  run.at(1.5);
  return run;
}

void t.test('one silent box holds its wave, and a second one halts the rollout', (t) => {
  for (const progress of ['begun', 'switched', 'confirmed'] as const) {
    const run = fleet();
    run.at(0);
    run.say((_, i) => i < 7, { progress }).at(0.1);
    run.say((_, i) => i === 0, { online: false }).at(1);
    t.match(
      run.at(30).rollout,
      { state: 'running', wave: 0, reachedMs: null },
      `${progress}: one may be silent`,
    );
    run.say((_, i) => i === 2, { online: false }).at(30.9);
    t.equal(run.rollout.state, 'running', 'not within the hour');
    t.match(run.at(31.2).rollout, {
      state: 'halted',
      reason:
        '2 of 7 boxes that began are silent, and at most 1 may be: site-0: 2 of 4 (site-0/b-0, site-0/b-2), of others there 0 of 100; go to one of them',
    });
    t.strictSame(run.last?.silent, ['site-0/b-0', 'site-0/b-2'], 'and they are named');
  }
  t.end();
});

void t.test('a halt withdraws the open orders of the running wave, and no box begins', (t) => {
  const run = inFirstWave();
  t.equal(run.rollout.wave, 1);
  run.say((_, i) => i >= 7 && i < 20, { progress: 'switched' }).at(2);
  run.say((_, i) => i === 8 || i === 9, { online: false });
  run.at(2.9);
  run.at(3.2);
  t.equal(run.rollout.state, 'halted');
  t.equal(actionsOf(run.last as Step, 'withdraw'), 47, 'each box that has not switched');
  t.equal(actionsOf(run.at(4), 'install'), 0);
  run.at(5, 'resume');
  t.equal(run.rollout.state, 'halted', 'silent boxes are not accepted by going on');
  t.equal(actionsOf(run.last as Step, 'install'), 0);
  run.say((_, i) => i === 8, { isSkipped: true });
  t.equal(actionsOf(run.at(6, 'resume'), 'install'), 47, 'a person has left one out, and one may be silent');
  t.end();
});

void t.test('a site excuses its boxes while as many of its untried ones are silent', (t) => {
  const cutSite = (untriedSilent: number): Lifetime => {
    const run = inFirstWave();
    run.say(({ wave }) => wave === 1, { progress: 'switched' }).at(2);
    const untried = run.boxes.filter(({ id, wave }) => id.startsWith('site-1/') && wave === 2);
    const cutIds = new Set(untried.slice(0, untriedSilent).map(({ id }) => id));
    const isCut = ({ id, wave }: RolloutBox): boolean =>
      (id.startsWith('site-1/') && wave < 2) || cutIds.has(id);
    run.say(isCut, { online: false }).at(2.9);
    run.at(3.2);
    return run;
  };
  t.equal(cutSite(70).rollout.state, 'running', 'all of the site');
  t.match(cutSite(60).rollout, { state: 'halted', reason: /site-1: 33 of 33 .*, of others there 60 of 70/ });
  const restoredSite = cutSite(70);
  restoredSite.say(({ id, wave }) => id.startsWith('site-1/') && wave === 2, { online: true });
  t.equal(restoredSite.at(4).rollout.state, 'halted', 'the others are back, and those that began are not');
  t.end();
});

void t.test('a box is silent by its own measure, and no rollout is done while too many are', (t) => {
  const run = inFirstWave();
  run.say(() => true, { silenceMs: 9 * HOUR });
  run.say(({ wave }) => wave === 1, { progress: 'confirmed' }).at(2);
  run.at(2.5);
  run.say(({ wave }) => wave === 2, { progress: 'confirmed' }).at(3);
  run.say((_, i) => i > 60 && i < 70, { online: false }).at(3.1);
  t.match(run.at(12).rollout, { state: /running|finishing/ }, 'it was silent for nine hours before');
  t.match(run.at(13.2).rollout, {
    state: 'halted',
    reason: /^6 of 207 boxes that began are silent, and at most 2/,
  });
  t.end();
});

void t.test('a wave with mute boxes halts with a reason; skip and resume continue it', (t) => {
  const run = inFirstWave();
  const isMute = (_: RolloutBox, i: number): boolean => i >= 7 && i < 11;
  run.say((one, i) => one.wave === 1 && !isMute(one, i), { progress: 'confirmed' }).at(3);
  t.match(run.at(40).rollout, { state: 'running', wave: 1, reachedMs: null });
  t.equal(run.last?.waits?.connected.length, 4);
  const names = 'site-1/b-7, site-0/b-8, site-1/b-9 and 1 more';
  t.equal(run.last?.explanation, `4 connected and not confirmed (${names})`);
  t.match(run.at(51.1).rollout, {
    state: 'halted',
    reason: `wave 1: no progress for 48 h: 4 connected and not confirmed (${names})`,
  });
  run.say(isMute, { isSkipped: true });
  t.equal(actionsOf(run.at(52, 'resume'), 'install'), 140);
  run.say(({ wave }) => wave === 2, { progress: 'confirmed' }).at(53);
  t.equal(run.at(54).rollout.state, 'done', 'all are confirmed, or left out by a person');
  t.end();
});

void t.test('the last wave goes out in parts of a tenth of the fleet', (t) => {
  const sharesOf = (boxes: number): number[] =>
    inParts(PLAN, boxes).waves.map(({ share }) => Math.round(share * boxes));
  t.strictSame(sharesOf(1500), [75, 375, 516, 656, 797, 938, 1078, 1219, 1359, 1500]);
  t.strictSame(
    sharesOf(60),
    [3, 15, 26, 38, 49, 60],
    'and a dozen boxes or so, so that a mute one does not hold it',
  );
  t.strictSame(sharesOf(7), [0, 2, 7]);
  fc.assert(
    fc.property(fc.integer({ min: 120, max: 3000 }), (boxes) => {
      const shares = sharesOf(boxes).slice(1);
      return shares.every((share, i) => i === 0 || share - (shares[i - 1] ?? 0) <= Math.ceil(boxes / 10) + 1);
    }),
  );
  t.end();
});

void t.test('the time limit does not count days without a window', (t) => {
  const window = { days: ['mon', 'tue', 'wed', 'thu'], from: '02:00', to: '05:00', tz: 'UTC' } as const;
  const at = (text: string): number => Date.parse(text);
  t.equal(stalledAt(null, at('2026-11-26T03:00Z'), 48 * HOUR), at('2026-11-28T03:00Z'));
  // Thursday: counted until Friday 05:00, and again from Monday 02:00.
  const due = stalledAt({ ...window, days: [...window.days] }, at('2026-11-26T03:00Z'), 48 * HOUR);
  t.ok(Math.abs(due - at('2026-12-01T00:00Z')) <= HOUR, new Date(due).toISOString());
  t.end();
});

const SEEDS = FULL ? 40 : ALL ? 4 : 2;
const SIZES = ALL ? [7, 60, 200, 1500] : [7, 60, 200];
const seeds = Array.from({ length: SEEDS }, (_, i) => i + 1);

void t.test('a healthy release finishes without a person’s act on flaky and night-powered poles', (t) => {
  const poles: readonly Partial<Street>[] = [0.01, 0.03, 0.1].flatMap((ratio) => [
    { flaky: ratio },
    { dark: ratio },
  ]);
  for (const boxes of SIZES)
    for (const pole of poles)
      for (const seed of seeds) {
        const { state, reason } = runStreet({ boxes, seed, ...pole });
        t.equal(state, 'done', `${boxes} ${JSON.stringify(pole)} seed ${seed}: ${reason}`);
      }
  t.end();
});

void t.test('a release that takes boxes off the network within hours is stopped', (t) => {
  // The last parts of a fleet of seven are over within the hour.
  for (const boxes of SIZES)
    for (const offline of [0, 0.1])
      for (const afterHours of boxes < 60 ? [0] : [0, 1, 3])
        for (const seed of seeds) {
          const { state, lostCount } = runStreet({ boxes, seed, offline, dies: { ratio: 0.4, afterHours } });
          if (lostCount < 2) continue;
          t.equal(
            state,
            'halted',
            `${boxes}, ${offline} offline, dies after ${afterHours} h, seed ${seed}: ${lostCount} lost`,
          );
          t.ok(lostCount <= Math.max(6, 0.12 * boxes), `${lostCount} of ${boxes} lost`);
        }
  t.end();
});

void t.test('the store knows how long a box was silent, as far as a program listened', (t) => {
  const store = new FleetStore(scratch(t));
  t.teardown(() => store.close());
  const send = (state: 'online' | 'offline', nowMs: number): Incoming => {
    const status = { state, boot: 'b', time: new Date(nowMs).toISOString() };
    return { site: 'lyon', box: 'a', branch: 'status', payload: Buffer.from(JSON.stringify(status)) };
  };
  const silenceHours = (nowMs: number): number => store.links.longestSilenceMs('lyon', 'a', nowMs) / HOUR;
  const hear = (knowledge: Knowledge, state: 'online' | 'offline', hours: number): void =>
    void knowledge.take([send(state, hours * HOUR)], hours * HOUR, true);
  const first = new Knowledge(store);
  hear(first, 'online', 0);
  hear(first, 'offline', 1);
  hear(first, 'online', 4);
  t.equal(silenceHours(4 * HOUR), 3);
  hear(first, 'offline', 5);
  // The program ends, and another listens from hour 20, when the box is back.
  const second = new Knowledge(store);
  second.forget();
  hear(second, 'online', 20);
  t.equal(silenceHours(20 * HOUR), 3, 'what no program heard is not known');
  t.equal(silenceHours(16 * 24 * HOUR), 0, 'and two weeks later it counts no more');
  t.end();
});
